"Is every example asked and judged as the description says?"
from _core import Row, compare, experiment
from _plain import answer, asked, core_of
from pretrain.eval.core.evaluate import evaluate_core

def plain(lab, model, most=0, crop=0):
    return [answer(e, model) for t in lab.tasks for e in asked(lab.bundle, t, lab.tok.encode, lab.tok.bos, most, crop)]

def near(a, b): return abs(a-b)<1e-12

@experiment
def oracle(lab):
    "Every example against a slow, separate computation"
    rows = []
    for name,model in lab.models().items():
        most = 0 if name=='bigram' else lab.some
        want = plain(lab, model, most)
        res = evaluate_core(model, lab.tok, lab.bundle, most)
        held,worst,first = compare(res.examples, want)
        assert len(want)==lab.n(most), 'examples are missing'
        note = (f'{lab.asked_of(most)}; largest difference of a mean loss {worst:.1e} nats; '
                f'{sum(e["correct"] for e in want):,} right, {res.n_nan} with an empty span{first}')
        rows.append(Row(f'{name}: token ids, spans, shots, decisions and mean losses are those of the plain oracle',
                        len(want), held, note))
        tasks,core = core_of(want, lab.bundle)
        ok = [near(t.accuracy, tasks[l][0]) and near(t.centred, tasks[l][1]) for l,t in res.tasks.items()]
        ok.append(near(res.core, core))
        rows.append(Row(f"{name}: accuracy, centred accuracy and CORE are the oracle's", len(ok), sum(ok),
                        f'CORE {core:.6f}'))
    return rows

@experiment
def cropped(lab):
    "Prompts that are longer than what the model can read"
    rows = []
    crop = 300 if lab.real else 60
    for name in ('bigram','windowed'):
        model,most = lab.models()[name],lab.some
        want = plain(lab, model, most, crop)
        held,worst,first = compare(evaluate_core(model, lab.tok, lab.bundle, most, crop).examples, want)
        n = sum(len(o)==crop for e in want for o in e['ids'])
        rows.append(Row(f'{name}: the same with prompts cropped to {crop} tokens', len(want), held*(n>0),
                        f'{n:,} prompts fill the limit; largest difference {worst:.1e} nats{first}'))
    return rows

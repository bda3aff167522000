"Does the way in which questions are read leave a trace in the answers?"
from _core import Row, compare, experiment
from pretrain.eval.core.evaluate import evaluate_core

WAYS = [dict(batch_tokens=1), dict(batch_tokens=300), dict(batch_tokens=16384), dict(pool=1), dict(pool=7),
        dict(share=False), dict(share=False, batch_tokens=300, pool=7)]

@experiment
def invariance(lab):
    "Batches of all sizes, pools, sharing: against the defaults, with and without a crop"
    rows,crop = [],300 if lab.real else 60
    for name,model in lab.models().items():
        if name=='bigram': continue   # it sees one token, so nothing could disturb it
        tried,held,worst,first = 0,0,0.,''
        for limit in (None,crop):
            want = evaluate_core(model, lab.tok, lab.bundle, lab.some, limit)
            for way in WAYS:
                got = evaluate_core(model, lab.tok, lab.bundle, lab.some, limit, **way)
                h,d,odd = compare(got.examples, want.examples, ids=way==WAYS[-1])
                tried += len(want.examples)
                held += h
                worst = max(worst, d)
                if odd and not first: first = f'{odd} with {way}'
        note = (f'{len(WAYS)} ways, whole and cropped to {crop} tokens, {lab.asked_of(lab.some)}; '
                f'largest difference {worst:.1e} nats{first}')
        rows.append(Row(f'{name}: size of batches, pools, sharing: no decision changes and no mean loss moves',
                        tried, held, note))
    return rows

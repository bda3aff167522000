"Numbers that say what happened, and are of the same text"
import json, math, os, random
import torch
from _case import case, drawing

# The account

def recount(lab, out='run'):
    "Targets of the steps that stayed, as a sum over the log: those that were trained on"
    last = {r['step']: r for r in lab.log(out) if r['step']}
    return sum(r['tokens'] for r in last.values() if not r.get('skipped') and not r.get('rollback'))

def said_total(lab):
    "The line on data, and the numbers in it"
    line = next((l for l in reversed(lab.said) if l.startswith('data:')), '')
    n = [int(w.replace(',', '')) for w in line.replace(':', ' ').split() if w.replace(',', '').isdigit()]
    return line,n

@case('the data line of a run equals a sum over its log', True)
def account_of_plain_run(lab):
    lab.texts()
    lab.fit()
    line,n = said_total(lab)
    return recount(lab) in n or (recount(lab), line)

def spoilt(lab, steps, **keys):
    lab.texts()
    run = lab.run(**{'train.steps': 10, 'eval.every': 5, **keys})
    loss,left = run.loss_fn,set(steps)
    def bad(x, y, reduction='sum'):
        if run.n_step+1 in left and torch.is_grad_enabled():
            left.discard(run.n_step+1)
            return loss(x, y, reduction=reduction)*math.nan
        return loss(x, y, reduction=reduction)
    run.loss_fn = bad
    with drawing(False): run.fit()
    line,n = said_total(lab)
    return recount(lab) in n or (recount(lab), line)

@case('tokens of skipped steps are not trained on', True)
def account_with_skips(lab): return spoilt(lab, {3, 6})

@case('batches that a rollback took back are not trained on', True)
def account_with_rollback(lab): return spoilt(lab, {4, 8}, **{'guard.on_bad': 'rollback', 'train.save_every': 2})

@case('a batch changed at a resume: each row is trained on once, in order', True)
def batch_changed(lab):
    lab.texts()
    seen = []
    def watched(**keys):
        run = lab.run(**keys)
        loss = run.loss_fn
        def look(x, y, reduction='sum'):
            if torch.is_grad_enabled(): seen.extend(map(tuple, x.tolist()))
            return loss(x, y, reduction=reduction)
        run.loss_fn = look
        while not run.done: run.step()
        run.saver.join()
        return run
    keys = {'preflight.at_start': False, 'sample.prompts': []}
    run = watched(**keys, **{'train.steps': 4})
    half = len(seen)
    watched(**keys, **{'train.steps': 8, 'loader.batch_rows': 8, 'train.allow': ['loader.batch_rows']})
    want = [tuple(row) for s in range(12) for row in run.loader.batch(s)[0].tolist()] if half==16 else None
    if want is None: return half
    return seen==want[:len(seen)] or [i for i,(a,b) in enumerate(zip(seen, want)) if a!=b][:3]

@case('the same with a smaller batch', True)
def batch_smaller(lab):
    lab.texts()
    keys = {'preflight.at_start': False, 'sample.prompts': []}
    run = lab.run(**keys)
    while not run.done: run.step()
    run.saver.join()
    small = lab.run(**keys, **{'train.steps': 5, 'loader.batch_rows': 2, 'train.allow': ['loader.batch_rows']})
    got = []
    loss = small.loss_fn
    small.loss_fn = lambda x, y, reduction='sum': (got.extend(x.tolist()), loss(x, y, reduction=reduction))[1]
    small.update()
    return got[:2]==run.loader.batch(4)[0].tolist()[:2]

# Bits per byte of one text

@case('vocabularies of 280 and 320 measure the same bytes', True)
def same_bytes(lab):
    lab.texts()
    for v in (280, 320): lab.fit(out=f'v{v}', **{'tokenizer.vocab_size': v, 'eval.bytes': 700})
    a,b = (next(r for r in lab.log(f'v{v}') if 'val_bpb' in r) for v in (280, 320))
    return (a['val_bytes'],a['val_text'])==(b['val_bytes'],b['val_text']) and a['val_bytes']>0

@case('a record with bits per byte says of how many bytes of which text', True)
def record_says_text(lab):
    lab.texts()
    lab.fit()
    rs = [r for r in lab.log() if 'val_bpb' in r]
    return all(isinstance(r['val_bytes'], int) and len(r['val_text'])==16 for r in rs)

@case('all of the validation text: its bytes are those of the documents', True)
def all_bytes(lab):
    lab.texts()
    lab.fit(**{'eval.bytes': 0})
    r = next(r for r in lab.log() if 'val_bpb' in r)
    return r['val_bytes']==sum(len(t.encode()) for t in lab.documents('valid'))

@case('another validation text at a resume: the best of the old text is not that of the new', True)
def other_text_at_resume(lab):
    lab.texts()
    lab.write('v.txt', 'Words to validate on. '*30)
    lab.fit(**{'data.valid': ['v.txt']})
    lab.write('v.txt', 'Quite another text, of quartz and jackdaws! '*30)
    run = lab.fit(**{'data.valid': ['v.txt'], 'train.steps': 8, 'train.allow': ['train','valid']})
    new = [r for r in lab.log() if 'val_bpb' in r and r['step']>4]
    return run.best['step']>4 and abs(run.best['val_bpb']-min(r['val_bpb'] for r in new))<1e-9

@case('the yardsticks follow the text', True)
def yardsticks_follow(lab):
    def marks(): return json.loads((lab.dir/'run/evaluation/yardsticks.json').read_text())
    lab.texts()
    lab.write('v.txt', 'Words to validate on. '*30)
    lab.fit(**{'data.valid': ['v.txt']})
    old = marks()
    rng = random.Random(1)
    lab.write('v.txt', ' '.join(str(rng.random()) for _ in range(60)))
    lab.fit(**{'data.valid': ['v.txt'], 'train.steps': 8, 'train.allow': ['train','valid']})
    return marks()!=old

@case('`pretrain eval RUN` after the validation file was edited: the text of the run, or a refusal', True)
def eval_of_edited(lab):
    lab.texts()
    lab.write('v.txt', 'Words to validate on. '*30)
    lab.fit(**{'data.valid': ['v.txt']})
    want = [r for r in lab.log() if 'val_bpb' in r][-1]
    lab.write('v.txt', 'Quite another text. '*30)
    d = lab.main('eval', 'run')
    return d.code==2 or f'{want["val_bpb"]:.4f}'[:6] in d.out and want['val_text'] in d.out or d.text

@case('`pretrain eval RUN` from another directory gives the number of the log', True)
def eval_from_elsewhere(lab):
    lab.texts()
    lab.fit()
    want = [r for r in lab.log() if 'val_bpb' in r][-1]['val_bpb']
    (lab.dir/'away').mkdir()
    os.chdir('away')
    d = lab.main('eval', '../run')
    return f'{want:.4f}' in d.out or d.text

def panels(lab):
    "Titles of a comparison of the runs `a` and `b`, and how many curves each panel has"
    from pretrain.eval.report import compare
    return [(ax.get_title('left'), len(ax.lines)) for ax in compare(['a', 'b']).axes]

@case('`plot A B` of runs on different texts: a panel for each', [1, 1])
def plot_of_different_texts(lab):
    lab.texts()
    lab.texts('other', seed=1)
    lab.fit(out='a')
    lab.fit(out='b', **{'data.train': ['other']})
    return [n for title,n in panels(lab)[1:]]

@case('`plot A B` of runs with different vocabularies on one text: one panel, and loss per token is not compared', True)
def plot_of_vocabularies(lab):
    lab.texts()
    for name,v in (('a', 280), ('b', 320)): lab.fit(out=name, **{'tokenizer.vocab_size': v})
    (loss,_),(_,n) = panels(lab)
    return n==2 and 'not comparable' in loss

@case('bits per byte of the log equal an own computation', True)
def own_bits(lab):
    lab.texts()
    run = lab.fit(**{'eval.bytes': 0, 'model.seq_len': 512})
    texts = lab.documents('valid')
    ids = [i for t in texts for i in (run.tok.bos, *run.tok.encode(t))]   # as one row
    with torch.no_grad(): z = run.model(torch.tensor([ids[:-1]]))[0].double().log_softmax(-1)
    nats = -sum(z[i,t].item() for i,t in enumerate(ids[1:]) if t!=run.tok.bos)
    own = nats/math.log(2)/sum(len(t.encode()) for t in texts)
    said = [r for r in lab.log() if 'val_bpb' in r][-1]['val_bpb']
    return abs(own-said)<1e-5 or (own, said)

# Corpora of all shapes

def corpus(rng, dir):
    "Files of some shape, and the documents in them"
    words = 'the sea house reads old letters of a new number 天地 12'.split()
    def text(n): return ' '.join(rng.choices(words, k=n))+f' {rng.random()}'
    shape = rng.choice(['many short', 'few long', 'one giant', 'mixed', 'one', 'two', 'dozens'])
    sizes = {'many short': [rng.randint(1, 8) for _ in range(rng.randint(200, 1200))],
             'few long': [rng.randint(500, 4000) for _ in range(rng.randint(3, 12))],
             'one giant': [rng.randint(3, 20) for _ in range(rng.randint(50, 800))]+[30_000],
             'mixed': [int(rng.paretovariate(.8)*5)%9000+1 for _ in range(rng.randint(30, 400))],
             'one': [rng.randint(200, 3000)], 'two': [rng.randint(200, 3000) for _ in range(2)],
             'dozens': [rng.randint(5, 60) for _ in range(rng.randint(24, 90))]}[shape]
    docs = [text(n) for n in sizes]
    rng.shuffle(docs)
    cut = rng.randrange(len(docs)+1)
    dir.mkdir()
    (dir/'a.jsonl').write_text(''.join(json.dumps(dict(text=t))+'\n' for t in docs[:cut]))
    for i,t in enumerate(docs[cut:]): (dir/f'{i:04}.txt').write_text(t)
    if not cut: (dir/'a.jsonl').unlink()
    return shape,docs

def splits_hold(lab, n, seed):
    "Corpora whose sides are disjoint, together everything, and validation within the share; else what was seen"
    rng,bad = random.Random(seed),[]
    for k in range(n):
        shape,docs = corpus(rng, lab.dir/f'c{k}')
        frac = rng.choice([.05, .1, .02])
        keys = {'data.train': [f'c{k}'], 'data.valid_frac': frac}
        try: train,valid = (lab.documents(s, **keys) for s in ('train','valid'))
        except ValueError as e:   # too short for an end of 64 characters: said
            if len(docs)>=24 or max(map(len, docs))*frac>70: bad.append((k, shape, len(docs), str(e)[:80]))
            continue
        part = sum(map(len, valid))/sum(map(len, docs))
        kept = sum(map(len, train+valid))==sum(map(len, docs))
        if set(train)&set(valid) or not kept: bad.append((k, shape, 'lost or shared'))
        if not 0<part<=max(2.5*frac, .15): bad.append((k, shape, len(docs), f'{part:.0%} of {frac:.0%}'))
        cut = [d for d in docs if d not in set(valid) and any(d.endswith(v) for v in set(valid)-set(docs))]
        mean = sum(map(len, docs))/len(docs)
        if len(docs)>=24 and any(len(d)<2*mean for d in cut): bad.append((k, shape, 'an ordinary one is cut'))
    return bad[:3]

@case('24 generated corpora of all shapes: sides disjoint, nothing lost, whole where they can be, within the share', [])
def generated_corpora(lab): return splits_hold(lab, 24, 0)

@case('200 of them', [], full=True)
def many_generated_corpora(lab): return splits_hold(lab, 200, 1)

"NaN and infinity, planted where they arise: none reaches a weight, a moment or a checkpoint"
import math
import torch
from common import Row, fault
from helpers import SMALL, write_texts
from pretrain.store.checkpoint import list_checkpoints, load_checkpoint
from pretrain.base.config import read_config
from pretrain.build import Config, Run

KINDS = 'data','activation','loss','gradient','parameter'
EVERY,BAD = 3,4  # steps between saves, bad steps in a row that end a run which skips
ROWS = 8         # of a batch, as in `SMALL`

def run_of(tmp, out, *over):
    "A run of the small config that says nothing"
    paths = [f'data.train={tmp}/text', f'prepare.cache={tmp}/cache', f'out={tmp}/{out}']
    quiet = ['sample.every=0', 'sample.prompts=[]', 'eval.bytes=800', 'eval.every=0', 'preflight.at_start=false']
    guard = [f'train.save_every={EVERY}', f'guard.max_bad={BAD}']
    run = Run(read_config(Config, overrides=[*SMALL, *paths, *quiet, *guard, *over]), say=None)
    run.finish = lambda: None   # draws
    return run

def plant(run, kind, value, steps):
    "From now on, training on the data of these steps meets `value` somewhere"
    m = run.model
    q = m.blocks[1].attn.q.weight
    def due(): return run.state.row//ROWS in steps and m.training and torch.is_grad_enabled()
    def spoil(t):
        t = t.clone()
        t.view(-1)[0] = value
        return t
    def out(mod, x, y): return spoil(y) if due() else None
    if kind=='data': m.embed.register_forward_hook(out)
    if kind=='activation': m.blocks[0].mlp.register_forward_hook(out)
    if kind=='loss': run.loss_fn = lambda *a, fn=run.loss_fn, **kw: fn(*a, **kw)*(value if due() else 1)
    if kind=='gradient': q.register_hook(lambda g: spoil(g) if run.state.row//ROWS in steps else None)
    if kind=='parameter':
        done,batch = set(),run.loader.batch
        def once(row):
            if row//ROWS in steps and row not in done:
                done.add(row)
                q.data.view(-1)[0] = value
            return batch(row=row)
        run.loader.batch = once
    return run

def copy_bytes(t): return t.detach().contiguous().reshape(-1).view(torch.uint8).clone()

def bits(run):
    "Parameters and moments as bytes, so that NaN equals NaN"
    return {k: copy_bytes(t) for part in (run.model.state_dict(), run.opt.state_tensors()) for k,t in part.items()}

def same(a, b): return a.keys()==b.keys() and all(torch.equal(a[k], b[k]) for k in a)

def finite(run):
    "Is everything finite, in memory and in each checkpoint?"
    run.saver.join()
    parts = [part for _,p in list_checkpoints(run.out/'checkpoints') for part in load_checkpoint(p)[0].values()]
    return all(t.isfinite().all() for part in parts for t in part.values())

def skips(tmp, kind, value, at):
    "Every second of `2*at` steps is spoilt: exactly those are skipped, and change nothing"
    run = run_of(tmp, f'skip_{kind}_{value}', f'train.steps={2*at+2}')
    plant(run, kind, value, range(1, 2*at, 2))
    res = []
    for i in range(2*at):
        before = bits(run)
        rec = run.step()
        if i%2: res.append('skipped' in rec and same(before, bits(run)))
        elif 'skipped' in rec: return [False]*at
    run.fit()
    return [ok and finite(run) and run.state.guard.total==at for ok in res]

def ends_at(run, step):
    "Does it end with an error that names this step?"
    try: run.fit()
    except FloatingPointError as e: return f'step {step}:' in str(e)
    return False

def gives_up(tmp, value, at):
    "A spoilt parameter can't be repaired by skipping: the run ends after `max_bad` steps, with good checkpoints only"
    run = plant(run_of(tmp, f'gone_{value}_{at}', f'train.steps={at+BAD+5}'), 'parameter', value, {at})
    return ends_at(run, at+BAD) and finite(run)

def stops(tmp, kind, value, at):
    "The run ends at the spoilt step, and goes on without the spoiling as if nothing had been"
    over = 'guard.on_bad=stop', f'train.steps={at+4}'
    out = f'stop_{kind}_{value}_{at}'
    run = plant(run_of(tmp, out, *over), kind, value, {at})
    return ends_at(run, at+1) and finite(run) and run_of(tmp, out, *over).fit().done

def rolls_back(tmp, kind, value, at):
    "The run ends where one would that never saw the data since the last checkpoint"
    over = 'guard.on_bad=rollback', f'train.steps={at+4}'
    run = plant(run_of(tmp, f'roll_{kind}_{value}_{at}', *over), kind, value, {at}).fit()
    ref = run_of(tmp, f'ref_{kind}_{value}_{at}', *over)
    while ref.n_step<at//EVERY*EVERY: ref.step()
    ref.state.row += (at%EVERY+1)*ROWS
    return run.done and run.state.guard.rollbacks==1 and finite(run) and same(bits(run), bits(ref.fit()))

@fault
def nonfinite(full, seed, tmp):
    "NaN and infinity in data, activation, loss, gradient, parameter"
    write_texts(tmp/'text')
    at,values = (20,(math.nan, math.inf)) if full else (3,(math.nan,))
    cases = [(k,v) for k in KINDS for v in values]
    where = range(1, at+1) if full else (4,)
    skipped = [ok for k,v in cases if k!='parameter' for ok in skips(tmp, k, v, at)]
    gone = [gives_up(tmp, v, i) for v in values for i in where]
    stopped = [stops(tmp, k, v, i) for k,v in cases for i in where]
    rolled = [rolls_back(tmp, k, v, i) for k,v in cases for i in where]
    note = f'{" and ".join(map(str, values))} in {", ".join(KINDS)}'
    return [Row('skip: weights and moments bit-identical, exactly the spoilt step skipped, no checkpoint holds it',
                len(skipped), sum(skipped), f'{note} (but parameter)'),
            Row('skip, parameter spoilt for good: the run ends after guard.max_bad steps, its checkpoints finite',
                len(gone), sum(gone)),
            Row('stop: the run ends at the spoilt step and can be taken up', len(stopped), sum(stopped), note),
            Row('rollback: equals, bit for bit, a run that never saw the data since its last checkpoint',
                len(rolled), sum(rolled), note)]

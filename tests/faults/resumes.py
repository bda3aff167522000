"Resuming at every kind of step: does the rest of the run depend on where it was taken up?"
import shutil
from common import Row, fault
from _lab import Lab, both_cores
from pretrain.data.loader import LoaderConfig, plan_epoch
from pretrain.data.shards import Tokens
from pretrain.model.schedule import ScheduleConfig, n_warmdown
import _child

DOCS,ROWS,WARMUP,WARMDOWN,EVAL = 2,8,5,.4,4  # documents of the corpus, rows of a batch, steps of the rise, share of the fall, steps between validations

def places(lab, steps, epoch):
    "Name of a place in a run: step at which it is taken up"
    fall = steps-n_warmdown(steps, ScheduleConfig(warmdown=WARMDOWN))
    return {'mid warm-up': WARMUP//2, 'last warm-up step': WARMUP-1, 'after the warm-up': WARMUP, 'warm-down start': fall, 'first warm-down step': fall+1, 'mid-epoch': 2*epoch//3,
            'exact epoch end': epoch, 'second epoch': epoch+2, 'right after validation': 2*EVAL, 'last step': steps-1, 'finished': steps}

def length_that_fits(lab, seed):
    "A sequence length with which the first epoch ends exactly with a step, and the steps of that epoch"
    lens = Tokens.open(next((lab.dir/'cache/tokens').glob('train-*/index.json')).parent).lens
    return next((T, n//ROWS) for T in range(64, 128) if (n := plan_epoch(lens, T, LoaderConfig.window, seed, 0).n_rows)%ROWS==0)

def kinds():
    "Overrides of each optimizer"
    return {'adamw': [], 'muon': ['optim.matrix=muon']}

SHORT = 'last warm-up step','exact epoch end','second epoch','right after validation','last step'  # places that are tried in the short form

@fault
def resume_matrix(full, seed, tmp):
    "Take a run up at every kind of step, with every optimizer and precision, four micro-batches a step"
    rows,base = [],[f'loader.batch_rows={ROWS}', f'train.micro_rows={ROWS//4}', f'schedule.warmup={WARMUP}', f'schedule.warmdown={WARMDOWN}', f'eval.every={EVAL}']
    first = Lab(tmp/'first', *base, 'train.steps=20', docs=DOCS)
    T,epoch = length_that_fits(first, seed)
    steps = 2*epoch+epoch//2
    combos = [(k,o,p) for k,o in kinds().items() for p in ('float32','bfloat16')]
    for k,over,precision in combos if full else combos[::3]:
        lab = Lab(tmp/f'{k}-{precision}', *base, *over, f'train.steps={steps}', f'train.precision={precision}', f'seed={seed}', f'model.seq_len={T}', docs=DOCS)
        code = lab.start('all', 'train.save_every=1', 'checkpoint.keep=10000').end()
        assert code==0 and not lab.wrong(lab.events('all')), lab.said('all')
        def one(place):
            name,step = place
            out = name.replace(' ', '_')
            shutil.copytree(lab.dir/'all', lab.dir/out, ignore=lambda d,fs: [f for f in fs if f.startswith('step_') and f!=f'step_{step:08}'])
            code = lab.start(out).end(); ev = lab.events(out)
            return code==0 and next(e['at'] for e in ev if e['event']=='resume')==step and not lab.wrong(ev) and lab.same_end(out)
        at = places(lab, steps, epoch)
        if not full: at = {k: at[k] for k in SHORT}
        held = dict(zip(at, both_cores(one, at.items())))
        lost = [n for n,ok in held.items() if not ok]
        rows.append(Row(f'resumed anywhere, {k} in {precision} goes on bitwise', len(held), sum(held.values()), f'fails: {", ".join(lost)}' if lost else ', '.join(f'{n} {s}' for n,s in at.items())))
    return rows

@fault
def single_steps(full, seed, tmp):
    "50 processes in a row that take one step each, against one that takes 50"
    n = 50 if full else 12
    lab = Lab(tmp, f'train.steps={n}', 'eval.every=10')
    codes = [lab.start('steps', plant=(_child.stop_after_one,)).end() for _ in range(n)]
    ev = lab.events('steps')
    right = [e for e in ev if e['event']=='step' and not lab.wrong([e])]
    assert len(set(e['pid'] for e in right))==len(right), 'a process took more than one step'
    return [Row('single-step restarts equal one run', n, len(right), f'exit codes {sorted(set(codes))}'), Row('log and last checkpoint as well', 1, int(lab.same_end('steps')))]

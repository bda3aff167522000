"Resuming at every kind of step: does the rest of the run depend on where it was taken up?"
import shutil
from common import Row, fault
from _lab import Lab, both_cores
from pretrain.data.loader import LoaderConfig
from pretrain.data.packing import plan_epoch
from pretrain.data.shards import Tokens
from pretrain.model.schedule import ScheduleConfig, n_warmdown
import _child

DOCS,ROWS = 2,8          # documents of the corpus, rows of a batch
WARMUP,WARMDOWN = 5,.4   # of the schedule: steps of the rise, share of the fall
EVAL = 4                 # steps between validations

def places(lab, steps, epoch):
    "Name of a place in a run: step at which it is taken up"
    fall = steps-n_warmdown(steps, ScheduleConfig(warmdown=WARMDOWN))
    return {'mid warm-up': WARMUP//2, 'last warm-up step': WARMUP-1, 'after the warm-up': WARMUP,
            'warm-down start': fall, 'first warm-down step': fall+1,
            'mid-epoch': 2*epoch//3, 'exact epoch end': epoch, 'second epoch': epoch+2,
            'right after validation': 2*EVAL, 'last step': steps-1, 'finished': steps}

def length_that_fits(lab, seed):
    "A sequence length with which the first epoch ends exactly with a step, and the steps of that epoch"
    lens = Tokens.open(next((lab.dir/'cache/tokens').glob('train-*/index.json')).parent).lens
    for T in range(64, 128):
        n = plan_epoch(lens, T, LoaderConfig.window, seed, 0).n_rows
        if n%ROWS==0: return T, n//ROWS
    raise AssertionError('no length fits')

def kinds():
    "Overrides of each optimizer"
    muon = ['optim.matrix=muon']
    every = [*muon, 'optim.muon_beta2=0.9', 'optim.muon_equal_rows=true', 'optim.muon_cautious=true',
             'optim.muon_momentum_rise=9', 'optim.muon_momentum_end=0.8', 'optim.decay_shape=cosine',
             'optim.embed_betas=[0.8,0.995]', 'optim.head_decay=0.01']
    return {'adamw': [], 'muon with every switch': every, 'muon': muon}

# Places that are tried in the short form
SHORT = 'last warm-up step','exact epoch end','second epoch','right after validation','last step'

def take_up(lab, name, step):
    "Does the run `all`, taken up at this step, end as it did?"
    out = name.replace(' ', '_')
    def others(d, fs): return [f for f in fs if f.startswith('step_') and f!=f'step_{step:08}']
    shutil.copytree(lab.dir/'all', lab.dir/out, ignore=others)
    code = lab.start(out).end()
    ev = lab.events(out)
    resumed = next(e['at'] for e in ev if e['event']=='resume')
    return code==0 and resumed==step and not lab.wrong(ev) and lab.same_end(out)

@fault
def resume_matrix(full, seed, tmp):
    "Take a run up at every kind of step, with every optimizer and precision, four micro-batches a step"
    rows,base = [],[f'loader.batch_rows={ROWS}', f'train.micro_rows={ROWS//4}', f'eval.every={EVAL}',
                    f'schedule.warmup={WARMUP}', f'schedule.warmdown={WARMDOWN}']
    first = Lab(tmp/'first', *base, 'train.steps=20', docs=DOCS)
    T,epoch = length_that_fits(first, seed)
    steps = 2*epoch+epoch//2
    combos = [(k,o,p) for k,o in kinds().items() for p in ('float32','bfloat16')]
    for k,over,precision in combos if full else combos[::3]:
        lab = Lab(tmp/f'{k}-{precision}', *base, *over, f'train.steps={steps}', f'train.precision={precision}',
                  f'seed={seed}', f'model.seq_len={T}', docs=DOCS)
        code = lab.start('all', 'train.save_every=1', 'checkpoint.keep=10000').end()
        assert code==0 and not lab.wrong(lab.events('all')), lab.said('all')
        at = places(lab, steps, epoch)
        if not full: at = {name: at[name] for name in SHORT}
        held = both_cores(lambda place: take_up(lab, *place), at.items())
        lost = [name for name,ok in zip(at, held) if not ok]
        note = f'fails: {", ".join(lost)}' if lost else ', '.join(f'{name} {step}' for name,step in at.items())
        rows.append(Row(f'resumed anywhere, {k} in {precision} goes on bitwise', len(held), sum(held), note))
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
    return [Row('single-step restarts equal one run', n, len(right), f'exit codes {sorted(set(codes))}'),
            Row('log and last checkpoint as well', 1, int(lab.same_end('steps')))]

"A run that loses what it said was saved, or says what did not happen"
import math, os, shutil
from _case import Lab, case

# However the process ends

SCRIPT = '''
import sys, time
import pretrain.store.saver as S
from pretrain import Run
write = S.save_checkpoint
def slowly(*args, **how):
    time.sleep(1)
    return write(*args, **how)
S.save_checkpoint = slowly   # a slow disk
run = Run('tiny.toml', say=print, **{KEYS})
{BODY}
'''

def script(lab, body, timeout=120, **keys):
    lab.texts()
    lab.write('script.py', SCRIPT.replace('{KEYS}', repr(keys)).replace('{BODY}', body))
    d = lab.process('script.py', timeout=timeout)
    return d.code, lab.saved()[-1:]

@case('stepping by hand to the end, then the end of the script', (0, [4]))
def steps_by_hand(lab): return script(lab, 'while not run.done: run.step()')

@case('the same with `sys.exit()`', (3, [4]), full=True)
def steps_then_exit(lab): return script(lab, 'while not run.done: run.step()\nsys.exit(3)')

@case('the same with an error in the script', (1, [4]), full=True)
def steps_then_error(lab): return script(lab, 'while not run.done: run.step()\nraise KeyError("mine")')

@case('the same with a larger model, whose checkpoint takes a while', (0, [4]), full=True)
def steps_of_larger_model(lab):
    return script(lab, 'while not run.done: run.step()', **{'model.width': 512, 'model.n_layer': 4, 'eval.every': 0})

@case('a save in the background, then the end of the script', (0, [2]), full=True)
def save_then_end(lab): return script(lab, 'run.step()\nrun.step()\nrun.save(wait=False)')

@case('steps in a thread that is waited for', (0, [4]), full=True)
def steps_in_thread(lab):
    return script(lab, 'import threading\ndef go():\n    while not run.done: run.step()\n'
                       't = threading.Thread(target=go)\nt.start()\nt.join()')

@case('`os.chdir` after the run was made', (0, [4]))
def chdir_before_steps(lab):
    (lab.dir/'away').mkdir()
    seen = script(lab, 'import os\nos.chdir("away")\nrun.fit()')
    return seen if not [*(lab.dir/'away').iterdir()] else 'writes where it was called from'

# Something raises

def raising(lab, spoil, **keys):
    "The last step that is saved by a run that ends with an error"
    lab.texts()
    run = lab.run(**{'train.steps': 12, 'eval.every': 4, 'train.save_every': 0, **keys})
    spoil(run)
    try: run.fit()
    except Exception as e: lab.said.append(str(e))
    run.saver.join()
    return lab.saved()[-1:]

def spoil_loss(run, steps):
    loss = run.loss_fn
    def spoilt(x, y, reduction='sum'): return loss(x, y, reduction=reduction)*(math.nan if run.n_step+1 in steps else 1)
    run.loss_fn = spoilt

@case('NaN from step 7 on with `train.save_every = 0`: a checkpoint of a step whose weights are good', True)
def nan_from_some_step(lab):
    "Skipped steps count as steps; whichever is saved, no update is lost: the weights are those of step 6"
    saved = raising(lab, lambda run: spoil_loss(run, range(7, 100)))
    return bool(saved) and 6<=saved[0]<=11

@case('an error in a user\'s evaluation at step 4', [4])
def error_in_evaluation(lab):
    def broken(run):
        if run.n_step: raise KeyError('mine')
        return {}
    return raising(lab, lambda run: None, evals=dict(mine=broken))

@case('an error in sampling at step 6', True)
def error_in_sampling(lab):
    def spoil(run):
        def sample_all():
            if run.n_step: raise RuntimeError('mine')
        run.sample_all = sample_all
    saved = raising(lab, spoil, **{'sample.every': 6})
    return saved in ([5], [6])

@case('out of memory in step 9', [8])
def out_of_memory(lab):
    def spoil(run):
        loss = run.loss_fn
        def fails(x, y, reduction='sum'):
            if run.n_step==8: raise MemoryError('no memory')
            return loss(x, y, reduction=reduction)
        run.loss_fn = fails
    return raising(lab, spoil)

@case('a log that cannot be appended to from step 6 on', True)
def log_fails(lab):
    def spoil(run):
        real = run.log.append
        def append(rec):
            if rec['step']>=6: raise OSError(28, 'No space left on device', str(run.log.path))
            return real(rec)
        run.log.append = append
    saved = raising(lab, spoil, **{'train.save_every': 0})
    return saved in ([5], [6], [12])

@case('after such an end the run goes on, and its log has every step once', list(range(13)))
def goes_on_after_error(lab):
    def broken(run):
        if run.n_step==4: raise KeyError('mine')
        return {}
    keys = {'train.steps': 12, 'eval.every': 4}
    raising(lab, lambda run: None, evals=dict(mine=broken))
    lab.fit(**keys)
    return lab.steps()

# Two runs, copies, moves

@case('two Runs of one directory in one process, both stepped', ('the older is told', True))
def two_runs(lab):
    lab.texts()
    old = lab.run(**{'train.steps': 8})
    for _ in range(2): old.step()
    new = lab.run(**{'train.steps': 8})
    new.step()
    try: old.step()
    except (ValueError, RuntimeError): told = 'the older is told'
    else: told = 'both step'
    while not new.done: new.step()
    new.saver.join()
    return told, lab.steps()==sorted(set(lab.steps()))

@case('`with Run(…)`, then another of the same directory', 4)
def with_run(lab):
    lab.texts()
    with lab.run() as run: run.step()
    return lab.fit().n_step

@case('`close()` gives the directory to another process', 'exit 0, 0 lines', full=True)
def close_gives_back(lab):
    lab.texts()
    run = lab.run()
    run.step()
    run.close()
    return lab.command('train', 'tiny.toml').answer()

def begun(lab, *args, do=Lab.train):
    lab.texts()
    d = do(lab, 'train.save_every=2', *args)
    assert d.code==0, d.text

def in_process(lab, *args):
    "In a process that lets go of the directory at its end"
    return lab.command('train', 'tiny.toml', *args)

def unchanged(lab, at, before): return 'as it was' if lab.tree(at)==before else 'changed'

@case('`cp -r run b; pretrain train b/config.toml`', ('as it was', [6]))
def copied_run(lab):
    begun(lab)
    shutil.copytree('run', 'b')
    before = lab.tree('run')
    lab.main('train', 'b/config.toml', 'train.steps=6')
    return unchanged(lab, 'run', before), lab.saved('b')[-1:]

@case('`mv run b; pretrain train b/config.toml`', (False, [6]), full=True)
def moved_run(lab):
    begun(lab, do=in_process)
    os.rename('run', 'b')
    lab.main('train', 'b/config.toml', 'train.steps=6')
    return (lab.dir/'run').exists(), lab.saved('b')[-1:]

@case('`pretrain train b`, a moved run', (0, False, [6]))
def train_directory(lab):
    begun(lab, do=in_process)
    os.rename('run', 'b')
    d = lab.main('train', 'b', 'train.steps=6')
    return d.code, (lab.dir/'run').exists(), lab.saved('b')[-1:]

@case('a moved run with `out` on the command line', ('as it was', True))
def moved_with_out(lab):
    begun(lab)
    before = lab.tree('run')
    lab.main('train', 'run/config.toml', 'out=c')
    return unchanged(lab, 'run', before), lab.saved('c')==[2, 4]

@case('`pretrain train run` from the folder above', (0, [6]))
def train_from_above(lab):
    begun(lab)
    os.chdir(lab.dir.parent)
    d = lab.main('train', lab.dir/'run', 'train.steps=6', f'data.train={lab.dir}/text')
    return d.code, lab.saved()[-1:]

# Which checkpoint

def kept(lab):
    begun(lab, 'train.steps=6', 'checkpoint.keep_every=2', 'checkpoint.best=true')

@case('`pretrain eval RUN@2`', (0, 'step 2'))
def eval_of_step(lab):
    kept(lab)
    d = lab.main('eval', 'run@2')
    return d.code, d.out.partition(':')[0]

@case('`pretrain eval RUN@best` is the best of the log', True)
def eval_of_best(lab):
    kept(lab)
    best = min((r for r in lab.log() if r['step']), key=lambda r: r.get('val_bpb', 9e9))
    d = lab.main('eval', 'run@best')
    return d.code==0 and f'{best["val_bpb"]:.9f}'[:8] in d.out or d.text

@case('`pretrain sample RUN@4`', 0)
def sample_of_step(lab):
    kept(lab)
    return lab.main('sample', 'run@4').code

@case('`pretrain sample RUN@3`, which was not kept: one line that says which were', (2, True))
def sample_of_missing_step(lab):
    kept(lab)
    d = lab.main('sample', 'run@3')
    return d.code, '2' in d.err and '4' in d.err and 'Traceback' not in d.err

@case('`load_model("run@2")`', 2)
def load_of_step(lab):
    from pretrain.build import load_model
    kept(lab)
    return load_model('run@2', 'cpu')[3]

@case('an override without effect in `eval RUN optim.lr=1` is refused', 2)
def override_without_effect(lab):
    begun(lab)
    return lab.main('eval', 'run', 'optim.lr=1.0').code

# Evaluations

@case('`validate()` by hand in between: the best checkpoint stays', True)
def validate_by_hand(lab):
    lab.texts()
    run = lab.run(**{'train.steps': 12, 'eval.every': 2, 'checkpoint.best': True, 'checkpoint.keep': 1})
    while not run.done:
        run.step()
        if run.n_step%3==0: run.validate()
    run.saver.join()
    return run.best['step'] in lab.saved()

@case('the best stays the best over a resume with a worse validation after it', (4, True))
def best_over_resume(lab):
    lab.texts()
    keys = {'eval.every': 2, 'checkpoint.best': True, 'checkpoint.keep': 1}
    lab.fit(**keys)
    run = lab.run(**keys, **{'train.steps': 8})
    best,real = run.best['step'],run.validate
    run.validate = lambda: {**real(), 'val_bpb': 99.}
    while not run.done: run.step()
    run.saver.join()
    return best, best in lab.saved()

def evaluated(lab, name, fn):
    lab.texts()
    try: lab.fit(evals={name: fn})
    except (ValueError, TypeError) as e: return f'{type(e).__name__}'
    return {k: v for k,v in lab.log()[-1].items() if k.startswith(name) or v==1}

@case('an evaluation that gives a number', {'mine': 1})
def evaluation_of_a_number(lab): return evaluated(lab, 'mine', lambda run: 1)

@case('an evaluation that gives `{"loss": 1}`', {'mine/loss': 1})
def evaluation_named_loss(lab): return evaluated(lab, 'mine', lambda run: dict(loss=1))

@case('an evaluation by the name of a number of ours', 'ValueError')
def evaluation_called_loss(lab): return evaluated(lab, 'loss', lambda run: 1)

@case('an evaluation called `val_bpb`', 'ValueError')
def evaluation_called_bpb(lab): return evaluated(lab, 'val_bpb', lambda run: 1)

@case('an evaluation called `step`', 'ValueError')
def evaluation_called_step(lab): return evaluated(lab, 'step', lambda run: 1)

@case('an evaluation that moves the generators leaves the training alone', True)
def evaluation_moves_generators(lab):
    import torch
    lab.texts()
    def draws(run): return float(torch.rand(1)>2)
    lab.fit(out='plain')
    lab.fit(out='drawn', evals=dict(mine=draws))
    return [r.get('loss') for r in lab.log('plain')]==[r.get('loss') for r in lab.log('drawn')]

# Settings at a resume

@case('`metrics.ema_beta` changed at a resume is in force', True)
def beta_changed(lab):
    lab.texts()
    lab.fit()
    lab.fit(**{'train.steps': 6, 'metrics.ema_beta': 0.})
    last = lab.log()[-1]
    return abs(last['loss_ema']-last['loss'])<1e-9

@case('an extended run whose learning rate jumps: said, with the key to set', True)
def rate_jumps(lab):
    lab.texts()
    lab.fit(**{'train.steps': 10})
    lab.run(**{'train.steps': 100})
    return lab.heard('learning rate') or lab.heard('schedule.')

@case('more text under a run with a tokenizer of its own: the way on is named', True)
def more_text(lab):
    begun(lab)
    lab.write('text/new.txt', 'Another document with other words: quartz, jackdaws, vow.')
    d = lab.train('train.steps=6')
    return d.code==2 and 'tokenizer.path' in d.err

@case('the way on that is named works', 0)
def more_text_way_on(lab):
    begun(lab)
    lab.write('text/new.txt', 'Another document with other words: quartz, jackdaws, vow.')
    return lab.train('train.steps=6', 'tokenizer.path=run/tokenizer', 'train.allow=["train","valid"]').code

@case('the cell `run = Run(…)` is run again after steps by hand: what was not saved is said', (2, True, 4))
def cell_again(lab):
    lab.texts()
    run = lab.run()
    for _ in range(2): run.step()
    run.save()
    run.step()
    run = lab.run()
    n = run.n_step
    return n, lab.heard('1 step after step 2 taken again'), run.fit().n_step

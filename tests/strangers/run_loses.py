"A run that loses what it said was saved, or says what did not happen"
import math, os, shutil
from _lab import case

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

@case('the same with an error in the script', (1, [4]))
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

def begun(lab, *args):
    lab.texts()
    d = lab.train('train.save_every=2', *args)
    assert d.code==0, d.text

def unchanged(lab, at, before): return 'as it was' if lab.tree(at)==before else 'changed'

@case('`cp -r run b; pretrain train b/config.toml`', ('as it was', [6]))
def copied_run(lab):
    begun(lab)
    shutil.copytree('run', 'b')
    before = lab.tree('run')
    lab.main('train', 'b/config.toml', 'train.steps=6')
    return unchanged(lab, 'run', before), lab.saved('b')[-1:]

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

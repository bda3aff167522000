"""A process that trains, and reports in a line of JSON. `_trainer.py fit|hand|both OUT STEPS SINK… [key=value…]`:
`both` trains with and without trackers in turn, and compares the times of a step"""
import json, os, signal, statistics, sys, time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from helpers import SMALL
import torch
torch.set_num_threads(1)
from pretrain.build import Run

QUIET = ['preflight.at_start=false', 'eval.every=0', 'sample.every=0', 'data.train=["texts"]', 'data.valid=["texts"]',
         'data.valid_frac=0.1', 'model.seq_len=32', 'eval.bytes=500']
HOOK = os.environ.get('TRACKER_TEST_HOOK', '')   # something that goes wrong on the side of the process that trains
BLOCK = 20                                       # steps in turn

def make(out, steps, sinks, keys, say):
    from pretrain.build import load_config
    given = [*SMALL, *QUIET, f'out={out}', f'train.steps={steps}', *keys]
    cfg = load_config(None, [*(g for g in given if not g.startswith('data.valid=')), {'track.to': sinks}])
    return Run(cfg, say=say)

def hook(run, i):
    "What is done to the tracker after some steps"
    t,track = run.tracker,run.out/'track'
    if HOOK=='no python' and i==0: sys.executable = '/nowhere/python'
    if HOOK=='a file' and i==0: track.write_text('in the way')
    if i!=3: return
    if HOOK=='keeper killed': os.kill(t.p.pid, signal.SIGKILL)
    if HOOK=='folder removed':
        import shutil
        shutil.rmtree(track)
    if HOOK=='forked' and not os.fork():
        time.sleep(6)     # a copy, which has what the process that trains has open
        os._exit(0)

def cpu(run, n):
    "Processor time of each step, of this thread [s]"
    res = []
    for _ in range(n):
        t = time.thread_time()
        run.step()
        res.append(time.thread_time()-t)
    return res

def both(out, steps, sinks, keys):
    "Median time of a step with trackers, as a part of that without"
    said,times = [],dict(plain=[], tracked=[])
    plain,tracked = make(f'{out}-plain', steps, [], keys, None),make(out, steps, sinks, keys, said.append)
    for i in range(steps//BLOCK):
        hook(tracked, i)
        for name,run in (('plain', plain), ('tracked', tracked)): times[name] += cpu(run, BLOCK)
    plain.close()
    begun = time.monotonic()
    tracked.close()
    medians = {k: statistics.median(v[BLOCK:]) for k,v in times.items()}
    return dict(ratio=medians['tracked']/medians['plain'], step_ms=medians['plain']*1e3, end_s=time.monotonic()-begun,
                said=[s for s in said if s.startswith('track')])

def main(how, out, steps, *more):
    sinks,keys = [m for m in more if '=' not in m],[m for m in more if '=' in m]
    if how=='both': return both(out, int(steps), sinks, keys)
    said = []
    run = make(out, int(steps), sinks, keys, said.append)
    if how=='fit': run.fit()
    else:
        with run:
            while not run.done:
                run.step()
                time.sleep(float(os.environ.get('TRACKER_TEST_SLEEP', 0)))
    return dict(said=[s for s in said if s.startswith('track')], n=run.n_step)

if __name__=='__main__':
    try: print(json.dumps(main(*sys.argv[1:])), flush=True)
    except (ValueError, OSError) as e: print(json.dumps(dict(refused=str(e))), flush=True)

"""A run of so many minutes, as a command: it ends in time, goes on with what is left of it, and can be repeated bit for
bit. In tests/, since the time counts from the command, and a kill needs a process."""
import json, os, re, signal, subprocess, sys, time
import pytest
from helpers import SMALL, TIMES, env, pretrain, quiet, write_texts
from pretrain.store.checkpoint import load_checkpoint, newest_checkpoint

MINUTES = .25   # so few that the test is short
full = pytest.mark.skipif('BUDGET_FULL' not in os.environ, reason='BUDGET_FULL=1 in the environment: minutes')
ARGS = ['train', 'quickstart', *SMALL, 'data.train=text', 'eval.every=40', 'sample.every=0', 'train.save_every=0']

@pytest.fixture(scope='module')
def here(tmp_path_factory):
    d = tmp_path_factory.mktemp('budget')
    write_texts(d/'text')
    r = pretrain('prepare', 'quickstart', *SMALL, 'data.train=text', cwd=d)
    assert r.returncode==0, r.stderr
    return d

def rows(path): return [json.loads(line) for line in path.read_text().splitlines()]
def plan(log): return {r['step']: r['horizon'] for r in log if 'horizon' in r}
def weights(out): return load_checkpoint(newest_checkpoint(out/'checkpoints')[0], ['model'])[0]['model']
def equal(a, b): return a.keys()==b.keys() and all(a[k].equal(b[k]) for k in a)

def begun(here, out, *args, steps=3):
    "A process that trains, some steps after its first decision"
    p = subprocess.Popen([sys.executable, '-m', 'pretrain', *ARGS, *args, f'out={out}'], cwd=here, env=env(),
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    log = here/out/'metrics.jsonl'
    while p.poll() is None:
        found = rows(log) if log.exists() and log.read_text().endswith('\n') else []
        if plan(found) and found[-1]['step']>=min(plan(found))+steps: break
        time.sleep(.05)
    return p

def test_a_command_ends_in_time_and_again(here):
    t0 = time.monotonic()
    r = pretrain(*ARGS, f'train.minutes={MINUTES}', 'out=timed', cwd=here, fresh=True)
    took_s = time.monotonic()-t0
    assert r.returncode==0, r.stderr
    assert f'budget: {MINUTES} min: ' in r.stdout and 'again.toml out=NEW makes the same steps again' in r.stdout
    assert abs(took_s/(60*MINUTES)-1)<.15 or not quiet(), (took_s, r.stdout)
    log = rows(here/'timed/metrics.jsonl')
    last = log[-1]
    assert last['step']==[*plan(log).values()][-1] and 'val_bpb' in last
    assert last['lr']<.1*max(o['lr'] for o in log[1:]) or not quiet()   # five steps are too few for a slope
    assert (here/'timed/report/index.html').exists() and (here/'timed/report/loss.png').exists()
    r = pretrain('train', 'timed/again.toml', 'out=again', cwd=here)
    assert r.returncode==0, r.stderr
    def told(log): return [{k: v for k,v in o.items() if k not in TIMES} for o in log[1:]]
    assert told(rows(here/'again/metrics.jsonl'))==told(log) and equal(weights(here/'timed'), weights(here/'again'))

@full
@pytest.mark.parametrize('sig', [signal.SIGINT, signal.SIGKILL], ids=['ctrl-c','kill'])
def test_stopped_and_taken_up(here, sig):
    "The decisions stay, the time between doesn't count, and the whole can be repeated"
    out = sig.name.lower()
    p = begun(here, out, f'train.minutes={MINUTES}')
    p.send_signal(sig)
    said,_ = p.communicate()
    assert p.returncode, said
    state = json.loads((newest_checkpoint(here/out/'checkpoints')[0]/'state.json').read_text())['budget']
    spent,decided = state['spent_s'],[tuple(o) for o in state['plan']]
    assert decided and 0<spent<60*MINUTES
    t0 = time.monotonic()
    r = pretrain(*ARGS, f'train.minutes={MINUTES}', f'out={out}', cwd=here)
    assert r.returncode==0, r.stderr
    took_s = spent+time.monotonic()-t0
    assert abs(took_s/(60*MINUTES)-1)<.15 or not quiet(), (took_s, r.stdout)
    log = rows(here/out/'metrics.jsonl')
    assert [*plan(log).items()][:len(decided)]==decided and log[-1]['step']==[*plan(log).values()][-1]
    r = pretrain('train', f'{out}/again.toml', f'out={out}_again', cwd=here)
    assert r.returncode==0 and equal(weights(here/out), weights(here/f'{out}_again'))

@full
def test_two_processes_agree(here):
    r = pretrain(*ARGS, f'train.minutes={MINUTES}', 'out=two', cwd=here, n_proc=2)
    assert r.returncode==0, r.stderr
    log = rows(here/'two/metrics.jsonl')
    assert log[-1]['step']==[*plan(log).values()][-1] and re.search(r'budget: \d:\d\d of \d:\d\d;', r.stdout)
    r = pretrain('train', 'two/again.toml', 'out=two_again', cwd=here, n_proc=2)
    assert r.returncode==0 and equal(weights(here/'two'), weights(here/'two_again'))

def test_no_time_at_all(here):
    r = pretrain(*ARGS, 'train.minutes=0.01', 'out=none', cwd=here, fresh=True)
    assert r.returncode==2 and 'train.minutes = 0.01: 0:' in r.stderr and r.stderr.count('\n')==1
    r = pretrain(*ARGS, 'train.minutes=1', 'train.tokens=500000', 'out=none', cwd=here)
    assert r.returncode==2 and 'says it too how long the run is' in r.stderr and r.stderr.count('\n')==1

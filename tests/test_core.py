"""`pretrain.eval.core` spread over two real processes started by torchrun, and stopped by Ctrl-C, which a notebook
kernel cannot be."""
import json, os, signal, subprocess, sys, time
import pytest
from helpers import SMALL, env, on_ranks, pretrain, write_texts

MODEL = '''
import json, sys, torch
from pathlib import Path
from pretrain.build import Run
from pretrain.train.machine import Machine
from pretrain.train.parallel import Parallel
from pretrain.eval.core.evaluate import CoreConfig, evaluate_core
from pretrain.base.dist import cleanup, is_main, rank, setup, world
from pretrain.model.gpt import GPT
from pretrain.model.blocks import ModelConfig
from types import SimpleNamespace
dir = Path(sys.argv[1])
tok = SimpleNamespace(bos=256, encode=lambda s: list(s.encode()))
torch.manual_seed(0); torch.set_num_threads(1)
model = GPT(ModelConfig(seq_len=400, n_layer=2, n_head=2, width=16, init_head=1., init_out=1.), 257)
setup('cpu', timeout_s=60)
'''
NAMES = 'bim dol fep gur hax jol kip lum mox nev pol'.split()
TOL = 2e-5     # between mean losses [nats]
LIMIT_S = 200  # a test that takes longer has hung

def bundle(path, **more):
    "Eleven rows of each type; `more` replaces what `write_bundle` is told of the language-modelling task"
    from pretrain.eval.core.tasks import write_bundle
    ask = [dict(query=f'A {n} eats', choices=['moss','old bread','fish'][:2+i%2], gold=i%2) for i,n in enumerate(NAMES)]
    who = [dict(context_options=[f'The {a} fed the {b} as the {a}', f'The {a} fed the {b} as the {b}'],
                continuation='was hungry.', gold=1) for a,b in zip(NAMES, NAMES[::-1])]
    end = dict(label='end', kind='language_modeling', shots=1,
               rows=[dict(context=f'{n} {n}', continuation=n[0]) for n in NAMES]) | more
    return write_bundle(path, [dict(label='ask', kind='multiple_choice', shots=2, baseline=40, rows=ask),
                               dict(label='who', kind='schema', baseline=50, rows=who), end])

def run(tmp_path, body, n=2):
    "Run a script in `n` processes (one: without torchrun); exit code and stderr"
    script = tmp_path/'script.py'
    script.write_text(f'{MODEL}\n{body}\ncleanup()\n')
    p = on_ranks(script, tmp_path, n=n)
    try: _,err = p.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, 9)
        pytest.fail(f'hung for {LIMIT_S} s: {p.communicate()[1][-2000:]}')
    return p.returncode, err

def ok(tmp_path, body, n=2):
    code,err = run(tmp_path, body, n)
    assert code==0, err[-3000:]

def same(a, b):
    "Two result directories: equal but for the last bits of the losses"
    files = sorted(p.name for p in a.iterdir())
    assert files==sorted(p.name for p in b.iterdir()) and len(files)==5
    assert (a/'core.csv').read_text()==(b/'core.csv').read_text()
    for f in files:
        if not f.endswith('.jsonl'): continue
        x,y = ([json.loads(l) for l in (d/f).read_text().splitlines()] for d in (a,b))
        assert [e['idx'] for e in x]==list(range(len(NAMES)))
        for e,o in zip(x, y, strict=True):
            assert e.pop('losses')==pytest.approx(o.pop('losses'), abs=TOL)
            assert e==o

WHOLE = ("evaluate_core(model, tok, dir/'b', max_seq_len=400, rank=rank(), world=world(), "
         "resume_dir=dir/f'of_{world()}')")

def test_two_ranks_equal_one_process(tmp_path):
    "The same files, and the whole result on both ranks; eleven rows are not shared equally by two"
    bundle(tmp_path/'b')
    for n in (1,2):
        ok(tmp_path, f"r = {WHOLE}\n(dir/f'all_{{world()}}_{{rank()}}').write_text(f'{{r.core!r}} "
           f"{{len(r.examples)}} {{r.examples[-1].ids}}')", n)
    same(tmp_path/'of_1', tmp_path/'of_2')
    said = {(tmp_path/f).read_text() for f in ('all_1_0','all_2_0','all_2_1')}
    assert len(said)==1 and f' {3*len(NAMES)} ' in said.pop()

def test_killed_and_taken_up(tmp_path):
    "Rank 1 is killed in the third task; a new start, with another number of ranks, finishes without the finished tasks"
    bundle(tmp_path/'b')
    ok(tmp_path, WHOLE, 1)
    half = WHOLE.replace("dir/f'of_{world()}'", "dir/'half'")
    code,_ = run(tmp_path, f'''
import os, signal, pretrain.eval.core.evaluate as core
ask = core.evaluate_task
def evaluate_task(task, *a, **kw):
    if task.label=='end' and rank()==1: os.kill(os.getpid(), signal.SIGKILL)
    return ask(task, *a, **kw)
core.evaluate_task = evaluate_task
{half}''')
    assert code!=0 and sorted(p.name for p in (tmp_path/'half').iterdir())==['ask.jsonl','core.json','who.jsonl']
    ok(tmp_path, f'''
import pretrain.eval.core.evaluate as core
ask,asked = core.evaluate_task,[]
def evaluate_task(task, *a, **kw): asked.append(task.label); return ask(task, *a, **kw)
core.evaluate_task = evaluate_task
{half}
assert asked==['end'], asked''', 1)
    same(tmp_path/'of_1', tmp_path/'half')

def test_one_ranks_error_is_everybodys(tmp_path):
    "A broken row that only one rank reads stops both with the same line, soon; in training it only ends the evaluation"
    rows = [dict(context=f'{n} {n}', continuation=n[0]) for n in NAMES]
    rows[4]['context'] = ''
    bundle(tmp_path/'b', rows=rows, shots=0)
    ok(tmp_path, f'''
try: {WHOLE}
except ValueError as e: (dir/f'err_{{rank()}}').write_text(str(e))
notes = []
cfg = SimpleNamespace(core=CoreConfig(bundle=str(dir/'b')), model=model.cfg)
run = SimpleNamespace(parallel=Parallel(model), model=model, tok=tok, cfg=cfg, out=dir/'run', only_look=False,
                      bundle=dir/'b', n_step=5, due=lambda every: True, machine=Machine(), note=notes.append)
assert Run.measure_core(run)=={{}}
assert notes[0].startswith('core       not evaluated: end: row 4'), notes''')
    said = [(tmp_path/f'err_{r}').read_text() for r in (0,1)]
    assert said[0]==said[1]
    assert said[0].startswith('end: row 4 (end.jsonl, line 5): an empty context')
    assert '\n' not in said[0]

def test_whatever_fails_on_one_rank(tmp_path):
    """Questions that only one rank cannot read, and an error of the model on one rank: both ranks hear of it at once,
    and can go on together"""
    bundle(tmp_path/'b')
    ok(tmp_path, '''
import pretrain.eval.core.evaluate as core
from pretrain.base.dist import all_sum
read,said = core.read_bundle,[]
def missing(*a): raise ValueError('no bundle here')
def broken(self, *a): raise MemoryError('no room')
def ask():
    try: evaluate_core(model, tok, dir/'b', max_seq_len=400, rank=rank(), world=world())
    except Exception as e: said.append(f'{type(e).__name__}: {e}')
if rank(): core.read_bundle = missing
ask()
core.read_bundle = read
if rank(): core.Scorer.score = broken
ask()
assert all_sum(torch.ones(1)).item()==2
(dir/f'said_{rank()}').write_text(json.dumps(said))''')
    zero,one = [json.loads((tmp_path/f'said_{r}').read_text()) for r in (0, 1)]
    assert zero==['ValueError: no bundle here', 'RuntimeError: rank 1 failed, so rank 0 stops: MemoryError: no room']
    assert one==['ValueError: no bundle here', 'MemoryError: no room']

def test_ctrl_c_and_again(tmp_path):
    """`pretrain core` stopped by SIGINT says one line, exits with 130, and the same command asks only the unfinished
    tasks"""
    write_texts(tmp_path/'text', 20)
    (tmp_path/'c.toml').write_text('out = "run"\n[data]\ntrain = "text"\n')
    p = pretrain('train', 'c.toml', *SMALL, 'train.steps=4', 'preflight.at_start=false', cwd=tmp_path)
    assert p.returncode==0, p.stderr
    # the third task takes longer than a signal
    bundle(tmp_path/'b', rows=[dict(context=f'{a} {b} {c}', continuation=a[0]) for a in NAMES for b in NAMES
                               for c in 30*NAMES[:1]], shots=0)
    cmd = ['core', 'run', '--bundle', 'b']
    p = subprocess.Popen([sys.executable, '-m', 'pretrain', *cmd], cwd=tmp_path, env=env(), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    kept = tmp_path/'run'/'core'/'step_00000004'
    until = time.monotonic()+LIMIT_S
    def finished(): return json.loads((kept/'core.json').read_text())['tasks'] if (kept/'core.json').exists() else {}
    while 'who' not in finished() and p.poll() is None and time.monotonic()<until: time.sleep(.01)
    p.send_signal(signal.SIGINT)
    out,err = p.communicate(timeout=LIMIT_S)
    assert p.returncode==130 and 'Traceback' not in err, (p.returncode, err)
    assert [l for l in err.splitlines() if 'interrupted' in l]==[err.splitlines()[-1]], err
    assert list(finished())==['ask','who'] and not (kept/'end.jsonl').exists()
    before = {f: (kept/f).stat().st_mtime_ns for f in ('ask.jsonl','who.jsonl')}
    p = pretrain(*cmd, cwd=tmp_path)
    assert p.returncode==0 and 'CORE' in p.stdout, p.stderr
    assert before=={f: (kept/f).stat().st_mtime_ns for f in before}, 'a finished task was asked again'
    last = json.loads((kept/'end.jsonl').read_text().splitlines()[-1])
    assert last['idx']==30*len(NAMES)**2-1

"""What a run said it saves is saved, whichever way its process ends. In tests/, since each end is that of a process."""
import subprocess, sys
import nbformat, pytest
from nbclient import NotebookClient
from helpers import env
from pretrain.store.checkpoint import is_intact, load_checkpoint

TOY = '''
import os, sys, threading, time
import torch
from pretrain.data.loader import Loader
from pretrain.data.shards import Tokens
from pretrain.model.blocks import ModelConfig
from pretrain.model.gpt import GPT
from pretrain.model.optim import OptimConfig, build_optim
from pretrain.store import saver
from pretrain.train.console import Console
from pretrain.train.loop import Loop, TrainConfig

real = saver.save_checkpoint
def slow(*a, **kw):
    time.sleep(1)                 # a disk that takes its time: the interpreter ends meanwhile
    return real(*a, **kw)
saver.save_checkpoint = slow

def toy(out='run', steps=3, **kw):
    torch.manual_seed(0)
    model = GPT(ModelConfig(seq_len=16, n_layer=1, n_head=2, width=16), 32)
    toks = Tokens.from_docs([[0]+[1+i%31 for i in range(400)]], vocab_size=32)
    loader = Loader(toks, T=16, batch_rows=4, seed=0)
    return Loop(model, build_optim(model, OptimConfig()), loader, out, TrainConfig(steps=steps), console=Console(None),
                **kw).resume()

def steps(**kw):
    run = toy(**kw)
    while not run.done: run.step()
    return run
'''
ENDS = dict(
    end='run = steps()',
    forgotten='steps()',                            # nobody holds the run any more
    exit='run = steps()\nsys.exit(0)',
    exception='run = steps()\nraise RuntimeError("of the caller")',
    ctrl_c='run = steps()\nraise KeyboardInterrupt',
    thread='t = threading.Thread(target=steps)\nt.start()',
    daemon='t = threading.Thread(target=steps, daemon=True)\nt.start()\nt.join()',
    child='import multiprocessing as mp\np = mp.get_context("fork").Process(target=steps)\np.start()',
    by_hand='run = toy()\nrun.step()\nrun.step()\nrun.step()\nrun.save(wait=False)',
)

# Each end in a process of its own, forked from one that has imported torch; a child's script ends where its code does
FORK = f"""
ends = {ENDS!r}
children = {{}}
for how,code in ends.items():
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        children[pid] = how
        continue
    os.mkdir(how)
    os.chdir(how)
    os.dup2(os.open('stderr', os.O_CREAT|os.O_WRONLY), 2)
    children.clear()
    break
if children:
    for _ in ends:
        pid,status = os.wait()
        print(children[pid], os.waitstatus_to_exitcode(status))
    sys.exit()
exec(code)
"""

def process(here, code):
    (here/'script.py').write_text(TOY+code, encoding='utf-8')
    return subprocess.run([sys.executable, 'script.py'], cwd=here, env=env(), capture_output=True, text=True,
                          timeout=300)

@pytest.fixture(scope='module')
def ended(tmp_path_factory):
    "Every end: its directory and its exit code"
    here = tmp_path_factory.mktemp('ends')
    p = process(here, FORK)
    assert p.returncode==0, p.stderr
    return {how: (here/how, int(code)) for how,code in map(str.split, p.stdout.splitlines())}

@pytest.mark.parametrize('how', ENDS)
def test_steps_by_hand_and_leave(how, ended):
    here,code = ended[how]
    said = (here/'stderr').read_text()
    assert code in dict(exception=(1,), ctrl_c=(130, -2)).get(how, (0,)), said
    assert 'terminate' not in said and ('Traceback' in said)==(how in ('exception', 'ctrl_c'))
    last = here/'run/checkpoints/step_00000003'
    assert is_intact(last) and load_checkpoint(last)[1]['step']==3

def test_a_kernel_that_is_shut_down(tmp_path):
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(TOY), nbformat.v4.new_code_cell('run = steps()')])
    NotebookClient(nb, timeout=120, kernel_name='python3', resources=dict(metadata=dict(path=str(tmp_path)))).execute()
    assert is_intact(tmp_path/'run/checkpoints/step_00000003')

def test_a_save_that_fails_at_the_end_is_told(tmp_path):
    "Nobody asks the run any more, so the process says it"
    full = 'def full(*a, **kw): raise OSError(28, "No space left on device")\n'
    soon = 'run = steps(checkpoint=saver.CheckpointConfig(retry_s=.1))\n'
    p = process(tmp_path, full+soon+'import pretrain.store.checkpoint as c\nc.make_dir = full')
    assert p.returncode==0 and 'step_00000003: not saved (No space left on device)' in p.stderr, p.stderr

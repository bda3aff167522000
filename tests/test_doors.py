"""One run through five doors: a script, the command line, torchrun, a thread, a notebook's kernel. Each gives the same
losses and the same weights, bit for bit. In tests/, since most doors are processes of their own."""
import json, subprocess, sys, threading, tomllib
import nbformat, pytest
from nbclient import NotebookClient
from helpers import SMALL, TIMES, env, pretrain, write_texts

ASKED = [*SMALL, 'data.train=text', 'train.steps=6', 'eval.every=3', 'sample.every=0', 'train.save_every=0']

def value(text):
    "What stands behind `key=`, in Python"
    try: return tomllib.loads(f'v = {text}')['v']
    except tomllib.TOMLDecodeError: return text

KEYS = {k: value(v) for k,_,v in (a.partition('=') for a in ASKED)}
CODE = f'''
from pretrain import Run
run = Run('quickstart', out=OUT, **{KEYS!r})
run.fit()
'''

def code(out): return CODE.replace('OUT', repr(out))

@pytest.fixture(scope='module')
def here(tmp_path_factory):
    "Some text, its tokens, and the run that all others are compared with"
    d = tmp_path_factory.mktemp('doors')
    write_texts(d/'text')
    p = pretrain('train', 'quickstart', *ASKED, 'out=command', cwd=d, fresh=True)
    assert p.returncode==0, p.stderr
    assert [r['step'] for r in ledger(d/'command')[0]]==list(range(7))
    return d

def ledger(run):
    "Every record of a run but its times, and the bytes of its last weights"
    records = [json.loads(l) for l in (run/'metrics.jsonl').read_text(encoding='utf-8').splitlines()]
    weights = run/'checkpoints/step_00000006/model.safetensors'
    return [{k: v for k,v in r.items() if k not in TIMES} for r in records],weights.read_bytes()

def same(here, name): return ledger(here/name)==ledger(here/'command')

def process(here, *args):
    p = subprocess.run([sys.executable, *args], cwd=here, env=env(), capture_output=True, text=True, timeout=300)
    assert p.returncode==0, p.stderr

def test_script(here):
    (here/'script.py').write_text(code('script'), encoding='utf-8')
    process(here, 'script.py')
    assert same(here, 'script')

def test_torchrun(here):
    (here/'job.py').write_text(code('job'), encoding='utf-8')
    process(here, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '1', 'job.py')
    assert same(here, 'job')

def test_thread(here, monkeypatch):
    from pretrain import Run
    monkeypatch.chdir(here)
    t = threading.Thread(target=lambda: Run('quickstart', say=None, out='thread', **KEYS).fit())
    t.start()
    t.join()
    assert same(here, 'thread')

def test_notebook(here):
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code('notebook'))])
    NotebookClient(nb, timeout=300, kernel_name='python3', resources=dict(metadata=dict(path=str(here)))).execute()
    assert same(here, 'notebook')

def test_another_seed_is_another_run(here):
    "The comparison notices"
    p = pretrain('train', 'quickstart', *ASKED, 'out=other', 'seed=2', cwd=here)
    assert p.returncode==0 and not same(here, 'other')

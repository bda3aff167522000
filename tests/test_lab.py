"""A notebook works in JupyterLab in a real browser. In tests/, since it starts a server and a browser; without them
it is skipped, saying what is missing."""
import json, subprocess, sys
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'.ci'))
import lab

needs = pytest.mark.skipif(bool(lab.missing()), reason=f'missing: {lab.missing()}')

def notebook(path, *cells):
    c = lambda i,s: dict(cell_type='code', execution_count=None, id=f'c{i}', metadata={}, outputs=[], source=s)
    meta = dict(kernelspec=dict(display_name='python3', language='python', name='python3'))
    path.write_text(json.dumps(dict(cells=[c(i,s) for i,s in enumerate(cells)], metadata=meta, nbformat=4,
                                    nbformat_minor=5)))
    return path

def run(nb, *args):
    p = subprocess.run([sys.executable, ROOT/'.ci/lab.py', nb, '--timeout', '120', *args], capture_output=True,
                       text=True)
    return p.returncode, p.stdout+p.stderr

PROGRESS = '''
import time
from pretrain.train.progress import Progress
with Progress(20) as p:
    for i in range(20): time.sleep(.05); p.update(i+1, dict(loss=3-i/10))
'''

@needs
def test_progress_in_a_real_notebook(tmp_path):
    rc,out = run(notebook(tmp_path/'a.ipynb', '1+1', PROGRESS, 'assert 1+1==2'), '--shots', str(tmp_path))
    assert rc==0 and '3 of 3 cells ran' in out and '0 errors' in out, out
    assert (tmp_path/'end.png').stat().st_size>10_000

@needs
def test_an_error_is_noticed(tmp_path):
    rc,out = run(notebook(tmp_path/'a.ipynb', '1+1', 'assert 1+1==3, "planted"', '2+2'))
    assert rc==1 and 'AssertionError: planted' in out, out

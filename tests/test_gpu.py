"""`python tests/gpu` works from end to end, tried on a CPU with tiny sizes: a script, which a notebook cannot be."""
import json, os, subprocess, sys
from pathlib import Path

HERE = Path(__file__).parent
PARTS = ('losses of 20 steps, float32', 'losses of 20 steps, bfloat16', 'compiled against eager',
         'interrupted after 3 steps', 'times that the host waits', 'depth 12', 'depth 20', 'tokens a second, MFU',
         'memory, foretold', 'first step', 'new tokens a second', 'by the profiler')

def test_the_script_works(tmp_path):
    "Each promised row is there and holds; the table is written"
    env = os.environ | dict(OMP_NUM_THREADS='1', PYTHONPATH=os.pathsep.join(p for p in sys.path if p))
    p = subprocess.run([sys.executable, str(HERE/'gpu'), '--device', 'cpu', '--tiny', '--out', str(tmp_path)], env=env,
                       capture_output=True, text=True, timeout=300)
    assert p.returncode==0, p.stdout+p.stderr[-3000:]
    found = json.loads((tmp_path/'gpu.json').read_text())
    assert found['tiny'] and all(r['ok'] for r in found['rows'])
    said = (tmp_path/'gpu.md').read_text()
    assert [w for w in PARTS if w not in said]==[]

def test_without_a_card_it_says_so(tmp_path):
    import torch
    if torch.cuda.is_available(): return
    p = subprocess.run([sys.executable, str(HERE/'gpu')], capture_output=True, text=True, timeout=100,
                       env=os.environ | dict(PYTHONPATH=os.pathsep.join(p for p in sys.path if p)))
    assert p.returncode==2 and 'no CUDA device here; --device cpu --tiny' in p.stderr.splitlines()[-1]

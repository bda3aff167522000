"""Memory while a large row group is read. In tests/, since the largest size that a process ever had is known only of a
process of its own."""
import json, subprocess, sys
from pathlib import Path
import pytest
pytest.importorskip('pyarrow')
pytestmark = pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='asks Linux for the peak')

ROWS,ROW_BYTES = 14_000,4_000 # 56 MB of text in one row group
LARGE_MB = 70 # Growth of the process while it is read, at most
CHILD = '''
import json, random, sys
import pyarrow as pa, pyarrow.ipc, pyarrow.parquet as pq
from pretrain.data.tables import read_arrow, read_parquet

path,rows,row_bytes,way = sys.argv[1],int(sys.argv[2]),int(sys.argv[3]),sys.argv[4]
def peak_mb(): return int(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])/2**10
def text(i): return random.Random(i).randbytes(row_bytes//2).hex()
def texts(n): return pa.table(dict(text=[text(i) for i in range(n)], more=[text(-i) for i in range(n)]))
if way=='write':
    with pq.ParquetWriter(path, texts(1).schema) as w: w.write_table(texts(rows), row_group_size=rows)
    sys.exit()
pq.write_table(texts(10), path+'.small')
list(read_parquet(open(path+'.small', 'rb'), 'small'))
before,n,chars = peak_mb(),0,0
for row,t in read_parquet(open(path, 'rb'), 'large'):
    n += 1
    chars += len(t)
print(json.dumps([n, chars, peak_mb()-before]))
'''

def run(*args): return subprocess.run([sys.executable, '-c', CHILD, *map(str, args)], capture_output=True, text=True)

def test_a_large_row_group_costs_little_memory(tmp_path):
    path = tmp_path/'large.parquet'
    assert run(path, ROWS, ROW_BYTES, 'write').returncode==0
    done = run(path, ROWS, ROW_BYTES, 'read')
    assert done.returncode==0, done.stderr
    n,chars,grown_mb = json.loads(done.stdout)
    print(f'{chars/1e6:.0f} MB in a row group, {grown_mb:.0f} MB more memory')
    assert (n, chars)==(ROWS, ROWS*ROW_BYTES)
    assert grown_mb<LARGE_MB

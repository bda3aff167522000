"""Several ranks are one process: the same samples, losses and gradient norms, in both modes. Here rather than in a
notebook because torchrun starts the ranks, once for all cases. `python tests/test_parallel.py` takes every case, 30
steps, 2 and 4 ranks. With `train.sums = "float64"`, the kind `order`, one, two and four ranks have the same norms and
weights to the last digit, Muon and all switches on. In float32 what Muon makes of rounding grows with the steps: it is
held to 1e-6 for ten of them, and for 30 to what one process differs from itself where it accumulates."""
import json, os, signal, subprocess, sys, tempfile
from pathlib import Path
import pytest, torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import as_one
from helpers import on_ranks

SHORT,STEPS,LONG = ('ddp best 1','ddp idle 1','ddp order 2','fsdp best 1','fsdp order 2'),10,30
TOL = 1e-6      # of a loss or norm, relative where it is above 1
LIMIT_S,LONG_S = 300,1800   # hung: the quick tier, and every case

def torchrun(n, folder, steps, cases, limit_s=LIMIT_S):
    "Every case on `n` ranks, in one start; what each rank saw"
    p = on_ranks(HERE/'as_one.py', folder, steps, *cases, n=n)
    try: _,err = p.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        raise AssertionError(f'hung for {limit_s} s: {p.communicate()[1][-3000:]}') from None
    assert p.returncode==0, err[-3000:]
    assert 'Warning' not in err, err[-3000:]   # as torch gives where a name of its own is old
    return [json.loads((Path(folder)/f'{n}_{r}.json').read_text()) for r in range(n)]

def alone(folder, steps, cases):
    "The same in this process"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try: return {name: as_one.case(name, steps, Path(folder)/f'1 {name}') for name in cases}
    finally: torch.set_num_threads(threads)

def ids_of(seen, step):
    "Inputs and targets of a step, in the order of the rows"
    halves = [(got[:len(got)//2],got[len(got)//2:]) for got in (o['ids'][step] for o in seen)]
    return [row for k in range(2) for h in halves for row in h[k]]

def off(a, b): return abs(a-b)/max(1, abs(b))

def agree(one, many, name, tol=TOL):
    "Did ranks do what one process does?"
    want,seen = one[name],[o[name] for o in many]
    assert seen[0]['mode']==name.split()[0]
    for k in ('loss', 'norm', 'end'): assert all(o[k]==seen[0][k] for o in seen), f'{name}: ranks differ in {k}'
    for i in range(len(want['ids'])): assert ids_of(seen, i)==want['ids'][i], f'{name}: other samples in step {i+1}'
    if name.split()[1]=='order':
        for k in ('norm', 'end'): assert seen[0][k]==want[k], f'{name}: {k} is not the same to the last digit'
    for k in ('loss', 'norm'):
        bad = [(i+1,a,b) for i,(a,b) in enumerate(zip(seen[0][k], want[k])) if off(a, b)>tol]
        assert not bad, f'{name}: {k} of step {bad[0][0]} is {bad[0][1]}, of one process {bad[0][2]}'

@pytest.fixture(scope='module')
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ranks')
    return alone(folder, STEPS, SHORT),torchrun(2, folder, STEPS, SHORT)

@pytest.mark.parametrize('name', SHORT)
def test_two_ranks_are_one_process(both, name):
    "Samples equal, losses and norms within 1e-6, and both ranks bit for bit alike"
    agree(*both, name)

def test_modes_are_alike(both):
    "Copies, shards, and one process that accumulates instead: the same run, where sums are in float64"
    one,many = both[0]['ddp order 2'],[both[1][r][f'{mode} order 2'] for r in (0, 1) for mode in ('ddp', 'fsdp')]
    assert all(o[k]==one[k] for o in many for k in ('norm','end'))
    assert all(off(a, b)<=TOL for o in many for a,b in zip(o['loss'], one['loss'], strict=True))

MUON,TIMES = ('muon','best','again'),3   # kinds in float32; how much more than accumulation ranks may make of rounding

def far(a, b): return {k: max(map(off, a[k], b[k])) for k in ('loss','norm')}

def itself(folder):
    "How far one process is from itself, where it takes the same rows in two micro-batches or in eight"
    found = {}
    for kind in MUON:
        whole,*parts = (alone(folder/kind, LONG, [o])[o] for o in (f'ddp {kind} {m}' for m in (0, 4, 1)))
        found[kind] = max(v for o in parts for v in far(o, whole).values())
        print(f'one process  {kind:<6} {found[kind]:.1e} from itself where it accumulates', flush=True)
    return found

def main():
    "The long tier: every case on one, two and four ranks; the greatest difference of each"
    os.environ['FRESH'] = '1'   # see forks.py
    with tempfile.TemporaryDirectory() as folder:
        tol = {kind: max(TOL, TIMES*v) for kind,v in itself(Path(folder)).items()}
        one,bad = alone(folder, LONG, as_one.CASES),[]
        for n in (2, 4):
            many = torchrun(n, folder, LONG, as_one.CASES, LONG_S)
            for name in as_one.CASES:
                said = 'ok'
                try: agree(one, many, name, tol.get(name.split()[1], TOL))
                except AssertionError as e: bad.append(said := str(e).splitlines()[0])
                v = far(many[0][name], one[name])
                print(f'{n} ranks  {name:<16} loss {v["loss"]:.1e}  norm {v["norm"]:.1e}  {said}', flush=True)
        assert not bad, bad

if __name__=='__main__': main()

"""Several ranks are one process: the same samples, losses and gradient norms, in both modes. Here rather than in a
notebook because torchrun starts the ranks, once for all cases. `python tests/test_parallel.py` takes every case, 30
steps, 2 and 4 ranks. What Muon makes of rounding grows with the steps, so it is held to 1e-6 for 30 of them in float64,
and in float32 for ten."""
import json, os, signal, subprocess, sys, tempfile
from pathlib import Path
import pytest, torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import as_one
from helpers import on_ranks

SHORT,STEPS,LONG = ('ddp best 1','ddp idle 1','fsdp best 1','fsdp again 0','fsdp frozen 0'),10,30
TOL = 1e-6      # of a loss or norm, relative where it is above 1
LIMIT_S = 300

def torchrun(n, folder, steps, cases):
    "Every case on `n` ranks, in one start; what each rank saw"
    p = on_ranks(HERE/'as_one.py', folder, steps, *cases, n=n)
    try: _,err = p.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        raise AssertionError(f'hung for {LIMIT_S} s: {p.communicate()[1][-3000:]}') from None
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

def close(a, b): return abs(a-b)<=TOL*max(1, abs(b))

def agree(one, many, name):
    "Did ranks do what one process does?"
    want,seen = one[name],[o[name] for o in many]
    assert seen[0]['mode']==name.split()[0]
    for k in ('loss', 'norm', 'end'): assert all(o[k]==seen[0][k] for o in seen), f'{name}: ranks differ in {k}'
    for i in range(len(want['ids'])): assert ids_of(seen, i)==want['ids'][i], f'{name}: other samples in step {i+1}'
    for k in ('loss', 'norm'):
        off = [(i+1,a,b) for i,(a,b) in enumerate(zip(seen[0][k], want[k])) if not close(a, b)]
        assert not off, f'{name}: {k} of step {off[0][0]} is {off[0][1]}, of one process {off[0][2]}'

@pytest.fixture(scope='module')
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ranks')
    return alone(folder, STEPS, SHORT),torchrun(2, folder, STEPS, SHORT)

@pytest.mark.parametrize('name', SHORT)
def test_two_ranks_are_one_process(both, name):
    "Samples equal, losses and norms within 1e-6, and both ranks bit for bit alike"
    agree(*both, name)

def test_accumulation_instead_of_ranks(both, tmp_path):
    "One process with two micro-batches for two ranks' rows"
    want = alone(tmp_path, STEPS, ['ddp best 4'])['ddp best 4']
    assert all(close(a, b) for k in ('loss','norm') for a,b in zip(both[1][0]['ddp best 1'][k], want[k]))
    assert want['ids']==both[0]['ddp best 1']['ids']   # of whole batches

def main():
    "The long tier: every case on one, two and four ranks; the greatest difference of each"
    with tempfile.TemporaryDirectory() as folder:
        one = alone(folder, LONG, as_one.CASES)
        for n in (2, 4):
            many = torchrun(n, folder, LONG, as_one.CASES)
            for name in as_one.CASES:
                pairs = {k: zip(many[0][name][k], one[name][k]) for k in ('loss','norm')}
                far = {k: max(abs(a-b)/max(1, abs(b)) for a,b in ab) for k,ab in pairs.items()}
                said = 'ok'
                try: agree(one, many, name)
                except AssertionError as e: said = str(e).splitlines()[0]
                print(f'{n} ranks  {name:<16} loss {far["loss"]:.1e}  norm {far["norm"]:.1e}  {said}', flush=True)

if __name__=='__main__': main()

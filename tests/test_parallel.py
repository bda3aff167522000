"""Several ranks are one process: the same samples, losses and gradient norms, in both modes. Here rather than in a
notebook because torchrun starts the ranks, once for all cases. `python tests/test_parallel.py` takes every case, 30
steps, 2 and 4 ranks, and keeps nbs/reports/ranks.json. AdamW is held to 1e-6, and so is Muon with what promises that:
`train.sums = "float64"` and `train.micro_rows`, where norms and weights are those of one process to the last digit.
Muon in float32 promises no such thing after its first steps: how far it goes is written down, and held to what one
process goes from itself where the last bit of its first weights is another one, or where it accumulates."""
import json, os, signal, subprocess, sys, tempfile
from pathlib import Path
import pytest, torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import as_one
from helpers import on_ranks, write_texts

SHORT,STEPS,LONG = ('ddp best 1','ddp idle 1','ddp order 2','fsdp best 1','fsdp order 2'),10,30
ORDER,STATED = ('even','wide','order'),('muon','best','again')   # kinds: to the last digit; float32 Muon
NUDGES = 8  # Runs of one process with another last bit in its first weights
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

def alone(folder, steps, cases, nudge=None):
    "The same in this process"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try: return {name: as_one.case(name, steps, Path(folder)/f'1 {name} {nudge}', nudge) for name in cases}
    finally: torch.set_num_threads(threads)

def ids_of(seen, step):
    "Inputs and targets of a step, in the order of the rows"
    halves = [(got[:len(got)//2],got[len(got)//2:]) for got in (o['ids'][step] for o in seen)]
    return [row for k in range(2) for h in halves for row in h[k]]

def off(a, b): return abs(a-b)/max(1, abs(b))

def agree(one, many, name, spread):
    "Did ranks do what one process does, within 1e-6 or its own spread of losses and norms?"
    want,seen = one[name],[o[name] for o in many]
    assert seen[0]['mode']==name.split()[0]
    for k in ('loss', 'norm', 'end'): assert all(o[k]==seen[0][k] for o in seen), f'{name}: ranks differ in {k}'
    for i in range(len(want['ids'])): assert ids_of(seen, i)==want['ids'][i], f'{name}: other samples in step {i+1}'
    if name.split()[1] in ORDER:
        for k in ('norm', 'end'): assert seen[0][k]==want[k], f'{name}: {k} is not the same to the last digit'
    for k in ('loss', 'norm'):
        tol = max(TOL, spread.get(k, 0))
        bad = [(i+1,a,b) for i,(a,b) in enumerate(zip(seen[0][k], want[k])) if off(a, b)>tol]
        assert not bad, f'{name}: {k} of step {bad[0][0]} is {bad[0][1]}, of one process {bad[0][2]}'

@pytest.fixture(scope='module')
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ranks')
    write_texts(folder/'text', 3)
    return alone(folder, STEPS, SHORT),torchrun(2, folder, STEPS, (*SHORT, as_one.TIMED))

@pytest.mark.parametrize('name', SHORT)
def test_two_ranks_are_one_process(both, name):
    "Samples equal, losses and norms within 1e-6, and both ranks bit for bit alike"
    agree(*both, name, {})

def test_modes_are_alike(both):
    "Copies, shards, and one process that accumulates instead: the same run, where sums are in float64"
    one,many = both[0]['ddp order 2'],[both[1][r][f'{mode} order 2'] for r in (0, 1) for mode in ('ddp', 'fsdp')]
    assert all(o[k]==one[k] for o in many for k in ('norm','end'))
    assert all(off(a, b)<=TOL for o in many for a,b in zip(o['loss'], one['loss'], strict=True))

def test_minutes_in_shards(both):
    "What is measured to plan them takes the whole model, on every rank; and the end of `with` saves what was stepped"
    a,b = (o[as_one.TIMED] for o in both[1])
    assert a==b and a['mode']=='fsdp' and a['n_valid'] and all(0<x<10 for x in a['loss'])
    assert a['saved']==['step_00000002']

def test_fit_of_other_lengths(both):
    "One rank would wait for a step that the other does not take, until train.limit_s"
    said = {o[as_one.TIMED]['uneven'] for o in both[1]}
    assert len(said)==1 and 'steps of fit: rank 1' in (line := said.pop()) and 'has 2, rank 0' in line

def test_frozen_on_the_way(both):
    "Its bucket would wait for it, and the step be taken with sums of one rank each"
    said = {o[as_one.TIMED]['thawed'] for o in both[1]}
    assert len(said)==1 and 'blocks.0.attn.q.weight: requires_grad was True' in said.pop()

REPORT = HERE.parent/'nbs/reports/ranks.json'

def far(a, b): return {k: max(map(off, a[k], b[k])) for k in ('loss','norm')}

def itself(folder):
    "How far one process is from itself: the same rows in 2, 4, 8 micro-batches, or other last bits of first weights"
    for kind in STATED:
        def run(micro=0, nudge=None): return alone(folder/kind, LONG, [o := f'ddp {kind} {micro}'], nudge)[o]
        whole,micros = run(),[run(m) for m in (4, 2, 1)]
        for by,others in (('micro-batches', micros), ('last bits', [run(nudge=i) for i in range(NUDGES)])):
            yield dict(ranks=1, mode='', kind=kind, held=False, by=by,
                       **{k: max(far(o, whole)[k] for o in others) for k in ('loss','norm')})

def each(folder, spread):
    "Every case on two and four ranks beside one: how far they are, and what does not hold"
    one = alone(folder, LONG, as_one.CASES)
    for n in (2, 4):
        many = torchrun(n, folder, LONG, as_one.CASES, LONG_S)
        for name in as_one.CASES:
            mode,kind,micro = name.split()
            same = all(many[0][name][k]==one[name][k] for k in ('norm','end'))
            row = dict(ranks=n, mode=mode, kind=kind, micro=int(micro), held=kind not in STATED, same=same,
                       **far(many[0][name], one[name]))
            try: agree(one, many, name, spread.get(kind, {}))
            except AssertionError as e: row['wrong'] = str(e).splitlines()[0]
            yield row

def main():
    "The long tier; an error where something that is held does not hold, or samples or ranks differ"
    os.environ['FRESH'] = '1'   # see forks.py
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        def keep(found):
            for row in found:
                rows.append(row)
                print(*row.values(), flush=True)
        keep(itself(Path(folder)))
        spread = {o: {k: max(r[k] for r in rows if r['kind']==o) for k in ('loss','norm')} for o in STATED}
        keep(each(Path(folder), spread))
    REPORT.write_text(json.dumps(rows, indent=1)+'\n')
    wrong = [r['wrong'] for r in rows if 'wrong' in r]
    assert not wrong, wrong

if __name__=='__main__': main()

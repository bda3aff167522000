"""Every experiment on the evaluation in its short form, on a tiny bundle. In tests/, since one starts torchrun;
`python tests/evaluation --bundle DIR` does them on real data."""
import importlib, sys
from pathlib import Path
import pytest

FOLDER = Path(__file__).resolve().parent/'evaluation'
sys.path.insert(0, str(FOLDER))
from _core import EXPERIMENTS, Lab, compare

for f in sorted(FOLDER.glob('[!_]*.py')): importlib.import_module(f.stem)

@pytest.mark.parametrize('name', EXPERIMENTS)
def test_experiment(name, tmp_path):
    rows = EXPERIMENTS[name](Lab(False, 0, tmp_path))
    for r in rows: print(f'{r.held} of {r.tried}: {r.promise} ({r.note})')
    assert rows and all(r.tried>0 for r in rows), 'nothing was tried'
    assert [(r.promise, r.held, r.tried, r.note) for r in rows if r.held!=r.tried]==[]

def test_a_difference_is_seen():
    """One token, one span, one decision, a loss that moved, a NaN on one side: each is a difference, and nothing at
    all is an error"""
    e = dict(task='t', idx=0, row=3, shots=[1], ids=[[5,6,7]], spans=[(2,3)], losses=[1.,float('nan')], predicted=0,
             gold=0, correct=True)
    assert compare([e], [e])==(1, 0., '')
    for k,v in dict(ids=[[5,6,8]], spans=[(1,3)], shots=[2], predicted=1, losses=[1.0001,float('nan')]).items():
        assert compare([e|{k: v}], [e])[0]==0, k
    assert compare([e|dict(losses=[1.,2.])], [e])[1]==float('inf')
    with pytest.raises(AssertionError): compare([], [])

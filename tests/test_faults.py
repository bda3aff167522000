"""Every experiment of the fault battery in its short form. In tests/, since they kill processes by the dozen;
`python tests/faults --full` does them all to the end."""
import importlib, sys
from pathlib import Path
import pytest

FOLDER = Path(__file__).resolve().parent/'faults'
sys.path.insert(0, str(FOLDER))
from common import FAULTS

for f in sorted(FOLDER.glob('[!_]*.py')): importlib.import_module(f.stem)

@pytest.mark.parametrize('name', FAULTS)
def test_fault(name, tmp_path):
    rows = FAULTS[name](False, 0, tmp_path)
    for r in rows: print(f'{r.held} of {r.tried}: {r.promise} ({r.note})')
    assert rows and all(r.tried>0 for r in rows), 'nothing was tried'
    assert [(r.promise, r.held, r.tried, r.note) for r in rows if r.held!=r.tried]==[]

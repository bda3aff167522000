"""Situations that strangers to the library met, each with what they should meet: the quick ones. In tests/, since they
look at the library from outside; `python tests/strangers --full` does them all."""
import importlib, sys
from pathlib import Path
import pytest

FOLDER = Path(__file__).resolve().parent/'strangers'
sys.path.insert(0, str(FOLDER))
from _case import CASES, Case, try_case

for f in sorted(FOLDER.glob('[!_]*.py')): importlib.import_module(f.stem)

@pytest.mark.parametrize('c', [c for c in CASES.values() if not c.full], ids=lambda c: c.name)
def test_situation(c, tmp_path):
    ok,seen = try_case(c, tmp_path)
    assert ok, f"{c.situation}: expected {c.expected!r}, saw {seen!r}"

def test_another_answer_is_seen(tmp_path):
    "The battery is a detector: neither another value nor an error is what was expected"
    def fails(lab): raise ValueError('no')
    assert try_case(Case('a', '', 1, lambda lab: 1, False), tmp_path)==(True, 1)
    assert try_case(Case('b', '', 1, lambda lab: 2, False), tmp_path)==(False, 2)
    assert try_case(Case('c', '', 1, fails, False), tmp_path)==(False, 'ValueError: no')

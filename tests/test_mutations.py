"""Planted bugs are caught, each by the test that is there for it: of each chapter one or a few whose test is quick;
`python tests/mutations.py --full` plants all. In tests/, since every mutation runs in a copy of the library, in a
process of its own."""
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
import pytest
import mutations as M

@pytest.fixture(scope='session')
def tried(request):
    "What comes of a mutation: all are tried, as many at a time as there are cores, unless workers do that"
    if hasattr(request.config, 'workerinput'):
        yield M.try_mutation
        return
    names = {i.callspec.params['m'].name for i in request.session.items
             if 'm' in getattr(getattr(i, 'callspec', None), 'params', {})}
    with ThreadPoolExecutor(os.cpu_count()) as ex:
        seen = {m.name: ex.submit(M.try_mutation, m) for m in M.MUTATIONS if m.name in names}
        yield lambda m: seen[m.name].result()

QUICK = [m for m in M.MUTATIONS if not m.full]
SHIFT = next(m for m in QUICK if m.name=='shift 0')   # of a chapter that runs in no time

@pytest.mark.parametrize('m', QUICK, ids=lambda m: m.name)
def test_mutation_is_caught(m, tried):
    ok,seen = tried(m)
    print(f'{m.name} -> {seen}')
    assert ok, f'{m.name} should fail in {m.shown_by}; {seen}'

def test_every_wing_is_covered():
    wings = {m.nb.partition('/')[0] for m in QUICK}
    assert wings>={'base','store','data','model','train','eval','export','build','cli'}, wings
    assert len({m.name for m in M.MUTATIONS})==len(M.MUTATIONS)

def test_every_mutation_fits():
    "Also one that is not planted here: its text is in the code of today"
    for m in M.MUTATIONS: assert M.planted(m, M.ROOT)

def test_harmless_change_is_not_called_caught():
    m = replace(SHIFT, new=SHIFT.old+' ')
    assert M.try_mutation(m)==(False, f'{m.shown_by} passes')

def test_wrong_reason_is_not_called_caught():
    "A mutation that only breaks the syntax proves nothing"
    ok,seen = M.try_mutation(replace(SHIFT, new='('))
    assert not ok and 'SyntaxError' in seen

def test_stale_mutation_is_an_error():
    with pytest.raises(ValueError, match='must be in one'): M.try_mutation(replace(SHIFT, old='no such text'))

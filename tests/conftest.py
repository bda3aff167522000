"""Shared by all tests: one thread for tiny models, a headless plot backend, and the outcomes of the session for the
register."""
import os
os.environ.setdefault('OMP_NUM_THREADS', '1')   # before torch is imported: more threads make tiny models slower
os.environ.setdefault('MPLBACKEND', 'agg')

from pathlib import Path
import pytest

def whole_suite(config):
    "Was everything asked for? Not with paths, `-k`, `-m`, `--lf`, `--ignore` or the like"
    o,tests = config.option, Path(__file__).parent
    asked = {Path(a.partition('::')[0]).resolve() if '::' not in a else None for a in config.args}
    cut = [o.keyword, o.markexpr, o.ignore, o.ignore_glob, o.deselect, getattr(o, 'lf', False),
           getattr(o, 'stepwise', False)]
    return asked <= {tests, tests.parent} and not any(cut)

def pytest_configure(config): config.stash[OUTCOMES] = {}
OUTCOMES = pytest.StashKey()

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    "The register is judged last, when the outcomes of all others are known"
    items.sort(key=lambda i: 'test_register_outcomes' in i.nodeid)

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    rep = yield
    res = item.config.stash[OUTCOMES]
    if rep.when=='call' or rep.outcome!='passed':
        if res.get(item.nodeid) in (None, 'passed'): res[item.nodeid] = rep.outcome
    return rep

@pytest.fixture
def outcomes(request):
    "Outcome of every test that ran before this one; None when only a part of the suite was asked for"
    return request.config.stash[OUTCOMES] if whole_suite(request.config) else None

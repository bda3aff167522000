"""Shared by all tests: one thread for tiny models, a headless plot backend, two workers for the whole suite, and the
outcomes of the session for the register."""
import json, os, signal, tempfile, time
os.environ.setdefault('OMP_NUM_THREADS', '1')   # before torch is imported: more threads make tiny models slower
os.environ.setdefault('MPLBACKEND', 'agg')
if signal.getsignal(signal.SIGINT)==signal.SIG_IGN:   # so begins what a shell has in its background: no test could stop
    signal.signal(signal.SIGINT, signal.default_int_handler)

from pathlib import Path
import pytest

def whole_suite(config):
    "Was everything asked for? Not with paths, `-k`, `-m`, `--lf`, `--ignore` or the like"
    o,tests = config.option, Path(__file__).parent
    asked = {Path(a.partition('::')[0]).resolve() if '::' not in a else None for a in config.args}
    cut = [o.keyword, o.markexpr, o.ignore, o.ignore_glob, o.deselect, getattr(o, 'lf', False),
           getattr(o, 'stepwise', False)]
    return asked <= {tests, tests.parent} and not any(cut)

WORKERS = 2 # For the whole suite where there are as many cores; more would share them with the ranks of the tests

@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    "A part of the suite runs in this process, as a debugger wants it"
    return min(WORKERS, os.cpu_count() or 1) if whole_suite(config) and (os.cpu_count() or 1)>1 else 0

OUTCOMES,SHARED = pytest.StashKey(),pytest.StashKey()
def pytest_configure(config):
    at = getattr(config, "workerinput", {}).get("outcomes")
    at = at or Path(tempfile.mkdtemp(prefix="outcomes"))/"outcomes.jsonl"
    config.stash[OUTCOMES],config.stash[SHARED] = {},Path(at)
    config.stash[SHARED].touch()

@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    "Every worker tells all others what came of its tests"
    node.workerinput['outcomes'] = str(node.config.stash[SHARED])

def pytest_unconfigure(config):
    if hasattr(config, 'workerinput'): return
    config.stash[SHARED].unlink(missing_ok=True)
    config.stash[SHARED].parent.rmdir()

def shares(item):
    "Does a fixture serve all tests of its module?"
    defs = (o for defs in item._fixtureinfo.name2fixturedefs.values() for o in defs)
    return any(o.scope=='module' for o in defs)

@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item):
    "Tests that share a fixture go to one worker"
    if shares(item): item.add_marker(pytest.mark.xdist_group(Path(item.path).stem))

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    "The register is judged last, when the outcomes of all others are known"
    items.sort(key=lambda i: 'test_register_outcomes' in i.nodeid)

def plain(item):
    "The node id, without the group that a worker adds to it"
    group = next((o.args[0] for o in item.iter_markers('xdist_group')), '')
    return item.nodeid.removesuffix(f'@{group}')

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    rep = yield
    res,name = item.config.stash[OUTCOMES],plain(item)
    if rep.when=='call' or rep.outcome!='passed':
        if res.get(name) in (None, 'passed'): res[name] = rep.outcome
    if rep.when=='teardown':
        with item.config.stash[SHARED].open('a', encoding='utf-8') as f:
            f.write(json.dumps([name, res.get(name, rep.outcome)])+'\n')
    return rep

@pytest.fixture(autouse=True)
def same_environment():
    "What a test leaves in the environment is not there for the next"
    was = dict(os.environ)
    yield
    if dict(os.environ)!=was:
        os.environ.clear()
        os.environ.update(was)

QUIET_S = 900 # So long without news, and a worker has died [s]
def of_all(session, own):
    "Outcomes of all tests but one, whoever ran them"
    want,path = {plain(i) for i in session.items}-{own},session.config.stash[SHARED]
    while True:
        got = dict(map(json.loads, path.read_text(encoding='utf-8').splitlines()))
        if want<=got.keys() or time.time()-path.stat().st_mtime>QUIET_S: return got
        time.sleep(.5)

@pytest.fixture
def outcomes(request):
    "Outcome of every test but this one; None when only a part of the suite was asked for"
    return of_all(request.session, plain(request.node)) if whole_suite(request.config) else None

"""Trackers fail in processes of their own, and are killed with a run: a kernel cannot do that. The quick ones; all of
them, one by one: `python tests/trackers --full`."""
import importlib.util, json, shutil, sys
from pathlib import Path
import pytest

FOLDER = Path(__file__).resolve().parent/'trackers'
sys.path.insert(0, str(FOLDER))
from _failures import SINKS, Case, together, wrong
from _rig import Lab
from _reading import differs, kills, of_tensorboard
from helpers import pretrain, quiet
from pretrain.build import Run

pytestmark = pytest.mark.skipif(sys.platform!='linux', reason='looks for processes in /proc')
there = tuple(n for n in ('tensorboard','wandb','trackio') if importlib.util.find_spec(n))

@pytest.fixture(scope='module')
def lab(tmp_path_factory): return Lab(tmp_path_factory.mktemp('trackers'))

def test_failures_cost_nothing_and_three_are_read_back(lab):
    """Those that fail beside those that don't: each failure is told once, the record is whole, nobody is left; a step
    takes as long as without. What the others have equals the record"""
    good = [Case(n, r'\b81 rows sent$', n, env=dict(WANDB_MODE='offline')) for n in there]
    for out in ('first', 'second'):   # others use this machine, too
        cases = [*good, *(c for c in SINKS if c.quick)]
        bad,ratio = together(lab, cases, out, f'track.project={out}')
        bad = bad or next(filter(None, (differs(n, lab.folder/out) for n in there)), '')
        if bad or ratio<1.05: break
    assert not bad
    assert ratio<1.05 or not quiet(), f'a step takes {ratio-1:.1%} longer'

def test_another_answer_is_seen(lab):
    "The battery is a detector"
    (lab.folder/'seen').mkdir()
    def rows(n): (lab.folder/'seen/metrics.jsonl').write_text(''.join(f'{{"step": {s}}}\n' for s in range(n)))
    rows(81)
    one,said = Case('a', 'boom', 'own:A'),['track: own:A: boom; the run goes on']
    assert wrong([one], said, lab.folder/'seen')==''
    for other in ([], said*2, ['track: own:A: bang'], ['track: own:AB: boom']):
        assert wrong([one], other, lab.folder/'seen')
    rows(80)
    assert 'the record' in wrong([one], said, lab.folder/'seen')

@pytest.mark.skipif('tensorboard' not in there, reason='needs tensorboard')
def test_killed_and_resumed(lab): assert kills(lab, ('tensorboard',), 1, 40)==''

def test_refused_before_the_run_begins(tmp_path):
    "A tracker that is not there is answered in one line, and nothing is made"
    names = {'wandbd': "did you mean 'wandb'", 'nowhere.at:Sink': 'no package nowhere', 'own.py:A': 'no such file'}
    for name,said in names.items():
        with pytest.raises(ValueError, match=said) as e: Run(None, out=tmp_path/'no', say=None, **{'track.to': [name]})
        assert '\n' not in str(e.value) and not (tmp_path/'no').exists()

def test_sources_and_core_have_their_names(tmp_path):
    "What a run measures of single sources and of CORE arrives under names that say so"
    pytest.importorskip('tensorboard')
    run = shutil.copytree(Path(__file__).parent/'old_run/run', tmp_path/'run')
    rows = [json.loads(o) for o in (run/'metrics.jsonl').read_text().splitlines()]
    more = {'val_bpb/books': 1.5, 'core': .25, 'core/squad': .125}
    (run/'metrics.jsonl').write_text(''.join(json.dumps(o | (more if 'val_bpb' in o else {}))+'\n' for o in rows))
    done = pretrain('track', 'run', '--to', 'tensorboard', cwd=tmp_path)
    assert done.returncode==0, done.stderr
    sent = {k: v for _,o in of_tensorboard(run) for k,v in o.items()}
    assert [sent.get(k) for k in ('val/bpb/books', 'core_metric', 'core/squad')]==[1.5, .25, .125]
    assert differs('tensorboard', run)=='' and not {'val_bpb/books', 'core'} & set(sent)

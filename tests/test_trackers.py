"""Trackers fail in processes of their own, and are killed with a run: a kernel cannot do that. The quick ones; all of
them, one by one: `python tests/trackers --full`."""
import importlib.util, json, os, signal, subprocess, sys, time
from pathlib import Path
import pytest

FOLDER = Path(__file__).resolve().parent/'trackers'
sys.path.insert(0, str(FOLDER))
from _failures import SIDE, SINKS, Case, together, wrong
from _lab import Lab, left, records
from _reading import differs, equal, kills
from helpers import env, pretrain

pytestmark = pytest.mark.skipif(sys.platform!='linux', reason='looks for processes in /proc')
there = tuple(n for n in ('tensorboard','wandb','trackio') if importlib.util.find_spec(n))

@pytest.fixture(scope='module')
def lab(tmp_path_factory): return Lab(tmp_path_factory.mktemp('trackers'))

def test_failures_cost_nothing(lab):
    "Fifteen at a time: each is told once, the record is whole, nobody is left; a step takes as long as without"
    for out in ('first', 'second'):   # others use this machine, too
        bad,ratio = together(lab, [c for c in SINKS if c.quick], out)
        if bad or ratio<1.05: break
    assert not bad
    assert ratio<1.05, f'a step takes {ratio-1:.1%} longer'

@pytest.mark.parametrize('c', [c for c in SIDE if c.name in ('no python', 'keeper killed')], ids=lambda c: c.name)
def test_the_process_between(lab, c): assert together(lab, [c], c.name.replace(' ', '-'))[0]==''

def test_another_answer_is_seen(lab):
    "The battery is a detector"
    (lab.folder/'seen').mkdir()
    rows = lambda steps: (lab.folder/'seen/metrics.jsonl').write_text(''.join(json.dumps(dict(step=s))+'\n' for s in steps))
    rows(range(81))
    one,said = Case('a', 'boom', 'own:A'),['track: own:A: boom; the run goes on']
    assert wrong([one], said, lab.folder/'seen')==''
    for other in ([], said*2, ['track: own:A: bang'], ['track: own:AB: boom']): assert wrong([one], other, lab.folder/'seen')
    rows(range(80))
    assert 'the record' in wrong([one], said, lab.folder/'seen')

@pytest.mark.skipif(len(there)<3, reason='needs tensorboard, wandb and trackio')
def test_three_read_back(lab): assert equal(lab)==''

@pytest.mark.skipif('tensorboard' not in there, reason='needs tensorboard')
def test_killed_and_resumed(lab): assert kills(lab, ('tensorboard',), 2)==''

def test_torchrun(lab):
    "One process follows, of the first rank; all end"
    (lab.folder/'own.py').write_text('class Own:\n    def row(self, step, numbers): print(step, flush=True)\n')
    from helpers import SMALL
    keys = [*SMALL, 'data.train=["texts"]', 'preflight.at_start=false', 'eval.every=0', 'out=ranks', 'train.steps=5',
            'sample.every=0', 'track.to=["own.py:Own"]']
    r = pretrain('train', 'quickstart', *keys, cwd=lab.folder, n_proc=2)
    assert r.returncode==0, r.stderr
    assert [l for l in r.stdout.splitlines() if l.startswith('track')]==[f'track: {lab.folder}/own.py:Own, 6 rows sent']
    steps = [*map(int, (lab.folder/'ranks/track/own-Own.log').read_text().split())]
    assert steps==[r['step'] for r in records(lab.folder/'ranks')]
    refused = pretrain('train', 'quickstart', 'track.to=["wandbd"]', 'out=no', cwd=lab.folder)
    assert refused.returncode==2 and "did you mean 'wandb'" in refused.stderr and not (lab.folder/'no').exists()
    again = pretrain('track', 'ranks', '--to', 'nowhere.at:Sink', cwd=lab.folder)
    assert (again.returncode, again.stderr.count('\n'))==(2, 1) and 'no package nowhere' in again.stderr

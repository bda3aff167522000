"""Imports follow the map of the house. Here rather than in a notebook because it reads all exported modules at once.

A module may import from the wings that its own may know (`KNOWS`) and, inside its wing, from modules that stand below
it: there is no circle."""
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT/'.ci'))
from house import draw, edges, floors, modules, shortest, wing

KNOWS = dict(base=(), store=('base',), data=('base','store'), model=('base','store'))
KNOWS |= dict(train=(*KNOWS, ), eval=(*KNOWS, ))
KNOWS |= dict(export=('base','store','data','model','eval'))
KNOWS |= dict(reading=(*KNOWS, ), sizes=(*KNOWS, ))
KNOWS |= dict(alive=(*KNOWS, ))
KNOWS |= dict(build=(*KNOWS, ))
KNOWS |= dict(looking=(*KNOWS, ), showing=(*KNOWS, ), play=(*KNOWS, ))
KNOWS |= dict(doors=(*KNOWS, ), seeds=(*KNOWS, ), planning=(*KNOWS, ))
KNOWS |= dict(cli=(*KNOWS, ))

def violations(sources):
    "What is wrong with the imports of `{module: source}`, a line each"
    res,graph = [],edges(sources)
    for m,to in graph.items():
        if wing(m) not in KNOWS:
            res.append(f'{m}: stands in no wing')
            continue
        for t,line in to.items():
            if t not in sources:
                res.append(f'{m}:{line}: imports {t or "the package"}, which is no module of the house')
            elif wing(t)!=wing(m) and wing(t) not in KNOWS[wing(m)]:
                res.append(f'{m}:{line}: imports {t}; {wing(m)} must not know {wing(t)}')
    try: TopologicalSorter({m: set(to) & set(graph) for m,to in graph.items()}).prepare()
    except CycleError as e: res.append('circle: '+' → '.join(e.args[1]))
    return res

def test_imports_follow_the_map():
    assert len(modules())>20, 'no modules in pretrain/'
    assert violations(modules())==[]

@pytest.mark.parametrize('module,source,said', [
    ('model.gpt', 'from ..train.loop import Loop', 'model must not know train'),            # upward
    ('data.loader', 'from pretrain.model.gpt import GPT', 'data must not know model'),      # sideways
    ('eval.bpb', 'import pretrain.train.loop', 'eval must not know train'),
    ('train.loop', 'from ..eval import bpb', 'train must not know eval'),
    ('base.config', 'def f():\n    from ..cli import main', 'base.config:2: imports cli'),    # hidden in a function
    ('eval.core.score', 'from ...build import Run', 'eval must not know build'),            # three deep
    ('store.log', 'from .log import scan', 'circle: store.log'),                            # itself
    ('train.loop', 'from .attic import old', 'which is no module of the house'),
    ('attic', 'import torch', 'attic: stands in no wing')])
def test_planted_violation_is_seen(module, source, said):
    others = ('train.loop', 'model.gpt', 'eval.bpb', 'cli', 'build', 'store.log')
    (line,) = violations({m: '' for m in others} | {module: source})
    assert said in line

def test_circle_is_seen():
    a,b,c = 'from .b import x', 'from .c import x', 'from . import a'
    assert violations({'data.a': a, 'data.b': b, 'data.c': c})!=[]
    assert violations({'data.a': a, 'data.b': b, 'data.c': ''})==[]

def test_the_way_down_is_fine():
    assert violations({'cli': 'import os, torch\nfrom pretrain import __version__\nfrom .build import Run\n'
                       'from pretrain.base.config import read',
                       'build': 'from .train.loop import Loop', 'train.loop': 'from ..base import config',
                       'base.config': ''})==[]

# ------------------------------------------------------------ the picture of it

def test_the_picture_is_current():
    "Drawn from the imports as they are; the same each time"
    assert (ROOT/'nbs/house.svg').read_text(encoding='utf-8')==draw(edges(modules())), 'run python .ci/house.py'

def test_the_picture_shows_every_module_and_follows_the_imports():
    tiny = {'cli': 'from .build import Run', 'build': 'from .train.loop import Loop',
            'train.loop': 'from ..base import words',
            'train.state': '', 'base.words': ''}
    svg = draw(edges(tiny))
    assert all(f'>{n}</text>' in svg for n in ('cli', 'build', 'train', 'loop', 'state', 'base', 'words'))
    assert 'train stands on base' in svg and svg.count('class="far"')==3
    assert draw(edges(tiny | {'train.state': 'from .loop import Loop'}))!=svg
    assert draw(edges(dict(reversed(tiny.items()))))==svg

def test_only_the_longest_ways_are_drawn():
    graph = dict(a={'b','c','d'}, b={'c'}, c={'d'}, d=set(), e={'d'})
    assert shortest(graph)==dict(a={'b'}, b={'c'}, c={'d'}, d=set(), e={'d'})
    assert floors(graph)==dict(a=3, b=2, c=1, d=0, e=1)

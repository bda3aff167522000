"""Imports follow the map of the house. Here rather than in a notebook because it reads all exported modules at once.

A module may import from the wings that its own may know (`KNOWS`) and, inside its wing, from modules that stand below
it: there is no circle."""
import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
import pytest

KNOWS = dict(base=(), store=('base',), data=('base','store'), model=('base','store'))
KNOWS |= dict(train=(*KNOWS, ), eval=(*KNOWS, ))
KNOWS |= dict(export=('base','store','data','model','eval'))
KNOWS |= dict(build=(*KNOWS, ))
KNOWS |= dict(cli=(*KNOWS, ))
PACKAGE = Path(__file__).parents[1]/'pretrain'

def modules():
    "Dotted name below `pretrain` to source"
    return {'.'.join(p.relative_to(PACKAGE).with_suffix('').parts): p.read_text(encoding='utf-8')
            for p in sorted(PACKAGE.rglob('[!_]*.py'))}

def imports(name, source):
    """What a module imports of ours, anywhere in it: (dotted name below `pretrain`, line); its tail may be a name in
    a module"""
    for n in ast.walk(ast.parse(source)):
        if isinstance(n, ast.Import): names = [a.name for a in n.names]
        elif isinstance(n, ast.ImportFrom):
            at = ['pretrain', *name.split('.')[:-n.level], *filter(None, [n.module])] if n.level else [n.module]
            names = ['.'.join([*at, a.name]) for a in n.names]
        else: continue
        yield from ((full.removeprefix('pretrain').lstrip('.'), n.lineno)
                    for full in names if full.partition('.')[0]=='pretrain')

def edges(sources):
    "Which module imports which: {module: {imported: line}}"
    res = {}
    for name,src in sources.items():
        res[name] = {}
        for full,line in imports(name, src):
            to = next((m for m in (full, full.rpartition('.')[0]) if m in sources), full)
            if to.startswith('__'): continue   # the version
            res[name].setdefault(to, line)
    return res

def wing(name): return name.partition('.')[0]

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
    assert len(modules())>20, f'no modules in {PACKAGE}'
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

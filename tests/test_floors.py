"""Imports point down the floors only. Here rather than in a notebook because it reads all exported modules at once."""
import ast
from pathlib import Path
import pytest

FLOORS = [['config', 'dist'],
          ['tokenizer', 'corpus', 'model', 'optim', 'schedule', 'metrics', 'track', 'checkpoint'],
          ['prepare', 'loader', 'preflight', 'bpb', 'core', 'generate', 'report', 'hf'],
          ['train', 'harness'],
          ['cli']]
FLOOR = {m: i for i,ms in enumerate(FLOORS) for m in ms}
ENTRY = {'__init__', '__main__', '_modidx'}   # made by tools or two lines long, outside the house
PACKAGE = Path(__file__).parents[1]/'pretrain'

def edges(source):
    "Our modules that a module's source imports, anywhere in it, with the line"
    for n in ast.walk(ast.parse(source)):
        names = []
        if isinstance(n, ast.Import): names = [a.name for a in n.names]
        elif isinstance(n, ast.ImportFrom):
            at = 'pretrain' if n.level else ''
            at = '.'.join(filter(None, [at, n.module]))
            names = [f'{at}.{a.name}' for a in n.names] if at=='pretrain' else [at]
        for name in names:
            head,_,rest = name.partition('.')
            if head=='pretrain' and rest: yield rest.split('.')[0], n.lineno
            elif head=='pretrain': yield '__init__', n.lineno

def violations(sources):
    "What is wrong with the imports of `{module: source}`, a line each"
    res = []
    for m,src in sources.items():
        if m not in FLOOR: res.append(f'{m}: stands on no floor'); continue
        for to,line in edges(src):
            if to in ENTRY or to.startswith('__'): continue   # `__version__` is no module
            if to not in FLOOR: res.append(f'{m}:{line}: imports {to}, which stands on no floor')
            elif FLOOR[to]>=FLOOR[m]: res.append(f'{m}:{line}: imports {to}; floor {FLOOR[m]} may not import floor {FLOOR[to]}')
    return res

def sources(): return {p.stem: p.read_text() for p in sorted(PACKAGE.glob('*.py')) if p.stem not in ENTRY}

def test_imports_point_down():
    assert sources(), f'no modules in {PACKAGE}'
    assert violations(sources())==[]

@pytest.mark.parametrize('module,source,said', [
    ('model', 'from .train import Run', 'floor 1 may not import floor 3'),                   # upward
    ('model', 'from pretrain.optim import build_optim', 'floor 1 may not import floor 1'),   # sideways
    ('loader', 'import pretrain.prepare', 'floor 2 may not import floor 2'),
    ('dist', 'from . import config', 'floor 0 may not import floor 0'),
    ('track', 'from pretrain import cli', 'floor 1 may not import floor 4'),
    ('config', 'def f():\n    from .cli import main', 'config:2: imports cli'),              # hidden in a function
    ('train', 'from .train import Run', 'floor 3 may not import floor 3'),                   # itself
    ('train', 'from .attic import old', 'attic, which stands on no floor'),
    ('attic', 'import torch', 'attic: stands on no floor')])
def test_planted_violation_is_seen(module, source, said):
    (line,) = violations({module: source})
    assert said in line

def test_circle_is_seen():
    "Wherever two modules stand, one of the two imports of a circle points up or sideways"
    for a in FLOOR:
        for b in FLOOR: assert violations({a: f'from .{b} import x', b: f'from .{a} import x'})

def test_downward_is_fine():
    assert violations({'cli': 'import os, torch\nfrom pretrain import __version__\nfrom .train import Run\nfrom pretrain.config import load_config'})==[]

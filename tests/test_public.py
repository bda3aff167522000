"""`from pretrain import …`: every name of the table of contents is there and says what it is, and loads when asked.

In tests/, since what is loaded, and how fast, shows only in a fresh process."""
import ast, inspect, os, re, subprocess, sys, time
from pathlib import Path
import pytest
import pretrain
from helpers import env, quiet

ROOT = Path(__file__).resolve().parents[1]

IMPORT_S,HELP_S = .2,.3   # what `import pretrain` and `pretrain --help` may take [s]
HEAVY = ('torch', 'numpy', 'matplotlib', 'pydantic', 'fastcore', 'tiktoken', 'transformers')

def python(*args):
    "A fresh process: (what it printed, how long it took [s]), of which others on this machine have no part"
    clock = time.perf_counter if quiet() else lambda: sum(os.times()[2:4])
    start = clock()
    p = subprocess.run([sys.executable, *args], env=env(), capture_output=True, text=True, check=True)
    return p.stdout,clock()-start

@pytest.mark.parametrize('name', pretrain.__all__)
def test_a_name_is_there_and_says_what_it_is(name):
    thing = getattr(pretrain, name)
    assert thing.__name__==name and inspect.getdoc(thing).strip()
    assert thing is getattr(pretrain, name)

@pytest.mark.parametrize('name', pretrain.__all__)
def test_help_tells_parameters(name):
    "Comments of parameters and fields reach help()"
    thing = getattr(pretrain, name)
    told,sig = inspect.getdoc(thing),inspect.signature(thing)
    assert 'Parameters:' in told and [p for p in sig.parameters if p not in told]==[]

def test_the_face_is_found_by_completion_and_star():
    assert {*pretrain.__all__, '__version__'} <= {*dir(pretrain)}
    assert python('-c', 'from pretrain import *; print(Config.__name__)')[0]=='Config\n'
    with pytest.raises(AttributeError, match="has no attribute 'Rnu'"): pretrain.Rnu  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Rnu'"): from pretrain import Rnu  # noqa: F401

def loaded(code): return python('-c', f'import sys\n{code}\nprint(*sys.modules)')[0].split()

def test_nothing_is_loaded_before_it_is_asked_for():
    assert {m for m in loaded('import pretrain') if m.startswith('pretrain')}=={'pretrain'}
    assert not {*HEAVY} & {*loaded('import pretrain, pretrain.cli')}
    assert 'torch' in loaded('from pretrain import GPT')   # and then it is

def fastest(*args): return min(python(*args)[1] for _ in range(3))

def test_import_and_help_are_instant():
    bare = fastest('-c', 'pass')
    assert fastest('-c', 'import pretrain')-bare<IMPORT_S
    assert fastest('-m', 'pretrain', '--help')<HELP_S

# ------------------------------------------------------------ a module is found by its idea

ROW = re.compile(r'^\| .+\? \| \[([\w/]+)\]\(nbs/([\w/]+)\.ipynb\) \| `(\w+)` \|$', re.M)

def holds(module, name, root=ROOT):
    "Is this a name that the module defines, or a method that it gives to a class?"
    f = root/f'pretrain/{module}.py'
    if not f.is_file(): return False
    for o in ast.parse(f.read_text(encoding='utf-8')).body:
        targets = o.targets if isinstance(o, ast.Assign) else [getattr(o, 'target', None)]
        if name in [getattr(o, 'name', None), *(t.id for t in targets if isinstance(t, ast.Name))]: return True
    return False

ASKED = ROW.findall((ROOT/'CONTRIBUTING.md').read_text(encoding='utf-8'))
def test_twenty_questions_are_answered(): assert len(ASKED)>=20 and len({q[2] for q in ASKED})==len(ASKED)

@pytest.mark.parametrize('said,linked,name', ASKED, ids=lambda s: s)
def test_a_question_of_contributing_is_answered_where_it_says(said, linked, name):
    assert said==linked and (ROOT/f'nbs/{linked}.ipynb').is_file()
    assert holds(linked, name), f'{linked} does not define {name}'

def test_a_wrong_answer_is_noticed(tmp_path):
    (tmp_path/'pretrain').mkdir()
    (tmp_path/'pretrain/m.py').write_text('A = 1\nB:int = 2\n@patch\ndef f(self:C): x = 1\nclass D: pass\n',
                                          encoding='utf-8')
    assert [holds('m', n, tmp_path) for n in ('A', 'B', 'f', 'D', 'x', 'C')]==[True]*4+[False]*2
    assert not holds('n', 'A', tmp_path) and not ROW.findall('| where? | [a/b](nbs/a/c.ipynb) | name |')

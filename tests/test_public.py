"""`from pretrain import …`: every name of the table of contents is there and says what it is, and loads when asked.

In tests/, since what is loaded, and how fast, shows only in a fresh process."""
import inspect, subprocess, sys, time
import pytest
import pretrain
from helpers import env

IMPORT_S,HELP_S = .2,.5   # what `import pretrain` and `pretrain --help` may take [s]
HEAVY = ('torch', 'numpy', 'matplotlib', 'pydantic', 'fastcore', 'tiktoken', 'transformers')

def python(*args):
    "A fresh process: (what it printed, how long it took [s])"
    start = time.perf_counter()
    p = subprocess.run([sys.executable, *args], env=env(), capture_output=True, text=True, check=True)
    return p.stdout,time.perf_counter()-start

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
    assert [p for p in sig.parameters if p!='self' and p not in told]==[]

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

"""Every notebook, run top to bottom with nbdev's own runner and flags, and what it says then beside what is saved in
it. In tests/, so that one pytest session counts chapters and tests together.

`python tests/test_notebooks.py nbs/data/shift.ipynb` prints how a fresh run differs from what is saved."""
import ast, atexit, difflib, gc, json, os, platform, re, sys
from pathlib import Path
import pytest
import torch
from execnb.shell import CaptureShell
from nbdev import test as nbdev_test   # not `from nbdev.test import test_nb`: pytest would collect that name
from nbdev.config import get_config
from nbdev.doclinks import nbglob
import forks

cfg = get_config()
nbs = nbglob(as_path=True).sorted()

def name(nb): return nb.resolve().relative_to(cfg.nbs_path.resolve()).with_suffix('').as_posix()

@pytest.fixture
def clean(monkeypatch):
    "A notebook gets the state a fresh session would: default generators, dtype and figures, its own folder"
    import matplotlib.pyplot as plt, torch
    monkeypatch.chdir(cfg.nbs_path)
    monkeypatch.setenv('IN_TEST', '1')
    forks.no_margins(monkeypatch.setattr)
    # laid out, so that what is wrong with it is noticed, but not painted: nobody looks at it
    monkeypatch.setattr('IPython.core.pylabtools.retina_figure', lambda fig, **_: fig.draw_without_rendering())
    env,threads = dict(os.environ),torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    plt.close('all')
    os.environ.clear()
    os.environ.update(env)
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(False)

# ------------------------------------------------------------ what is saved, and what a fresh run says

# The text that comes with Python is another one in another version, and sums round otherwise on another processor
def processor():
    "Its maker and model, as Linux names them; '' elsewhere"
    info = Path('/proc/cpuinfo')
    said = dict(re.findall(r'^([^\t:]+?)\s*: (.*)$', info.read_text(), re.M)) if info.exists() else {}
    return ' '.join(said.get(k, '') for k in ('vendor_id', 'cpu family', 'model')).strip()

MADE = dict(python='3.11.7', torch='2.13.0', machine='x86_64', sums='AVX512', processor='GenuineIntel 6 207')
HERE = dict(python=platform.python_version(), torch=torch.__version__.split('+')[0], machine=platform.machine(),
            sums=torch.backends.cpu.get_cpu_capability(), processor=processor())

# What no two runs have in common: numbers with a unit of time or speed, lines of it, and whatever follows the peak.
# A cell whose output is of that kind, or chance, says so: `#| varies`
TIMES = [re.compile(r'\d[\d,.]*(?:e[+-]?\d+)?(?= ?(?:s|ms|µs|min|tokens/s|tok/s|it/s|T?FLOPS)\b)'),
         re.compile(r'\b\d+:\d\d(?::\d\d)?\b'), re.compile(r'^ *(?:time|speed)\b.*'),
         re.compile(r'\b(?:peak|MFU|mfu) .*')]
PLACE = re.compile(r' at 0x[0-9a-f]+')   # in memory

# Notebooks that are compared, or their folders; and those in them that are not, to the reason
HELD = tuple("""tutorials/ base/agree base/args base/card base/chart base/config base/help base/meanwhile base/screen
    base/serve base/toml base/url base/value base/watch base/words data/bpe data/corpus data/edits data/given
    data/machines data/mixture data/packing data/parts data/policy data/readers data/records data/remote data/shards
    data/shift data/show data/split data/stages data/stores data/streams data/strips data/tables data/tokenizer
    data/units store/tensors train/state""".split())
APART = {
    'tutorials/first_run': 'what was written stands in a panel where there is one, else among what is printed',
}

def is_held(n): return n.startswith(HELD) and n not in APART

def lines_of(text):
    "What is compared of a text: timings and addresses are one like another"
    for l in (l for l in text.splitlines() if not l.startswith('yardsticks:')):   # which come when they are ready
        for rex in TIMES: l = rex.sub('#', PLACE.sub('', l))
        yield ' '.join(l.split())   # columns are as wide as what stands in them

def said(cell):
    "What a cell printed, and what it came to"
    if 'varies' in getattr(cell, 'directives_', {}): return []
    quiet,printed,come = cell.source.rstrip().endswith(';'),'',''
    for o in cell.outputs:
        if o['output_type']=='stream' and o['name']=='stdout' and not quiet: printed += ''.join(o['text'])
        # what shows itself, as a figure does, comes to nothing
        if o['output_type']=='execute_result' and o['data']: come += ''.join(o['data'].get('text/plain', ''))+'\n'
    return [*lines_of(printed), *lines_of(come)]

class Kept(CaptureShell):
    "Keeps the notebook that it ran, and of each cell what was saved"
    def run_all(self, nb, **kw):
        Kept.last = self
        Kept.cells = [(c, said(c)) for c in nb.cells if c.cell_type=='code']
        for c,_ in Kept.cells: c.outputs = []
        return super().run_all(nb, **kw)

def differences():
    "Of the notebook that was run last: cells that say something else than what is saved"
    for c,was in Kept.cells:
        if (now := said(c))==was: continue
        yield '\n'.join([f'cell {c.id}:', *difflib.unified_diff(was, now, 'saved', 'fresh', n=0, lineterm='')])

def run_nb(nb, **kw):
    "Run it as nbdev does"
    return nbdev_test.test_nb(nb.absolute(), skip_flags=cfg.tst_flags.split(), basepath=cfg.config_path, **kw)[0]

def forget(shell):
    "What a notebook made would stay until this process ends, gigabytes in the end: a shell waits for it to clean up"
    atexit.unregister(shell.atexit_operations)
    shell.reset = lambda **_: None   # it would empty names that methods need which a chapter gave to our classes
    shell.atexit_operations()

@pytest.fixture
def kept(monkeypatch):
    monkeypatch.setattr(nbdev_test, 'CaptureShell', Kept)
    monkeypatch.setitem(sys.modules, '__main__', sys.modules['__main__'])   # a shell puts its own there
    Kept.last = None
    gc.freeze()    # what is there has nothing to do with this notebook: below it need not be looked through
    yield
    if Kept.last: forget(Kept.last)
    gc.collect()   # runs that a chapter left say their last word under its name, not in the cells of the next

@pytest.mark.parametrize('nb', nbs, ids=name)
def test_notebook(nb, clean, kept):
    assert run_nb(nb), f'{nb.name} failed; the cell and its traceback are in stderr'
    if HERE==MADE and is_held(name(nb)):
        assert not (found := list(differences())), 'what is saved is not what a fresh run says\n'+'\n'.join(found)

def test_a_failing_cell_fails(tmp_path, clean):
    "The runner is a detector: a notebook with one false assertion must not pass"
    from execnb.nbio import mk_cell, new_nb, write_nb
    for src,want in [('assert 1+1==2', True), ('assert 1+1==3', False), ('1/0', False)]:
        write_nb(new_nb([mk_cell('# T\n\n> s', 'markdown'), mk_cell(src, 'code')]), tmp_path/'t.ipynb')
        assert nbdev_test.test_nb(tmp_path/'t.ipynb', showerr=False)[0]==want

@pytest.mark.parametrize('src,saved,n', [
    ('1+1', '2', 0), ('1+1', '3', 1), ('1+1', None, 1), ('x = 1', None, 0), ('x = 1', '2', 1),
    ("'took 3.1 s'", "'took 0.4 s'", 0), ("'took 3.1 x'", "'took 0.4 x'", 1), ("'at 0:13, 2'", "'at 1:07, 2'", 0),
    ("'loss 3.1, 5 ms'", "'loss 3.2, 5 ms'", 1), ('#| varies\n1+1', '3', 0), ("print('speed 1 of 2')", None, 1),
    ("'the peak 3 of 4'", "'the peak 1'", 0)])
def test_a_saved_output_that_is_another_is_noticed(tmp_path, clean, kept, src, saved, n):
    from execnb.nbio import mk_cell, new_nb, write_nb
    cell = mk_cell(src, 'code')
    result = dict(output_type='execute_result', execution_count=None, metadata={}, data={'text/plain': [saved]})
    cell['outputs'] = [result] if saved else []
    write_nb(new_nb([mk_cell('# T\n\n> s', 'markdown'), cell]), tmp_path/'t.ipynb')
    assert nbdev_test.test_nb(tmp_path/'t.ipynb', showerr=False)[0] and len(list(differences()))==n

def forgotten(cells):
    "Those that end in a value and show nothing: they were never run, or not saved after it"
    for c in cells:
        src = re.sub(r'^[%!].*', '', ''.join(c['source']), flags=re.M)
        if c['cell_type']!='code' or c['outputs'] or src.rstrip().endswith(';'): continue
        if re.search(r'^#\| *(?:export|hide|slow|varies|eval|cuda|dist)', src, re.M): continue
        body = ast.parse(src).body
        last = body[-1] if body else None
        if isinstance(last, ast.Expr) and not isinstance(last.value, (ast.Call, ast.Constant)): yield c['id']

def test_every_value_that_ends_a_cell_is_shown():
    read = {name(nb): json.loads(nb.read_text(encoding='utf-8'))['cells'] for nb in nbs}
    assert {k: found for k,cells in read.items() if (found := [*forgotten(cells)])}=={}
    def cell(src, outputs=()): return dict(cell_type='code', id=src, source=[src], outputs=outputs)
    some = cell('a, b'),cell('a, b', ['(1, 2)']),cell('a;'),cell('f(a)'),cell('#| hide\na')
    assert [*forgotten(some)]==['a, b']

def test_notebooks_that_are_held_exist_and_those_apart_have_a_reason():
    names = [name(nb) for nb in nbs]
    assert {h for h in HELD if not any(n.startswith(h) for n in names)}==set()
    assert {n for n,why in APART.items() if not why or n not in names or not n.startswith(HELD)}==set()

if __name__=='__main__':
    os.environ['IN_TEST'] = '1'
    torch.set_num_threads(1)
    nbdev_test.CaptureShell = Kept
    for a in sys.argv[1:]:
        nb = next(o for o in nbs if o.resolve()==(cfg.config_path/a).resolve())
        print(f'{name(nb)}: {"ran" if run_nb(nb) else "failed"}', *differences(), sep='\n', flush=True)

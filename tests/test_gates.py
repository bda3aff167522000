"""The gates of CONTRIBUTING.md, each shown to notice what it is for. In tests/, since they read the whole tree and
run tools on a copy of it."""
import ast, json, os, re, shutil, subprocess, sys
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'.ci'))
import apidoc, picture, readme

TEXT = {'.py', '.ipynb', '.md', '.toml', '.json', '.ini', '.yml', '.css', '', '.in', '.sh', '.txt'}
JUNK = {'.git', '__pycache__', '.ipynb_checkpoints', '_docs', '_proc', 'runs', '.venv', 'build', 'dist',
        '.pytest_cache', '.ruff_cache', '.hypothesis'}

def tree(root=ROOT):
    "Files that are, or would be, in the repository"
    p = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=root, capture_output=True, text=True)
    if p.returncode==0: names = p.stdout.splitlines()
    else:
        names = [f.relative_to(root).as_posix() for f in root.rglob('*') if f.is_file() and not JUNK & set(f.parts)
                 and not any(s.endswith('.egg-info') for s in f.parts)]
    return [root/n for n in names if (root/n).is_file()]

def text(x): return x if isinstance(x, str) else ''.join(x or '')
def rel(f, root=ROOT): return f.relative_to(root).as_posix()
def cells(f): return json.loads(f.read_text(encoding='utf-8'))['cells']

FILES = tree()
NBS = [f for f in FILES if f.suffix=='.ipynb']
MOST_BYTES = 300_000   # Of a notebook with its outputs: more is slow to open, and to review
MODULES = sorted((ROOT/'pretrain').rglob('[!_]*.py'))
ids = lambda f: rel(f)

# ------------------------------------------------------------ clean and export

def snapshot(root):
    return {rel(f, root): f.read_bytes() for d in ('nbs', 'pretrain') for f in (root/d).rglob('*') if f.is_file()
            and not JUNK & set(f.parts)}

def copy(dst):
    for f in FILES:
        to = dst/rel(f)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(f, to)
    return dst

def out_of_sync(root):
    "Files under `root` that clean and export would change, add or remove"
    was = snapshot(root)
    for f in (root/'pretrain').rglob('*.py'):
        if f.name not in ('__init__.py', '__main__.py'): f.unlink()
    env = {k:v for k,v in os.environ.items() if k!='IN_TEST'} | {'PYTHONPATH': str(root)}
    code = ('from nbdev.clean import nbdev_clean; from nbdev.doclinks import nbdev_export; '
            'nbdev_clean.__wrapped__(); nbdev_export.__wrapped__()')
    subprocess.run([sys.executable, '-c', code], cwd=root, env=env, check=True, capture_output=True)
    now = snapshot(root)
    return sorted(k for k in was.keys()|now.keys() if was.get(k)!=now.get(k))

def test_clean_and_export_leave_no_difference(tmp_path): assert out_of_sync(copy(tmp_path))==[]

def test_differences_are_noticed(tmp_path):
    copy(tmp_path)
    base = set(out_of_sync(tmp_path))
    mod,nb = next((tmp_path/'pretrain').rglob('[!_]*.py')),next((tmp_path/'nbs').glob('*.ipynb'))
    mod.write_text(mod.read_text(encoding='utf-8')+'\nedited_by_hand = 1\n', encoding='utf-8')
    (tmp_path/'pretrain/stale.py').write_text('# left over after its notebook was renamed\n')
    d = json.loads(nb.read_text(encoding='utf-8'))
    d['metadata']['language_info'] = {'name': 'python', 'version': '0'}
    nb.write_text(json.dumps(d), encoding='utf-8')
    cell = lambda s,i: dict(cell_type='code', execution_count=None, id=f'c{i}', metadata={}, outputs=[], source=s)
    new = dict(d, cells=[cell('#| default_exp fresh', 0), cell('#| export\ndef fresh(): return 1', 1)])
    (tmp_path/'nbs/99_fresh.ipynb').write_text(json.dumps(new, indent=1), encoding='utf-8')
    got = set(out_of_sync(tmp_path))-base
    assert {rel(mod, tmp_path), 'pretrain/stale.py', rel(nb, tmp_path), 'pretrain/fresh.py'}<=got, got

def test_readme_is_current():
    index = json.loads((ROOT/'nbs/index.ipynb').read_text(encoding='utf-8'))
    assert readme.readme(index)==(ROOT/'README.md').read_text(encoding='utf-8'), 'run python .ci/readme.py'

def test_the_picture_is_drawn_from_what_is_kept():
    kept = json.loads(picture.KEPT.read_text(encoding='utf-8'))
    assert picture.draw(kept)==picture.DRAWN.read_text(encoding='utf-8'), 'run python .ci/picture.py'
    assert {'0', '100', str(kept['steps'])}==set(kept['wrote']) and 'https' not in picture.draw(kept)
    assert picture.draw(kept | dict(bpb=kept['bpb'][:2]))!=picture.draw(kept)

def test_readme_follows_the_notebook():
    written = '[a](data/loader.ipynb#x) [b](https://x.org) [c](../LICENSE)'
    nb = dict(cells=[dict(cell_type='markdown', source=f'# T\n\n{written}'),
                     dict(cell_type='code', source='#| echo: false\n1',
                          outputs=[dict(output_type='execute_result', data={'text/plain': '1'})]),
                     dict(cell_type='code', source='#| hide\nimport os', outputs=[])])
    links = '[a](nbs/data/loader.ipynb#x) [b](https://x.org) [c](LICENSE)'
    assert readme.readme(nb).removeprefix(readme.NOTE)==f'# T\n\n{links}\n\n```text\n1\n```\n'

def test_readme_commands_are_the_two_commands():
    cmds = re.findall(r'```bash\n(python3 -m venv .+)\n```', (ROOT/'README.md').read_text(encoding='utf-8'))
    assert [c.rsplit('&& ')[-1] for c in cmds]==['pretrain train quickstart', 'python -m pytest']

# ------------------------------------------------------------ lint

def ruff(*args, cwd=ROOT):
    return subprocess.run([sys.executable, '-m', 'ruff', 'check', '--no-cache', '--output-format=concise', *args],
                          cwd=cwd, capture_output=True, text=True)

def test_ruff():
    p = ruff()
    assert p.returncode==0, p.stdout

def test_ruff_notices(tmp_path):
    (tmp_path/'m.py').write_text('def f(): return undefined_name\n')
    shutil.copy(ROOT/'pyproject.toml', tmp_path)
    assert 'F821' in ruff('m.py', cwd=tmp_path).stdout

# ------------------------------------------------------------ words, paths, calls

def joined(*parts): return ''.join(parts)   # the words below must not match themselves
WORDS = re.compile('|'.join([joined(r'\bTO','DO\\b'), joined(r'\bFIX','ME\\b'), joined(r'\bX','XX\\b'),
                             joined(r'(?<!:)\b(?i:place','holder)'),
                             joined(r'\b(?i:for',r'\s+now)\b'), joined('NotImpl','ementedError')]))
PATHS = re.compile('|'.join(joined(r'(?<![\w.~-])/', d, '/') for d in ('work', 'root', 'home', 'tmp', 'opt')))

def written(f):
    "What people wrote in a file: of a notebook the sources"
    return '\n'.join(text(c['source']) for c in cells(f)) if f.suffix=='.ipynb' else f.read_text(encoding='utf-8')

def printed(f):
    "What cells printed, pictures left out"
    for c in cells(f):
        for o in c.get('outputs', []):
            yield text(o.get('text')) + '\n'.join(text(v) for k,v in o.get('data', {}).items()
                                                  if not k.startswith('image/') and isinstance(v, (str,list)))

def hits(rex, s): return [l.strip()[:160] for l in s.splitlines() if rex.search(l)]

SOURCES = [f for f in FILES if f.suffix in TEXT and f.name!='LICENSE']
def test_nothing_unfinished(): assert {rel(f): h for f in SOURCES if (h := hits(WORDS, written(f)))}=={}
def test_no_machine_paths():
    assert {rel(f): h for f in SOURCES if (h := hits(PATHS, written(f)))}=={}
    assert {rel(f): h for f in NBS if (h := [l for s in printed(f) for l in hits(PATHS, s)])}=={}

@pytest.mark.parametrize('rex,s,n', [(WORDS, joined('# TO','DO: x'), 1), (WORDS, joined('ok for',' now'), 1),
                                     (WORDS, joined('raise NotImpl','ementedError'), 1),
    (WORDS, joined('a place','holder'), 1), (WORDS, joined('# X','XX'), 1), (WORDS, 'before nowhere, to do', 0),
    (PATHS, joined('File "/ho','me/me/x.py"'), 1), (PATHS, joined('/tm','p/ipykernel_1'), 1),
    (PATHS, 'my/home/x and a/work/b', 0)])
def test_words_and_paths_are_noticed(rex, s, n): assert len(hits(rex, s))==n

UNSAFE = dict(load='pickle torch yaml joblib dill marshal cloudpickle numpy.lib.npyio',
              loads='pickle dill marshal cloudpickle', unsafe_load='yaml', full_load='yaml',
              Unpickler='pickle', read_pickle='pd pandas', open='shelve')
def unsafe(src):
    "Calls and imports that could run what a file says"
    res = []
    for o in ast.walk(ast.parse(src)):
        if isinstance(o, (ast.Import, ast.ImportFrom)):
            names = [a.name for a in o.names] if isinstance(o, ast.Import) else [o.module or '']
            res += [f'line {o.lineno}: import {n}' for n in names
                    if n.split('.')[0] in ('pickle', 'dill', 'marshal', 'shelve', 'joblib', 'cloudpickle')]
        elif isinstance(o, ast.Call):
            f = o.func
            if isinstance(f, ast.Name) and f.id in ('eval', 'exec'): res.append(f'line {o.lineno}: {f.id}')
            if isinstance(f, ast.Attribute) and ast.unparse(f.value) in UNSAFE.get(f.attr, '').split():
                res.append(f'line {o.lineno}: {ast.unparse(f)}')
            res += [f'line {o.lineno}: {k.arg}' for k in o.keywords if k.arg=='allow_pickle'
                    and getattr(k.value, 'value', True) is not False]
    return res

@pytest.mark.parametrize('f', MODULES, ids=ids)
def test_no_code_from_files(f): assert unsafe(f.read_text(encoding='utf-8'))==[]

def test_code_from_files_is_noticed():
    for s in ('torch.load(f)', 'import pickle', 'eval("1")', 'exec(s)', 'yaml.load(f)', 'np.load(f, allow_pickle=True)',
              'from pickle import loads'):
        assert unsafe(s), s
    for s in ('model.eval()', 'json.load(f)', 'np.load(f)', 're.compile("x")', 'yaml.safe_load(f)',
              'np.load(f, allow_pickle=False)'):
        assert not unsafe(s), s

# ------------------------------------------------------------ definitions

def real_body(o):
    return [b for b in o.body if not (isinstance(b, ast.Expr) and isinstance(b.value, ast.Constant))
            and not isinstance(b, ast.Pass)]

def empty(src):
    "Public functions that do nothing; a method may, where it turns off one that its base class defines"
    tree = ast.parse(src)
    doing = {c.name: {m.name for m in apidoc.methods(c) if real_body(m)}
             for c in ast.walk(tree) if isinstance(c, ast.ClassDef)}
    off = {id(m) for c in ast.walk(tree) if isinstance(c, ast.ClassDef) for m in apidoc.methods(c)
           if any(m.name in doing.get(ast.unparse(b), ()) for b in c.bases)}
    return [o.name for o in ast.walk(tree) if isinstance(o, apidoc.DEFS[:2]) and not o.name.startswith('_')
            and not real_body(o) and id(o) not in off]

def undocumented(src):
    "Public definitions without docstring, parameters and fields without comment"
    res,com = [],apidoc.comments(src)
    for n,o in apidoc.definitions(src):
        if any(p.startswith('_') for p in n.split('.')): continue
        if not ast.get_docstring(o): res.append(f'{n}: no docstring')
        if isinstance(o, ast.ClassDef):
            init = next((m for m in apidoc.methods(o) if m.name=='__init__'), None)
            fields = apidoc.fields(o, com) if apidoc.is_data(o) else []
            ps = apidoc.params(init, com)[0] if init else fields
        else: ps = apidoc.params(o, com)[0]
        # a section documents itself
        res += [f'{n}: no comment on {p.name}' for p in ps if not p.doc and p.default!=f'{p.anno}()']
    return res

@pytest.mark.parametrize('f', MODULES, ids=ids)
def test_definitions(f):
    src = f.read_text(encoding='utf-8')
    bad = [f'{n}: does nothing' for n in empty(src)]+undocumented(src)
    assert not bad, '\n'.join(bad)

def test_bad_definitions_are_noticed():
    assert empty('def f(): pass\ndef g():\n    "Says"\n    ...\ndef _h(): pass\ndef k(): return 1')==['f','g']
    assert empty('class A:\n def f(self): return 1\nclass B(A):\n def f(self): pass')==[]
    assert empty('class A:\n def f(self): pass')==['f']
    assert undocumented('def f(\n    a, # First\n    b,\n):\n    "Doc"\n    return a')==['f: no comment on b']
    assert undocumented('def f(): return 1')==['f: no docstring'] and undocumented('def _f(x): return 1')==[]
    for d in ('dataclass', 'section'):
        assert undocumented(f'@{d}\nclass C:\n    "Doc"\n    a:int=1 # One\n    b:int=2')==['C: no comment on b']

# ------------------------------------------------------------ notebooks

@pytest.mark.parametrize('f', NBS, ids=ids)
def test_notebook_form(f):
    cs = cells(f)
    assert re.match(r'# \S.*\n+> \S', text(cs[0]['source'])), 'starts with an H1 and a one-line > subtitle'
    assert f.stat().st_size<=MOST_BYTES, f"{f.stat().st_size:,} bytes: a smaller figure, or none of what nobody reads"
    assert not [o for c in cs for o in c.get('outputs', []) if o['output_type']=='error']
    assert not [text(o['text'])[:200] for c in cs for o in c.get('outputs', []) if o.get('name')=='stderr'
                and 'Warning' in text(o['text'])], 'a saved warning'
    if any('#| default_exp' in text(c['source']) for c in cs):
        assert re.search(r'#\| hide\b[\s\S]*nbdev_export\(\)', text(cs[-1]['source'])), 'the hidden last cell exports'

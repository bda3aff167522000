"""The website builds without network and every link in it leads somewhere. In tests/, since it runs the docs command
over all notebooks."""
import json, os, re, subprocess, sys
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'.ci'))
import apidoc, docs

@pytest.fixture(scope='module')
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp('docs')/'site'
    p = subprocess.run([sys.executable, ROOT/'.ci/docs.py', '--out', out], cwd=ROOT, capture_output=True, text=True)
    print(p.stdout)
    assert p.returncode==0, p.stdout+p.stderr
    return out

def test_no_broken_links(site):
    n,bad = docs.check(site)
    print(n)
    assert bad==[]
    nbs = [f for f in (ROOT/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in f.parts]
    mods = list((ROOT/'pretrain').rglob('[!_]*.py'))
    assert n['pages']>=len(nbs)+len(mods) and n['links']>n['pages'] and n['anchors']>0

def test_every_notebook_is_in_the_sidebar():
    bar = (ROOT/'nbs/sidebar.yml').read_text(encoding='utf-8')
    listed = re.findall(r'[\w/]+\.ipynb', bar)
    have = [f.relative_to(ROOT/'nbs').as_posix() for f in (ROOT/'nbs').rglob('*.ipynb')
            if '.ipynb_checkpoints' not in f.parts]
    assert sorted(listed)==sorted(have)

def test_the_sidebar_has_the_wings():
    "A chapter stands in the section that names its folder"
    bar = (ROOT/'nbs/sidebar.yml').read_text(encoding='utf-8')
    sections = re.findall(r'- section: .*\((\w[\w, ]*)\)\n((?: {8,}.*\n)*)', bar)
    assert [s for s,_ in sections]==['data', 'model', 'train', 'eval', 'export', 'build, cli', 'store', 'base']
    for names,listed in sections:
        wings = [p.partition('/')[0].removesuffix('.ipynb') for p in re.findall(r'([\w/]+\.ipynb)', listed)]
        assert {*wings}-{'reports'}=={*names.split(', ')}, names

def test_every_definition_has_an_entry_and_a_source_line(site):
    for m in sorted((ROOT/'pretrain').rglob('[!_]*.py')):
        nb = re.search(r'File to edit: (?:\.\./)+nbs/(\S+)\.ipynb', m.read_text(encoding='utf-8'))[1]
        page = (site/f'{nb}.html').read_text(encoding='utf-8')
        src = docs.Page((site/'source'/m.relative_to(ROOT/'pretrain').with_suffix('.html')).read_text(encoding='utf-8'))
        for n,line in apidoc.lines(m.read_text(encoding='utf-8')).items():
            assert n.startswith('_') or f'id="{n.lower()}"' in page, f'{n} has no entry in {nb}'
            assert f'L{line}' in src.ids

def test_formulas_and_search_need_no_network(site):
    for f in site.rglob('*.html'):
        s = f.read_text(encoding='utf-8')
        assert 'class="math' not in s or '<math' in s, f
        odd = [m for m in re.findall(r'<math[^>]*display="inline".*?</math>', s, flags=re.S)
               if 'linebreak="newline"' in m]
        assert not odd, f'{f.name}: a doubled backslash breaks the line inside a formula: {odd}'
        assert '\\(' not in re.sub(r'<(pre|code|script)\b.*?</\1>', '', s,
                                   flags=re.S), f'{f.name}: a formula was left as TeX'
    idx = json.loads((site/'search.json').read_text(encoding='utf-8'))
    assert {e['href'].partition('#')[0] for e in idx}>={'index.html', 'data/loader.html'}

@pytest.mark.parametrize('body,why', [
    ('<a href="none.html">x</a>', 'leads nowhere'), ('<a href="#none">x</a>', 'no such anchor'),
    ('<img src="none.png">', 'leads nowhere'),
    ('<a href="b.html#none">x</a>', 'no such anchor'), ('<p id="x"></p><p id="x"></p>', 'twice'),
    ('<img src="data:">', 'empty picture'),
    ('<script src="https://cdn.example/x.js"></script>', 'from elsewhere'),
    ('<link href="https://fonts.example/x.css">', 'from elsewhere'),
], ids=lambda s: s if ' ' in s and '<' not in s else None)
def test_the_checker_notices(body, why, tmp_path):
    (tmp_path/'a.html').write_text(f'<p id="here"></p><a href="#here">x</a><a href="b.html#there">x</a>{body}')
    (tmp_path/'b.html').write_text('<p id="there"></p>')
    _,bad = docs.check(tmp_path)
    assert len(bad)==1 and why in bad[0], bad

def test_the_checker_passes_what_is_good(tmp_path):
    (tmp_path/'a.html').write_text('<p id="here"></p><a href="#here">x</a><img src="data:image/png;base64,aa"><a '
                                   'href="https://example.org">x</a>')
    n,bad = docs.check(tmp_path)
    assert bad==[] and n==dict(pages=1, links=1, anchors=1, images=1, outside=1)

SRC = '''
def plain(a:int, # First
    *rest,       # Others
    b=2,         # Last
)->str:          # What comes back
    "Says what"
@patch
def grow(self:Loader, n:int): "Grows"
class Loader:
    def __init__(self,
        rows, # How many
    ): self.rows = rows
    def batch(self, i): "One batch"
'''
def test_docments_are_read_from_source():
    com,d = apidoc.comments(SRC),dict(apidoc.definitions(SRC))
    ps,ret = apidoc.params(d['plain'], com)
    assert [(p.name,p.anno,p.default,p.doc) for p in ps]==[('a','int','','First'), ('*rest','','','Others'),
                                                           ('b','','2','Last')]
    assert (ret.anno,ret.doc)==('str','What comes back')
    assert list(d)==['plain','Loader.grow','Loader'] and apidoc.signature(d['plain'])=='plain(a:int, *rest, b=2)->str'
    assert apidoc.signature(d['Loader'])=='Loader(rows)' and apidoc.lines(SRC)['Loader.batch']==13
    section = dict(apidoc.definitions('@section\nclass C:\n    a:int=1 # One'))['C']
    assert apidoc.signature(section)=='C(*, a:int=1)'
    md = apidoc.describe('Loader', d['Loader'], com, 'x.html#L9')
    assert '{#loader .api}' in md and 'How many' in md and 'id="loader.batch"' in md and 'x.html#L9' in md

def test_nbdev_processes_every_notebook(tmp_path):
    "nbdev's own processors, which execute every cell that holds an import, accept all chapters"
    code = ("import os, sys, warnings; warnings.simplefilter('ignore')\n"
            "from pathlib import Path; from nbdev.serve_drv import main; from nbdev.processors import FilterDefaults\n"
            "home = Path.cwd()\n"
            "for f in sorted(Path('nbs').resolve().rglob('*.ipynb')):\n"
            "    os.chdir(home)   # a chapter may work in a folder of its own, which goes when it does\n"
            "    print(f); main((f, Path(sys.argv[1])/f.name, FilterDefaults))\n"
            "os.chdir(home)")
    env = {k:v for k,v in os.environ.items() if k!='IN_TEST'} | {'PYTHONPATH': str(ROOT)}
    p = subprocess.run([sys.executable, '-c', code, tmp_path], cwd=ROOT, env=env, capture_output=True, text=True)
    assert p.returncode==0, p.stdout[-200:]+p.stderr[-3000:]

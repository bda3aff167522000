"""The website builds without network and every link in it leads somewhere. In tests/, since it runs the docs command
over all notebooks."""
import base64, io, json, os, re, subprocess, sys
from importlib import import_module
from pathlib import Path
import pytest
from PIL import Image
from nbdev import processors as nbdev_processors
from nbdev.process import NBProcessor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'.ci'))
import apidoc, axe, docs, finish, seek
from pretrain.base.chart import PAPER, on_paper

@pytest.fixture(scope='module')
def built(tmp_path_factory):
    "The site, and what the command that made and checked it says"
    out = tmp_path_factory.mktemp('docs')/'site'
    p = subprocess.run([sys.executable, ROOT/'.ci/docs.py', '--out', out], cwd=ROOT, capture_output=True, text=True)
    print(p.stdout)
    assert p.returncode==0, p.stdout+p.stderr
    return out,p.stdout

@pytest.fixture(scope='module')
def site(built): return built[0]

def test_no_broken_links(built):
    said = built[1].splitlines()[-1]
    assert '; 0 problems; ' in said, said
    n = {what: int(o) for o,what in re.findall(r'(\d+) (\w+)', said.partition(';')[0])}
    nbs = [f for f in (ROOT/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in f.parts]
    mods = list((ROOT/'pretrain').rglob('[!_]*.py'))
    assert n['pages']>=len(nbs)+len(mods) and n['links']>n['pages'] and n['anchors']>0

@pytest.mark.parametrize('links,code', [(['there.html'], 0), (['there.html', 'none.html', 'none.html'], 1)])
def test_the_command_ends_with_what_it_found(links, code, tmp_path, monkeypatch, capsys):
    def build(out):
        (Path(out)/'there.html').write_text(''.join(f'<a href="{o}">x</a>' for o in links))
        return []
    monkeypatch.setattr(docs, 'build', build)
    monkeypatch.setattr(sys, 'argv', ['docs.py', '--out', str(tmp_path)])
    assert docs.main()==code
    *bad,end = capsys.readouterr().out.splitlines()
    n = links.count('none.html')
    assert bad==['there.html: none.html leads nowhere']*n and f'; {n} problems; ' in end

def test_the_command_of_the_readme_installs_what_it_needs():
    readme = (ROOT/'README.md').read_text(encoding='utf-8')
    assert "pip install -e '.[dev]' && python .ci/docs.py" in readme
    dev = re.search(r'^dev_requirements = (.*)$', (ROOT/'settings.ini').read_text(encoding='utf-8'), re.M)[1]
    assert {'nbdev', 'execnb', 'smalldocs', 'latex2mathml'}=={*docs.NEEDS} and all(o in dev for o in docs.NEEDS)

def test_what_is_missing_is_said_in_one_line(tmp_path):
    "As after a plain `pip install .`: the renderer is not there"
    code = f"import sys; sys.path.insert(0, {str(ROOT/'.ci')!r}); import docs; "
    code += "docs.NEEDS = 'smalldocs_', 'nbdev'; docs.main()"
    p = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True)
    assert p.returncode==1 and p.stderr=="smalldocs_: not installed; pip install -e '.[dev]' has what the site needs\n"

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
    top = 'reading, sizes, alive, build, looking, showing, play, doors, seeds, planning, cli'
    want = ['data', 'model', 'train', 'eval', 'export', top, 'store', 'base']
    assert [s for s,_ in sections]==want
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

def test_the_table_of_a_class_has_the_methods_that_it_gets_later(site):
    n = 0
    for m in sorted((ROOT/'pretrain').rglob('[!_]*.py')):
        text = m.read_text(encoding='utf-8')
        nb = re.search(r'File to edit: (?:\.\./)+nbs/(\S+)\.ipynb', text)[1]
        page,own = (site/f'{nb}.html').read_text(encoding='utf-8'),{n for n,_ in apidoc.definitions(text)}
        for cls,methods in apidoc.patched(text).items():
            for o in methods:
                n += 1
                row = f'<a href="#{cls.lower()}.{o.name.lower()}"><code>'
                assert cls not in own or row in page, f'{nb}: {cls}.{o.name}'
    assert n>50

# ------------------------------------------------------------ colours: is there enough contrast to read?

def luminance(colour):
    "Relative luminance, https://www.w3.org/TR/WCAG21/#dfn-relative-luminance"
    c = colour.lstrip('#')
    c = c if len(c)==6 else ''.join(2*o for o in c)
    r,g,b = (v/12.92 if v<=.04045 else ((v+.055)/1.055)**2.4 for v in (int(c[i:i+2], 16)/255 for i in (0,2,4)))
    return .2126*r+.7152*g+.0722*b

def contrast(a, b):
    lo,hi = sorted((luminance(a), luminance(b)))
    return (hi+.05)/(lo+.05)

def declared(selector):
    "What the stylesheet says under one selector"
    css = re.sub(r'/\*.*?\*/', '', (ROOT/'nbs/styles.css').read_text(encoding='utf-8'), flags=re.S)
    rules = re.findall(r'([^{}]+)\{([^{}]*)\}', css)
    rules = [body for names,body in rules if selector in map(str.strip, names.split(','))]
    return dict(map(str.strip, d.split(':', 1)) for body in rules for d in body.split(';') if ':' in d)

ENOUGH = 4.5 # WCAG 2.1, level AA, text of ordinary size
def test_contrast_is_what_it_should_be():
    assert contrast('#fff', '#000')==pytest.approx(21) and contrast('#2780e3', '#fff')==pytest.approx(3.97, abs=.01)
    bar,ink = '.navbar.bg-primary',declared('.navbar.bg-primary .nav-link')['color']
    for theme in ('', '.quarto-dark '):
        assert contrast(declared(theme+bar)['--bar'], ink)>=ENOUGH
        found = declared(f'{theme}.smalldocs-search-results')
        for under in ('--bs-body-bg', '--bs-tertiary-bg'):
            for over in ('--bs-body-color', '--sd-muted'): assert contrast(found[under], found[over])>=ENOUGH, over
    assert luminance(declared('.smalldocs-search-results')['--bs-body-bg'])==1   # white on the light page
    found = declared('.smalldocs-search-results')
    assert contrast(found['--bs-highlight-bg'], found['--bs-highlight-color'])>=ENOUGH
    box = declared('.navbar .smalldocs-search input')
    assert contrast(box['background'], box['color'])>=ENOUGH

def test_formulas_and_search_need_no_network(site):
    for f in site.rglob('*.html'):
        s = f.read_text(encoding='utf-8')
        assert 'class="math' not in s or '<math' in s, f
        assert '<style class="paper">' not in s, f'{f.name}: the style is JupyterLab\'s; the page has its own'
        odd = [m for m in re.findall(r'<math[^>]*display="inline".*?</math>', s, flags=re.S)
               if 'linebreak="newline"' in m]
        assert not odd, f'{f.name}: a doubled backslash breaks the line inside a formula: {odd}'
        assert '\\(' not in re.sub(r'<(pre|code|script)\b.*?</\1>', '', s,
                                   flags=re.S), f'{f.name}: a formula was left as TeX'
    assert {h for h,_ in index_of(site)['pages']}>={'index.html', 'data/loader.html'}

# ------------------------------------------------------------ search: does it find what newcomers ask?

def index_of(site):
    text = (site/'search.js').read_text(encoding='utf-8')
    return json.loads(text.removeprefix('window.siteIndex = ').rstrip(';\n'))

QUESTIONS = {   # A question: the pages of which one must be among the first three
    'how do I use my own data': 'tutorials/own_corpus', 'learning rate': 'model/schedule',
    'resume after a crash': 'build store/checkpoint train/loop', 'out of memory': 'train/room eval/check_room',
    'two GPUs': 'beyond', 'what is bits per byte': 'eval/bpb',
    'how long will it take': 'train/budget tutorials/how_big',
    'how big a model can I train': 'tutorials/how_big', 'train a tokenizer': 'data/tokenizer data/bpe',
    'tokenize': 'data/tokenizer',
    'batch size': 'data/loader model/dial', 'gradient clipping': 'train/gradients', 'loss is nan': 'train/guard',
    'loss spike': 'train/guard', 'validation split': 'data/split', 'warmup': 'model/schedule',
    'weight decay': 'model/schedule', 'export to llama.cpp': 'export/gguf',
    'use the model with transformers': 'export/nanochat', 'generate text': 'model/generate',
    'tensorboard': 'train/track/sinks', 'wandb': 'train/track/services', 'parquet files': 'data/tables',
    'read data from S3': 'data/remote data/stores', 'stop with Ctrl-C': 'train/signals', 'what is MFU': 'train/mfu',
    'how does attention work': 'model/blocks', 'several datasets mixed': 'data/mixture',
    'compare two runs': 'eval/versus tutorials/evaluate', 'slurm cluster': 'beyond',
    'mixed precision bf16': 'train/machine',
    'flops per token': 'model/cost', 'why are targets shifted': 'data/shift', 'duplicate documents': 'eval/twins',
    'evaluate on CORE': 'eval/core/evaluate', 'muon optimizer': 'model/muon', 'scaling laws': 'model/curve',
    'start from pretrained weights': 'export/bring', 'play with a model in the browser': 'play',
    'where do I begin': 'tutorials/first_run index', 'noise between seeds': 'seeds', 'checkpoint': 'store/checkpoint',
    'resume from checkpoint': 'tutorials/stop_resume store/checkpoint train/loop build', 'what is bpb': 'eval/bpb',
    'use my own tokenizer': 'data/tokenizer data/bpe export/tokenizer', 'multiple gpus': 'beyond train/parallel',
    'learning rate too high': 'tutorials/goes_wrong', 'wandb offline': 'train/track/services train/track/beside',
    'train on csv': 'data/records data/tables', 'change batch size': 'data/loader model/dial',
    'why is validation loss different': 'tutorials/reading_a_run eval/bpb', 'stop early': 'tutorials/stop_resume',
    'sample from model': 'model/generate eval/samples', 'kernel died': 'tutorials/stop_resume',
    'continue training on new data': 'tutorials/own_corpus export/bring', 'progress bar': 'train/progress',
    'load a trained model': 'build doors', 'run on macbook': 'train/machine', 'fine tune': 'export/bring',
    'change number of layers': 'model/dial model/blocks', 'delete old checkpoints': 'store/checkpoint store/saver',
    'how much data do I need': 'model/curve tutorials/how_big', 'use only part of my data': 'data/mixture',
    'train on a subset of my data': 'data/mixture'}
FRESH = {   # Written before an answer was seen; weights of the search were chosen with them in sight: not all are found
    'how do I stop training early': 'train/budget train/signals tutorials/stop_resume',
    'what is gradient accumulation': 'train/gradients', 'dataset from hugging face': 'data/tables data/given',
    'why is my loss not decreasing': 'tutorials/goes_wrong eval/check_model eval/preflight',
    'plot the loss curve': 'eval/report eval/curves tutorials/reading_a_run',
    'where are checkpoints saved': 'store/checkpoint store/saver',
    'sampling temperature': 'model/generate eval/samples',
    'learning rate warm up': 'model/schedule', 'number of parameters': 'model/cost', 'kv cache': 'model/cache',
    'rotary embeddings': 'model/blocks', 'multi-gpu training': 'beyond train/parallel',
    'optimizer state memory': 'train/room model/moments', 'two runs with the same seed': 'train/machine seeds',
    'encoding text to ids': 'data/tokenizer', 'serve the model over http': 'play base/serve eval/completions',
    'split long documents into rows': 'data/packing data/loader', 'remove duplicates': 'eval/twins',
    'visualise attention': 'eval/inside tutorials/microscope',
    'disk is full': 'reliability eval/check_room store/files',
    'dead neurons': 'train/layers',
    'training speed tokens per second': 'train/metrics train/pace reports/step performance',
    # written after the weights were chosen, before an answer was seen
    'does my gpu have enough vram': 'train/room eval/check_room planning',
    'how to feed a list of strings': 'data/given',
    'train loss is lower than validation loss':
        'tutorials/reading_a_run tutorials/goes_wrong eval/bpb data/split model/curve',
    'what happens when I press ctrl c twice': 'train/signals',
    'model outputs gibberish': 'tutorials/goes_wrong model/generate tutorials/first_run eval/samples',
    'make training reproducible': 'train/machine seeds', 'average several runs': 'seeds eval/groups eval/overlay',
    'how do I share my report with a colleague': 'eval/page showing eval/report',
    'explain self attention step by step': 'model/blocks', 'learning rate decay': 'model/schedule',
    'which optimizer is best': 'model/optim reports/optimizers', 'bpe merges': 'data/bpe export/tokenizer',
    'what vocabulary size should I take': 'data/tokenizer data/bpe eval/cuts',
    'chat completions endpoint': 'eval/completions play', 'read from google cloud storage': 'data/remote data/stores',
    'training on wikipedia dump': 'data/corpus data/readers tutorials/own_corpus data/records data/streams',
    'how to see attention maps': 'eval/inside tutorials/microscope', 'use float16': 'train/machine',
    'node crashed on cluster': 'base/watch beyond reliability',
    'disk quota exceeded while saving': 'store/saver eval/check_room store/checkpoint store/files reliability',
    'what is perplexity': 'eval/bpb glossary',
    'evaluate on arc and mmlu': 'eval/core/tasks eval/core/evaluate export/harness eval/core/score',
    'how do I add a new activation function': 'model/extras model/blocks',
    'tokens per parameter ratio': 'model/curve model/dial train/budget tutorials/how_big',
    'gradient norm keeps growing': 'train/gradients train/guard tutorials/goes_wrong train/layers',
    'chinese text': 'eval/scripts data/tokenizer eval/cuts data/bpe',
    'can two people use the same run folder': 'train/identity store/files reliability train/keep store/log',
    'how long does preparation of the data take': 'reports/throughput data/prepare performance',
    'install without internet': 'index questions',
    'difference between step and epoch': 'glossary data/loader train/budget tutorials/reading_a_run'}
FOUND = 40     # Of them, at least
EXPLAINED = {'what is a micro-batch': 'glossary', 'glossary': 'glossary',
             'notation': 'notation', 'meaning of the letters': 'notation', 'symbols': 'notation'}
def pages(found): return [h.removesuffix('.html') for (h,*_),_ in found]

def test_the_search_finds_what_newcomers_ask(site):
    index = index_of(site)
    missed = {q: pages(seek.ask(index, q))[:3] for q,want in QUESTIONS.items()
              if not {*want.split()} & {*pages(seek.ask(index, q))[:3]}}
    assert len(QUESTIONS)>=30 and not missed, missed
    found = [q for q,want in FRESH.items() if {*want.split()} & {*pages(seek.ask(index, q))[:3]}]
    assert len(found)>=FOUND, sorted({*FRESH}-{*found})
    for half in ('checkpoin', 'checkpoi'): assert 'store/checkpoint' in pages(seek.ask(index, half))
    assert 'data/split' in pages(seek.ask(index, 'validatio'))
    for q,want in EXPLAINED.items(): assert want in pages(seek.ask(index, q))[:3], q
    assert seek.ask(index, 'qzxj')==seek.ask(index, 'the')==[]

@pytest.mark.parametrize('word,want', [('rates', 'rate'), ('rate', 'rate'), ('stopping', 'stop'), ('stopped', 'stop'),
                                       ('queries', 'query'), ('loss', 'loss'), ('bus', 'bus'), ('red', 'red'),
                                       ('tokenize', 'tokenizer'), ('tokenization', 'tokenizer'),
                                       ('generate', 'generation'), ('optimise', 'optimizer'), ('load', 'loader')])
def test_endings_do_not_matter(word, want): assert seek.stem(word)==seek.stem(want)

# ------------------------------------------------------------ in a browser

needs = pytest.mark.skipif(bool(axe.missing()), reason=f'missing: {axe.missing()}')
TYPICAL = 'index', 'train/loop', 'contributing', 'source/train/loop' # All: `python tests/axe.py _docs`
CUT = """() => [...document.querySelectorAll('pre.cell-code')].filter(p => p.scrollWidth>p.clientWidth+1)
         .map(p => p.innerText.slice(0, 80))"""

FAINTEST = 115   # Grey of the faintest letters in a figure: `MUTED` of eval/report, '0.45'
def figure():
    "A picture with white paper, and a field as dark as the faintest letters"
    png,ink = Image.new('L', (40, 20), 255),Image.new('L', (20, 20), FAINTEST)
    png.paste(ink)
    png.save(out := io.BytesIO(), 'PNG')
    return out.getvalue()

def plain(): return f'<img alt="x" src="data:image/png;base64,{base64.b64encode(figure()).decode()}">'

def seen(b, folder, html):
    "Colours of a figure's paper and of its faintest letters, and of the page, as a browser shows them"
    page = folder/'figure.html'
    page.write_text(f'<!doctype html>{html}', encoding='utf-8')
    with axe.opened(b, page) as (tab,_): shot = Image.open(io.BytesIO(tab.screenshot())).convert('RGB')
    return ['#%02x%02x%02x' % shot.getpixel(p) for p in ((30, 10), (10, 10), (200, 200))]

def on_dark(b, folder):
    "Where a dark page of the site shows it"
    img = plain()
    css = (ROOT/'nbs/styles.css').read_text(encoding='utf-8')+'body,p{margin:0;background:#222}'
    inner = f'<main><div class="cell-output-display"><p>{img}</p></div></main>'
    return seen(b, folder, f'<html class="quarto-dark"><style>{css}</style>{inner}</html>')

def in_lab(b, folder, shown):
    "Where JupyterLab shows it in its dark theme"
    body = '<body data-jp-theme-light="false" style="margin:0;background:#111">'
    return seen(b, folder, f'{body}<div class="jp-OutputArea">{shown}</div>')

@needs
def test_pages_in_a_browser(site, tmp_path):
    "Nothing serious for axe-core; no code is cut at a desk; the browser's search answers as the tests' does"
    index = index_of(site)
    with axe.browser() as b:
        for p in TYPICAL: assert axe.faults(b, site/f'{p}.html', modes=axe.MODES if p=='index' else ('light',))==[], p
        # frames that a cell makes, and drawings
        assert axe.faults(b, site/'tutorials/batch.html', (360,), ('light',))==[]
        paper,ink,page = on_dark(b, tmp_path)
        assert paper==page=='#222222' and contrast(ink, page)>=ENOUGH
        for shown in (on_paper(figure(), 'x'), PAPER+plain()):
            paper,ink,page = in_lab(b, tmp_path, shown)
            assert paper==page=='#111111' and contrast(ink, page)>=ENOUGH
        assert in_lab(b, tmp_path, plain())[0]=='#ffffff'   # a picture of somebody else
        with axe.opened(b, site/'train/panel.html') as (tab,_):   # what Bootstrap would hide
            for part in ('.drawn svg', '.texts input', '.texts :checked+div'):
                assert tab.locator(f'.pretrain-run {part}').first.is_visible(), part
        with axe.opened(b, site/'train/loop.html') as (tab,told):
            assert tab.evaluate(CUT)==[]
            tab.keyboard.press('Tab')
            assert tab.evaluate('document.activeElement.className')=='skip'
            assert not tab.evaluate('() => !!window.siteIndex')   # not before somebody asks
            odd = 'loade', 'validatio', 'the', '_lr_mult'
            asked = {q: tab.evaluate('q => window.askSite(q)', q) for q in [*QUESTIONS, *FRESH, *odd]}
            for q,got in asked.items(): assert got==json.loads(json.dumps(seek.ask(index, q))), q
            tab.fill('.site-search input', 'learning rate')
            tab.wait_for_selector('.search-result')
            assert axe.look(tab)==[]
            tab.keyboard.press('ArrowDown')
            tab.keyboard.press('Enter')
            tab.wait_for_url('**/*.html*')
            assert told==[]

def test_the_landing_page_is_light(site):
    "With every style and script that it names, in both modes, but for the search's index, which waits to be asked for"
    page = docs.Page((site/'index.html').read_text(encoding='utf-8'))
    text = (site/'index.html').read_text(encoding='utf-8')
    own = {'index.html', *re.findall(r'<(?:link|script|img)[^>]*(?:href|src)="([^":]+)"', text)}
    assert page.remote==[] and 'search.js' not in own and 'favicon.svg' in own and len(own)>6, own
    assert sum((site/o).stat().st_size for o in own)<500_000

def test_what_no_page_uses_is_left_out_of_a_stylesheet():
    media,rest = '@media (min-width:1px){','@font-face{src:url(f)}p::before{content:""}'
    css = '/*! (c) */.a,.b:not(.c){x:1}.c{x:2}'+media+'.c{x:3}p{x:4}}'+rest
    assert finish.slim(css, {'a'})=='/*! (c) */.a{x:1}'+media+'p{x:4}}'+rest
    assert finish.slim(css, {'a', 'b', 'c'})==css

def test_each_page_offers_its_notebook(site):
    for f in (ROOT/'nbs').rglob('*.ipynb'):
        if '.ipynb_checkpoints' in f.parts: continue
        rel = f.relative_to(ROOT/'nbs')
        s = (site/rel.with_suffix('.html')).read_text(encoding='utf-8')
        up = '../'*(len(rel.parts)-1)
        assert s.count(f'<a href="{up}notebooks/{rel.as_posix()}" download>')==1
        assert f'jupyter lab nbs/{rel.as_posix()}' in s
        assert (site/'notebooks'/rel).read_bytes()==f.read_bytes()

@pytest.mark.parametrize('body,why', [
    ('<a href="none.html">x</a>', 'leads nowhere'), ('<a href="#none">x</a>', 'no such anchor'),
    ('<img alt="x" src="none.png">', 'leads nowhere'), ('<img src="data:image/png;base64,aa">', 'without alternative'),
    ('<img alt=" " src="data:image/png;base64,aa">', 'without alternative text'),
    ('<a href="b.html#none">x</a>', 'no such anchor'), ('<p id="x"></p><p id="x"></p>', 'twice'),
    ('<img alt="x" src="data:">', 'empty picture'), ('<p>[<code>x</code>](b.html)</p>', 'as it was written'),
    ('<script src="https://cdn.example/x.js"></script>', 'from elsewhere'),
    ('<link href="https://fonts.example/x.css">', 'from elsewhere'),
], ids=lambda s: s if ' ' in s and '<' not in s else None)
def test_the_checker_notices(body, why, tmp_path):
    (tmp_path/'a.html').write_text(f'<p id="here"></p><a href="#here">x</a><a href="b.html#there">x</a>{body}')
    (tmp_path/'b.html').write_text('<p id="there"></p>')
    _,bad = docs.check(tmp_path)
    assert len(bad)==1 and why in bad[0], bad

def test_the_checker_passes_what_is_good(tmp_path):
    (tmp_path/'a.html').write_text('<p id="here"></p><a href="#here">x</a><img alt="x" src="data:image/png;base64,aa">'
                                   '<a href="https://example.org">x</a>')
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
    short = 'class C:\n    def n(self): return 1 # Rows\n    def m(self):\n        return 1 # Not a meaning'
    table = apidoc.describe('C', dict(apidoc.definitions(short))['C'], apidoc.comments(short))
    assert '| Rows |' in table and 'Not a meaning' not in table
    md = apidoc.describe('Loader', d['Loader'], com, 'x.html#L9')
    assert '{#loader .api}' in md and 'How many' in md and 'id="loader.batch"' in md and 'x.html#L9' in md

def test_code_in_a_cell_goes_on_behind_punctuation():
    html = '<td><a href="a.b"><code>GPT.new_cache(&lt;a.b)</code></a></td><code>a.b</code>'
    assert finish.in_cells(html)==html.replace('GPT.new_', 'GPT.<wbr>new_<wbr>').replace(';a.b', ';a.<wbr>b')

def executed(nb):
    "The cells that nbdev's processors execute, all that hold an import, as one program"
    cells = [c.source for c in NBProcessor(nb).nb.cells if c.cell_type=='code' and nbdev_processors._do_eval(c)]
    def names(m):
        mod = import_module(m[1])
        public = getattr(mod, '__all__', vars(mod))
        return f"from {m[1]} import {', '.join(n for n in public if n[0]!='_')}"
    return re.sub(r'^from (fastcore[.]\w+) import [*]', names, '\n'.join(cells), flags=re.M)

def unknown(folder, sources):
    "Names that programs use and nothing in them gives"
    for i,(nb,text) in enumerate(sources.items()): (folder/f'{i}_{nb.stem}.py').write_text(text)
    p = subprocess.run([sys.executable, '-m', 'ruff', 'check', '--isolated', '--no-cache', '--select=F821',
                        '--config', 'builtins = ["get_ipython"]',   # of every shell that executes notebooks
                       
                        '--output-format=concise', str(folder)], capture_output=True, text=True)
    assert p.returncode in (0, 1), p.stderr
    return [l for l in p.stdout.splitlines() if 'F821' in l or 'syntax' in l]

@pytest.mark.filterwarnings('ignore:Found cells containing imports')
def test_what_nbdev_executes_needs_no_other_cell(tmp_path):
    "A cell that mixes an import with what another cell made fails in nbdev's processors"
    chapters = [f for f in sorted((ROOT/'nbs').rglob('*.ipynb')) if '"#| export' in f.read_text(encoding='utf-8')]
    assert len(chapters)>100   # of others nothing is executed
    assert unknown(tmp_path, {f: executed(f) for f in chapters})==[]

@pytest.mark.filterwarnings('ignore:Found cells containing imports')
def test_a_cell_that_needs_another_is_noticed(tmp_path):
    cells = [dict(cell_type='code', source=s, outputs=[], metadata={}, execution_count=None)
             for s in ('#| default_exp x', 'import os\nfrom fastcore.test import *', 'owls = 1',
                       'import re\ntest_eq(owls, 1)')]
    nb = tmp_path/'mixed.ipynb'
    nb.write_text(json.dumps(dict(cells=cells, metadata={}, nbformat=4, nbformat_minor=5)))
    (line,) = unknown(tmp_path, {nb: executed(nb)})
    assert '`owls`' in line

@pytest.mark.skipif('DOCS_FULL' not in os.environ, reason='DOCS_FULL=1 in the environment: a minute and a half')
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

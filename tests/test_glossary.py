"""The words and letters of the chapters are explained on two pages, and the pages say what is so: links lead to
headings, names in the code exist, no shape has a letter that is not listed, no title a term. In tests/, since it reads
all notebooks and modules at once."""
import json, re
from pathlib import Path
import pretrain
import pytest

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r'\]\(([^)#]+)\.ipynb#([^)]+)\)')
LONGEST = 30   # Words of the sentence on a term

def cells(page, kind='markdown'):
    found = json.loads((ROOT/f'nbs/{page}.ipynb').read_text(encoding='utf-8'))['cells']
    return [''.join(c['source']) for c in found if c['cell_type']==kind]

def slug(heading): return re.sub(r'[^\w -]', '', heading).strip().lower().replace(' ', '-')

def headings(page):
    text = re.sub(r'^```.*?^```', '', '\n'.join(cells(page)), flags=re.M|re.S)
    return [m[1] for m in re.finditer(r'^#{1,6} +(.+)$', text, re.M)]

def entries(text):
    "(term, what is said of it, page, anchor) of a glossary"
    rows = re.findall(r'^### (.+?)\n+(.+?) \[[^\]]+\]\(([^)#]+)\.ipynb#([^)]+)\)$', text, re.M)
    assert len(rows)==len(re.findall(r'^### ', text, re.M)), 'a term without its sentence and its link'
    return rows

TERMS = entries('\n'.join(cells('glossary')))
ROWS = [[c.strip() for c in l.strip('|').split('|')] for t in cells('notation') for l in t.splitlines()
        if l.startswith('| ') and not l.startswith('| symbol')]

# ------------------------------------------------------------ the glossary

def test_a_term_is_one_sentence():
    for term,says,*_ in TERMS:
        assert says.endswith('.') and '. ' not in says and len(says.split())<=LONGEST, term
    names = [t.lower() for t,*_ in TERMS]
    assert len(names)==len(set(names))>=100

@pytest.mark.parametrize('page', ['glossary', 'notation'])
def test_links_lead_to_headings(page):
    for at,anchor in LINK.findall('\n'.join(cells(page))):
        assert anchor in map(slug, headings(at)), f'{page}: {at} has no heading #{anchor}'

# Words of titles that are no terms of the field, or explain themselves
ORDINARY = set('''
a addresses after against agreement alive another apertus architecture are arent arguments as asked at becomes began
beginning beside best beyond biases big build by chart checks command console copies costs counted cuts design devices
earn edits elsewhere evaluate facts fast figures files first five folder following for from glossary go goes hand
happened help how ideas in inside is it keep kept kill languages line long look looked looks machine machines made
many may meanwhile microscope minutes name names notation notebook numbers of on one others our ours out own page
paper pass performance place planning play pretrain processes progress python questions read reading reads register
reliability scale score screen script scripts server setting show side somebody soon spent starts stop stores sure
tables take tasks tensor terminal text texts that the their them this time to toml torchrun trackio training two under
verdict watch what when where which who with words wrong your'''.split())

def known():
    "Words of the terms, without their endings"
    return {w.lower().rstrip('s') for t,*_ in TERMS for w in re.findall(r'\w+', t)}

LEAST = 4   # Letters that a word and a term begin with, to be the same one
def strange(title, terms=None):
    "Words of a title that are neither ordinary nor begin a term, or with one"
    words = [w for w in re.findall(r'\w+', title.replace("'", '').lower()) if w not in ORDINARY]
    def same(w, k): return w==k or min(len(w), len(k))>=LEAST and (w.startswith(k) or k.startswith(w))
    return [w for w in words if not any(same(w.rstrip('s'), k) for k in terms)]

def test_titles_have_no_word_that_is_not_explained():
    pages = [p.relative_to(ROOT/'nbs').with_suffix('').as_posix() for p in sorted((ROOT/'nbs').rglob('*.ipynb'))
             if '.ipynb_checkpoints' not in p.parts]
    terms = known()
    odd = {p: strange(headings(p)[0], terms) for p in pages}
    odd = {p: w for p,w in odd.items() if w}
    assert not odd, f'{odd}: a term belongs into nbs/glossary.ipynb, another word into ORDINARY'
    assert strange('The quantisation of gradients', terms)==['quantisation']

# ------------------------------------------------------------ the notation

def symbols(): return {s for r in ROWS for s in re.findall(r'`([^`]+)`', r[0])}

SHAPE = re.compile(r'\[((?:[\w.*/+-]+,)*[\w.*/+-]+)\]')
def letters(source):
    "Letters in the shapes that a module's comments name"
    shapes = [m for l in source.splitlines() for m in SHAPE.findall(l.partition('# ')[2])]
    return {o for s in shapes for o in re.split(r'[,*/+-]', s) if re.fullmatch(r'[A-Z](_kv)?', o)}

def test_every_letter_of_a_shape_is_listed():
    found = {o for f in sorted((ROOT/'pretrain').rglob('[!_]*.py')) for o in letters(f.read_text(encoding='utf-8'))}
    assert {'B', 'T', 'C', 'H', 'H_kv', 'D', 'V', 'S', 'Q', 'K', 'R'}<=found<=symbols(), found-symbols()
    assert letters('def f(\n    x, # Rows [Z,T], or [B*E]\n)')=={'Z', 'T', 'B', 'E'}

def keys(cls=pretrain.Config, at=''):
    "Every key of the configuration, with dots"
    for n,f in cls.__dataclass_fields__.items():
        yield from keys(f.type, f'{at}{n}.') if hasattr(f.type, '__dataclass_fields__') else [at+n]

KEYS = {*keys()}
def in_code(name, text):
    "Is it a key of the configuration, a name of the library or of one of its classes, or a column of the log?"
    first,_,rest = name.partition('.')
    if name in KEYS: return True
    if hasattr(pretrain, first):
        return not rest or rest in dir(getattr(pretrain, first)) or f'self.{rest}' in text
    from pretrain.train.metrics import OWN
    return name in OWN or f'def {name}(' in text

def test_what_stands_in_the_code_does():
    text = '\n'.join(f.read_text(encoding='utf-8') for f in (ROOT/'pretrain').rglob('[!_]*.py'))
    for symbol,_,where,_ in ROWS:
        for name in re.findall(r'`([^`]+)`', where): assert in_code(name, text), f'{symbol}: {name}'
    assert len(ROWS)>30 and not in_code('model.widht', text) and not in_code('GPT.widht', text)

def test_the_letters_of_the_model_are_tried_on_a_model():
    "The page asserts its shapes itself; here: that each letter of the first table is among them"
    tried = '\n'.join(cells('notation', 'code'))
    used = {o for s in re.findall(r"\[([A-Z][\w,]*)\]", tried) for o in s.split(',')}
    assert {'B', 'T', 'C', 'H', 'H_kv', 'D', 'V', 'L', 'S', 'Q', 'R'}<=used

# ------------------------------------------------------------ figures

def test_no_figure_of_performance_is_typed_by_hand():
    "Its page reads them from files that commands wrote"
    prose = re.sub(r'\]\([^)]*\)', '', '\n'.join(cells('performance')))
    assert not re.findall(r'\d', prose)
    code = '\n'.join(cells('performance', 'code'))
    assert {*re.findall(r"kept\('(\w+)'\)", code)}>={'startup', 'throughput', 'step', 'peers', 'quickstart'}

# ------------------------------------------------------------ formulas

FORMULA = re.compile(r'\$\$(.+?)\$\$', re.S)
WORDS = {r'\frac', r'\sqrt', r'\sum', r'\cdot', r'\leftarrow', r'\le', r'\ln', r'\lVert', r'\rVert', r'\max', r'\begin',
         r'\end', r'\;', r'\mathrm', r'\text'}
def names(tex):
    "Letters and words of a formula that a reader must be told"
    whole = re.findall(r'\\mathrm\{(\w+)\}', tex)
    rest = re.sub(r'\\(?:mathrm|text|begin|end)\{[^}]*\}|\^T', ' ', tex)
    return {*whole, *(o for o in re.findall(r'\\[a-zA-Z]+|[A-Za-z]', rest) if o not in WORDS)}

def unnamed(text):
    "What stands in the formulas of a prose cell, and not in the lines around them"
    said = {o for s in re.findall(r'\$([^$]+)\$', FORMULA.sub('', text)) for o in names(s)}
    return {o for f in FORMULA.findall(text) for o in names(f)}-said

WITH_FORMULAS = {'model/optim': 3, 'model/muon': 4, 'model/schedule': 1, 'model/blocks': 1, 'model/loss': 1,
                 'eval/bpb': 1, 'eval/core/verdict': 1}   # How many, at least
@pytest.mark.parametrize('page', sorted(WITH_FORMULAS))
def test_each_letter_of_a_formula_is_named_beside_it(page):
    found = [c for c in cells(page) if '$$' in c]
    assert sum(len(FORMULA.findall(c)) for c in found)>=WITH_FORMULAS[page]
    for c in found: assert not unnamed(c), c
    assert unnamed(r'$$a = \frac{b}{c}$$ $a$ and $b$ are known')=={'c'}

def test_formulas_become_mathml():
    import sys
    sys.path.insert(0, str(ROOT/'.ci'))
    import finish
    for page in WITH_FORMULAS:
        for f in FORMULA.findall('\n'.join(cells(page))):
            made = finish.mathml(rf'\[{f}\]')
            assert made.startswith('<math') and '\\' not in re.sub('<[^>]+>', '', made), made

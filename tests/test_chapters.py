"""How a chapter reads: what is exported is used at once, cells and lines stay small. In tests/, since it reads all
notebooks at once.

`python tests/test_chapters.py` prints what each notebook owes."""
import ast, io, json, re, statistics, tokenize
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parents[1]
REACH = 2     # code cells in which what was exported is used
WORDS = 100   # of one prose cell
COLUMNS = 120 # of one exported line
LINES = 450   # of one module

# Exported cells without a use, and prose cells that are longer: (notebook, a name the cell defines or how it begins) to
# the reason
UNUSED = {
}
LONGER = {
}

# ------------------------------------------------------------ what is in a notebook

def text(x): return x if isinstance(x, str) else ''.join(x)

def read(path):
    "Cells as (kind, source)"
    return [(c['cell_type'], text(c['source'])) for c in json.loads(Path(path).read_text(encoding='utf-8'))['cells']]

def without_picture(path):
    "Cells that say what they draw, and are stored without it"
    cells = [c for c in json.loads(Path(path).read_text(encoding='utf-8'))['cells'] if c['cell_type']=='code']
    def drawn(c): return any(k.startswith('image/') or '<img ' in text(v)
                             for o in c['outputs'] for k,v in o.get('data', {}).items() if k!='application/json')
    return [c['id'] for c in cells if re.search(r'^#\|\s*fig-alt', text(c['source']), re.M) and not drawn(c)]

def is_exported(source): return bool(re.search(r'^#\|\s*export', source, re.M))

def parse(source):
    "The syntax tree of a code cell, lines of magic left out"
    return ast.parse(re.sub(r'^([%!].*|[\w.]+\?+)$', 'pass', source, flags=re.M))

def only_imports(tree): return all(isinstance(o, (ast.Import, ast.ImportFrom, ast.Pass)) for o in tree.body)

def is_patch(d): return ast.unparse(d).startswith('patch')

def defined(tree):
    "Names that a cell gives to its module; of a patched method its own name, or its class's where Python calls it"
    names = []
    for o in tree.body:
        if isinstance(o, (ast.FunctionDef, ast.AsyncFunctionDef)) and any(map(is_patch, o.decorator_list)) \
            and o.name.startswith('__'): names.append(ast.unparse(o.args.args[0].annotation))
        elif isinstance(o, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)): names.append(o.name)
        elif isinstance(o, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            targets = o.targets if isinstance(o, ast.Assign) else [o.target]
            names += [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    return names

def mentioned(tree):
    "Names and attributes that a cell uses"
    return {n.id if isinstance(n, ast.Name) else n.attr for n in ast.walk(tree)
            if isinstance(n, (ast.Name, ast.Attribute))}

def code_cells(cells):
    "(source, tree, exported) of the code cells that do more than import"
    res = [(s, parse(s), is_exported(s)) for kind,s in cells if kind=='code']
    return [c for c in res if not only_imports(c[1])]

# ------------------------------------------------------------ what it owes

def unused(cells):
    "Of each exported cell without a use in the next code cells: the names it defines"
    cs = code_cells(cells)
    for i,(_,tree,exported) in enumerate(cs):
        if not exported: continue
        names = defined(tree)
        uses = [mentioned(t) for _,t,e in cs[i+1:i+1+REACH] if not e]
        if not any(u & set(names) for u in uses): yield names or [ast.unparse(tree)[:60]]

def n_words(source):
    "Words of a prose cell, without listings and tables"
    prose = re.sub(r'^```.*?^```', '', source, flags=re.M|re.S)
    return len(' '.join(l for l in prose.splitlines() if not l.startswith('|')).split())

def long_prose(cells):
    "How the prose cells begin that are too long, and how long they are"
    return [(s.strip()[:60], n) for kind,s in cells if kind=='markdown' and (n := n_words(s))>WORDS]

def wide(source): return [l for l in source.splitlines() if len(l)>COLUMNS]

def semicolons(source):
    "Lines with a `;` that is code"
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [t.line.strip() for t in tokens if t.type==tokenize.OP and t.string==';']

def exported(cells): return [s for kind,s in cells if kind=='code' and is_exported(s)]

# ------------------------------------------------------------ the tests

NOTEBOOKS = {p.relative_to(ROOT/'nbs').with_suffix('').as_posix(): p for p in sorted((ROOT/'nbs').rglob('*.ipynb'))
             if '.ipynb_checkpoints' not in p.parts}
CHAPTERS = [n for n,p in NOTEBOOKS.items() if any(exported(read(p)))]
MODULES = sorted((ROOT/'pretrain').rglob('[!_]*.py'))

def module_name(path): return path.relative_to(ROOT/'pretrain').with_suffix('').as_posix()

@pytest.mark.parametrize('name', CHAPTERS)
def test_what_is_exported_is_used_at_once(name):
    owed = [names for names in unused(read(NOTEBOOKS[name])) if not any((name, n) in UNUSED for n in names)]
    assert owed==[], f'no use or test in the next {REACH} code cells'

@pytest.mark.parametrize('name', NOTEBOOKS)
def test_pictures_are_stored(name): assert without_picture(NOTEBOOKS[name])==[], 'run where pictures are not inline'

@pytest.mark.parametrize('name', NOTEBOOKS)
def test_prose_cells_are_short(name):
    assert [(s, n) for s,n in long_prose(read(NOTEBOOKS[name]))
            if not any(nb==name and s.startswith(b) for nb,b in LONGER)]==[]

@pytest.mark.parametrize('name', CHAPTERS)
def test_exported_lines_are_narrow_and_hold_one_statement(name):
    cells = exported(read(NOTEBOOKS[name]))
    assert [l for s in cells for l in wide(s)]==[]
    assert [l for s in cells for l in semicolons(s)]==[]

@pytest.mark.parametrize('path', MODULES, ids=module_name)
def test_modules_are_of_one_sitting(path):
    assert len(path.read_text(encoding='utf-8').splitlines())<=LINES

def test_exceptions_are_used_and_have_a_reason():
    owed = {(n, name) for n in CHAPTERS for names in unused(read(NOTEBOOKS[n])) for name in names}
    long = [(n, s) for n,p in NOTEBOOKS.items() for s,_ in long_prose(read(p))]
    assert [k for k,why in UNUSED.items() if k not in owed or not why]==[]
    assert [k for k,why in LONGER.items() if not why or not any(n==k[0] and s.startswith(k[1]) for n,s in long)]==[]

# ------------------------------------------------------------ they notice

def planted(tmp_path, *cells):
    "A notebook with these code cells (prose where one begins with #:), read back"
    kinds = [('markdown', c[2:]) if c.startswith('#:') else ('code', c) for c in cells]
    nb = dict(cells=[dict(cell_type=k, metadata={}, outputs=[], source=s.splitlines(True)) for k,s in kinds])
    (tmp_path/'planted.ipynb').write_text(json.dumps(nb), encoding='utf-8')
    return read(tmp_path/'planted.ipynb')

F,G = '#| export\ndef f(x): return x', '#| exports\ndef g(x): return x'
PATCH = '#| export\n@patch\ndef grow(self:Tree): return 1'
@pytest.mark.parametrize('cells,owed', [
    ([F, 'f(1)'], []), ([F, 'test_eq(f(1), 1)'], []), ([F, 'x.f'], []), ([F, '1+1', 'f(1)'], []),
    ([F], [['f']]), ([F, '1+1'], [['f']]), ([F, '1', '2', 'f(1)'], [['f']]),                # too far away
    ([F, G, 'f(g(1))'], []), ([F, G, 'g(1)'], [['f']]), ([F, G], [['f'], ['g']]),
    ([F, '#| export\ny = f(1)', 'y'], [['f']]),                                             # exported code is no use
    # nor a comment, a string or an import
    ([F, '# f(1)', '"f"'], [['f']]), ([F, 'from m import f'], [['f']]),
    # cells of imports do not count
    ([F, 'import os', 'import re', 'from m import x', 'f(1)'], []),
    (['#| export\nimport os', '1'], []),
    (['#| export\nA,B = 1,2', 'B'], []), (['#| export\nA:int = 1', '1'], [['A']]),
    ([PATCH, 'Tree().grow()'], []), ([PATCH, 'Tree()'], [['grow']]),
    (['#| export\n@patch\ndef __len__(self:Tree): return 1', 'len(Tree())'], []),
    ([F, '%time f(1)', '1'], [['f']]), ([F, '%matplotlib inline\nf(1)'], []), ([F, '#: f(1)', '#: ', 'f(1)'], []),
])
def test_a_cell_without_a_use_is_noticed(tmp_path, cells, owed): assert list(unused(planted(tmp_path, *cells)))==owed

@pytest.mark.parametrize('cell,n', [('#:'+'word '*100, 0), ('#:'+'word '*101, 1),
                                    ('#:```\n'+'word '*200+'\n```\nthat', 0),
                                    ('#:| a |\n'+'| word word |\n'*60, 0), ('#:'+'[a b](c.ipynb) '*51, 1),
                                    ('x = '+'1 + '*200+'1', 0)])
def test_long_prose_is_noticed(tmp_path, cell, n): assert len(long_prose(planted(tmp_path, cell)))==n

def test_wide_lines_and_semicolons_are_noticed(tmp_path):
    cells = planted(tmp_path, '#| export\na = 1; b = 2\nc = ";"  # ; here\n"""x;\ny;"""\nd = f"{a};"',
                    '#| export\n'+'x'*121+'\n'+'y'*120, 'p; q')
    assert [[len(wide(s)), semicolons(s)] for s in exported(cells)]==[[0, ['a = 1; b = 2']], [1, []]]

# ------------------------------------------------------------ the table

def debts(name):
    "What a notebook owes, and how large its exported cells are"
    cells,path = read(NOTEBOOKS[name]),ROOT/'pretrain'/f'{name}.py'
    code,ours = [s for kind,s in cells if kind=='code'],exported(cells)
    sizes = [len(s.splitlines())-1 for s in ours if not only_imports(parse(s))]
    return dict(unused=len(list(unused(cells))), prose=len(long_prose(cells)), wide=sum(len(wide(s)) for s in ours),
                semicolons=sum(len(semicolons(s)) for s in ours), all_wide=sum(len(wide(s)) for s in code),
                module=len(path.read_text(encoding='utf-8').splitlines()) if path.is_file() else 0,
                cells=len(sizes), median=statistics.median(sizes) if sizes else 0, largest=max(sizes, default=0))

def table():
    "A row for each notebook, then for each notebook what a test would say"
    rows = {n: debts(n) for n in NOTEBOOKS}
    head = list(next(iter(rows.values())))
    print(f'{"":<24}', *(f'{h:>10}' for h in head))
    for n,d in rows.items(): print(f'{n:<24}', *(f'{v:>10g}' for v in d.values()))
    for n in NOTEBOOKS:
        for names in unused(read(NOTEBOOKS[n])): print(f'{n}: not used at once: {", ".join(names)}')
        for begins,k in long_prose(read(NOTEBOOKS[n])): print(f'{n}: {k} words: {begins!r}')

if __name__=='__main__': table()

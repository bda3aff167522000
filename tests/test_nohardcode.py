"""No number that acts on training hides in a function body. Here rather than in a notebook because it reads all
exported modules at once.

Such a number belongs in a dataclass field, a parameter default or an UPPER_CASE constant of the module, where it can be
found, documented and changed. What stays allowed in a body: 0, 1, 2, -1 and .5, and the factors between units."""
import ast
from pathlib import Path
import pytest

PACKAGE = Path(__file__).parents[1]/'pretrain'
WINGS = 'base store data model train eval'.split()   # what a number can act on training through; a report only shows
MODULES = sorted(p.relative_to(PACKAGE).with_suffix('').as_posix() for w in WINGS
                 for p in (PACKAGE/w).rglob('[!_]*.py'))+['build']
WORDS = 'base/words', 'base/value', 'base/config', 'base/toml'   # what they count is characters of messages
DRAWN = ('base/chart',)                                          # what it counts is pixels of a chart
SAID = ('base/serve',)                                           # what it counts is statuses of HTTP
MODULES = [m for m in MODULES if m not in WORDS+DRAWN+SAID]
PLAIN = {0, 1, 2, .5}
UNITS = {8: 'bits', 60: 'seconds', 3600: 'seconds', 1000: 'SI', 1e6: 'SI', 1e9: 'SI', 1e12: 'SI', 1024: 'binary'}
ALLOW = {}   # (module, function, number): reason

class Numbers(ast.NodeVisitor):
    "Numbers in function bodies: `(function, number, line)`"
    def __init__(self): self.where,self.found = [],[]

    def function(self, n):
        self.where.append(n.name)                # decorators, annotations and defaults are declarations: not visited
        for o in n.body: self.visit(o)
        self.where.pop()
    visit_FunctionDef = visit_AsyncFunctionDef = function

    def visit_ClassDef(self, n):
        outer,self.where = self.where,[]         # fields of a class, also of one made in a function, are declarations
        for o in n.body: self.visit(o)
        self.where = outer

    def visit_Lambda(self, n):
        self.where.append('lambda')              # its defaults are declarations as well
        self.visit(n.body)
        self.where.pop()

    def visit_FormattedValue(self, n): self.visit(n.value)   # widths of an f-string are looks

    def visit_Constant(self, n):
        if self.where and type(n.value) in (int, float, complex):
            self.found.append(('.'.join(self.where), n.value, n.lineno))

def violations(module, source):
    "Numbers in function bodies of a module that nobody declared, a line each"
    v = Numbers()
    v.visit(ast.parse(source))
    return [f'{module}:{line}: {x} in {f}; make it a field, a parameter default or an UPPER_CASE constant'
            for f,x,line in v.found if x not in PLAIN and x not in UNITS and (module, f, x) not in ALLOW]

@pytest.mark.parametrize('module', MODULES)
def test_no_number_in_a_body(module):
    assert violations(module, (PACKAGE/f'{module}.py').read_text())==[]

def test_allowances_are_used():
    "An entry that allows nothing any more is deleted"
    for (module,f,x),reason in ALLOW.items():
        v = Numbers()
        v.visit(ast.parse((PACKAGE/f'{module}.py').read_text()))
        assert reason and any((f,x)==(g,y) for g,y,_ in v.found), (module, f, x)

DECLARED = '''
BETA = 0.95
class Cfg:
    lr:float = 3e-4
def step(x, lr=0.02, f=lambda x, k=7: x + k):
    y = f'{x:>10.3f}' + f'{x/1e9:{12}.1f}'
    return (x*BETA + 1 - 2*lr)*.5/60, y
'''

def test_declared_numbers_are_fine(): assert violations('m', DECLARED)==[]

@pytest.mark.parametrize('body,number', [
    ('return x*0.95', '0.95'), ('if x > 3: return x', '3'), ('return [t.clamp(max=1e-5) for t in x]', '1e-05'),
    ('return -7', '7'),
    ('g = lambda x: x*15.0\n    return g(x)', '15.0'), ('def g(y): return y**4\n    return g(x)', '4'),
    ("return f'{x*3.3}'", '3.3'),
    ('async def g(): return 11\n    return g', '11')])
def test_planted_number_is_seen(body, number):
    (line,) = violations('m', f'def f(x):\n    {body}')
    assert f' {number} in f' in line
    assert len(violations('m', f'class C:\n  k = 5\n  def f(x):\n    {body}'))==1

"""What the docs and the gates know of the code: names, parameters, comments and lines, read from source without
importing it"""
import ast, html, io, re, textwrap, tokenize

DEFS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

def comments(src):
    "Line number -> the comment at its end"
    return {t.start[0]: t.string.lstrip('#').strip() for t in tokenize.generate_tokens(io.StringIO(src).readline)
            if t.type==tokenize.COMMENT}

def deco_names(o):
    "Names of a definition's decorators, called or not"
    f = lambda d: ast.unparse(d.func if isinstance(d, ast.Call) else d).split('.')[-1]
    return [f(d) for d in o.decorator_list]

def owner(o):
    "The class that a `@patch` method belongs to, or ''"
    if isinstance(o, ast.ClassDef) or not any(d.startswith('patch') for d in deco_names(o)): return ''
    for d in o.decorator_list:
        if isinstance(d, ast.Call) and d.args and ast.unparse(d.func).startswith('patch'): return ast.unparse(d.args[0])
    return ast.unparse(o.args.args[0].annotation).strip('\'"')

def is_data(o):
    "Is it a dataclass, be it a section of the configuration?"
    return bool({'dataclass','section'} & {*deco_names(o)})

def summary(o):
    "First paragraph and the rest of a docstring"
    head,_,rest = (ast.get_docstring(o) or '').partition('\n')
    return head,textwrap.dedent(rest).strip()

def meaning(o, com):
    "First paragraph of a docstring; of a function in one line without one, the comment at its end"
    return summary(o)[0] or (com.get(o.lineno, '') if o.body[0].lineno==o.lineno else '')

class Param:
    "One parameter or field: `name`, `anno`, `default` and `doc` as written"
    def __init__(self, name, anno, default, doc): self.name,self.anno,self.default,self.doc = name,anno,default,doc

def _text(e): return '' if e is None else ast.unparse(e)

def params(o, com):
    "Parameters of a function, `self` left out, then the return as `Param('')`, or None"
    a = o.args
    pos = a.posonlyargs+a.args
    defaults = [None]*(len(pos)-len(a.defaults))+a.defaults
    rows = [('',p,d) for p,d in zip(pos, defaults)]
    if a.vararg: rows.append(('*',a.vararg,None))
    rows += [('',p,d) for p,d in zip(a.kwonlyargs, a.kw_defaults)]
    if a.kwarg: rows.append(('**',a.kwarg,None))
    multi = o.body[0].lineno>o.lineno
    line = lambda p,d: (d or p).end_lineno
    doc = lambda n: com.get(n, '') if multi and n<o.body[0].lineno else ''
    skip = bool(rows) and rows[0][1].arg in ('self', 'cls')
    res = [Param(s+p.arg, _text(p.annotation), _text(d), doc(line(p,d))) for s,p,d in rows[skip:]]
    last = o.returns.end_lineno if o.returns else None
    taken = {line(p,d) for _,p,d in rows}
    if last is None:   # a bare `):  # what comes back`
        end = max(taken|{o.lineno})
        rest = [n for n in com if end<n<o.body[0].lineno]
        last = rest[0] if rest else None
    ret = '' if last is None or last in taken else doc(last)
    return res, Param('', _text(o.returns), '', ret) if o.returns or ret else None

def fields(o, com):
    "Annotated fields of a class"
    return [Param(b.target.id, _text(b.annotation), _text(b.value), com.get(b.end_lineno, '')) for b in o.body
            if isinstance(b, ast.AnnAssign) and isinstance(b.target, ast.Name)]

def methods(o): return [b for b in o.body if isinstance(b, DEFS[:2])]

def is_property(o): return any(d in ('property', 'cached_property', 'setter') for d in deco_names(o))

def signature(o, ret=True):
    "`name(a:int, b=0)->str` on one line"
    if isinstance(o, ast.ClassDef):
        init = next((m for m in methods(o) if m.name=='__init__'), None)
        if init: return f'{o.name}{_args(init)}'
        fs = fields(o, {})
        kw = '*, ' if 'section' in deco_names(o) or any('kw_only=True' in ast.unparse(d)
                                                        for d in o.decorator_list) else ''
        if is_data(o): return f"{o.name}({kw}{', '.join(_par(f) for f in fs)})"
        return f"{o.name}({', '.join(map(ast.unparse, o.bases))})" if o.bases else o.name
    if is_property(o): return o.name + (f': {_text(o.returns)}' if o.returns else '')
    return f'{o.name}{_args(o)}' + (f'->{_text(o.returns)}' if o.returns and ret else '')

def _par(p): return p.name + (f':{p.anno}' if p.anno else '') + (f'={p.default}' if p.default else '')

def _args(o):
    ps = [_par(p) for p in params(o, {})[0]]
    names = [p.arg for p in o.args.kwonlyargs]
    if names and not o.args.vararg: ps.insert(next(i for i,p in enumerate(ps) if re.match(rf'{names[0]}\b', p)), '*')
    return f"({', '.join(ps)})"

def definitions(src):
    "Each top-level definition: (qualified name, node)"
    for o in ast.parse(src).body:
        if isinstance(o, DEFS): yield (f'{owner(o)}.{o.name}' if owner(o) else o.name), o

def patched(src):
    "Class -> the methods that `@patch` gives it in this module, the public ones"
    res = {}
    for _,o in definitions(src):
        if owner(o) and not o.name.startswith('_'): res.setdefault(owner(o), []).append(o)
    return res

def lines(src):
    "Qualified name -> line, methods inside classes included"
    res = {}
    for n,o in definitions(src):
        res[n] = o.lineno
        if isinstance(o, ast.ClassDef): res |= {f'{n}.{m.name}': m.lineno for m in methods(o)}
    return res

def cell(s):
    "Text that stays inside one cell of a Markdown table"
    return s.replace('|', r'\|').replace('\n', ' ')

def _table(head, rows):
    "A Markdown table without its empty columns"
    keep = [i for i,h in enumerate(head) if i==0 or any(r[i] for r in rows)]
    f = lambda r: '| ' + ' | '.join(r[i] for i in keep) + ' |'
    return '\n'.join([f([f'**{h}**' if h else '' for h in head]), f(['--']*len(head)), *map(f, rows)])

def param_table(ps, ret=None):
    "Parameters as a table: name, type, default, meaning"
    code = lambda s: f'<code>{html.escape(cell(s))}</code>' if s else ''   # not backticks: a parameter is no link
    rows = [[code(p.name), code(p.anno), code(p.default), cell(p.doc)] for p in ps]
    if ret and (ret.doc or rows) and (ret.anno or ret.doc):
        rows.append(['**returns**', code(ret.anno), '', cell(ret.doc)])
    return _table(['', 'Type', 'Default', 'Meaning'], rows) if any(r[3] for r in rows) else ''

def describe(name, o, com, link='', level=3, later=()):
    """Markdown of one definition: heading with the anchor nbdev uses, signature, docstring, tables; the methods of a
    class include those that it gets `later`, each of which has an entry of its own"""
    head,rest = summary(o)
    src = f'[source]({link}){{.api-source}}' if link else ''
    parts = [f"{'#'*level} {name} {{#{name.lower()} .api}}", src,
             f'<p class="api-sig"><code>{html.escape(signature(o))}</code></p>', f'*{head}*' if head else '', rest]
    if isinstance(o, ast.ClassDef):
        init = next((m for m in methods(o) if m.name=='__init__'), None)
        parts.append(param_table(params(init, com)[0]) if init else param_table(fields(o, com)))
        pub = [m for m in methods(o) if not m.name.startswith('_')]
        anchor = lambda m: f'<span id="{name.lower()}.{m.name.lower()}"></span>'
        code = lambda m: f'<code>{html.escape(cell(signature(m)))}</code>'
        rows = [[f'{anchor(m)}{code(m)}', cell(meaning(m, com))] for m in pub]
        rows += [[f'<a href="#{name.lower()}.{m.name.lower()}">{code(m)}</a>', cell(summary(m)[0])] for m in later]
        if rows: parts.append(_table(['Method', 'Meaning'], rows))
        hidden = ''.join(map(anchor, (m for m in methods(o) if m.name.startswith('_'))))
        if hidden: parts.append(hidden)
    else: parts.append(param_table(*params(o, com)))
    return '\n\n'.join(p for p in parts if p)

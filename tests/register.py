"""The completion register: what each promise P1-P18 means, whether it works, and which tests show it.

`register.toml` is the data. A claim is a pytest node id (`tests/test_cli.py::test_version`; without the part in
brackets it stands for all its parameters) or a heading of a notebook (`nbs/data/loader.ipynb#No token is lost`), which
is shown when the notebook's own test passed and the section under that heading asserts something."""
import ast, json, re, tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATES = ('works', 'not yet')
NB_TEST = 'tests/test_notebooks.py::test_notebook'
ASSERTS = re.compile(r'(?:^|[\s:;])(?:assert\b|test_\w+\(|\w+\.testing\.assert_\w+\(|with '
                     r'(?:expect_fail|ExceptionExpected))', re.M)

def read_register(path=ROOT/'tests/register.toml'):
    "Promises by name, in order; a malformed entry is an error here, not a surprise later"
    reg = tomllib.loads(Path(path).read_text(encoding='utf-8'))
    for p,e in reg.items():
        if e.keys() - {'name', 'means', 'status', 'shown_by', 'still'}:
            raise ValueError(f'{p}: unknown key in {sorted(e)}')
        if e['status'] not in STATES: raise ValueError(f"{p}: status {e['status']!r}; use one of {STATES}")
        if e['status']=='works' and not e.get('shown_by'): raise ValueError(f'{p}: said to work, but names no test')
    return reg

def sections(nb_path):
    "Heading -> code of the cells under it, down to the next heading"
    res,head = {},''
    for c in json.loads(Path(nb_path).read_text(encoding='utf-8'))['cells']:
        src = ''.join(c['source'])
        if c['cell_type']=='markdown':
            for m in re.finditer(r'^#{1,6}\s+(.+?)\s*$', src, re.M): head = m[1]
            res.setdefault(head, [])
        elif c['cell_type']=='code': res.setdefault(head, []).append(src)
    return res

def node_id(claim):
    "The pytest node id whose outcome decides `claim`"
    nb,_,head = claim.partition('#')
    return f"{NB_TEST}[{nb.removeprefix('nbs/').removesuffix('.ipynb')}]" if head else claim

def missing(claim, root=ROOT):
    "Why `claim` names nothing that exists, or ''; reads files only, runs nothing"
    nb,_,head = claim.partition('#')
    if head:
        if not (root/nb).is_file(): return f'no notebook {nb}'
        secs = sections(root/nb)
        if head not in secs: return f'no heading {head!r} in {nb}'
        return '' if any(ASSERTS.search(s) for s in secs[head]) else f'nothing is asserted under {head!r} in {nb}'
    file,_,name = claim.partition('::')
    if not (root/file).is_file(): return f'no file {file}'
    name = name.partition('[')[0].split('::')
    body = ast.parse((root/file).read_text(encoding='utf-8')).body
    for n in name:
        found = [o for o in body if isinstance(o, (ast.FunctionDef, ast.ClassDef)) and o.name==n]
        if not found: return f'no {n} in {file}'
        body = found[0].body
    return ''

def outcomes_of(claim, outcomes):
    "Outcomes of the tests that `claim` stands for"
    nid = node_id(claim)
    return [o for k,o in outcomes.items() if k==nid or k.startswith(nid+'[')]

def unshown(reg, outcomes=None, root=ROOT):
    """One line for each claim of a promise that works which is missing or, given the outcomes of a whole session,
    did not pass"""
    res = []
    for p,e in reg.items():
        if e['status']!='works': continue
        for c in e['shown_by']:
            why = missing(c, root)
            if not why and outcomes is not None:
                got = outcomes_of(c, outcomes)
                bad = sorted({o for o in got if o!='passed'})
                why = 'not run' if not got else ', '.join(bad)
            if why: res.append(f'{p} is said to work, but {c}: {why}')
    return res

class Md(str):
    "Markdown that a notebook shows as such"
    def _repr_markdown_(self): return str(self)

def summary(reg):
    "What works, and what does not yet"
    def named(status): return ', '.join(f"{e['name']} ({p})" for p,e in reg.items() if e['status']==status)
    n,rest = sum(e['status']=='works' for e in reg.values()),named('not yet')
    return Md(f"**{n} of {len(reg)} work:** {named('works')}."+f'\n\n**Not yet:** {rest}.'*bool(rest))

def table(reg):
    "The register as a Markdown table"
    rows = ['| | Promise | What it means | Status |', '|--|----|--------|--|']
    for p,e in reg.items():
        still = f" *Still to come: {e['still']}*" if e.get('still') else ''
        rows.append(f"| {p} | **{e['name']}** | {e['means']}{still} | {e['status']} |")
    return Md('\n'.join(rows))

def proofs(reg):
    "Each working promise with the tests that show it, as a Markdown list"
    f = lambda c: (lambda nb,_,h: f'[{h}]({nb.removeprefix("nbs/")}) in `{nb}`' if h else f'`{nb}`')(*c.partition('#'))
    return Md('\n'.join(f"- **{p} {e['name']}**\n" + '\n'.join(f'    - {f(c)}' for c in e['shown_by'])
                        for p,e in reg.items() if e['status']=='works'))

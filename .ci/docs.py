"""The website, without network and without Quarto: `python .ci/docs.py [--out _docs]`

The inputs are a standard nbdev and Quarto project (nbs/, settings.ini, _quarto.yml, sidebar.yml). A copy is processed
with nbdev's own processors, rendered by smalldocs, made self-contained, and every link, anchor and picture of the
result is checked."""
import argparse, ast, functools, importlib.util, os, re, shutil, subprocess, sys, tempfile, time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))
import apidoc, finish

# ----------------------------------------------------- stage: notebooks to what a renderer reads (runs inside the copy)

FOLD = '#| code-fold: true\n#| code-summary: "Exported source"\n'
def api_cells(nb, module, depth, mk_cell):
    """After nbdev has read the directives: put an API entry before each exported definition and fold its source, unless
    the cell says itself with `code-fold` how it is shown"""
    path = (module or '').replace('.', '/')
    src = Path(f'pretrain/{path}.py').read_text(encoding='utf-8') if module else ''
    at,later,res,seen = (apidoc.lines(src) if src else {}),apidoc.patched(src),[],set()
    for c in nb.cells:
        d = c.get('directives_', {})
        if c.cell_type!='code' or not {'export','exports'} & d.keys() or 'hide' in d:
            res.append(c)
            continue
        code = c.source
        com,defs = apidoc.comments(code),list(apidoc.definitions(code))
        for n,o in defs:
            if o.name.startswith('_'): md = f'<span id="{n.lower()}"></span>'
            else: md = apidoc.describe(n, o, com, f"{'../'*depth}source/{path}.html#L{at[n]}", later=later.get(n, ()))
            # nbdev's anchors know no case: a class and a function may meet
            if n.lower() in seen: md = md.replace(f'{{#{n.lower()} ', f'{{#{n.lower()}-2 ')
            seen.add(n.lower())
            res.append(mk_cell(md, 'markdown'))
        if all(isinstance(b, (ast.Import, ast.ImportFrom)) for b in ast.parse(code).body): continue
        c.directives_ = {k:v for k,v in d.items() if k not in ('export','exports')}
        if defs and 'code-fold' not in d: c.source = f'{FOLD}{code}'
        res.append(c)
    taken = {i.lower() for c in res if c.cell_type=='markdown'
             for i in re.findall(r'\{#(\S+) \.api\}|<span id="([^"]+)">', c.source) for i in i if i}
    for c in res:   # a heading that reads like a definition steps aside: the plain anchor belongs to the definition
        if c.cell_type=='markdown' and '.api}' not in c.source:
            def aside(m): return f'{m[0]} {{#sec-{slug(m[2])}}}' if slug(m[2]) in taken else m[0]
            c.source = re.sub(r'^(#{2,6}) ([^{}\n]+?) *$', aside, c.source, flags=re.M)
    nb.cells = res

def join_streams(c):
    "What a cell printed, in one piece: a kernel cuts it wherever it was flushed"
    outs = []
    for o in c.get('outputs', []):
        if outs and o['output_type']=='stream' and outs[-1].get('name')==o['name']:
            outs[-1]['text'] = ''.join(outs[-1]['text'])+''.join(o['text'])
        else: outs.append(o)
    if outs: c['outputs'] = outs

def of_the_page(c):
    "What a cell shows, without the style of a figure's paper: a page has its own"
    def style(o): return ''.join(o.get('data', {}).get('text/html', '')).startswith('<style class="paper">')
    if 'outputs' in c: c['outputs'] = [o for o in c['outputs'] if not style(o)]

def slug(heading): return re.sub(r'[^\w. -]', '', heading).strip().lower().replace(' ', '-')

def stage(dest):
    "Process every notebook of the project in the current folder into `dest`"
    os.environ.pop('IN_TEST', None)
    from execnb.nbio import mk_cell, read_nb, write_nb
    from nbdev import processors as P
    from nbdev.config import get_config
    from nbdev.doclinks import _build_modidx, nbglob
    from nbdev.process import NBProcessor
    from nbdev.quarto import refresh_quarto_yml
    cfg = get_config()
    nbs = cfg.nbs_path
    base = cfg.doc_host.rstrip('/')+cfg.doc_baseurl.rstrip('/')+'/'
    remember()
    refresh_quarto_yml()
    _build_modidx()
    procs = [P.FrontmatterProc, P.populate_language, P.strip_ansi, P.hide_line, P.filter_stream_, P.rm_header_dash,
             P.rm_export,
             P.ai_magics, P.clean_magics, P.hide_, P.add_links, P.strip_hidden_metadata]
    for f in sorted(nbglob(as_path=True)):
        rel = f.resolve().relative_to(nbs.resolve())
        depth = len(rel.parts)-1
        nb = read_nb(f)
        nb.path_ = f
        p = NBProcessor(nb=nb, procs=procs)
        api_cells(nb, P._default_exp(read_nb(f)), depth, mk_cell)
        p.process()
        for c in nb.cells:
            join_streams(c)
            of_the_page(c)
        # the file has that name already
        for c in nb.cells[:1]: c.source = re.sub(r'^output-file:.*\n', '', c.source, flags=re.M)
        d = dest/rel
        d.parent.mkdir(parents=True, exist_ok=True)
        write_nb(nb, d)
        d.write_text(relink(d.read_text(encoding='utf-8'), base, depth), encoding='utf-8')
    for f in nbs.glob('*'):
        if f.suffix in ('.yml', '.css', '.svg', '.png'): shutil.copy(f, dest)
    for f in ('CONTRIBUTING.md', 'CHANGELOG.md'):
        if Path(f).exists():
            (dest/f.lower()).write_text(relink(Path(f).read_text(encoding='utf-8'), base, 0, 'nbs/'), encoding='utf-8')
    for f in sorted(Path('pretrain').rglob('[!_]*.py')): source_page(f.relative_to('pretrain'), dest/'source')

def relink(s, base, depth, prefix=''):
    "Links to our own site become relative, links between notebooks lead to their pages"
    s = re.sub(r'\[\[(`[^`\]]+`)\]\([^)\s]*\)\]\(', r'[\1](', s.replace(base, '../'*depth)) # nbdev links in links too
    s = re.sub(rf'\]\({prefix}((?:\.\./)*[\w/-]+)\.(?:ipynb|html)(#[^)\s]*)?\)', r'](\1.html\2)', s)
    return re.sub(r'\]\((?:\.\./)*(CONTRIBUTING|CHANGELOG)\.md\)', lambda m: f"]({'../'*depth}{m[1].lower()}.html)", s)

def source_page(f, dest):
    "One module as a page with a numbered, linkable line for each of its lines"
    from smalldocs.highlight import highlight
    src,up = ('pretrain'/f).read_text(encoding='utf-8'),'../'*len(f.parts)
    nb = re.search(r'File to edit: (?:\.\./)+nbs/(\S+)\.ipynb', src)
    chapter = f' Its chapter is [{f.stem}]({up}{nb[1]}.html).' if nb else ''
    rows = ''.join(f'<span id="L{i}" class="src-line"><a href="#L{i}">{i}</a>{l}</span>\n'
                   for i,l in enumerate(highlight(src.rstrip('\n'), 'python').split('\n'), 1))
    fm = f'---\ntitle: "pretrain/{f.as_posix()}"\nsearch: false\ntoc: false\npage-layout: full\n---\n\n'
    page = f'Exported from the notebook; line numbers are those of the installed module.{chapter}\n\n'
    page_at = dest/f.with_suffix('.qmd')
    page_at.parent.mkdir(parents=True, exist_ok=True)
    listing = f'<pre class="src-page sourceCode"><code>{rows}</code></pre>'
    page_at.write_text(f'{fm}{page}``````{{=html}}\n{listing}\n``````\n', encoding='utf-8')

# ---------------------------------------------------------------- render

def remember():
    "What smalldocs works out anew for each token, and on each page for each entry of the sidebar, it works out once"
    from smalldocs import highlight
    from smalldocs.layout import Layout
    if hasattr(Layout.href, '__wrapped__'): return
    highlight.css_class,href = functools.cache(highlight.css_class),Layout.href
    @functools.wraps(href)
    def once(self, to):
        known = self.site.__dict__.setdefault('known_links', {})
        key = self.page.out.parent,to   # pages of a folder have one way to it
        if key not in known: known[key] = href(self, to)
        return known[key]
    Layout.href = once

def build(out, root=ROOT, quiet=False):
    "Build the site of the project at `root` into `out`; returns smalldocs' warnings"
    from smalldocs.site import build as render
    out = Path(out).resolve()
    remember()
    with tempfile.TemporaryDirectory(prefix='docs-') as tmp:
        src,dest = Path(tmp)/'project',Path(tmp)/'site'
        dest.mkdir()
        junk = shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints')
        for d in ('nbs', 'pretrain'): shutil.copytree(root/d, src/d, ignore=junk)
        for f in ('settings.ini', 'CONTRIBUTING.md', 'CHANGELOG.md'):
            if (root/f).exists(): shutil.copy(root/f, src)
        env = {k:v for k,v in os.environ.items() if k!='IN_TEST'} | {'PYTHONPATH': str(src)}
        subprocess.run([sys.executable, HERE/'docs.py', '--stage', dest], cwd=src, env=env, check=True)
        site = render(dest, quiet=True)
        finish.self_contain(site.out, src/'nbs')
        if out.exists():
            if any(out.iterdir()) and not (out/'site_libs').is_dir():
                sys.exit(f'{out} is not a built site; give --out a new or empty folder')
            shutil.rmtree(out)
        shutil.move(site.out, out)
    return site.warnings

# ---------------------------------------------------------------- check the result

class Page(HTMLParser):
    "What a page links to, which anchors it has, which pictures it shows"
    def __init__(self, text):
        super().__init__()
        self.links,self.ids,self.imgs,self.remote,self.mute = [],[],[],[],0
        self.feed(text)
    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if a.get('id'): self.ids.append(a['id'])
        self.mute += tag=='img' and not (a.get('alt') or '').strip()
        if tag=='a' and a.get('name'): self.ids.append(a['name'])
        for k in ('href', 'src', 'data', 'poster'):
            u = a.get(k)
            if u is None: continue
            if tag=='img': self.imgs.append(u)
            if tag=='a': self.links.append(u)
            elif urlsplit(u).scheme in ('http', 'https') or u.startswith('//'): self.remote.append(u)
            elif not u.startswith('data:'): self.links.append(u)
    handle_startendtag = handle_starttag

RAW = re.compile(r'<(pre|code|script|style)\b.*?</\1>|<[^>]+>', re.S)   # What is no prose
def raw_link(text):
    "A link that is shown as it was written, or ''"
    at = (prose := RAW.sub('', text)).find('](')
    return re.sub(r'\s+', ' ', prose[max(0, at-20):at+30]) if at>=0 else ''

ALT = 'a cell that draws one begins with `#| fig-alt: "what it shows"`'
def check(site):
    """Counts, and one line for each broken link or anchor, missing picture, picture without words, duplicate anchor, or
    thing loaded from elsewhere"""
    site = Path(site).resolve()
    texts = {f: f.read_text(encoding='utf-8') for f in sorted(site.rglob('*.html'))}
    pages = {f: Page(text) for f,text in texts.items()}
    bad,n = [],dict(pages=len(pages), links=0, anchors=0, images=0, outside=0)
    @functools.cache   # every page has the sidebar
    def leads_to(folder, path):
        t = (folder/unquote(path)).resolve()
        if t.is_dir(): t = t/'index.html'
        return t if t.is_file() else None
    for f,p in pages.items():
        where = f.relative_to(site).as_posix()
        n['images'] += len(p.imgs)
        bad += [f'{where}: loads {u} from elsewhere' for u in p.remote]
        bad += [f'{where}: anchor {i!r} twice' for i in sorted({i for i in p.ids if p.ids.count(i)>1})]
        if p.mute: bad.append(f'{where}: {p.mute} of {len(p.imgs)} pictures without alternative text; {ALT}')
        if shown := raw_link(texts[f]): bad.append(f'{where}: a link is shown as it was written: {shown}')
        bad += [f'{where}: an empty picture' for u in p.imgs if not u.removeprefix('data:')]
        for u in p.links:
            s = urlsplit(u)
            if s.scheme or s.netloc:
                n['outside'] += 1
                continue
            n['links'] += 1
            t = leads_to(f.parent, s.path) if s.path else f
            if t is None:
                bad.append(f'{where}: {u} leads nowhere')
                continue
            if s.fragment:
                n['anchors'] += 1
                if t in pages and unquote(s.fragment) not in pages[t].ids:
                    bad.append(f'{where}: {u} has no such anchor')
    for f in site.rglob('*.css'):
        bad += [f'{f.relative_to(site).as_posix()}: loads {u} from elsewhere'
                for u in re.findall(r'(?:url\(|@import\s+)["\']?(https?:[^"\')]+)', f.read_text(encoding='utf-8'))]
    return n,bad

NEEDS = ('nbdev', 'execnb', 'smalldocs', 'latex2mathml')
def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('--out', default=ROOT/'_docs', help='folder of the site (default: _docs)')
    ap.add_argument('--stage', help=argparse.SUPPRESS)
    a = ap.parse_args()
    if a.stage: return stage(Path(a.stage))
    missing = [m for m in NEEDS if importlib.util.find_spec(m) is None]
    if missing: sys.exit(f"{', '.join(missing)}: not installed; pip install -e '.[dev]' has what the site needs")
    t0 = time.time()
    warnings = build(a.out)
    n,bad = check(a.out)
    for w in [*warnings, *bad]: print(w)
    print(', '.join(f'{v} {k}' for k,v in n.items()) + f'; {len(warnings)+len(bad)} problems; {time.time()-t0:.1f} s; '
          f'{Path(a.out)/"index.html"}')
    return 1 if warnings or bad else 0

if __name__=='__main__': sys.exit(main())

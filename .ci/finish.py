"""What pages get after they are rendered: nothing from elsewhere, everything by keyboard, little to load, and the
notebook that each of them is"""
import html, json, re, shutil
from pathlib import Path
import seek

HERE = Path(__file__).resolve().parent

# ---------------------------------------------------------------- a page

def mathml(s):
    "Formulas that a browser shows without a script"
    from latex2mathml.converter import convert
    tex = lambda m,d: convert(html.unescape(m[1]), display=d)
    s = re.sub(r'\\\((.+?)\\\)', lambda m: tex(m, 'inline'), s, flags=re.S)
    return re.sub(r'\\\[(.+?)\\\]', lambda m: tex(m, 'block'), s, flags=re.S)

def titled(s):
    "The title is an anchor too, as it is where the notebook itself is shown, unless something below has that name"
    m = re.search(r'<h1 class="title">(.*?)</h1>', s)
    plain = html.unescape(re.sub('<[^>]+>', '', m[1])) if m else ''
    name = re.sub(r'[^\w -]', '', plain).strip().lower().replace(' ', '-')
    if not name or f' id="{name}"' in s: return s
    return s.replace('<h1 class="title">', f'<h1 class="title" id="{name}">', 1)

SKIP = '<a class="skip" href="#quarto-document-content">Skip to the content</a>'
TEXT_TOGGLE = re.compile(r'<a (class="sidebar-item-text[^"]*") data-bs-toggle[^>]*>(.*?)</a>', re.S)
TOGGLE = re.compile(r'<a (class="sidebar-item-toggle[^"]*") (data-bs-toggle="collapse" data-bs-target="#([^"]+)") '
                    r'role="navigation" (aria-expanded="\w+") aria-label="Toggle section">(.*?)</a>', re.S)

def by_keyboard(s):
    "A way around the bars, names for them, buttons for what opens, and code that the arrow keys move"
    s = re.sub(r'(<body[^>]*>)', lambda m: m[1]+SKIP, s, count=1)
    s = s.replace('id="quarto-document-content"', 'id="quarto-document-content" tabindex="-1"', 1)
    s = s.replace('<nav id="quarto-sidebar"', '<nav aria-label="Pages" id="quarto-sidebar"')
    s = s.replace('<nav id="TOC"', '<nav aria-label="On this page" id="TOC"')
    s = s.replace('<nav class="navbar', '<nav aria-label="Site" class="navbar')
    s = s.replace('<nav class="quarto-secondary-nav"', '<nav aria-label="Where" class="quarto-secondary-nav"')
    s = s.replace('<nav class="page-navigation"', '<nav aria-label="Neighbours" class="page-navigation"')
    s = TEXT_TOGGLE.sub(r'<span \1>\2</span>', s)
    s = TOGGLE.sub(r'<button type="button" \1 \2 \4 aria-controls="\3" aria-label="Open or close">\5</button>', s)
    s = s.replace('<a class="quarto-color-scheme-toggle nav-link" href=""',
                  '<a class="quarto-color-scheme-toggle nav-link" href="#" role="button" aria-label="Light or dark"')
    s = s.replace('<input class="task-list-item-checkbox"', '<input aria-label="done?" class="task-list-item-checkbox"')
    s = re.sub(r'<pre(?![^>]*tabindex)', '<pre tabindex="0"', s)
    s = s.replace('<div class="sd-table"', '<div tabindex="0" class="sd-table"')
    return s.replace('class="code-copy-button"', 'class="code-copy-button" aria-label="Copy the code"')

TITLE = re.compile(r'<header id="title-block-header".*?</header>', re.S)
def notebook_line(nb, up):
    "What a page says of the notebook that it is"
    return (f'<p class="notebook">This page is a notebook: <a href="{up}notebooks/{nb}" download>download it</a>, or '
            f'<code>jupyter lab nbs/{nb}</code> in a clone.</p>')

IN_CELL = re.compile(r'<td\b.*?</td>', re.S)
CODE = re.compile(r'(<code>)(.*?)(</code>)', re.S)
MAY_BREAK = re.compile(r'(?:<[^>]*>|&\w+;)|(?<=\w)(?:[._/]|,)(?=\w)')   # what is a tag or an entity stays whole
def in_cells(s):
    "Code in the cells of tables may go on in the next line behind a dot, an underscore, a slash or a comma"
    def places(m): return m[1]+MAY_BREAK.sub(lambda o: o[0] if len(o[0])>1 else f'{o[0]}<wbr>', m[2])+m[3]
    return IN_CELL.sub(lambda m: CODE.sub(places, m[0]), s)

def finish(s, up, nb=None):
    "One page; `up` leads to the site's root, `nb` is its notebook below nbs/, if it is one"
    s = re.sub(r'(<span class="math[^>]*>)(.*?)(</span>)', lambda m: m[1]+mathml(m[2])+m[3], s, flags=re.S)
    s = re.sub(r'<(link|script)[^>]*\b(?:href|src)="https?://[^>]*>(</script>)?', '', s)
    s = re.sub(r'<script src="[^"]*fuse\.min\.js"></script>', '', s)
    s = s.replace('class="smalldocs-search"', 'class="smalldocs-search site-search" role="search"')
    s = s.replace('<div class="smalldocs-search-results',
                  '<div role="region" aria-live="polite" aria-label="Results" class="smalldocs-search-results')
    s = s.replace('</head>', f'<script src="{up}site_libs/site.js" defer></script></head>', 1)
    if nb: s = TITLE.sub(lambda m: m[0]+notebook_line(nb, up), s, count=1)
    return by_keyboard(titled(in_cells(s)))

# ---------------------------------------------------------------- what all pages load

def rules(css):
    "The rules of a stylesheet, one level of braces at a time: (what stands before, body)"
    at = 0
    while (m := re.compile(r'[^{};]*[{;]').match(css, at)):
        if m[0].endswith(';'):
            yield m[0],None
            at = m.end()
            continue
        depth,end = 1,m.end()
        while depth:
            end += 1
            depth += {'{': 1, '}': -1}.get(css[end-1], 0)
        yield m[0][:-1],css[m.end():end-1]
        at = end

def slim(css, used):
    "A stylesheet without what no page has: a rule stays if all classes of one of its selectors are used"
    kept = []
    for head,body in rules(re.sub(r'/\*(?!!).*?\*/', '', css, flags=re.S)):
        if body is None: kept.append(head)
        elif re.search(r'@(media|supports|layer)', head):
            inner = slim(body, used)
            if inner: kept.append(f'{head}{{{inner}}}')
        elif '@' in head: kept.append(f'{head}{{{body}}}')
        else:
            note,_,names = head.rpartition('*/')
            some = [n for n in split_selectors(names) if {*re.findall(r'\.(-?[A-Za-z_][\w-]*)', n)}<=used]
            if some: kept.append(f"{note+'*/' if note else ''}{','.join(some)}{{{body}}}")
    return ''.join(kept)

def split_selectors(names):
    "At commas that stand in no bracket"
    res,depth,last = [],0,0
    for i,c in enumerate(names):
        depth += (c in '([')-(c in ')]')
        if c==',' and not depth:
            res.append(names[last:i])
            last = i+1
    return [*res, names[last:]]

LIVE = {'show', 'collapse', 'collapsing', 'collapsed', 'active', 'quarto-dark', 'disabled'} # Classes that scripts give
def classes(site):
    "Every class that a page has, or a script may give"
    res = set(LIVE)
    for f in site.rglob('*.html'):
        for m in re.findall(r'class="([^"]*)"', f.read_text(encoding='utf-8')): res |= {*m.split()}
    for f in site.glob('site_libs/*.js'): res |= {*re.findall(r'[\w-]+', f.read_text(encoding='utf-8'))}
    return res

def once(s, old, new, what):
    assert s.count(old)==1, f'smalldocs changed {what}'
    return s.replace(old, new)

def no_search_of_its_own(js):
    "smalldocs.js without its search: ours stands in site.js"
    a,b = js.index('  $$(".smalldocs-search").forEach((box) => {'),js.index('  // the keys that focus search')
    return js[:a]+js[b:]

def libs(site):
    "Scripts and styles: ours added, what nothing uses left out"
    shutil.copy(HERE/'site.js', site/'site_libs')
    at = site/'site_libs/smalldocs.js'
    at.write_text(no_search_of_its_own(at.read_text(encoding='utf-8')), encoding='utf-8')
    for d in ('fuse', 'bootstrap-icons'): shutil.rmtree(site/'site_libs'/d)
    used = classes(site)
    for f in site.rglob('*.css'):
        s = f.read_text(encoding='utf-8')
        s = re.sub(r'@import\s*(?:url\([^)]*\)|"[^"]*")\s*;', '', s)
        if f.parent.name=='themes': s = slim(s, used)
        f.write_text(s, encoding='utf-8')

LISTS = 'questions.html', 'glossary.html', 'contributing.html', 'index.html'   # Pages that say of others what is there
def said_elsewhere(site):
    "href -> what lists say of it: a word and its meaning, a question, a line"
    res = {}
    for f in LISTS:
        s,head = (site/f).read_text(encoding='utf-8'),''
        for m in re.finditer(r'<h3[^>]*>(.*?)</h3>|<(tr|li|p)\b[^>]*>(.*?)</\2>', s[s.index('<main'):], re.S):
            if m[1] is not None: head = m[1]
            links = re.findall(r'<a href="([^"#:]+\.html(?:#[^"]*)?)"', m[3] or '')
            if len(links)!=1: continue
            text = m[3] if m[2]!='p' else f'{head} {head} {m[3]}'
            res.setdefault(links[0], []).append(html.unescape(re.sub('<[^>]+>', ' ', text.replace('<wbr>', ''))))
    return {href: ' '.join(texts) for href,texts in res.items()}

def index_of(site):
    "The search index, from smalldocs' list of sections, the line under each title, and what other pages say"
    entries = json.loads((site/'search.json').read_text(encoding='utf-8'))
    about = {}
    for href in dict.fromkeys(e['href'].partition('#')[0] for e in entries):
        m = re.search(r'<div class="description">(.*?)</div>', (site/href).read_text(encoding='utf-8'), re.S)
        about[href] = html.unescape(re.sub('<[^>]+>', '', m[1])) if m else ''
    seek.write(entries, about, said_elsewhere(site), site/'search.js')
    (site/'search.json').unlink()

def self_contain(site, nbs):
    "No CDN, no web font, no script for formulas, a search that also works from a file:// page, each page's notebook"
    for f in site.rglob('*.html'):
        rel = f.relative_to(site)
        nb = rel.with_suffix('.ipynb')
        if (nbs/nb).is_file():
            (site/'notebooks'/nb).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(nbs/nb, site/'notebooks'/nb)
        s = f.read_text(encoding='utf-8')
        s = re.sub(r'<link[^>]*bootstrap-icons[^>]*>', '', s)
        own = nb.as_posix() if (nbs/nb).is_file() else None
        f.write_text(finish(s, '../'*(len(rel.parts)-1), own), encoding='utf-8')
    index_of(site)
    libs(site)

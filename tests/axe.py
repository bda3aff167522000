"""Pages in a real, headless browser, looked at with axe-core: what a reader with a keyboard, a screen reader, weak eyes
or a phone would stumble over, what the console complains of, and what is asked of other machines.

    python tests/axe.py [--json FILE]   # the whole website, a run's report, runs on one page, a look, the page to play
    python tests/axe.py _docs [--axe axe.min.js] [--width 1400 360] [--mode light dark] [--only model/]
    python tests/axe.py http://127.0.0.1:8000/

axe-core is that of the package axe-playwright-python (extra `lab`), or the file that --axe or $AXE names; nothing is
downloaded. In a test:

    with axe.browser() as b: assert axe.faults(b, path_or_url)==[]
"""
import argparse, contextlib, importlib.util, json, os, re, shutil, subprocess, sys, tempfile, time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-dev-shm-usage',
         '--disable-background-networking', '--disable-component-update', '--disable-sync']
WIDTHS = 1400, 360                  # a desk and a phone [px]
MODES = 'light', 'dark'
SERIOUS = 'serious', 'critical'     # axe's words for what keeps somebody out
WAIT_MS = 120_000                   # for a page

def axe_path():
    "The file of axe-core, or None"
    if os.environ.get('AXE'): return Path(os.environ['AXE'])
    spec = importlib.util.find_spec('axe_playwright_python')
    return Path(spec.origin).parent/'axe.min.js' if spec else None

def chromium():
    return next((p for n in ('chromium', 'chromium-browser', 'google-chrome') if (p := shutil.which(n))), None)

def missing(
    also_axe:bool=True, # The rules too, or only the browser?
)->str:                 # What is not there for this to work, or ''
    "For a test that is skipped without it"
    no = [] if importlib.util.find_spec('playwright') else ['playwright (pip install -e ".[lab]")']
    no += [] if chromium() else ['a chromium on the PATH']
    axe = not also_axe or (axe_path() and axe_path().is_file())
    return ', '.join(no+([] if axe else ['axe-core (pip install axe-playwright-python, or $AXE names axe.min.js)']))

@contextlib.contextmanager
def browser():
    "One chromium for as many pages as wanted"
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        b = p.chromium.launch(executable_path=chromium(), args=FLAGS)
        try: yield b
        finally: b.close()

def address(page): return page if re.match(r'https?:', str(page)) else Path(page).resolve().as_uri()

@contextlib.contextmanager
def new_tab(browser):
    "One that many pages may share, one after the other, with its process and its cache"
    c = browser.new_context()
    try: yield c.new_page()
    finally: c.close()

def seen_as(tab, width, mode):
    tab.set_viewport_size(dict(width=width, height=900))
    tab.emulate_media(color_scheme=mode, reduced_motion='reduce')

@contextlib.contextmanager
def opened(
    browser,      # Of `browser()`
    page,         # A file or a http address on this machine
    width=1400,   # Of the window [px]
    mode='light', # 'light' or 'dark'
    shared=None,  # Of `new_tab`; without, the page has one of its own
):
    "A page, and a list that grows by a line for each complaint of the console and each request to elsewhere"
    at,told = address(page),[]
    home = urlsplit(at).netloc
    def asked(r):
        u = urlsplit(r.url)
        if u.scheme in ('http', 'https', 'ws', 'wss') and u.netloc!=home: told.append(f'asks for {r.url}')
    hear = dict(console=lambda m: m.type in ('error', 'warning') and told.append(f'console: {m.text}'),
                pageerror=lambda e: told.append(f'error: {e}'), request=asked)
    with contextlib.nullcontext(shared) if shared else new_tab(browser) as tab:
        tab.set_default_timeout(WAIT_MS)
        seen_as(tab, width, mode)
        for what,f in hear.items(): tab.on(what, f)
        try:
            tab.goto(at, wait_until='load')
            yield tab,told
        finally:
            for what,f in hear.items(): tab.remove_listener(what, f)

TOO_WIDE = """() => { const w = document.documentElement.clientWidth, r = document.documentElement.scrollWidth;
    return r > w + 1 ? `is ${r} px wide in a window of ${w}` : '' }"""
CUT_OFF = """() => { const W = document.documentElement.clientWidth, cut = [];
    for (const e of document.querySelectorAll('p, li, h1, h2, h3, h4, h5, h6, dt, dd, figcaption, summary, label')) {
        let edge = W;
        for (let a = e; a && edge; a = a.parentElement) { const how = getComputedStyle(a).overflowX;
            if (how === 'auto' || how === 'scroll') edge = 0;
            else if (how !== 'visible') edge = Math.min(edge, a.getBoundingClientRect().right); }
        if (!edge || !e.checkVisibility()) continue;
        if ([...e.querySelectorAll('.math')].some(m => m.scrollWidth > m.clientWidth + 1
            && getComputedStyle(m).overflowX === 'auto')) continue;   // a formula that is moved
        const range = document.createRange(); range.selectNodeContents(e);
        const right = Math.max(...[...range.getClientRects()].map(r => r.width > 1 && r.left > -W ? r.right : 0));
        if (right > edge + 1) cut.push(`cut off at ${Math.round(edge)} px: ${e.innerText.slice(0, 60)}`); }
    return cut.slice(0, 1) }"""
RUN = """([kinds, only]) => {
    const asked = axe._audit.rules.filter(r => r.enabled && !r.tags.includes('experimental')
        && (!r.impact || kinds.includes(r.impact)) && (!only.length || only.includes(r.id))).map(r => r.id);
    return axe.run(document, {resultTypes: ['violations'], preload: false, runOnly: {type: 'rule', values: asked}})
    .then(r => r.violations.filter(v => kinds.includes(v.impact)).map(v => `${v.impact}: ${v.help} (${v.id}), `
    + `${v.nodes.length} places, as ${v.nodes[0].html.slice(0, 140)}`
    + (v.nodes[0].failureSummary || '').split('\\n').slice(1, 2))) }"""
# Contrast is two thirds of axe's time. What decides it: ink and size of a text, and what lies behind it; of texts that
# have all that in common one is asked, the first
ONE_OF_A_KIND = """() => {
    const known = new Map(), seen = new Set();
    const behind = (e) => {
        if (!e || known.has(e)) return known.get(e) || '';
        const c = getComputedStyle(e), placed = c.position === 'static' ? '' : c.position + c.zIndex;
        const own = [c.backgroundColor, c.backgroundImage, c.opacity, placed].join();
        known.set(e, behind(e.parentElement) + (own === 'rgba(0, 0, 0, 0),none,1,' ? '' : '|' + own));
        return known.get(e); };
    for (const e of document.querySelectorAll('*')) {
        e.removeAttribute('data-one');
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) && !('value' in e)) continue;
        if (!e.checkVisibility()) continue;
        const c = getComputedStyle(e);
        const kind = [c.color, c.fill, c.fontSize, c.fontWeight, c.textShadow, c.visibility, behind(e)].join(';');
        if (!seen.has(kind)) { seen.add(kind); e.setAttribute('data-one', ''); } } }"""
ASKED = "() => axe.configure({rules: [{id: 'color-contrast', selector: '[data-one]'}]})"

def look(
    tab,            # Of `opened`
    kinds=SERIOUS,  # Which findings count: axe also knows 'moderate' and 'minor'
    only=(),        # Only these rules of axe
)->list:            # One line for each rule that is broken
    "What axe-core finds in a page as it now is, whether it is wider than its window, and prose that is cut off"
    if not tab.evaluate('() => !!window.axe'):
        tab.evaluate(axe_path().read_text(encoding='utf-8'))
        tab.evaluate(ASKED)
    tab.evaluate(ONE_OF_A_KIND)
    wide = tab.evaluate(TOO_WIDE)
    found = [*tab.evaluate(RUN, [list(kinds), list(only)]), *([wide] if wide else []), *tab.evaluate(CUT_OFF)]
    return [o.encode(errors='replace').decode() for o in found]   # the browser cuts a letter of a formula in two

COLOURS = ['color-contrast', 'link-in-text-block'] # The rules that a change of mode can break: it moves nothing
# Its colours are changed: scripts of the page that answer have had their 50 ms, and for a few frames nothing moves
SETTLED = """async () => { await new Promise(requestAnimationFrame); await new Promise(d => setTimeout(d, 60));
    for (let still = 0; still < 4;) {
    await new Promise(requestAnimationFrame);
    const moves = document.getAnimations().filter(a => a instanceof CSSTransition);
    await Promise.allSettled(moves.map(a => a.finished));
    still = moves.length ? 0 : still + 1; } }"""
def faults(
    browser,        # Of `browser()`
    page,           # A file or a http address on this machine
    widths=WIDTHS,  # Of the window [px]
    modes=MODES,    # 'light', 'dark'
    kinds=SERIOUS,  # Which findings count
    first=None,     # Done with the tab before it is looked at
    shared=None,    # Of `new_tab`
    crosswise=False, # The first width in the first mode, the second in the second, or all in all?
)->list:            # One line each
    "Everything that is wrong with a page, at each width and in each mode"
    res,known = [],set()
    views = [*zip(widths, modes)] if crosswise else [(w, m) for w in widths for m in modes]
    with opened(browser, page, *views[0], shared) as (tab,told):
        if first: first(tab)
        for width,mode in views:
            seen_as(tab, width, mode)
            tab.evaluate(SETTLED)
            res += [f'{width} px, {mode}: {o}' for o in look(tab, kinds, COLOURS if width in known else ())]
            known.add(width)
        return [*dict.fromkeys(told), *res]

def pages_of(where, only=''):
    "The pages of a folder, or the one that is named"
    if re.match(r'https?:', str(where)): return [where]
    at = Path(where)
    if at.is_file(): return [at]
    return [f for f in sorted(at.rglob('*.html')) if re.search(only, f.relative_to(at).as_posix())]

# ------------------------------------------------------------ everything, by command

ROOT = Path(__file__).resolve().parents[1]
TINY = ['train', 'quickstart', 'train.steps=6', 'eval.every=3', 'model.n_layer=2', 'model.n_head=1', 'model.width=32',
        'train.device=cpu', 'schedule.warmup=1', 'preflight.at_start=false', 'sample.tokens=20', 'sample.every=3']
KINDS = {'serious': r'(?:\d+ px, \w+: )?(serious|critical|moderate|minor): ', 'console': '(console|error): ',
         'elsewhere': 'asks for |.* from elsewhere', 'too wide': r'(?:\d+ px, \w+: )?(is \d+ px wide|cut off)',
         'links': ''}   # What a line of complaint is: the first that it begins with

def kind_of(line): return next(k for k,begins in KINDS.items() if re.match(begins, line))

def pretrain(*args, cwd):
    "The command, from this checkout"
    env = os.environ|{'PYTHONPATH': str(ROOT)}
    return subprocess.Popen([sys.executable, '-m', 'pretrain', *map(str, args)], cwd=cwd, env=env, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

def done(*args, cwd):
    p = pretrain(*args, cwd=cwd)
    said = p.communicate()[0]
    if p.returncode: sys.exit(said)

@contextlib.contextmanager
def served(*args, cwd):
    "The address that a command tells"
    p = pretrain(*args, cwd=cwd)
    try:
        for line in p.stdout:
            if m := re.search(r'http://127[.]0[.]0[.]1:\d+/[?]token=[\w-]+', line):
                yield m[0]
                return
        sys.exit(f"pretrain {' '.join(args)}: told no address")
    finally:
        p.terminate()
        p.wait()

def written(tab):
    "Something is written on the page to play, and what else was likely is open"
    tab.locator('#max_tokens').fill('12')
    tab.fill('#text', 'Once ')
    tab.locator('#write').click()
    tab.wait_for_function("() => !document.querySelector('#on').disabled")
    tab.locator('#out span').nth(2).click()

def whole_site(b, at, views):
    """(place, page, complaints) of every page of a built site; its links are followed. Pages have their stylesheets and
    bars in common: each is looked at as wide and light, and as narrow and dark"""
    sys.path.insert(0, str(ROOT/'.ci'))
    import docs
    _,broken = docs.check(at)
    with new_tab(b) as shared:
        for page in pages_of(at):
            rel = page.relative_to(at).as_posix()
            own = [o.removeprefix(f'{rel}: ') for o in broken if o.startswith(f'{rel}: ')]
            yield rel.rpartition('/')[0] or '.',rel,faults(b, page, *views, shared=shared, crosswise=True)+own

def of_runs(b, tmp, views):
    "(place, page, complaints) of what commands write and serve"
    for out in ('a', 'b'): done(*TINY, f'out={out}', f'seed={ord(out)}', cwd=tmp)
    done('report', 'a', 'b', '--out', 'both.html', cwd=tmp)
    done('look', 'embedded', '--size', '1', '--out', 'look.html', cwd=tmp)
    for page in ('a/report/index.html', 'both.html', 'look.html'): yield 'runs',page,faults(b, tmp/page, *views)
    with served('report', 'a', '--serve', cwd=tmp) as at: yield 'runs','report --serve',faults(b, at, *views)
    with served('play', 'a', '--device', 'cpu', cwd=tmp) as at:
        yield 'runs','play',faults(b, at, *views)
        yield 'runs','play, written',faults(b, at, *views, first=written)

def everything(a, views):
    "Build, train, serve, look; the table"
    table,start = {},time.time()
    with tempfile.TemporaryDirectory(prefix='pages-') as tmp, browser() as b:
        tmp,site = Path(tmp),Path(a.site) if a.site else Path(tmp)/'site'
        if not a.site: subprocess.run([sys.executable, ROOT/'.ci/docs.py', '--out', site], check=True)
        for place,page,bad in (o for found in (of_runs(b, tmp, views), whole_site(b, site, views)) for o in found):
            row = table.setdefault(place, Counter())
            row.update(pages=1, views=len(views[0])*(len(views[1]) if place=='runs' else 1))
            row.update(kind_of(o) for o in bad)
            for o in bad: print(f'{page}: {o}', flush=True)
            print(f'{sum(r["pages"] for r in table.values())} pages; {page}', end='\r', file=sys.stderr)
    table = dict(sorted(table.items()))
    columns = 'pages', 'views', *KINDS
    table['all'] = sum(table.values(), Counter())
    rows = [[place, *(row[c] for c in columns)] for place,row in table.items()]
    print('\n'.join(['', '| where | '+' | '.join(columns)+' |', '|--|'+'-:|'*len(columns),
                     *('| '+' | '.join(map(str, r))+' |' for r in rows)]))
    if a.json:
        how = dict(widths=views[0], modes=views[1], seconds=round(time.time()-start), columns=columns, rows=rows)
        Path(a.json).write_text(json.dumps(how, indent=1)+'\n', encoding='utf-8')
    return 1 if sum(rows[-1][3:]) else 0

def main():
    ap = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    ap.add_argument('where', nargs='?', help='a folder of pages, a page, or an address on this machine; without: all')
    ap.add_argument('--site', help='a website that is built already (without `where`)')
    ap.add_argument('--json', help='write the table there (without `where`)')
    ap.add_argument('--axe', help='axe.min.js')
    ap.add_argument('--width', type=int, nargs='+', default=WIDTHS, help='of the window [px]')
    ap.add_argument('--mode', nargs='+', default=MODES, choices=MODES)
    ap.add_argument('--only', default='', help='a regular expression that a page of the folder matches')
    ap.add_argument('--all', action='store_true', help='moderate and minor findings too')
    a = ap.parse_args()
    if a.axe: os.environ['AXE'] = str(Path(a.axe).resolve())
    if missing(): sys.exit(f'missing: {missing()}')
    views = a.width,a.mode,(*SERIOUS, 'moderate', 'minor') if a.all else SERIOUS
    if not a.where: return everything(a, views)
    pages,n = pages_of(a.where, a.only),0
    with browser() as b:
        for page in pages:
            bad = faults(b, page, *views)
            n += len(bad)
            for o in bad: print(f'{page}: {o}', flush=True)
    print(f'{len(pages)} pages, {len(a.width)*len(a.mode)} views of each; {n} findings')
    return 1 if n else 0

if __name__=='__main__': sys.exit(main())

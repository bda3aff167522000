"""Pages in a real, headless browser, looked at with axe-core: what a reader with a keyboard, a screen reader, weak eyes
or a phone would stumble over, what the console complains of, and what is asked of other machines.

    python tests/axe.py _docs [--axe axe.min.js] [--width 1400 360] [--mode light dark] [--only model/]
    python tests/axe.py http://127.0.0.1:8000/

axe-core is that of the package axe-playwright-python (extra `lab`), or the file that --axe or $AXE names; nothing is
downloaded. In a test:

    with axe.browser() as b: assert axe.faults(b, path_or_url)==[]
"""
import argparse, contextlib, importlib.util, os, re, shutil, sys
from pathlib import Path
from urllib.parse import urlsplit

FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-dev-shm-usage',
         '--disable-background-networking', '--disable-component-update', '--disable-sync']
WIDTHS = 1400, 360                  # a desk and a phone [px]
MODES = 'light', 'dark'
SERIOUS = 'serious', 'critical'     # axe's words for what keeps somebody out
WAIT_MS = 20_000                    # for a page

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
def opened(
    browser,      # Of `browser()`
    page,         # A file or a http address on this machine
    width=1400,   # Of the window [px]
    mode='light', # 'light' or 'dark'
):
    "A page, and a list that grows by a line for each complaint of the console and each request to elsewhere"
    at,told = address(page),[]
    ctx = browser.new_context(viewport=dict(width=width, height=900), color_scheme=mode, reduced_motion='reduce')
    try:
        tab = ctx.new_page()
        tab.set_default_timeout(WAIT_MS)
        tab.on('console', lambda m: m.type in ('error', 'warning') and told.append(f'console: {m.text}'))
        tab.on('pageerror', lambda e: told.append(f'error: {e}'))
        home = urlsplit(at).netloc
        def asked(r):
            u = urlsplit(r.url)
            if u.scheme in ('http', 'https', 'ws', 'wss') and u.netloc!=home: told.append(f'asks for {r.url}')
        tab.on('request', asked)
        tab.goto(at, wait_until='load')
        yield tab,told
    finally: ctx.close()

TOO_WIDE = """() => { const w = document.documentElement.clientWidth, r = document.documentElement.scrollWidth;
    return r > w + 1 ? `is ${r} px wide in a window of ${w}` : '' }"""
RUN = """([kinds, only]) => axe.run(document, {resultTypes: ['violations'], preload: false,
    ...(only.length ? {runOnly: {type: 'rule', values: only}} : {})}).then(r => r.violations
    .filter(v => kinds.includes(v.impact)).map(v => `${v.impact}: ${v.help} (${v.id}), ${v.nodes.length} places, as `
    + v.nodes[0].html.slice(0, 140) + (v.nodes[0].failureSummary || '').split('\\n').slice(1, 2)))"""

def look(
    tab,            # Of `opened`
    kinds=SERIOUS,  # Which findings count: axe also knows 'moderate' and 'minor'
    only=(),        # Only these rules of axe
)->list:            # One line for each rule that is broken
    "What axe-core finds in a page as it now is, and whether it is wider than its window"
    if not tab.evaluate('() => !!window.axe'): tab.evaluate(axe_path().read_text(encoding='utf-8'))
    wide = tab.evaluate(TOO_WIDE)
    return [*tab.evaluate(RUN, [list(kinds), list(only)]), *([wide] if wide else [])]

COLOURS = ['color-contrast', 'link-in-text-block'] # The rules that a change of mode can break: it moves nothing
SETTLE_MS = 120                                    # Until a page has changed its colours
def faults(
    browser,        # Of `browser()`
    page,           # A file or a http address on this machine
    widths=WIDTHS,  # Of the window [px]
    modes=MODES,    # 'light', 'dark'
    kinds=SERIOUS,  # Which findings count
)->list:            # One line each
    "Everything that is wrong with a page, at each width and in each mode"
    res = []
    with opened(browser, page, widths[0], modes[0]) as (tab,told):
        for width in widths:
            tab.set_viewport_size(dict(width=width, height=900))
            for mode in modes:
                tab.emulate_media(color_scheme=mode, reduced_motion='reduce')
                tab.wait_for_timeout(SETTLE_MS)
                res += [f'{width} px, {mode}: {o}' for o in look(tab, kinds, () if mode==modes[0] else COLOURS)]
        return [*dict.fromkeys(told), *res]

def pages_of(where, only=''):
    "The pages of a folder, or the one that is named"
    if re.match(r'https?:', where): return [where]
    at = Path(where)
    if at.is_file(): return [at]
    return [f for f in sorted(at.rglob('*.html')) if re.search(only, f.relative_to(at).as_posix())]

def main():
    ap = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    ap.add_argument('where', help='a folder of pages, a page, or an address on this machine')
    ap.add_argument('--axe', help='axe.min.js')
    ap.add_argument('--width', type=int, nargs='+', default=WIDTHS, help='of the window [px]')
    ap.add_argument('--mode', nargs='+', default=MODES, choices=MODES)
    ap.add_argument('--only', default='', help='a regular expression that a page of the folder matches')
    ap.add_argument('--all', action='store_true', help='moderate and minor findings too')
    a = ap.parse_args()
    if a.axe: os.environ['AXE'] = str(Path(a.axe).resolve())
    if missing(): sys.exit(f'missing: {missing()}')
    pages,n = pages_of(a.where, a.only),0
    with browser() as b:
        for page in pages:
            bad = faults(b, page, a.width, a.mode, (*SERIOUS, 'moderate', 'minor') if a.all else SERIOUS)
            n += len(bad)
            for o in bad: print(f'{page}: {o}', flush=True)
    print(f'{len(pages)} pages, {len(a.width)*len(a.mode)} views of each; {n} findings')
    return 1 if n else 0

if __name__=='__main__': sys.exit(main())

"""The tutorial *first run* as a person goes through it: JupyterLab in a real browser, one cell after the other with
Shift-Enter, from a virtual environment that has just been made.

    python tests/lab_runs.py --fresh [--times 10] [--shots FOLDER] [--keep]

`--fresh` makes the environment, with the extra `lab` and nothing else; without it the one that runs this is used.
`--keep` writes what was measured to nbs/reports/lab.json, which the page *Reliability* shows. Themes alternate; half of
the times the outputs that are saved in the notebook are removed first, so that a panel arrives where nothing was.

Of each `run.fit()` is measured, every 50 ms, from the first sight of its whole panel to a second after its end: by how
much its cell changed its height, the layout shift as browsers define it, and the longest time without news of the bar;
and before that, how long the panel took to come, and what moved when it did."""
import argparse, datetime, json, math, os, platform, subprocess, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'.ci'))
import lab

NB,KEPT = ROOT/'nbs/tutorials/first_run.ipynb',ROOT/'nbs/reports/lab.json'
PARTS = 3   # Of a panel
DARK = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
# What each look sees: of each cell its height, parts of a panel in it, and the line of its bar; and each layout shift
# of the notebook, not of the line of state below it, nor of JupyterLab's invisible button beside an output. What was
# not in sight before has not moved: a scroll brought it
WATCH = """() => { window.seen = [];
    const element = n => n?.nodeType === 1 ? n : n?.parentElement;
    const inside = n => element(n)?.closest('.jp-Notebook') && !element(n).closest('.jp-OutputArea-promptOverlay');
    new PerformanceObserver(l => l.getEntries().filter(e => e.sources.some(s =>
        inside(s.node) && s.previousRect.width)).forEach(e =>
        window.seen.push({t: e.startTime, shift: e.value, asked: e.hadRecentInput}))).observe({type: 'layout-shift'});
    window.looking = setInterval(() => window.seen.push({t: performance.now(),
        cells: [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')].map(c => ({at: +c.dataset.windowedListIndex,
            high: c.getBoundingClientRect().height, parts: c.querySelectorAll('.pretrain-run').length,
            bar: c.querySelector('.pretrain-run .bar')?.innerText || ''}))}), 50) }"""
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets.map(w => ({code: w.model.type === 'code',
    source: w.model.sharedModel.source}))"""
AT = "() => window.jupyterapp.shell.currentWidget.content.activeCellIndex"
OVER = """i => { const w = window.jupyterapp.shell.currentWidget, c = w.content.model.cells.get(i);
    return c.executionCount !== null && c.executionState !== 'running'
        && w.sessionContext.session.kernel.status === 'idle' }"""

def go_through(page, base, token, nb, dark=False, shot=lambda name: None, timeout=900):
    "Shift-Enter to the last cell; the final state, what was seen of each fit, seconds"
    page.goto(f'{base}/lab/tree/{nb}?reset&token={token}', wait_until='domcontentloaded')
    page.locator('.jp-NotebookPanel .jp-Notebook').first.wait_for(timeout=120_000)
    page.wait_for_function(lab.IDLE, timeout=120_000)
    if dark: page.evaluate(DARK)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:move-cursor-up')")
    page.locator('.jp-Notebook .jp-Cell').first.click()
    page.keyboard.press('Escape')
    page.evaluate(WATCH)
    start,fits = time.time(),[]
    for i,cell in enumerate(page.evaluate(CELLS)):
        page.wait_for_function(f'() => ({AT})() === {i}', timeout=10_000)
        fit = cell['code'] and 'run.fit()' in cell['source']
        begun = page.evaluate('() => performance.now()')
        page.keyboard.press('Shift+Enter')
        if fit:
            page.wait_for_timeout(2500)
            shot(f'fit_{len(fits)+1}')
        if cell['code'] and cell['source'].strip(): page.wait_for_function(OVER, arg=i, timeout=1000*timeout)
        if fit:
            page.wait_for_timeout(1000)
            shot(f'end_{len(fits)+1}')
            fits.append((begun, page.evaluate('() => performance.now()'), i))
    state,took = page.evaluate(lab.STATE),time.time()-start
    shot('last')
    seen = page.evaluate('() => window.seen')
    return state,[measured(seen, *o) for o in fits],took

def going(cell): return cell['parts']==PARTS and not cell['bar'].startswith(('finished', 'stopped', 'failed'))

def measured(seen, begun, ended, at):
    "Of the panel in the cell `at`: when it came, whether anything moved then and later, longest time without news"
    here = [o for o in seen if begun<=o['t']<=ended]
    looks = [(o['t'], c) for o in here for c in o.get('cells', ()) if c['at']==at]
    came = next(t for t,c in looks if going(c))
    there = next((t for t,_ in looks if t>came), came)   # the frame with its last part has been drawn
    def shift(since, until, asked):
        return round(sum(o['shift'] for o in here if 'shift' in o and since<=o['t']<until and o['asked']==asked), 5)
    high = [c['high'] for t,c in looks if t>=came]
    bars = [(t, c['bar']) for t,c in looks if t>=came and going(c)]
    news = [came]+[b for (_,was),(b,now) in zip(bars, bars[1:]) if was!=now]
    return dict(came_ms=round(came-begun), arrival=shift(begun, there, False), arrival_asked=shift(begun, there, True),
                grew_px=round(max(high)-min(high), 2), shift=shift(there, math.inf, False)+shift(there, math.inf, True),
                gap_ms=round(max((b-a for a,b in zip(news, news[1:])), default=0)), news=len(news))

def bare(nb):
    "A notebook without its outputs"
    nb = json.loads(nb.read_text(encoding='utf-8'))
    for c in nb['cells']:
        if c['cell_type']=='code': c['outputs'] = []
    return json.dumps(nb)

def once(dark, saved, shots=None, nb=NB):
    "One time through the notebook, in a browser and a server of its own"
    from playwright.sync_api import sync_playwright
    with tempfile.TemporaryDirectory(prefix='lab-nb-') as tmp:
        (Path(tmp)/nb.name).write_text(nb.read_text(encoding='utf-8') if saved else bare(nb), encoding='utf-8')
        with lab.lab(tmp) as (base,token), sync_playwright() as pw:
            b = pw.chromium.launch(executable_path=lab.browser(), headless=True, args=lab.FLAGS)
            page = b.new_page(viewport=dict(width=1280, height=1500))
            theme = 'dark' if dark else 'light'
            kind = f'{theme}_{"saved" if saved else "bare"}'
            def shot(name): return shots and page.screenshot(path=str(Path(shots)/f'{kind}_{name}.png'))
            state,fits,took = go_through(page, base, token, nb.name, dark, shot)
            b.close()
    ok = not state['errors'] and state['ran']==state['cells']
    return dict(theme=theme, saved=saved, ok=ok, ran=state['ran'], cells=state['cells'], errors=state['errors'],
                took_s=round(took, 1), fits=fits)

def fresh(tmp):
    "The Python of a virtual environment with the extra `lab` and nothing else"
    subprocess.run([sys.executable, '-m', 'venv', tmp], check=True)
    subprocess.run([f'{tmp}/bin/pip', 'install', '-q', '-e', f'{ROOT}[lab]'], check=True)
    return f'{tmp}/bin/python'

def keep(runs):
    "What the page shows"
    where = f'{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}'
    found = dict(date=str(datetime.date.today()), machine=where, busy=round(os.getloadavg()[2], 1), runs=runs)
    KEPT.write_text(json.dumps(found, indent=1)+'\n', encoding='utf-8')

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--fresh', action='store_true')
    ap.add_argument('--times', type=int, default=10)
    ap.add_argument('--shots', type=Path)
    ap.add_argument('--keep', action='store_true')
    a = ap.parse_args()
    if a.fresh:
        with tempfile.TemporaryDirectory(prefix='lab-venv-') as tmp:
            rest = [o for o in sys.argv[1:] if o!='--fresh']
            return subprocess.run([fresh(tmp), __file__, *rest]).returncode
    if why := lab.missing():
        print(f'missing: {why}')
        return 2
    if a.shots: a.shots.mkdir(parents=True, exist_ok=True)
    runs = []
    for i in range(a.times):
        runs.append(r := once(bool(i%2), bool(i//2%2), a.shots if i<4 else None))
        print(json.dumps(r), flush=True)
        if a.keep: keep(runs)
    return verdict(runs)

def verdict(runs):
    "In a line; the exit code"
    ok,fits = sum(r['ok'] for r in runs),[f for r in runs for f in r['fits']]
    grew,shift,gap = (max(f[k] for f in fits) for k in ('grew_px', 'shift', 'gap_ms'))
    print(f'{ok} of {len(runs)} times to the last cell; a cell grew by at most {grew:g} px under its panel, '
          f'layout shift at most {shift:g}, no news of a bar for at most {gap:,} ms')
    return 0 if ok==len(runs) and not (grew or shift) else 1

if __name__=='__main__': sys.exit(main())

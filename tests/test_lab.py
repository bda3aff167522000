"""A notebook works in JupyterLab in a real browser. In tests/, since it starts a server and a browser; without them
it is skipped, saying what is missing."""
import json, os, subprocess, sys, time
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'.ci'))
sys.path.insert(0, str(Path(__file__).parent))
import lab
import lab_runs

needs = pytest.mark.skipif(bool(lab.missing()), reason=f'missing: {lab.missing()}')

def notebook(path, *cells):
    c = lambda i,s: dict(cell_type='code', execution_count=None, id=f'c{i}', metadata={}, outputs=[], source=s)
    meta = dict(kernelspec=dict(display_name='python3', language='python', name='python3'))
    path.write_text(json.dumps(dict(cells=[c(i,s) for i,s in enumerate(cells)], metadata=meta, nbformat=4,
                                    nbformat_minor=5)))
    return path

def run(nb, *args):
    p = subprocess.run([sys.executable, ROOT/'.ci/lab.py', nb, '--timeout', '120', *args], capture_output=True,
                       text=True)
    return p.returncode, p.stdout+p.stderr

PROGRESS = '''
import time
from pretrain.train.progress import Progress
with Progress(20) as p:
    for i in range(20): time.sleep(.05); p.update(i+1, dict(loss=3-i/10))
'''

@needs
def test_progress_in_a_real_notebook(tmp_path):
    rc,out = run(notebook(tmp_path/'a.ipynb', '1+1', PROGRESS, 'assert 1+1==2'), '--shots', str(tmp_path))
    assert rc==0 and '3 of 3 cells ran' in out and '0 errors' in out, out
    assert (tmp_path/'end.png').stat().st_size>10_000

@needs
def test_an_error_is_noticed(tmp_path):
    rc,out = run(notebook(tmp_path/'a.ipynb', '1+1', 'assert 1+1==3, "planted"', '2+2'))
    assert rc==1 and 'AssertionError: planted' in out, out

# ------------------------------------------------------------ the panel of `fit`: `python tests/test_lab.py [SHOTS]`

TRAIN = '''
import time
from pathlib import Path
from pretrain.build import Run
Path('text.txt').write_text('\\n\\n'.join(f'A line of text, number {i}.' for i in range(400)))
def slow(run):
    time.sleep(1.5)
    return 1.
TINY = {'data.train': 'text.txt', 'model.seq_len': 16, 'model.n_layer': 1, 'model.n_head': 1, 'model.width': 8,
        'loader.batch_rows': 2, 'train.steps': 16, 'tokenizer.vocab_size': 300, 'prepare.workers': 1,
        'prepare.cache': 'cache', 'eval.every': 2, 'sample.every': 4, 'sample.tokens': 12,
        'sample.prompts': ['A ', 'number']}
def new(out): return Run(None, out=out, evals=dict(slow=slow), **TINY)
run = new('one')
'''
CELLS = TRAIN,'run.fit()','run.fit()',"two = new('two').fit()"   # the first is interrupted, and the second goes on
WATCH = """() => { window.seen = [];
    new PerformanceObserver(l => l.getEntries().forEach(e => window.seen.push({shift: e.value, t: e.startTime})))
        .observe({type: 'layout-shift'});
    setInterval(() => window.seen.push({t: performance.now(),
        tops: [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')].map(c => c.getBoundingClientRect().top),
        bars: [...document.querySelectorAll('.pretrain-run .bar')].map(b => b.innerText)}), 50) }"""
GAP_MS = 1500   # Of a bar that tells seconds; more than one, as the browser shares a machine with the run
DARK = "() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
STOP = "() => window.jupyterapp.commands.execute('notebook:interrupt-kernel')"

def watch_panels(tmp_path, dark=False, shots=None):
    "What was seen every 50 ms while three fits ran, the first of them interrupted; and the state of the notebook"
    from playwright.sync_api import sync_playwright
    nb = notebook(tmp_path/'a.ipynb', *CELLS)
    with lab.lab(tmp_path) as (base,token), sync_playwright() as pw:
        b = pw.chromium.launch(executable_path=lab.browser(), headless=True, args=lab.FLAGS)
        page = b.new_page(viewport=dict(width=1280, height=2600))
        page.goto(f'{base}/lab/tree/{nb.name}?reset&token={token}', wait_until='domcontentloaded')
        page.locator('.jp-NotebookPanel .jp-Notebook').first.wait_for(timeout=90_000)
        page.wait_for_function(lab.IDLE, timeout=90_000)
        if dark: page.evaluate(DARK)
        page.evaluate(WATCH)
        page.evaluate(lab.RUN)
        page.wait_for_function("() => /step [5-9] of/.test(document.querySelector('.pretrain-run .bar')?.innerText)",
                               timeout=120_000)
        page.evaluate(STOP)
        end = time.time()+240
        while (s := page.evaluate(lab.STATE))['ran']<s['cells'] and not s['errors'] and time.time()<end:
            page.wait_for_timeout(200)
        if shots: page.screenshot(path=str(Path(shots)/f'panel_{"dark" if dark else "light"}.png'))
        seen = page.evaluate('() => window.seen')
        b.close()
    return seen,s

def going(bar): return not bar.startswith(('stopped', 'finished'))

def measured(seen):
    "While a panel stood there and trained: cells that moved, layout shifts, longest time without news of its bar [ms]"
    looks,shifts = [o for o in seen if 'bars' in o],[o for o in seen if 'shift' in o]
    moved,stood,gaps = 0,[],[]
    for i in range(len(looks[-1]['bars'])):
        there = [o for o in looks if len(o['bars'])>i and going(o['bars'][i])]
        there = [o for o in there if o['t']>there[0]['t']+500]    # its three parts have arrived
        if not there: continue
        moved += sum(a['tops']!=b['tops'] for a,b in zip(there, there[1:]))
        stood.append((there[0]['t'], there[-1]['t']))
        news = [b['t'] for a,b in zip(there, there[1:]) if a['bars'][i]!=b['bars'][i]]
        gaps += [b-a for a,b in zip(news, news[1:])]
    return moved,sum(o['shift'] for o in shifts if any(a<o['t']<b for a,b in stood)),max(gaps)

@needs
@pytest.mark.skipif('CI' in os.environ, reason='a minute of a browser: by command')
def test_the_panel_does_not_move_the_page_and_its_bar_goes_on(tmp_path):
    seen,s = watch_panels(tmp_path)
    assert not s['errors'] and s['ran']==s['cells'], s
    bars = [o for o in seen if 'bars' in o][-1]['bars']
    assert len(bars)==3 and bars[0].startswith('stopped') and all(b.startswith('finished') for b in bars[1:]), bars
    moved,shift,gap = measured(seen)
    assert (moved, shift)==(0, 0) and gap<GAP_MS, (moved, shift, gap)

def test_a_page_that_moves_is_noticed():
    def look(t, top, bar): return dict(t=t, tops=[top], bars=[bar])
    calm = [look(0, 9, 'step 1'), look(600, 9, 'step 2'), look(1200, 9, 'step 3'), look(1800, 9, 'step 4')]
    assert measured(calm)==(0, 0, 600)
    assert measured([*calm, look(2400, 10, 'step 5'), dict(shift=.5, t=2000)])[:2]==(1, .5)

def test_a_cell_that_grows_under_its_panel_is_noticed():
    def look(t, high, bar, parts=3): return dict(t=t, cells=[dict(at=5, high=high, parts=parts, bar=bar)])
    calm = [look(0, 40, '', 0), look(100, 600, 'step 1'), look(900, 600, 'step 2'), look(1000, 600, 'finished')]
    fine = lab_runs.measured(calm, 0, 3000, 5)
    assert fine==dict(came_ms=100, arrival=0, arrival_asked=0, grew_px=0, shift=0, gap_ms=800, news=2)
    drawn = lab_runs.measured([*calm, dict(t=105, shift=.1, asked=True)], 0, 3000, 5)   # in the frame of its arrival
    assert (drawn['shift'], drawn['arrival_asked'])==(0, .1)
    card = [*calm, look(1100, 790, 'finished'), dict(t=1050, shift=.1, asked=False)]   # a card below, at the end
    moved = lab_runs.measured([*card, dict(t=50, shift=.2, asked=True)], 0, 3000, 5)
    assert (moved['grew_px'], moved['shift'], moved['arrival_asked'])==(190, .1, .2)
    assert [lab_runs.verdict([dict(ok=True, fits=f)]) for f in ([fine], [fine, moved])]==[0, 1]
    assert lab_runs.verdict([dict(ok=True, fits=[fine]), dict(ok=False, fits=[fine])])==1

if __name__=='__main__':
    import tempfile
    for dark in (False, True):
        with tempfile.TemporaryDirectory() as d: seen,s = watch_panels(Path(d), dark, *sys.argv[1:2])
        name = 'dark' if dark else 'light'
        print(f'{name}: cells moved, layout shift, longest time without news [ms]:', measured(seen))

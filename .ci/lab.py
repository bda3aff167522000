"""A notebook in JupyterLab in a real, headless browser: open it, run all cells, wait, take pictures, say what happened.

    python .ci/lab.py nbs/tutorials/first_run.ipynb [--shots FOLDER] [--timeout 300] [--interrupt TEXT]

Needs the extra `lab` (jupyterlab, playwright; no browser download) and a chromium on the PATH. Works on a copy, so the
notebook stays as it is. Exit 0 only if every code cell ran and none shows an error."""
import argparse, contextlib, json, os, secrets, shutil, signal, socket, subprocess, sys, tempfile, time, urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-dev-shm-usage',
         '--disable-background-networking', '--disable-component-update', '--disable-sync']

def browser():
    return next((p for n in ('chromium', 'chromium-browser', 'google-chrome') if (p := shutil.which(n))), None)

def missing():
    "What is not there for this to work, or ''"
    from importlib.util import find_spec
    need = [f'{m} (pip install -e ".[lab]")' for m in ('jupyterlab', 'playwright') if find_spec(m) is None]
    return ', '.join(need + ([] if browser() else ['a chromium on the PATH']))

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

@contextlib.contextmanager
def lab(root, timeout=60):
    "A server on loopback whose settings live in a temporary folder; yields its address and token"
    port,token,tmp = free_port(),secrets.token_hex(16),Path(tempfile.mkdtemp(prefix='lab-'))
    env = {**os.environ, 'JUPYTER_CONFIG_DIR': f'{tmp}/config', 'JUPYTER_DATA_DIR': f'{tmp}/data',
           'JUPYTER_RUNTIME_DIR': f'{tmp}/runtime',
           'JUPYTERLAB_WORKSPACES_DIR': f'{tmp}/workspaces', 'JUPYTERLAB_SETTINGS_DIR': f'{tmp}/settings',
           'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
    env.pop('IN_TEST', None)
    quiet = tmp/'settings/@jupyterlab/apputils-extension'
    quiet.mkdir(parents=True)
    # no pop-up over the page
    (quiet/'notification.jupyterlab-settings').write_text(json.dumps(dict(fetchNews='false', checkForUpdates=False)))
    cmd = [sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root', '--ServerApp.ip=127.0.0.1',
           f'--ServerApp.port={port}',
           '--ServerApp.port_retries=0', f'--IdentityProvider.token={token}', f'--ServerApp.root_dir={root}',
           '--LabApp.expose_app_in_browser=True', '--LabApp.news_url=None',
           '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate']
    log = open(tmp/'lab.log', 'w+')
    p = subprocess.Popen(cmd, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    base,end = f'http://127.0.0.1:{port}',time.time()+timeout
    try:
        while True:
            try:
                urllib.request.urlopen(f'{base}/api/status?token={token}', timeout=2)
                break
            except OSError:
                if p.poll() is not None or time.time()>end:
                    log.seek(0)
                    raise RuntimeError(f'JupyterLab did not start: {log.read()[-3000:]}') from None
                time.sleep(.2)
        yield base,token
    finally:
        with contextlib.suppress(ProcessLookupError): os.killpg(p.pid, signal.SIGTERM)
        try: p.wait(10)
        except subprocess.TimeoutExpired: os.killpg(p.pid, signal.SIGKILL)
        log.close()
        shutil.rmtree(tmp, ignore_errors=True)

IDLE = ("() => { const s = window.jupyterapp?.shell?.currentWidget?.sessionContext; return "
        "s && s.session?.kernel?.status === 'idle' }")
# the promise is not returned: evaluate would wait for the last cell
RUN = "() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }"
STATE = """() => { const w = window.jupyterapp.shell.currentWidget, cs = w.content.model.cells;
    let n=0, run=0, err=[], text='', pics=0;
    for (const c of cs) { if (c.type !== 'code' || !c.sharedModel.source.trim()) continue; n++;
      if (c.executionCount !== null && c.executionState !== 'running') run++;
      for (let i=0; i<c.outputs.length; i++) { const o = c.outputs.get(i).toJSON();
        if (o.output_type==='error') err.push(o.ename+': '+o.evalue);
        if (o.data && (o.data['image/png'] || /<img /.test(o.data['text/html'] || ''))) pics++;
        const d = o.data || {}, t = o.text || d['text/html'] || d['text/markdown'] || d['text/plain'] || '';
        text += (Array.isArray(t) ? t.join('') : t)+'\\n' } }
    return {cells: n, ran: run, errors: err, pictures: pics, text, kernel: w.sessionContext.session.kernel.status} }"""
SCROLL = ("t => { const w = window.jupyterapp.shell.currentWidget.content; w.activeCellIndex "
          "= w.widgets.length-1; w.scrollToItem(w.widgets.length-1) }")

def run_all(page, base, token, nb, timeout=120, shots=None, interrupt=None):
    """Run all cells of `nb` as a person would; with `interrupt`, press the stop button once its text is seen.
    Returns the final state and the times"""
    times,t0 = {},time.time()
    mark = lambda k: times.__setitem__(k, round(time.time()-t0, 1))
    shot = lambda k: shots and page.screenshot(path=str(Path(shots)/f'{k}.png'))
    # reset: no saved layout, only this notebook
    page.goto(f'{base}/lab/tree/{nb}?reset&token={token}', wait_until='domcontentloaded')
    page.locator('.jp-NotebookPanel .jp-Notebook').first.wait_for(timeout=60_000)
    mark('visible')
    page.wait_for_function(IDLE, timeout=60_000)
    mark('kernel idle')  # asked earlier, the run would be queued against no kernel
    page.evaluate(RUN)
    shot('start')
    end,stopped,half = time.time()+timeout,False,False
    while True:
        s = page.evaluate(STATE)
        if interrupt and not stopped and interrupt in s['text']:
            page.evaluate("() => window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
            stopped = True
            mark('interrupted')
        if not half and s['ran']>s['cells']/2:
            half = True
            shot('middle')
        if s['errors'] or (s['ran']==s['cells'] and s['kernel']=='idle'): break
        if time.time()>end: raise TimeoutError(f"after {timeout:.0f} s {s['ran']} of {s['cells']} cells have run")
        page.wait_for_timeout(200)
    mark('done')
    page.evaluate(SCROLL, None)
    page.wait_for_timeout(500)
    shot('end')
    return s,times

def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('nb', type=Path)
    ap.add_argument('--shots', type=Path)
    ap.add_argument('--timeout', type=float, default=300)
    ap.add_argument('--interrupt')
    a = ap.parse_args()
    if why := missing():
        print(f'missing: {why}')
        return 2
    from playwright.sync_api import sync_playwright
    if a.shots: a.shots.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='lab-nb-') as tmp:
        shutil.copy(a.nb, tmp)
        with lab(tmp) as (base,token), sync_playwright() as pw:
            b = pw.chromium.launch(executable_path=browser(), headless=True, args=FLAGS)
            s,times = run_all(b.new_page(viewport=dict(width=1280, height=1500)), base, token, a.nb.name, a.timeout,
                              a.shots, a.interrupt)
            b.close()
    for e in s['errors']: print(e)
    print(f"{s['ran']} of {s['cells']} cells ran, {s['pictures']} pictures, "
          f"{len(s['errors'])} errors;", ', '.join(f'{k} {v} s' for k,v in times.items()))
    return 1 if s['errors'] or s['ran']<s['cells'] else 0

if __name__=='__main__': sys.exit(main())

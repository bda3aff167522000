"Needs processes: a terminal that a program is attached to, output that goes into a pipe, and a writer that is killed"
import json, os, pty, signal, subprocess, sys, time
import pytest
from pretrain.store.log import MetricsLog, read_metrics

RUN = """
import math, sys
from pretrain.train.progress import Progress, TrackConfig
with Progress(40, cfg=TrackConfig(log_every=20, redraw_s=1e-9)) as p:
    for s in range(1, 41):
        p.update(s, dict(loss=8*math.exp(-s/20), loss_ema=7.5, lr=1e-3, grad_norm=.5, tok_per_s=1e4, mfu=.3))
        if s==20: p.note('validation step 20: 1.5000 bits per byte')
print('after')
"""

def env(**kw):
    return {k: v for k,v in os.environ.items() if k not in ('COLUMNS', 'LINES')} | dict(OMP_NUM_THREADS='1',
        PYTHONIOENCODING='utf-8', TERM='xterm') | kw

def on_terminal(columns, **kw):
    "What a program writes to a terminal of `columns` columns"
    import fcntl, struct, termios
    main,side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
    p = subprocess.Popen([sys.executable, '-c', RUN], stdin=side, stdout=side, stderr=side, env=env(**kw))
    os.close(side)
    res = b''
    while True:
        try: b = os.read(main, 65536)
        except OSError: break     # the other side is closed
        if not b: break
        res += b
    os.close(main)
    assert p.wait(60)==0, res
    return res.decode()

@pytest.mark.parametrize('columns', [100, 40])
def test_terminal(columns):
    s = on_terminal(columns)
    lines = s.replace('\r\n', '\n').split('\n')
    assert 'Traceback' not in s and s.count('\r\033[K')>2
    shown = [part.replace('\033[K', '') for l in lines for part in l.split('\r')]
    assert max(map(len, shown if columns>60 else [o for o in shown
                                                  if not o.startswith(
        'validation')]))<columns, 'a line as wide as the window wraps'
    assert 'validation step 20: 1.5000 bits per byte' in shown, 'the note has a line to itself'
    assert shown[-2:]==['after', ''] and '40/40' in shown[-4 if shown[-3]=='' else -3]
    assert ('━' in s)==(columns>60)

def test_terminal_without_escapes_gets_lines():
    s = on_terminal(80, TERM='dumb')
    assert '\033' not in s and [l.split('/')[0].strip() for l in s.splitlines() if '/40' in l]==['1','20','40']

def test_pipe():
    r = subprocess.run([sys.executable, '-c', RUN], env=env(), capture_output=True, text=True, timeout=60)
    assert r.returncode==0 and '\r' not in r.stdout and '\033' not in r.stdout and r.stderr==''
    assert [l.split('/')[0].strip() for l in r.stdout.splitlines() if '/40' in l]==['1','20','40']

def test_reader_that_leaves():
    "`pretrain … | head -1`: the run goes on; only the final print, not ours, meets the closed pipe"
    code = RUN.replace("print('after')", "sys.stderr.write('trained to the end')")
    p = subprocess.Popen([sys.executable, '-c', code], env=env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True)
    p.stdout.close()
    assert 'trained to the end' in p.stderr.read()
    p.wait(60)

def test_killed_writer_loses_nothing(tmp_path):
    "What `append` has returned from is in the file, whenever SIGKILL comes; going on gives each step exactly once"
    path = tmp_path/'metrics.jsonl'
    for i in range(20):
        r,w = os.pipe()
        pid = os.fork()
        if pid==0:
            try:
                log = MetricsLog(path)
                for s in range(log.step+1, 10**9):
                    log.append(dict(step=s, loss=1/(s+1)))
                    os.write(w, b'%d\n' % s)
            finally: os._exit(1)
        os.close(w)
        time.sleep(0.003*(i%7)+0.005)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with open(r) as f: told = [int(l) for l in f.read().splitlines()]
        steps = [o['step'] for o in read_metrics(path)] if path.exists() else []
        assert steps==list(range(len(steps))) and (not told or steps[-1]>=told[-1])
        with MetricsLog(path) as log: log.truncate(log.step-3)
    assert len(steps)>20
    for l in (tmp_path/'metrics.cut.jsonl').read_text().splitlines(): json.loads(l)

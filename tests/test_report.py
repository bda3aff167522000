"""The report in a process of its own and in a real browser: served while a run is being written, asked by clients that
break every rule, looked at on a desk and on a phone, and made of runs that are odd, old or elsewhere"""
import json, re, shutil, signal, socket, subprocess, sys, time
from contextlib import contextmanager
from pathlib import Path
import pytest
import axe
from helpers import env
from pretrain.cli import main
from pretrain.store.events import add_event
from pretrain.store.log import MetricsLog

OLD = Path(__file__).resolve().parent/'old_run/run'
LARGEST,LONG = 300_000,20_000   # A page of so many steps [bytes]

def write(path, n=60, first=1, **more):
    "A run that somebody has written, with events and texts"
    path.mkdir(parents=True, exist_ok=True)
    with MetricsLog(path/'metrics.jsonl') as log, MetricsLog(path/'samples.jsonl') as texts:
        for s in range(first, n+1):
            valid = dict(val_bpb=2+8/s) if s%10==0 else {}
            log.append(dict(step=s, loss=2+9/s, loss_ema=2+9/s, lr=1e-3, grad_norm=1., tok_per_s=4096., tokens=64,
                            train_s=s/9)|valid|more)
            if s%10==0: texts.append(dict(step=s, samples=[dict(prompt='The ', text=f'text of step {s} <script>')]))
    config = f'out = "{path.name}"\n[train]\nsteps = {n}\n[eval]\nevery = 10\n'
    (path/'config.toml').write_text(config, encoding='utf-8')
    if first==1: add_event(path, 0, 'begin', place=dict(torch='2.6', threads=2, processes=1, device='cpu'))
    return path

@contextmanager
def served(*runs, cwd):
    "The command, and the address that it says"
    p = subprocess.Popen([sys.executable, '-m', 'pretrain', 'report', *runs, '--serve'], cwd=cwd, env=env(),
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line = p.stdout.readline()
        yield p,re.search(r'http://127\.0\.0\.1:(\d+)/\?token=([^; ]+)', line)
    finally:
        p.kill()
        p.wait()
        p.stdout.close()

def raw(port, data):
    with socket.create_connection(('127.0.0.1', int(port)), 20) as s:
        s.sendall(data)
        return b''.join(iter(lambda: s.recv(2**16), b'')).decode('utf-8', 'replace')

def refused(answer):
    "Its status, and that it is one line"
    head,_,body = answer.partition('\r\n\r\n')
    assert body.count('\n')<=1, body
    return int(head.split()[1])

def test_served_refuses_and_ends_in_one_line(tmp_path):
    write(tmp_path/'run')
    with served('run', cwd=tmp_path) as (p,m):
        port,token = m.groups()
        host,key = f'Host: 127.0.0.1:{port}\r\n',f'Authorization: Bearer {token}\r\n'
        asks = [(f'GET /now HTTP/1.1\r\n{host}\r\n', 401), (f'GET /now HTTP/1.1\r\nHost: evil.org\r\n{key}\r\n', 403),
                (f'GET /../../etc/passwd HTTP/1.1\r\n{host}{key}\r\n', 404),
                (f'POST /now HTTP/1.1\r\n{host}{key}\r\n', 405),
                (f'GET /run/config.toml HTTP/1.1\r\n{host}{key}\r\n', 404), (f'GET /{"x"*10000} HTTP/1.1\r\n\r\n', 414),
                (f'GET /now HTTP/1.1\r\n{host}Origin: http://evil.org\r\n{key}\r\n', 403), ('\x00\x01\r\n\r\n', 400)]
        assert [refused(raw(port, a.encode())) for a,_ in asks]==[status for _,status in asks]
        assert 'text of step 60 &lt;script&gt;' in raw(port, f'GET /now HTTP/1.1\r\n{host}{key}\r\n'.encode())
        p.send_signal(signal.SIGINT)
        assert p.wait(120)==128+signal.SIGINT and p.stdout.read()=='stopped\n'

NOW = "() => document.querySelector('.pairs td').textContent"

@pytest.mark.skipif(bool(axe.missing(False)), reason=axe.missing(False))
def test_a_reader_keeps_the_place_while_the_run_goes_on(tmp_path):
    run = write(tmp_path/'run', 400)
    (run/'samples.jsonl').write_text(''.join(json.dumps(dict(step=s, samples=[dict(prompt='a', text=f'{s}')]))+'\n'
                                             for s in range(0, 400, 5)), encoding='utf-8')
    write(tmp_path/'other/seed1')
    write(tmp_path/'other/seed2', 50)
    assert main(['report', str(run)])==0
    assert main(['report', str(run), str(tmp_path/'other'), '--out', str(tmp_path/'both.html')])==0
    with axe.browser() as b:
        if not axe.missing():
            assert axe.faults(b, run/'report/index.html')==[]
            assert axe.faults(b, tmp_path/'both.html', widths=[360], modes=['dark'])==[]
        with served('run', cwd=tmp_path) as (p,m), axe.opened(b, m[0]) as (tab,told):
            tab.evaluate("() => { document.querySelector('details').open = true; scrollTo(0, 500) }")
            write(run, 401, 401)
            tab.wait_for_function("() => document.querySelector('.pairs td').textContent.includes('step 401')")
            assert tab.evaluate("() => [scrollY, document.querySelector('details').open]")==[500, True]
            assert told==[]
            p.send_signal(signal.SIGINT)
            p.wait(120)
            tab.wait_for_function("() => document.getElementById('told').textContent.includes('has ended')")

def page(run):
    assert main(['report', str(run)])==0
    return (run/'report/index.html').read_text(encoding='utf-8')

def test_runs_that_are_odd_old_or_elsewhere(tmp_path, capsys):
    old = shutil.copytree(OLD, tmp_path/'old', copy_function=shutil.copyfile)
    html = page(old)
    assert '<svg' in html and 'What is kept' in html and 'pretrain train' in html
    assert '<svg' in page(write(tmp_path/'one step', 1))
    assert '5 steps without a number' in page(write(tmp_path/'nan', 5, loss=None, loss_ema=None, grad_norm=None))
    empty = write(tmp_path/'<script>ünï', 0)
    assert 'Nothing has been measured' in page(empty) and '<script' not in page(empty)
    torn = write(tmp_path/'torn', 20)
    for f in ('metrics.jsonl', 'samples.jsonl', 'events.jsonl'):
        with open(torn/f, 'a') as o: o.write('{"step": 21, "lo')
    (torn/'report').mkdir()
    (torn/'report/now.json').write_text('{"clo')
    assert 'step 20 of 20' in page(torn)
    assert 'torn' in page(shutil.copytree(torn, tmp_path/'far/torn'))
    capsys.readouterr()
    for args in ([tmp_path/'far'], [tmp_path/'none'], [tmp_path/'torn', '--port', '1'], []):
        assert main(['report', *map(str, args)])==2
        assert capsys.readouterr().err.count('\n')<=2

def test_a_long_run_has_a_small_page(tmp_path):
    "What is drawn, told and folded is bounded, however many steps there are"
    run,line = write(tmp_path/'long', 1),'{"step":%d,"loss":%f,"loss_ema":2.5,"lr":0.001,"grad_norm":1.0,"tokens":64}\n'
    with open(run/'metrics.jsonl', 'a') as f: f.writelines(line % (s, 2+s%7/9) for s in range(2, LONG+1))
    with open(run/'samples.jsonl', 'w') as f:
        text = [dict(prompt='p', text='long '*60)]
        for s in range(0, LONG, 100): f.write(json.dumps(dict(step=s, samples=text))+'\n')
    for i in range(300): add_event(run, i, 'begin')
    start = time.thread_time()
    assert len(page(run))<LARGEST
    assert time.thread_time()-start<20

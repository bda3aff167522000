"""`pretrain sample` in a process of its own, since a kernel has neither a pipe that is read while it writes, nor a
terminal, nor a Ctrl-C that ends it"""
import os, pty, signal, subprocess, sys
import pytest
from helpers import SMALL, env, pretrain, write_texts
from pretrain.base.screen import printable

LONG = 'word '*99

@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    "A folder with a run that has learned a little, and what the command said"
    d = tmp_path_factory.mktemp('sample')
    write_texts(d/'text')
    r = pretrain('train', 'quickstart', *SMALL, 'data.train=text', 'out=run', 'train.steps=4', 'eval.every=0',
                 'sample.every=1', f'sample.prompts=["{LONG}"]', cwd=d)
    assert (r.returncode, r.stderr)==(0, '')
    return d,r.stdout

def start(here, *args, unbuffered='', **kw):
    "A command that writes into a pipe, through Python's usual buffer or without one"
    return subprocess.Popen([sys.executable, '-m', 'pretrain', *args], cwd=here, env=env(PYTHONUNBUFFERED=unbuffered),
                            stdin=subprocess.DEVNULL,
                            **{**dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0), **kw})

@pytest.fixture
def forever(trained):
    "The best token each time: it goes in circles, and would take hours"
    p = start(trained[0], 'sample', 'run', '--prompt', 'The ', '--temperature', '0', '--tokens', '10000000')
    yield p
    p.kill()
    p.wait()

def test_text_comes_while_it_is_written_until_interrupted(forever):
    """Its beginning is there in small pieces, token by token; Ctrl-C ends the line, with the exit code that shells
    expect and no traceback"""
    pieces = [os.read(forever.stdout.fileno(), 4096) for _ in range(20)]
    assert forever.poll() is None and all(pieces)
    assert b''.join(pieces).startswith(b'The ') and len(b''.join(pieces))<4096
    forever.send_signal(signal.SIGINT)
    rest,err = forever.communicate(timeout=120)
    assert (forever.returncode, err)==(128+signal.SIGINT, b'') and rest.endswith(b'\n')

def test_reader_leaves(forever):
    "As in `pretrain sample RUN | head -c 10`"
    assert len(forever.stdout.read(10))
    forever.stdout.close()
    assert forever.stderr.read()==b'' and forever.wait(120)==128+signal.SIGPIPE

@pytest.mark.parametrize('unbuffered', ['', '1'])
def test_reader_of_another_command_leaves(tmp_path, unbuffered):
    "What fits into Python's buffer fails only when it is flushed at the end; without a buffer it fails at once"
    p = start(tmp_path, 'config', unbuffered=unbuffered)
    p.stdout.close()
    assert p.stderr.read()==b'' and p.wait(120)==128+signal.SIGPIPE

def test_same_text_on_a_terminal_and_in_a_pipe(trained):
    """Several texts, told apart, control characters spelled out on the terminal only; and that a prompt is longer
    than the context is one line, not Python's two with a path"""
    args = ['sample', 'run', '--prompt', 'The ', '--prompt', LONG, '--n', '2', '--tokens', '12', '--seed', '3']
    r = pretrain(*args, cwd=trained[0])
    assert r.returncode==0
    assert [l for l in r.stdout.splitlines() if l.startswith('--- ')]==[f'--- {i+1} of 4, seed {i+3} ---'
        for i in range(4)]
    assert r.stderr.startswith('pretrain: a prompt of ')
    assert r.stderr.endswith('the model reads the last 64 (model.seq_len)\n')
    assert r.stderr.count('\n')==1
    master,slave = pty.openpty()
    p = start(trained[0], *args, stdout=slave)
    os.close(slave)
    seen = b''
    while True:
        try: piece = os.read(master, 4096)
        except OSError: break                    # the other end is closed
        if not piece: break
        seen += piece
    os.close(master)
    assert p.wait(120)==0
    assert seen.decode().replace('\r\n', '\n')==printable(r.stdout)
    assert p.stderr.read().decode()==r.stderr

def test_log_of_a_run_says_once_that_a_prompt_is_long(trained):
    said = [l for l in trained[1].splitlines() if 'a prompt of' in l]
    assert len(said)==1 and said[0].startswith('sample: a prompt of ')
    assert trained[1].count('sample: step')==5    # before the first step and after each

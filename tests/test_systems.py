"""Needs processes of their own: modules as Windows would see them, with what it lacks hidden and a stand-in for what it
has.

Nobody has run this library on Windows or macOS; this only shows that nothing asks for what is not there, that the locks
go the other way, and that a run trains and goes on."""
import os, subprocess, sys
from pathlib import Path
from helpers import SMALL, write_texts

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted('.'.join(p.relative_to(ROOT).with_suffix('').parts) for p in (ROOT/'pretrain').rglob('[!_]*.py'))

DISGUISE = '''
import os, select, shutil, signal, sys, types
# what is not ours may use what this system has
import fcntl as real, multiprocessing, numpy, pydantic, safetensors.torch, torch, torch.distributed, fastcore.basics
import matplotlib.figure, rustbpe, tiktoken, yaml

class Msvcrt(types.ModuleType):
    LK_NBLCK = 2
    def locking(self, fd, mode, n):
        assert (mode, n)==(2, 1)
        try: real.flock(fd, real.LOCK_EX|real.LOCK_NB)
        except BlockingIOError: raise PermissionError(13, 'Permission denied') from None

HIDDEN = ('fcntl', 'resource', 'pwd', 'grp', 'termios', 'pty', 'tty', 'readline')
sys.modules |= dict.fromkeys(HIDDEN) | dict(msvcrt=Msvcrt('msvcrt'))
GONE = {os: ('O_DIRECTORY', 'posix_fadvise', 'fork', 'mkfifo', 'getuid', 'fchmod', 'openpty', 'setsid', 'killpg',
             'sysconf'),
        signal: ('SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGPIPE', 'SIGKILL', 'SIGALRM', 'setitimer'), select: ('poll',)}
for module,names in GONE.items():
    for name in names: hasattr(module, name) and delattr(module, name)

def no_folders(p, *a, real=os.open, **kw):
    if os.path.isdir(p): raise PermissionError(13, 'Permission denied', p)
    return real(p, *a, **kw)

def no_signal_0(pid, sig): raise AssertionError('on Windows this would interrupt the other process')

os.open,os.kill,shutil._use_fd_functions = no_folders,no_signal_0,False   # the last is how shutil knows
'''

def run(code, *args, **kw):
    env = {k: v for k,v in os.environ.items() if k!='IN_TEST'} | dict(PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    pipes = dict.fromkeys(('stdin', 'stdout', 'stderr'), subprocess.PIPE)
    return subprocess.Popen([sys.executable, '-c', DISGUISE+code, *map(str, args)], text=True, env=env, **pipes, **kw)

def test_every_module_imports():
    assert len(MODULES)>40
    code = '''
import importlib
for m in sys.argv[1:]: importlib.import_module(m)
assert sys.modules["pretrain.store.files"].fcntl is None
print("all")
'''
    out,err = run(code, *MODULES).communicate(timeout=120)
    assert out=='all\n', err

def test_disguise_is_one():
    "A module that does ask for it fails"
    out,err = run('import fcntl').communicate(timeout=120)
    assert 'import of fcntl halted' in err

LOCK = '''
from pathlib import Path
from pretrain.store.files import RunDir, locked, make_dir, write_whole
make_dir(sys.argv[1]); write_whole(Path(sys.argv[1])/'.x', b'1')
try:
    mine = RunDir(sys.argv[1])
    with locked(Path(sys.argv[1])/'build.lock', 'it', lambda s: print(s, flush=True)):
        print('mine', flush=True)
        sys.stdin.readline()
except ValueError as e: print(e, flush=True)
'''

def test_locks(tmp_path):
    "The second process is told of the first, and gets the lock when that has ended, however it ends"
    first = run(LOCK, tmp_path/'run')
    assert first.stdout.readline()=='mine\n', first.stderr.read()
    out,err = run(LOCK, tmp_path/'run').communicate(timeout=120)
    assert f'another process is training here (pid {first.pid} on ' in out and not err, (out, err)
    first.kill()
    first.wait(60)
    out,err = run(LOCK, tmp_path/'run').communicate('\n', timeout=120)
    assert out=='mine\n', err

def test_a_builder_waits(tmp_path):
    wait = LOCK.replace('    mine = RunDir(sys.argv[1])\n', '')
    first = run(wait, tmp_path/'run')
    assert first.stdout.readline()=='mine\n', first.stderr.read()
    second = run(wait, tmp_path/'run')
    assert second.stdout.readline()=='it: another process is making it, waiting\n', second.stderr.read()
    first.communicate('\n', timeout=60)
    assert second.communicate('\n', timeout=60)[0]=='mine\n'

def test_a_checkpoint(tmp_path):
    code = '''
import torch
from pretrain.store.checkpoint import load_checkpoint, newest_checkpoint, save_checkpoint
from pretrain.store.log import MetricsLog, read_metrics
for s in (1,2): save_checkpoint(sys.argv[1], s, dict(model=dict(w=torch.ones(3))), dict(step=s), keep=1)
print(load_checkpoint(newest_checkpoint(sys.argv[1])[0])[1])
with MetricsLog(sys.argv[1]+'/log.jsonl') as log: log.append(dict(step=1)); log.sync()
print(read_metrics(sys.argv[1]+'/log.jsonl'))
'''
    out,err = run(code, tmp_path/'checkpoints').communicate(timeout=120)
    assert out=="{'step': 2}\n[{'step': 1}]\n", err

def test_a_run_trains_and_goes_on(tmp_path):
    write_texts(tmp_path/'text', 20)
    (tmp_path/'c.toml').write_text('[data]\ntrain = "text"\n')
    code = '''
from pretrain.cli import main
for steps in (2, 4): assert main(['train', *sys.argv[1:], f'train.steps={steps}'])==0
'''
    args = 'c.toml', *SMALL, 'schedule.warmup=1', 'schedule.warmdown=0.0', 'out=run'
    out,err = run(code, *args, cwd=tmp_path).communicate(timeout=240)
    assert 'at step 2 of 4' in out and 'done: best' in out, out+err

"""Every module imports, and a run trains, where a system lacks what only Unix has. In tests/, since it takes a process that has lost it.

Windows and macOS themselves are untested: this takes away what they are known to lack, and gives a stand-in for `msvcrt`."""
import subprocess, sys
from pathlib import Path
from helpers import SMALL, env, write_texts

ROOT = Path(__file__).resolve().parent.parent

POOR = '''
import os, select, signal, sys, types
import torch, numpy, matplotlib.figure, tiktoken, rustbpe, pydantic, safetensors.torch   # others know their systems
import importlib, pkgutil, subprocess, multiprocessing

GONE = {os: ('fork', 'mkfifo', 'posix_fadvise', 'POSIX_FADV_DONTNEED', 'sysconf', 'getuid', 'geteuid', 'killpg'),
        signal: ('SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGPIPE', 'SIGKILL', 'SIGALRM', 'setitimer'), select: ('poll',)}
for module,names in GONE.items():
    for name in names:
        if hasattr(module, name): delattr(module, name)
sys.modules['fcntl'] = None
held = {}                                        # what the stand-in has locked: (device, inode) to a descriptor

def locking(fd, mode, n):
    key = os.fstat(fd)[1:3]
    if mode==0: held.pop(key, None)
    elif held.setdefault(key, fd)!=fd: raise OSError(13, 'Permission denied')

sys.modules['msvcrt'] = types.SimpleNamespace(locking=locking, LK_UNLCK=0, LK_LOCK=1, LK_NBLCK=2)

import pretrain
names = [m.name for m in pkgutil.walk_packages(pretrain.__path__, 'pretrain.') if not m.name.endswith('__main__')]
for name in names: importlib.import_module(name)
print(len(names), 'modules')
'''

def poor(code, *args, cwd):
    "Run code in a process that has lost what only Unix has"
    cmd = [sys.executable, '-c', POOR+code, *args]
    return subprocess.run(cmd, cwd=cwd, env=env(PYTHONPATH=str(ROOT), MPLBACKEND='agg'), capture_output=True, text=True, timeout=300)

def test_every_module_imports(tmp_path):
    r = poor('', cwd=tmp_path)
    assert r.returncode==0, r.stderr
    assert int(r.stdout.split()[0])>=40

def test_a_run_trains_and_resumes(tmp_path):
    write_texts(tmp_path/'text', 20)
    code = '''
from pretrain.cli import main
for steps in (2, 4): assert main(['train', *sys.argv[1:], f'train.steps={steps}'])==0
'''
    (tmp_path/'c.toml').write_text('[data]\ntrain = "text"\n')
    r = poor(code, 'c.toml', *SMALL, 'schedule.warmup=1', 'schedule.warmdown=0.0', 'out=run', cwd=tmp_path)
    assert r.returncode==0, r.stdout+r.stderr
    assert 'at step 2 of 4' in r.stdout and 'done: best' in r.stdout

def test_something_is_really_gone(tmp_path):
    "The test above can fail"
    r = poor('import fcntl', cwd=tmp_path)
    assert r.returncode!=0 and 'fcntl' in r.stderr

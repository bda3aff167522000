"""Commands without the wait for torch: each is a fork of one Python that has imported other people's modules, and none
of ours; seconds less for each of the hundred that tests start. `FRESH=1` in the environment, and any system but Linux:
a fresh Python for each. What a start itself promises (test_startup, test_budget, test_wheel) is tried with those."""
import atexit, functools, json, os, runpy, signal, subprocess, sys, tempfile, time
from pathlib import Path

PRELOAD = 'numpy', 'torch', 'torch.distributed.run', 'tiktoken', 'pydantic', 'matplotlib.pyplot'
def own(env): return {k: v for k,v in env.items() if k.startswith('PYTHON')}   # what the interpreter reads as it starts
OWN = own(os.environ)

# ------------------------------------------------------------ the Python that is forked: `python tests/forks.py`

def become(ask):
    "In a fork: be what was asked for"
    for sig in (signal.SIGHUP, signal.SIGINT): signal.signal(sig, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(ask['cwd'])
    os.environ.clear()
    os.environ.update(ask['env'])
    flags = os.O_CREAT|os.O_WRONLY|os.O_APPEND
    for fd,path,how in ((0, os.devnull, os.O_RDONLY), (1, ask['out'], flags), (2, ask['err'], flags)):
        os.dup2(os.open(path, how), fd)
    sys.argv,sys.path[0] = [ask['module'], *ask['args']],ask['cwd']

def attend(ask):
    "Fork the command, write down its number and in the end its code; true in the command itself"
    if os.fork(): return False
    if not (pid := os.fork()): return True
    with open(ask['status'], 'w', buffering=1) as f:
        f.write(f'{pid}\n')
        f.write(f'{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n')
    os._exit(0)

def serve():
    "Read what is asked for line by line, until whoever asks has gone; what is to be run, in a fork"
    for m in PRELOAD: __import__(m)
    while line := sys.stdin.readline():
        ask = json.loads(line)
        if attend(ask): return ask
        try:
            while os.waitpid(-1, os.WNOHANG)[0]: pass
        except ChildProcessError: pass

# ------------------------------------------------------------ whoever asks

@functools.cache
def server():
    path = os.pathsep.join([str(Path(__file__).resolve().parent.parent), *filter(None, [os.environ.get('PYTHONPATH')])])
    p = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, text=True, cwd='/',
                         env=os.environ | dict(PYTHONPATH=path, OMP_NUM_THREADS='1'))
    atexit.register(p.wait)
    atexit.register(p.stdin.close)   # which comes first
    return p

class Started:
    "A command that runs, as far as `subprocess.Popen` is needed; what it says goes to one file or two"
    def __init__(self, module, args, cwd, env, merged=False):
        self.args,self.dir = [module, *args],tempfile.TemporaryDirectory(prefix='command')
        self.out,self.err,self.status = (Path(self.dir.name)/o for o in ('out', 'err', 'status'))
        for o in (self.out, self.err): o.touch()
        ask = dict(module=module, args=list(args), cwd=str(cwd), env=env, out=str(self.out), status=str(self.status),
                   err=str(self.out if merged else self.err))
        server().stdin.write(json.dumps(ask)+'\n')
        server().stdin.flush()
        self._known(1, 120)
        self.pid = self._told()[0]

    def _told(self):
        said = self.status.read_text() if self.status.exists() else ''
        return [int(o) for o in said.splitlines()] if said.endswith('\n') else []

    def _known(self, n, timeout):
        end = time.monotonic()+timeout
        while len(self._told())<n:
            if time.monotonic()>end: return False
            time.sleep(.01)
        return True

    @property
    def returncode(self): return (self._told()+[None])[1]
    def poll(self): return self.returncode
    def kill(self): self.send_signal(signal.SIGKILL)
    def send_signal(self, sig):
        if self.poll() is None: os.kill(self.pid, sig)

    def wait(self, timeout=300):
        if not self._known(2, timeout): raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def communicate(self, timeout=300):
        self.wait(timeout)
        return tuple(o.read_text(encoding='utf-8') for o in (self.out, self.err))

def usable(env):
    "May it be a fork? Only where its interpreter would be the one that is there"
    return sys.platform=='linux' and 'FRESH' not in env and own(env)==OWN

def run(module, args, cwd, env, timeout=300):
    "As `subprocess.run` of `python -m`, with what it said captured"
    p = Started(module, args, cwd, env)
    try: out,err = p.communicate(timeout)
    except subprocess.TimeoutExpired:
        p.kill()
        raise
    return subprocess.CompletedProcess(p.args, p.returncode, out, err)

if __name__=='__main__' and (ask := serve()):
    become(ask)
    runpy.run_module(ask['module'], run_name='__main__', alter_sys=True)

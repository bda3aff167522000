"""Commands without the wait for torch: each is a fork of one Python that has imported other people's modules, and none
of ours; seconds less for each of the hundreds that tests start. The ranks of a torchrun are forks, too. `FRESH=1` in
the environment, and any system but Linux: a fresh Python for each. What a start itself promises (test_startup,
test_budget, test_doors, test_wheel) is tried with those."""
import atexit, functools, gc, io, json, os, runpy, signal, subprocess, sys, tempfile, time
from pathlib import Path

PRELOAD = ('numpy', 'torch', 'torch.distributed.run', 'torch.utils.flop_counter', 'tiktoken', 'pydantic.dataclasses',
           'safetensors.torch', 'rustbpe', 'regex', 'matplotlib.pyplot', 'matplotlib.backends.backend_agg',
           'numpy.random', 'fastcore.basics', 'pydantic', 'statistics', 'tomllib')
LAUNCHER = 'torch.distributed.run'
LATER = 'PYTHONPATH', 'TORCHINDUCTOR_CACHE_DIR'   # the latter is set wherever torch's compiler is imported
def own(env):
    "What Python and torch read as they start"
    return {k: v for k,v in env.items() if k.startswith(('PYTHON', 'TORCH', 'MKL')) and k not in LATER}
AT_START = dict(os.environ)   # no test has changed it yet
OWN = own(AT_START)

# ------------------------------------------------------------ the Python that is forked: `python tests/forks.py`

def no_margins(patch=setattr):
    "A picture is drawn without looking for its best margins: half of the time it takes"
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    patch(ConstrainedLayoutEngine, 'execute', lambda self, fig: None)

def ready():
    "Other people's modules; a picture, with which every run ends, stays white: those of a fresh Python are painted"
    for m in PRELOAD: __import__(m)
    from matplotlib.figure import Figure
    Figure.draw = lambda self, renderer: None
    gc.freeze()   # a fork has no use for it: it would copy what it walks over

def direct(f):
    "A stream that writes at once, as after `python -u`"
    raw = io.FileIO(f.fileno(), 'w', closefd=False)
    return io.TextIOWrapper(raw, encoding=f.encoding, errors=f.errors, write_through=True)

def become(ask):
    "In a fork: be what was asked for"
    if ask['alone']: os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(ask['cwd'])
    os.environ.clear()
    os.environ.update(ask['env'])
    flags = os.O_CREAT|os.O_WRONLY|os.O_APPEND
    for fd,path,how in ((0, os.devnull, os.O_RDONLY), (1, ask['out'], flags), (2, ask['err'], flags)):
        if path: os.dup2(os.open(path, how), fd)
    if ask['unbuffered']: sys.stdout,sys.stderr = map(direct, (sys.stdout, sys.stderr))
    first = ask['cwd'] if ask['module'] else str(Path(ask['script']).resolve().parent)
    sys.path[:1] = [first, *filter(None, ask['env'].get('PYTHONPATH', '').split(os.pathsep))]
    sys.argv = [ask['module'] or ask['script'], *ask['args']]

def attend(ask):
    "Fork the command, write down its number and in the end its code; true in the command itself"
    if os.fork(): return False
    if not (pid := os.fork()): return True
    with open(ask['status'], 'w', buffering=1) as f:
        f.write(f'{pid}\n')
        f.write(f'{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n')
    os._exit(0)

def serve(lines):
    "Read what is asked for, until whoever asks has gone: none; in a fork what it is to be"
    while line := lines.readline():
        ask = json.loads(line)
        if attend(ask): return ask
        reap()
    reap()

def reap():
    "Forget those that have ended"
    try:
        while os.waitpid(-1, os.WNOHANG)[0]: pass
    except ChildProcessError: pass

def lend_ranks():
    "In a launcher: its ranks are forks of a process that it leaves behind before it has threads. In a rank: what it is"
    from torch.distributed.elastic.multiprocessing.subprocess_handler.subprocess_handler import SubprocessHandler
    r,w = os.pipe()
    if not (pid := os.fork()):
        os.close(w)
        return serve(os.fdopen(r)) or os._exit(0)
    os.close(r)
    pipe,real = os.fdopen(w, 'w'),SubprocessHandler._popen
    atexit.register(os.waitpid, pid, 0)
    atexit.register(pipe.close)
    def popen(self, args, env):
        python,unbuffered,*rest = args
        if python!=sys.executable or unbuffered!='-u' or self._stdout or self._stderr: return real(self, args, env)
        module = rest[0]=='-m' and rest.pop(0)
        what = dict(module=rest[0]) if module else dict(script=rest[0])
        return Started(rest[1:], os.getcwd(), env, pipe=pipe, inherit=True, unbuffered=True, alone=True, **what)
    SubprocessHandler._popen = popen

# ------------------------------------------------------------ whoever asks

@functools.cache
def server():
    path = os.pathsep.join([str(Path(__file__).resolve().parent.parent), *filter(None, [AT_START.get('PYTHONPATH')])])
    p = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, text=True, cwd='/',
                         env=AT_START | dict(PYTHONPATH=path, OMP_NUM_THREADS='1'))
    atexit.register(p.wait)
    atexit.register(p.stdin.close)   # which comes first
    return p.stdin

class Started:
    "A command that runs, as far as `subprocess.Popen` is needed; what it says goes to one file, to two, or to ours"
    def __init__(self, args, cwd, env, module='', script='', merged=False, inherit=False, unbuffered=False, alone=False,
                 pipe=None):
        self.args,self.dir = [module or script, *args],tempfile.TemporaryDirectory(prefix='command')
        self.out,self.err,self.status = (Path(self.dir.name)/o for o in ('out', 'err', 'status'))
        for o in (self.out, self.err): o.touch()
        ask = dict(module=module, script=script, args=list(args), cwd=str(cwd), env=dict(env), status=str(self.status),
                   unbuffered=unbuffered, alone=alone, out=None if inherit else str(self.out),
                   err=None if inherit else str(self.out if merged else self.err))
        pipe = pipe or server()
        pipe.write(json.dumps(ask)+'\n')
        pipe.flush()
        assert self._known(1, 120), 'no fork'
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
    "May it be a fork? Only where its Python and its torch would be those that are there"
    return sys.platform=='linux' and 'FRESH' not in env and own(env)==OWN and env.get('OMP_NUM_THREADS')=='1'

def run(args, cwd, env, timeout=300, **what):
    "As `subprocess.run`, with what it said captured"
    p = Started(args, cwd, env, **what)
    try: out,err = p.communicate(timeout)
    except subprocess.TimeoutExpired:
        p.kill()
        raise
    return subprocess.CompletedProcess(p.args, p.returncode, out, err)

if __name__=='__main__':
    ready()
    if ask := serve(sys.stdin):
        become(ask)
        if ask['module']==LAUNCHER and (rank := lend_ranks()): become(ask := rank)
        sys.modules.pop(ask['module'], None)   # torch's launcher, which is there: runpy would warn of it
        if ask['module']: runpy.run_module(ask['module'], run_name='__main__', alter_sys=True)
        else: runpy.run_path(ask['script'], run_name='__main__')

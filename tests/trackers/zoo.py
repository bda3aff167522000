"Sinks that fail, each in its own way"
import ctypes, os, re, resource, signal, subprocess, tempfile, threading, time

class Good:
    def start(self, info): self.info = info
    def row(self, step, numbers): print(step)

def hang(): time.sleep(1000)
def at(n):
    "A sink that does something at a step"
    return lambda f: type(f.__name__, (Good,), dict(row=lambda self, step, numbers: f(self) if step==n else None))

class RaisesMade(Good):
    def __init__(self): raise RuntimeError('cannot be made')
class RaisesStart(Good):
    def start(self, info): raise ConnectionError('no network')
class RaisesFinish(Good):
    def finish(self): raise ConnectionError('not uploaded')
class HangsMade(Good):
    def __init__(self): hang()
class HangsStart(Good):
    def start(self, info): hang()
class HangsFinish(Good):
    def finish(self): hang()
class Slow(Good):
    def row(self, step, numbers): time.sleep(.3)
class Garbage(Good):
    def row(self, step, numbers): os.write(1, os.urandom(1<<20))
class Exits(Good):
    def row(self, step, numbers): raise SystemExit(0)
class Threads(Good):
    def start(self, info): threading.Thread(target=hang).start()
class Leaves(Good):
    def start(self, info):
        for _ in range(3): subprocess.Popen(['sleep', '1000'], start_new_session=True)
        if not os.fork(): os.setsid() or hang()
class WritesNowhere(Good):
    def start(self, info): self.f = open('/dev/full', 'w')
    def row(self, step, numbers): print(step, file=self.f, flush=True)
class NoSpace(Good):
    def start(self, info): resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))
    def row(self, step, numbers): pass

@at(5)
def Raises(self): raise ValueError('five is too many')
@at(5)
def Hangs(self): hang()
@at(5)
def Killed(self): os.kill(os.getpid(), signal.SIGKILL)
@at(5)
def Stopped(self): os.kill(os.getpid(), signal.SIGSTOP)
@at(5)
def Segfault(self): ctypes.string_at(0)
@at(5)
def ExitsHard(self): os._exit(0)
@at(5)
def Aborts(self): os.abort()
@at(5)
def Locked(self): re.match('(a+)+$', 'a'*60+'b')   # never lets go of Python's lock
@at(5)
def Closes(self): os.closerange(0, 256)
@at(5)
def Ignores(self):
    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM): signal.signal(s, signal.SIG_IGN)
    hang()
@at(5)
def Moves(self):
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)
@at(5)
def Eats(self):
    have = []
    while True: have.append(bytearray(os.urandom(1024))*(1<<18))
@at(5)
def Deletes(self):
    for f in (self.info.run/'track').glob('zoo*'): f.is_file() and f.unlink()

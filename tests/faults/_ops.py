"In a child: file operations are counted, and the process ends at one of them, or the disk is full"
import builtins, errno, io, os, threading
import _child  # noqa: F401  what it imports is there before the first child

CALLS = 'write','fsync','rename','replace','mkdir','unlink','rmdir','truncate','ftruncate'

class Shim:
    "Wraps every operation that changes files; `at` is called before and after each with its number"
    def __init__(self, at): self.n,self.at = 0,at

    def wrap(self, fn):
        def do(*a, **kw):
            self.n += 1
            k = self.n
            self.at(k, 'before')
            try: return fn(*a, **kw)
            finally: self.at(k, 'after')   # also when it was refused, like a folder that is there
        return do

    def install(self):
        "From now on, for `os` and for files that are opened to be written as bytes"
        for n in CALLS: setattr(os, n, self.wrap(getattr(os, n)))
        make,real = self.wrap(open),open
        class File:
            def __init__(f, inner): f.inner = inner
            def __getattr__(f, k):
                v = getattr(f.inner, k)
                return self.wrap(v) if k in ('write','truncate','flush') else v
            def __enter__(f): return f
            def __exit__(f, *a): f.inner.close()
            def __iter__(f): return iter(f.inner)
        def opened(p, mode='r', *a, **kw):
            if set(mode) & set('wxa+') and 'b' in mode: return File(make(p, mode, *a, **kw))
            return real(p, mode, *a, **kw)
        builtins.open = io.open = opened

def quiet():
    fd = os.open(os.devnull, os.O_WRONLY)
    for n in (1,2): os.dup2(fd, n)

def body(what, tmp):
    "One of the things that write files"
    import operations
    return operations.BODIES[what](tmp)

def dies(what, tmp, k, when, count=None):
    "Do `what`, and end at operation `k`; without `k`, count the operations"
    quiet()
    def at(i, w):
        if (i, w)==(k, when): os._exit(9)
    shim = Shim(at)
    shim.install()
    body(what, tmp)
    if count: count.send(shim.n)
    os._exit(0)

def does(what, tmp):
    "Do `what` to its end"
    quiet()
    body(what, tmp)
    os._exit(0)

def full_disk(watch, after, error=errno.ENOSPC, op='write'):
    "Plant for a training child: from now on, saves find a disk that takes `after` more bytes"
    from pretrain.store import saver
    real,left = saver.save_checkpoint,[after]
    def mine(): return threading.current_thread().name.startswith('save ')  # the watching goes on writing
    def write(fd, b, w=os.write):
        if not mine(): return w(fd, b)
        if left[0]<=0: raise OSError(error, os.strerror(error))
        n = w(fd, b[:left[0]])
        left[0] -= n
        return n
    def fails(*a, real=getattr(os, op), **kw):
        if not mine(): return real(*a, **kw)
        raise OSError(error, os.strerror(error))
    def save(root, step, *a, **kw):
        if step<8: return real(root, step, *a, **kw)
        keep = getattr(os, op)
        setattr(os, op, write if op=='write' else fails)
        try: return real(root, step, *a, **kw)
        finally: setattr(os, op, keep)
    saver.save_checkpoint = save

def vanish(watch, step):
    "Plant: the run's directory is removed while it trains"
    import shutil
    from pretrain import build
    real = build.Run.update
    def update(run):
        if run.n_step==step: shutil.rmtree(run.out)
        return real(run)
    build.Run.update = update

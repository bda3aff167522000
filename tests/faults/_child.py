"""What happens inside the processes that are broken: the command line as a user starts it, and a ledger of what it did.

A fork server imports torch once; each child is a fork of it, so that a start costs a twentieth of a second instead of
two. The ledger is a file of JSON lines, written at once: which step was taken, with the SHA-256 of everything the
future depends on and of the sample ids; what was resumed; which save began and ended. Events that a killer waits for
also go through a pipe."""
import hashlib, json, os, random, signal, sys, time
import numpy as np, torch, torch._dynamo  # the optimizer would import it in each child
from pretrain import build, cli
from pretrain.eval import page
from pretrain.data.loader import Loader
from pretrain.store import saver as savers
from pretrain.train import metrics
from pretrain.store.saver import rng_state

def sha(*parts):
    "SHA-256 of tensors in dicts, names included"
    h = hashlib.sha256()
    for part in parts:
        for k in sorted(part):
            h.update(k.encode())
            h.update(part[k].detach().contiguous().reshape(-1).view(torch.uint8).numpy())
    return h.hexdigest()

def state(run, at):
    "SHA-256 of parameters, moments, generators, counters and position"
    s = run.state
    counts = json.dumps([at, s.row, s.trained, s.skipped, s.taken_back, s.ema.state_dict(), s.guard.state_dict()],
                        sort_keys=True)
    tensors = sha(run.model.state_dict(), run.opt.state_tensors(), rng_state())
    return hashlib.sha256((tensors+counts).encode()).hexdigest()

class Watch:
    "Writes the ledger of this process, and tells the killer"
    def __init__(self,
        ledger,     # File to append to
        pipe=None,  # Connection that takes the events' names
        tell=(),    # Events that go there; `phase eval` for the beginning of a phase
        wait='',    # A file without which nothing begins
        trust=True, # Hash every state? Off for long runs
    ):
        self.fd = os.open(ledger, os.O_WRONLY|os.O_APPEND|os.O_CREAT)
        self.pipe,self.tell,self.trust = pipe,tell,trust
        self('begin')
        while wait and not os.path.exists(wait): time.sleep(.001)
        self.patch()

    def __call__(self, event, **more):
        if event.partition(' ')[0]!='phase':
            line = json.dumps(dict(event=event, pid=os.getpid(), **more))
            os.write(self.fd, line.encode()+b'\n')
        if self.pipe and event in self.tell: self.pipe.send(event)

    def around(self, owner, name, fn):
        old = getattr(owner, name)
        setattr(owner, name, lambda *a, **kw: fn(old, *a, **kw))

    def patch(self):
        def built(old, run, *a, **kw):
            old(run, *a, **kw)
            self('resume', at=run.n_step, state=state(run, run.n_step))
        def update(old, run):
            # as dropout would: generators that never move could not be restored wrongly
            torch.rand(()), np.random.rand(), random.random()
            r = old(run)
            if self.trust:
                at = run.n_step+1
                self('step', at=at, state=state(run, at), ids=sha(dict(zip('xy', run.loader.given))))
            return r
        def batch(old, loader, **kw):
            loader.given = old(loader, **kw)
            return loader.given
        def save(old, saver, step, *a, **kw):
            old(saver, step, *a, **kw)
            self('saving', at=step)
        def write(old, root, step, *a, **kw):
            t = time.monotonic()
            old(root, step, *a, **kw)
            self('saved', at=step, s=time.monotonic()-t)
        def phase(old, clock, name):
            self(f'phase {name}')
            return old(clock, name)
        def finish(old, run):
            self('phase end')
            return old(run)
        def plot(old, log): return old(log) if 'phase end' in self.tell else log.path   # most of a short run's time
        self.around(build.Run, '__init__', built)
        self.around(build.Run, 'update', update)
        self.around(Loader, 'batch', batch)
        self.around(build.Run, 'finish', finish)
        self.around(page, 'save_plot', plot)
        self.around(metrics.Clock, '__call__', phase)
        self.around(savers.Saver, 'save', save)
        self.around(savers, 'save_checkpoint', write)

def go(cwd, argv, plant=None, **kw):
    """The body of a child: `pretrain ARGV` in `cwd`, output to a file beside the ledger, exit code as the shell would
    see it"""
    os.chdir(cwd)
    fd = os.open(f'{kw["ledger"]}.out', os.O_WRONLY|os.O_APPEND|os.O_CREAT)
    for n in (1,2): os.dup2(fd, n)
    torch.set_num_threads(1)
    watch = Watch(**kw)
    if plant: plant[0](watch, *plant[1:])
    sys.exit(cli.main(argv))

def stop_after_one(watch):
    "A SIGTERM to oneself after the first step"
    def update(old, run):
        os.kill(os.getpid(), signal.SIGTERM)
        return old(run)
    watch.around(build.Run, 'update', update)

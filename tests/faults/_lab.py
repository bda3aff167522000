"""A place for runs that get broken: a small corpus, one uninterrupted run as the truth, and processes that are started
by the hundred"""
import json, multiprocessing as mp, os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from helpers import SMALL, write_texts
from pretrain.store.checkpoint import (
    CheckpointError, list_checkpoints, load_checkpoint, newest_checkpoint, verify_checkpoint)

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 120  # of one process; longer means that it hangs
# What a record of the log says that is not a time
TRUE = 'step','loss','loss_ema','grad_norm','lr','val_bpb','val_loss','tokens','skipped'

def server():
    "The fork server, which has everything imported before its first child"
    ctx = mp.get_context('forkserver')
    ctx.set_forkserver_preload(['_child'])
    path = [str(HERE), str(HERE.parent), str(HERE.parent.parent), *filter(None, [os.environ.get('PYTHONPATH')])]
    own = dict(PYTHONPATH=os.pathsep.join(path), OMP_NUM_THREADS='1', MPLBACKEND='agg')
    own |= dict(PYTHONDONTWRITEBYTECODE='1')   # else what is imported first would write files, and only once
    keep = {k: os.environ.get(k) for k in ('IN_TEST', *own)}
    os.environ |= own
    os.environ.pop('IN_TEST', None)
    try: mp.forkserver.ensure_running()
    finally:
        for k,v in keep.items():
            if v is None: os.environ.pop(k, None)
            else: os.environ[k] = v
    return ctx

class Child:
    "A process of the fork server that runs the command line"
    def __init__(self, ctx, lab, argv, ledger, tell=(), **kw):
        from _child import go
        self.pipe,w = ctx.Pipe(False)
        kw = dict(ledger=str(ledger), pipe=w, tell=tuple(tell), **kw)
        self.p = ctx.Process(target=go, args=(str(lab), argv), kwargs=kw, daemon=True)
        self.p.start()
        w.close()
        self.pid = self.p.pid

    def hears(self, timeout=TIMEOUT_S):
        "The next event that was to be told, or None when the process has ended"
        try: return self.pipe.recv() if self.pipe.poll(timeout) else None
        except EOFError: return None

    def end(self, sig=None):
        "Send a signal, if any, and wait: the exit code, negative where a signal ended it"
        if sig:
            try: os.kill(self.pid, sig)
            except ProcessLookupError: pass  # it has just ended
        self.p.join(TIMEOUT_S)
        if self.p.is_alive():
            self.p.kill()
            raise TimeoutError(f'process {self.pid} did not end in {TIMEOUT_S} s')
        self.pipe.close()
        return self.p.exitcode

class Lab:
    "Runs on one corpus with one config; `whole` is the one that nothing disturbed"
    def __init__(self, tmp, *over, docs=60, whole=True):
        self.dir,self.ctx = Path(tmp),server()
        self.dir.mkdir(parents=True, exist_ok=True)
        write_texts(self.dir/'text', docs)
        (self.dir/'c.toml').write_text('[data]\ntrain = "text"\n')
        self.over = [*SMALL, 'sample.every=0', 'eval.bytes=2000', 'preflight.at_start=false', *over]
        # once this has ended, the server has imported everything
        assert self.start('ready', command='config').end()==0, self.said('ready')
        if not whole: return
        self.start('whole', 'train.save_every=0').end()
        self.golden = {e['at']: e for e in self.events('whole') if e['event']=='step'}
        self.golden[0] = next(e for e in self.events('whole') if e['event']=='resume')
        assert self.ended('whole'), self.said('whole')
        self.true_log,self.true_sums = self.log('whole'),self.sums('whole')

    def start(self, out, *more, command='train', ledger='', tell=(), **kw):
        "A process that trains in `out`"
        argv = [command, 'c.toml', *self.over, *more, f'out={out}']
        return Child(self.ctx, self.dir, argv, self.dir/(ledger or f'{out}.ledger'), tell, **kw)

    def events(self, out, skip=0):
        "What the ledger says, but for its first lines"
        p = self.dir/f'{out}.ledger'
        return [json.loads(l) for l in p.read_text().splitlines()[skip:]] if p.exists() else []

    def said(self, out): return (self.dir/f'{out}.ledger.out').read_text()

    def log(self, out):
        "What must not depend on how often a run was interrupted"
        records = map(json.loads, (self.dir/out/'metrics.jsonl').read_text().splitlines())
        return [{k: r[k] for k in TRUE if k in r} for r in records]

    def ended(self, out): return bool(self.log(out)) and newest_checkpoint(self.dir/out/'checkpoints')[0] is not None

    def sums(self, out):
        "SHA-256 of the newest checkpoint's tensors, and its counters"
        path,_ = newest_checkpoint(self.dir/out/'checkpoints')
        state = load_checkpoint(path, [])[1]
        files = verify_checkpoint(path)['files']
        tensors = {k: v['sha256'] for k,v in files.items() if k!='state.json'}
        return tensors | {k: state[k] for k in ('step','best','ema','guard')}

    def intact(self, out):
        "Steps whose checkpoint is intact, newest first"
        def ok(p):
            try: return bool(verify_checkpoint(p))
            except CheckpointError: return False
        return [s for s,p in list_checkpoints(self.dir/out/'checkpoints') if ok(p)]

    def wrong(self, events):
        "Steps at which a process held another state or other samples than the undisturbed run"
        def ok(e):
            true = self.golden[e['at']]
            return e['state']==true['state'] and (e['event']=='resume' or e['ids']==true['ids'])
        return [e['at'] for e in events if e['event'] in ('step','resume') and not ok(e)]

    def same_end(self, out): return self.log(out)==self.true_log and self.sums(out)==self.true_sums

def both_cores(fn, items):
    "`fn` of each item, two at a time"
    with ThreadPoolExecutor(2) as ex: return list(ex.map(fn, items))

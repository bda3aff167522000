"""A power cut: what was not synced may be lost, in part or whole, and a finished checkpoint is still there.

The disk is one without a journal, and as unhelpful as the rules allow. Of what was written to a file since its last fsync, any pages may have arrived and
the others be zeros, while the size may be the old, the new, or one between. Of the changes of names in a folder since its last fsync (a file made, renamed
or removed), any may have arrived, in any order. Only what an fsync was waited for is certain: content by that of the file, a name by that of its folder."""
import builtins, copy, io, os, random, shutil
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from unittest.mock import patch
from common import Row, fault
from damage import PAGE, parts
from helpers import write_texts
from pretrain.store.checkpoint import CheckpointError, load_checkpoint, newest_checkpoint, save_checkpoint
from pretrain.data.corpus import CorpusConfig
from pretrain.data.prepare import PrepareConfig, prepare
from pretrain.data.shards import INDEX, Tokens
from pretrain.data.bpe import SPLIT
from pretrain.data.tokenizer import Tokenizer
from pretrain.store.log import MetricsLog, read_metrics

class Killed(BaseException): "The process ends here"

class File:
    "An open file that tells what is written to it"
    def __init__(self, inner, told): self.inner,self.told = inner,told
    def __getattr__(self, k): return getattr(self.inner, k)
    def __enter__(self): return self
    def __exit__(self, *a): self.inner.close()
    def __iter__(self): return iter(self.inner)
    def write(self, b): n = self.inner.write(b); self.told('write', bytes(b) if n is None else bytes(memoryview(b).cast('B')[:n])); return n
    def truncate(self, n): self.inner.truncate(n); self.told('truncate', n)

def record(fn, root, die=None):
    "The operations on files below `root` that `fn` makes, in order: (what, path, more); with `die` it is killed before that one"
    ops,root = [],Path(root).resolve()
    def add(what, path, more=None): ops.extend([] if path.startswith('..') else [(what, path, more)])   # folders above may be synced, too
    def rel(p, dir_fd=None):
        p = Path(os.readlink(f'/proc/self/fd/{p}') if isinstance(p, int) else os.path.abspath(p) if dir_fd is None else Path(os.readlink(f'/proc/self/fd/{dir_fd}'))/p)
        return os.path.relpath(p, root)
    real = {n: getattr(os, n) for n in ('write','fsync','rename','replace','mkdir','unlink','rmdir')}
    real_open = builtins.open
    def alive():
        if len(ops)==die: raise Killed
    def opened(p, mode='r', *a, **kw):
        if not set(mode) & set('wxa') or isinstance(p, int) or not Path(os.path.abspath(p)).is_relative_to(root): return real_open(p, mode, *a, **kw)
        alive(); there = os.path.exists(p); f = real_open(p, mode, *a, **kw); path = rel(p)
        if not there: add('create', path)
        elif 'w' in mode: add('truncate', path, 0)
        return File(f, lambda what, more: add(what, path, more))
    def write(fd, b): alive(); n = real['write'](fd, b); add('write', rel(fd), bytes(b[:n])); return n
    def fsync(fd): alive(); real['fsync'](fd); add('fsync', rel(fd))
    def rename(a, b, **kw): alive(); x = rel(a); real['rename'](a, b, **kw); add('rename', x, rel(b))
    def replace(a, b, **kw): alive(); x = rel(a); real['replace'](a, b, **kw); add('rename', x, rel(b))
    def mkdir(p, *a, **kw): alive(); real['mkdir'](p, *a, **kw); add('mkdir', rel(p))
    def unlink(p, *, dir_fd=None): alive(); x = rel(p, dir_fd); real['unlink'](p, dir_fd=dir_fd); add('unlink', x)
    def rmdir(p, *, dir_fd=None): alive(); x = rel(p, dir_fd); real['rmdir'](p, dir_fd=dir_fd); add('rmdir', x)
    with ExitStack() as s:
        for f in (write, fsync, rename, replace, mkdir, unlink, rmdir): s.enter_context(patch(f'os.{f.__name__}', f))
        for o in (builtins, io): s.enter_context(patch.object(o, 'open', opened))
        try: fn()
        except Killed: pass
    return ops

DATA = 'lost','all','zeros','pages'  # what becomes of bytes that were not synced: none there, all, the size alone, any pages

class Disk:
    "What processes see, and what the disk may hold of it"
    def __init__(self, root):
        self.names,self.data,self.safe,self.changes,self.n = {},{},{},[],0
        self.top = self.load(Path(root))
        self.base = copy.deepcopy(self.names)

    def new(self): self.n += 1; return self.n
    def load(self, p):
        i = self.new()
        if p.is_dir(): self.names[i] = {o.name: self.load(o) for o in p.iterdir()}
        else: self.data[i] = self.safe[i] = p.read_bytes()
        return i

    def at(self, path):
        "The folder that holds a name, and the name"
        d,(*above,name) = self.top,Path(path).parts
        for o in above: d = self.names[d][o]
        return d,name
    def inode(self, path):
        if path=='.': return self.top
        d,name = self.at(path)
        return self.names[d][name]

    def change(self, *slots):
        "Names that change together: folder, name, what it means from now on"
        for d,name,i in slots:
            if i is None: del self.names[d][name]
            else: self.names[d][name] = i
        self.changes.append((slots, {d for d,_,_ in slots}))

    def do(self, what, path, more):
        if what in ('create','mkdir'):
            i = self.new()
            if what=='mkdir': self.names[i] = {}; self.base[i] = {}
            else: self.data[i] = self.safe[i] = b''
            self.change((*self.at(path), i))
        elif what in ('unlink','rmdir'): self.change((*self.at(path), None))
        elif what=='rename': self.change((*self.at(path), None), (*self.at(more), self.inode(path)))
        elif what=='write': self.data[self.inode(path)] += more
        elif what=='truncate': self.data[self.inode(path)] = self.data[self.inode(path)][:more]
        else:
            i = self.inode(path)
            if i in self.data: self.safe[i] = self.data[i]
            else:
                for _,waits in self.changes: waits.discard(i)

    def loose(self): "Changes of names that may be lost"; return [k for k,(_,waits) in enumerate(self.changes) if waits]

    def subsets(self, rng, most):
        "Which of them arrive: all subsets, or where there are too many none, all, every beginning, all but one, and a sample"
        loose = self.loose()
        if 2**len(loose)<=most: return [{k for k,b in zip(loose, bits) if b} for bits in product((0,1), repeat=len(loose))]
        some = [set(loose[:n]) for n in range(len(loose)+1)]+[set(loose)-{k} for k in loose]
        rng.shuffle(some)
        half = some[:most//2]
        return half+[{k for k in loose if rng.random()<.5} for _ in range(most-len(half))]

    def content(self, i, how, rng):
        "A file's bytes after the cut"
        new,old = self.data[i],self.safe[i]
        if new==old or how=='all': return new
        if how=='lost': return old
        lo,hi = sorted((len(old), len(new)))
        size = len(new) if how=='zeros' else rng.choice((lo, hi, rng.randint(lo, hi)))
        pages = [(new if how=='pages' and rng.random()<.5 else old)[a:a+PAGE].ljust(PAGE, b'\0') for a in range(0, size, PAGE)]
        return b''.join(pages)[:size]

    def cut(self, to, there, how, rng):
        "Write down the disk after the cut, when the changes `there` arrived"
        names = copy.deepcopy(self.base)
        for k,(slots,waits) in enumerate(self.changes):
            if waits and k not in there: continue
            for d,name,i in slots:
                if i is None: names[d].pop(name, None)
                else: names[d][name] = i
        def put(p, i):
            if i in self.data: p.write_bytes(self.content(i, how, rng)); return
            p.mkdir()
            for name,j in names[i].items(): put(p/name, j)
        shutil.rmtree(to, ignore_errors=True); put(to, self.top)

def tried(base, ops, tmp, rng, most, ok, start=0, step=1):
    "How many disks after a cut at any operation there were, and how many were all right: `ok(folder, finished)`"
    disk,held,n = Disk(base),0,0
    for k in range(len(ops)+1):
        if k>=start and (k==len(ops) or k%step==0):
            loose = any(disk.data[i]!=disk.safe[i] for i in disk.data)
            for there in disk.subsets(rng, most):
                for how in DATA if loose else DATA[:1]:
                    disk.cut(tmp/'cut', there, how, rng)
                    n += 1; held += bool(ok(tmp/'cut', k==len(ops)))
        if k<len(ops): disk.do(*ops[k])
    return n,held

def brief(root):
    "Step of what would be resumed, 0 when there has never been any; None when all is lost"
    try: path,_ = newest_checkpoint(root)
    except CheckpointError: return None
    return load_checkpoint(path)[1]['step'] if path else 0

RUN = 'runs/r/checkpoints'  # made by the first save, and its folders with it

def saving(full, rng, tmp):
    "A save: the first one; one that removes the last; one of the same step; the same again after the process was killed"
    def save(root, step): return lambda: save_checkpoint(root/RUN, step, parts(step), dict(step=step), keep=1)
    def start(old):
        base = tmp/f'base{old}'; base.mkdir(exist_ok=True)
        if old and not (base/RUN).exists(): save(base, old)()
        work = tmp/'work'; shutil.rmtree(work, ignore_errors=True); shutil.copytree(base, work)
        return base,work
    rows,most,stride = [],16 if full else 4,1 if full else 3
    for what,old,step in (('first save',0,20), ('save and retention',10,20), ('the same step again',20,20)):
        base,work = start(old)
        ops = record(save(work, step), work)
        n,held = tried(base, ops, tmp, rng, most, lambda d, done: brief(d/RUN) in ((step,) if done else (old,step)), step=stride)
        rows.append(Row(f'power cut during {what}: the old or the new checkpoint is there and intact, after it the new one', n, held, f'{len(ops)} operations'))
    n = held = 0
    for die in [i for i in range(1, len(ops)) if full or ops[i-1][0]=='rename']:   # the short form: right after each change of a checkpoint's name
        base,work = start(20)
        first = record(save(work, 20), work, die)
        second = record(save(work, 20), work)
        a,b = tried(base, first+second, tmp, rng, 4, lambda d, done: brief(d/RUN)==20, start=len(first), step=3)
        n += a; held += b
    rows.append(Row('killed while the same step is saved again, and power cut during the next save: the checkpoint is there and intact', n, held, 'killed at any operation'))
    return rows

def other(full, rng, tmp):
    "What else says that it is on the disk: tokenizers, prepared tokens, the log"
    rows,most,stride = [],32 if full else 4,1 if full else 2
    ranks = {bytes([i]): i for i in range(256)}
    old,new = Tokenizer(ranks),Tokenizer(ranks|{b'ab': 256}, SPLIT)
    for what,before in (('tokenizer is saved',()), ('tokenizer is saved over another',(old,))):
        base,work = tmp/f'tok{len(before)}',tmp/f'tokwork{len(before)}'; base.mkdir()
        for t in before: t.save(base/'a'/'t')
        shutil.copytree(base, work)
        ops = record(lambda: new.save(work/'a'/'t'), work)
        def ok(d, done):
            try: t = Tokenizer.load(d/'a'/'t')
            except ValueError as e: return not done and '\n' not in str(e)
            return t==new or not done and t in before
        n,held = tried(base, ops, tmp, rng, most, ok, step=stride)
        rows.append(Row(f'power cut while a {what}: it is whole or refused, after it whole', n, held, f'{len(ops)} operations'))
    write_texts(tmp/'text', 12)
    base,work = tmp/'prep',tmp/'prepwork'; base.mkdir(); work.mkdir()
    made = []
    data,prep = CorpusConfig(train=(str(tmp/'text'),)),PrepareConfig(cache=str(work), workers=1, shard_chars=20_000)
    ops = record(lambda: made.append(prepare(data, new, prep, 'train', say=lambda s: None)), work)
    ids = made[0].stream(0, made[0].n_tok)
    def right(d, done):
        folders = [p for p in d.glob('tokens/*') if (p/INDEX).exists()]
        try: toks = [Tokens.open(p) for p in folders]
        except ValueError: return False
        return all(t.n_tok==len(ids) and (t.stream(0, t.n_tok)==ids).all() for t in toks)
    n,held = tried(base, ops, tmp, rng, most, right, step=stride)
    rows.append(Row('power cut while tokens are prepared: where there is an index, all of it is true, even by sizes alone', n, held, f'{len(ops)} operations'))
    base,work = tmp/'log',tmp/'logwork'
    for p in (base, work): (p/'run').mkdir(parents=True)
    def steps(a, b, log):
        for s in range(a, b): log.append(dict(step=s, note='x'*900))   # a few records a page
    def logging():
        with MetricsLog(work/'run'/'metrics.jsonl') as f: steps(0, 8, f); f.sync(); steps(8, 20, f)
    ops = record(logging, work)
    at = max(i for i,o in enumerate(ops) if o[0]=='fsync')+1
    def taken_up(d, done):
        try:
            with MetricsLog(d/'run'/'metrics.jsonl', 7) as f: f.append(dict(step=8))
            return [r['step'] for r in read_metrics(d/'run'/'metrics.jsonl')]==list(range(9))
        except ValueError: return False
    n,held = tried(base, ops, tmp, rng, most, taken_up, start=at, step=stride)
    rows.append(Row('power cut after the log was synced: a run that goes on from there finds every step until then', n, held, f'{len(ops)} operations'))
    return rows

@fault
def power_cuts(full, seed, tmp):
    "States that a disk without a journal may be in after a power cut"
    rng = random.Random(seed)
    return saving(full, rng, tmp)+other(full, rng, tmp)

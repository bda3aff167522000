"""A power cut: what was not synced may be lost, in part or whole, and a finished checkpoint is still there.

The disk is one without a journal, and as unhelpful as the rules allow. Of what was written to a file since its last
fsync, any pages may have arrived and the others be zeros, while the size may be the old, the new, or one between. Of
the changes of names in a folder since its last fsync (a file made, renamed or removed), any may have arrived, in any
order. Only what an fsync was waited for is certain: content by that of the file, a name by that of its folder."""
import builtins, copy, io, os, random, shutil
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from unittest.mock import patch
from common import Row, fault
from damage import PAGE, parts
from helpers import write_texts
from operations import quietly
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

    def write(self, b):
        n = self.inner.write(b)
        self.told('write', bytes(b) if n is None else bytes(memoryview(b).cast('B')[:n]))
        return n

    def truncate(self, n):
        self.inner.truncate(n)
        self.told('truncate', n)

def real_path(p, dir_fd=None):
    "Of a path, a descriptor, or a name in a folder that is open"
    def of(fd): return Path(os.readlink(f'/proc/self/fd/{fd}'))
    if isinstance(p, int): return of(p)
    return Path(os.path.abspath(p)) if dir_fd is None else of(dir_fd)/p

class Recorder:
    "In the place of what changes files: does it, and keeps what was done below `root`"
    def __init__(self, root, die=None):
        self.root,self.die = Path(root).resolve(),die
        self.ops = []
        self.real_open = builtins.open
        self.real = {n: getattr(os, n) for n in ('write','fsync','rename','replace','mkdir','unlink','rmdir')}

    def rel(self, p, dir_fd=None): return os.path.relpath(real_path(p, dir_fd), self.root)

    def add(self, what, path, more=None):
        if not path.startswith('..'): self.ops.append((what, path, more))   # folders above may be synced, too

    def alive(self):
        if len(self.ops)==self.die: raise Killed

    def open(self, p, mode='r', *a, **kw):
        writes = set(mode) & set('wxa') and not isinstance(p, int)
        if not writes or not real_path(p).is_relative_to(self.root): return self.real_open(p, mode, *a, **kw)
        self.alive()
        there = os.path.exists(p)
        f = self.real_open(p, mode, *a, **kw)
        path = self.rel(p)
        if not there: self.add('create', path)
        elif 'w' in mode: self.add('truncate', path, 0)
        return File(f, lambda what, more: self.add(what, path, more))

    def write(self, fd, b):
        self.alive()
        n = self.real['write'](fd, b)
        self.add('write', self.rel(fd), bytes(b[:n]))
        return n

    def fsync(self, fd):
        self.alive()
        self.real['fsync'](fd)
        self.add('fsync', self.rel(fd))

    def mkdir(self, p, *a, **kw):
        self.alive()
        self.real['mkdir'](p, *a, **kw)
        self.add('mkdir', self.rel(p))

    def move(self, name):
        "Both `rename` and `replace` are told as 'rename'"
        def fn(a, b, **kw):
            self.alive()
            old = self.rel(a)
            self.real[name](a, b, **kw)
            self.add('rename', old, self.rel(b))
        return fn

    def remove(self, name):
        def fn(p, *, dir_fd=None):
            self.alive()
            old = self.rel(p, dir_fd)
            self.real[name](p, dir_fd=dir_fd)
            self.add(name, old)
        return fn

    def calls(self):
        "What stands in the place of which function of `os`"
        return (dict(write=self.write, fsync=self.fsync, mkdir=self.mkdir)
                | {n: self.move(n) for n in ('rename','replace')} | {n: self.remove(n) for n in ('unlink','rmdir')})

def record(fn, root, die=None):
    """The operations on files below `root` that `fn` makes, in order: (what, path, more); with `die` it is killed
    before that one"""
    r = Recorder(root, die)
    with ExitStack() as s:
        for name,f in r.calls().items(): s.enter_context(patch.object(os, name, f))
        for o in (builtins, io): s.enter_context(patch.object(o, 'open', r.open))
        try: fn()
        except Killed: pass
    return r.ops

# What becomes of bytes that were not synced: none there, all, the size alone, any pages
DATA = 'lost','all','zeros','pages'

class Disk:
    "What processes see, and what the disk may hold of it"
    def __init__(self, root):
        self.n = 0         # inodes so far
        self.names = {}    # folder: inodes by name
        self.data = {}     # file: its bytes
        self.safe = {}     # file: bytes that were synced
        self.changes = []  # of names, each with the folders whose fsync it waits for
        self.top = self.load(Path(root))
        self.base = copy.deepcopy(self.names)

    def new(self):
        self.n += 1
        return self.n

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
        "An operation as it was recorded"
        if what=='create':
            i = self.new()
            self.data[i] = self.safe[i] = b''
            self.change((*self.at(path), i))
        elif what=='mkdir':
            i = self.new()
            self.names[i],self.base[i] = {},{}
            self.change((*self.at(path), i))
        elif what in ('unlink','rmdir'): self.change((*self.at(path), None))
        elif what=='rename': self.change((*self.at(path), None), (*self.at(more), self.inode(path)))
        elif what=='write': self.data[self.inode(path)] += more
        elif what=='truncate': self.data[self.inode(path)] = self.data[self.inode(path)][:more]
        else: self.sync(self.inode(path))

    def sync(self, i):
        "Content of a file, or names in a folder"
        if i in self.data: self.safe[i] = self.data[i]
        else:
            for _,waits in self.changes: waits.discard(i)

    def loose(self):
        "Changes of names that may be lost"
        return [k for k,(_,waits) in enumerate(self.changes) if waits]

    def subsets(self, rng, most):
        """Which of them arrive: all subsets, or where there are too many none, all, every beginning, all but one, and a
        sample"""
        loose = self.loose()
        if 2**len(loose)<=most:
            return [{k for k,b in zip(loose, bits) if b} for bits in product((0,1), repeat=len(loose))]
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
        def page(a):
            source = new if how=='pages' and rng.random()<.5 else old
            return source[a:a+PAGE].ljust(PAGE, b'\0')
        return b''.join(page(a) for a in range(0, size, PAGE))[:size]

    def cut(self, to, there, how, rng):
        "Write down the disk after the cut, when the changes `there` arrived"
        names = copy.deepcopy(self.base)
        for k,(slots,waits) in enumerate(self.changes):
            if waits and k not in there: continue
            for d,name,i in slots:
                if i is None: names[d].pop(name, None)
                else: names[d][name] = i
        def put(p, i):
            if i in self.data:
                p.write_bytes(self.content(i, how, rng))
                return
            p.mkdir()
            for name,j in names[i].items(): put(p/name, j)
        shutil.rmtree(to, ignore_errors=True)
        put(to, self.top)

def tried(base, ops, tmp, rng, most, ok, start=0, step=1):
    "How many disks after a cut at any operation there were, and how many were all right: `ok(folder, finished)`"
    disk,held,n = Disk(base),0,0
    for k in range(len(ops)+1):
        if k>=start and (k==len(ops) or k%step==0):
            loose = any(disk.data[i]!=disk.safe[i] for i in disk.data)
            for there in disk.subsets(rng, most):
                for how in DATA if loose else DATA[:1]:
                    disk.cut(tmp/'cut', there, how, rng)
                    n += 1
                    held += bool(ok(tmp/'cut', k==len(ops)))
        if k<len(ops): disk.do(*ops[k])
    return n,held

def brief(root):
    "Step of what would be resumed, 0 when there has never been any; None when all is lost"
    try: path,_ = newest_checkpoint(root)
    except CheckpointError: return None
    return load_checkpoint(path)[1]['step'] if path else 0

RUN = 'runs/r/checkpoints'  # made by the first save, and its folders with it

def save(root, step): return lambda: save_checkpoint(root/RUN, step, parts(step), dict(step=step), keep=1)

def start(tmp, old):
    "Two folders with the checkpoint of step `old`, if any: one to stay as it is, one to work in"
    base,work = tmp/f'base{old}',tmp/'work'
    base.mkdir(exist_ok=True)
    if old and not (base/RUN).exists(): save(base, old)()
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(base, work)
    return base,work

def saving(full, rng, tmp):
    "A save: the first one; one that removes the last; one of the same step; that again, after the process was killed"
    rows,most,stride = [],16 if full else 4,1 if full else 3
    for what,old,step in (('first save',0,20), ('save and retention',10,20), ('the same step again',20,20)):
        base,work = start(tmp, old)
        ops = record(save(work, step), work)
        def ok(d, done): return brief(d/RUN) in ((step,) if done else (old,step))
        n,held = tried(base, ops, tmp, rng, most, ok, step=stride)
        promise = f'power cut during {what}: the old or the new checkpoint is there and intact, after it the new one'
        rows.append(Row(promise, n, held, f'{len(ops)} operations'))
    places = range(1, len(ops))
    if not full: places = [i for i in places if ops[i-1][0]=='rename']   # right after a checkpoint's name has changed
    return rows+[saving_again(places, rng, tmp)]

def saving_again(places, rng, tmp):
    "The same step once more, after the process that saved it again was killed before one of these operations"
    n = held = 0
    for die in places:
        base,work = start(tmp, 20)
        first = record(save(work, 20), work, die)
        second = record(save(work, 20), work)
        def ok(d, done): return brief(d/RUN)==20
        a,b = tried(base, first+second, tmp, rng, 4, ok, start=len(first), step=3)
        n += a
        held += b
    return Row('killed while the same step is saved again, and power cut during the next save: the checkpoint is there '
               'and intact', n, held, 'killed at any operation')

def two_tokenizers():
    ranks = {bytes([i]): i for i in range(256)}
    return Tokenizer(ranks),Tokenizer(ranks|{b'ab': 256}, SPLIT)

def tokenizers(rng, tmp, most, stride):
    "A tokenizer is saved, with none before it or with another"
    rows = []
    old,new = two_tokenizers()
    for what,before in (('tokenizer is saved',()), ('tokenizer is saved over another',(old,))):
        base,work = tmp/f'tok{len(before)}',tmp/f'tokwork{len(before)}'
        base.mkdir()
        for t in before: t.save(base/'a'/'t')
        shutil.copytree(base, work)
        ops = record(lambda: new.save(work/'a'/'t'), work)
        def ok(d, done):
            try: t = Tokenizer.load(d/'a'/'t')
            except ValueError as e: return not done and '\n' not in str(e)
            return t==new or not done and t in before
        n,held = tried(base, ops, tmp, rng, most, ok, step=stride)
        rows.append(Row(f'power cut while a {what}: it is whole or refused, after it whole',
                        n, held, f'{len(ops)} operations'))
    return rows

def tokens(rng, tmp, most, stride):
    "A corpus is prepared"
    write_texts(tmp/'text', 12)
    base,work = tmp/'prep',tmp/'prepwork'
    for p in (base, work): p.mkdir()
    data = CorpusConfig(train=(str(tmp/'text'),))
    prep = PrepareConfig(cache=str(work), workers=1, shard_chars=20_000)
    _,tok = two_tokenizers()
    made = []
    ops = record(lambda: made.append(prepare(data, tok, prep, 'train', say=quietly)), work)
    ids = made[0].stream(0, made[0].n_tok)
    def ok(d, done):
        folders = [p for p in d.glob('tokens/*') if (p/INDEX).exists()]
        try: toks = [Tokens.open(p) for p in folders]
        except ValueError: return False
        return all(t.n_tok==len(ids) and (t.stream(0, t.n_tok)==ids).all() for t in toks)
    n,held = tried(base, ops, tmp, rng, most, ok, step=stride)
    return Row('power cut while tokens are prepared: where there is an index, all of it is true, even by sizes alone',
               n, held, f'{len(ops)} operations')

def log(rng, tmp, most, stride):
    "A log is synced, and goes on"
    base,work = tmp/'log',tmp/'logwork'
    for p in (base, work): (p/'run').mkdir(parents=True)
    def steps(a, b, f):
        for s in range(a, b): f.append(dict(step=s, note='x'*900))   # a few records a page
    def logging():
        with MetricsLog(work/'run'/'metrics.jsonl') as f:
            steps(0, 8, f)
            f.sync()
            steps(8, 20, f)
    ops = record(logging, work)
    synced = max(i for i,o in enumerate(ops) if o[0]=='fsync')+1
    def ok(d, done):
        try:
            with MetricsLog(d/'run'/'metrics.jsonl', 7) as f: f.append(dict(step=8))
            return [r['step'] for r in read_metrics(d/'run'/'metrics.jsonl')]==list(range(9))
        except ValueError: return False
    n,held = tried(base, ops, tmp, rng, most, ok, start=synced, step=stride)
    return Row('power cut after the log was synced: a run that goes on from there finds every step until then',
               n, held, f'{len(ops)} operations')

def other(full, rng, tmp):
    "What else says that it is on the disk: tokenizers, prepared tokens, the log"
    how = dict(most=32 if full else 4, stride=1 if full else 2)
    return [*tokenizers(rng, tmp, **how), tokens(rng, tmp, **how), log(rng, tmp, **how)]

@fault
def power_cuts(full, seed, tmp):
    "States that a disk without a journal may be in after a power cut"
    rng = random.Random(seed)
    return saving(full, rng, tmp)+other(full, rng, tmp)

"A power cut: what was not synced may be lost, in part or whole, and a finished checkpoint is still there"
import builtins, os, shutil
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch
from common import Row, fault
from damage import parts
from pretrain.checkpoint import CheckpointError, load_checkpoint, newest_checkpoint, save_checkpoint

def record(fn, root):
    "The operations on files below `root` that `fn` makes, in order: (what, path, more)"
    ops,root = [],Path(root)
    def rel(p, dir_fd=None):
        p = Path(os.readlink(f'/proc/self/fd/{p}') if isinstance(p, int) else p)
        if dir_fd is not None: p = Path(os.readlink(f'/proc/self/fd/{dir_fd}'))/p
        return os.path.relpath(p, root)
    real = {n: getattr(os, n) for n in ('write','fsync','rename','mkdir','unlink','rmdir')}
    real_open = builtins.open
    def opened(p, mode='r', *a, **kw):
        f = real_open(p, mode, *a, **kw)
        if set(mode) & set('wxa'): ops.append(('create', rel(p), None))
        return f
    def write(fd, b): n = real['write'](fd, b); ops.append(('write', rel(fd), bytes(b[:n]))); return n
    def fsync(fd): real['fsync'](fd); ops.append(('fsync', rel(fd), None))
    def rename(a, b, **kw): x = rel(a); real['rename'](a, b, **kw); ops.append(('rename', x, rel(b)))
    def mkdir(p, *a, **kw): real['mkdir'](p, *a, **kw); ops.append(('mkdir', rel(p), None))
    def unlink(p, *, dir_fd=None): x = rel(p, dir_fd); real['unlink'](p, dir_fd=dir_fd); ops.append(('unlink', x, None))
    def rmdir(p, *, dir_fd=None): x = rel(p, dir_fd); real['rmdir'](p, dir_fd=dir_fd); ops.append(('rmdir', x, None))
    with ExitStack() as s:
        for f in (write, fsync, rename, mkdir, unlink, rmdir): s.enter_context(patch(f'os.{f.__name__}', f))
        s.enter_context(patch('builtins.open', opened))
        fn()
    return ops

NAMES = 'create','rename','mkdir','unlink','rmdir'

def synced(ops, n):
    "How many of the first `n` operations' names are surely on the disk: all before the first whose directory was not synced after it"
    for i,(what,path,to) in enumerate(ops[:n]):
        if what not in NAMES: continue
        for p in filter(None, (path, to)):
            folder = os.path.dirname(p) or '.'
            if not any(o=='fsync' and q==folder for o,q,_ in ops[i:n]): return i
    return n

def rebuild(base, to, ops, names, n, share):
    "The disk after a power cut at operation `n`, when the names of the first `names` operations and `share` of what was not synced got there"
    shutil.rmtree(to, ignore_errors=True); shutil.copytree(base, to)
    body,safe,now = {},{},{}       # file to content and to its synced length; present name to file
    for i,(what,path,more) in enumerate(ops[:n]):
        if what=='create': now[path] = i; body[i],safe[i] = b'',0
        elif what=='write': body[now[path]] += more
        elif what=='fsync' and path in now: safe[now[path]] = len(body[now[path]])
        elif what=='rename': now = {(more+p[len(path):] if p==path or p.startswith(path+'/') else p): k for p,k in now.items()}
        elif what=='unlink': now.pop(path, None)
    for i,(what,path,more) in enumerate(ops[:names]):
        p = Path(to)/path
        if what=='create': p.write_bytes(body[i][:safe[i]+int(share*(len(body[i])-safe[i]))])
        elif what=='mkdir': p.mkdir()
        elif what=='rename': os.rename(p, Path(to)/more)
        elif what=='unlink': p.unlink()
        elif what=='rmdir': p.rmdir()

def found(root):
    "Step of what would be resumed, 0 when there has never been any; None when all is lost"
    try: path,_ = newest_checkpoint(root)
    except CheckpointError: return None
    return load_checkpoint(path)[1]['step'] if path else 0

@fault
def power_cuts(full, seed, tmp):
    "Every state that a disk may be in after a power cut during a save"
    rows = []
    for what,old,step in (('first save',0,20), ('save and retention',10,20), ('the same step again',20,20)):
        base,work = tmp/f'base{old}{step}',tmp/f'work{old}{step}'
        base.mkdir()
        if old: save_checkpoint(base, old, parts(old), dict(step=old), keep=1)
        shutil.copytree(base, work)
        ops = record(lambda: save_checkpoint(work, step, parts(step), dict(step=step), keep=1), work)
        held = tried = 0
        for n in sorted({len(ops), *range(0, len(ops), 1 if full else 4)}):
            for names in range(synced(ops, n), n+1):
                if names<n and ops[names][0] not in NAMES: continue   # the same state as the next
                for share in (0., .5, 1.):
                    rebuild(base, tmp/'cut', ops, names, n, share)
                    tried += 1; held += found(tmp/'cut') in ((old,step) if n<len(ops) else (step,))
        rows.append(Row(f'power cut during {what}: the old or the new checkpoint is there and intact, after it the new one', tried, held, f'{len(ops)} operations'))
    return rows

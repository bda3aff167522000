"What a save costs: the training loop, and the disk"
import os, time
from statistics import median
from unittest.mock import patch
import torch
from common import Row, fault
from pretrain.store import checkpoint
from pretrain.store.tensors import tensor_chunks
from pretrain.store.files import CHUNK
from pretrain.store.saver import CheckpointConfig, Saver

def timed(f):
    t = time.perf_counter()
    f()
    return time.perf_counter()-t

def write_plainly(path, parts):
    "Every byte of the tensors in one file, and the wait until it is on the disk"
    path.unlink(missing_ok=True)
    with open(path, 'wb', buffering=0) as f:
        for part in parts.values():
            for c in map(memoryview, tensor_chunks(part)):
                while len(c): c = c[os.write(f.fileno(), c[:CHUNK]):]
        os.fsync(f.fileno())

@fault
def save_times(full, seed, tmp):
    """Stall and background write of a model with AdamW's moments, against the bare copy and the bare write, side by
    side"""
    n,parts,rounds = (30_000_000,12,11) if full else (1_000_000,4,5)
    g = torch.Generator().manual_seed(seed)
    def some(letter, k): return {f'{letter}{i}': torch.randn(n//parts, generator=g) for i in range(k)}
    ts = dict(model=some('w', parts), optimizer=some('m', 2*parts))
    flat = [t for part in ts.values() for t in part.values()]
    target = [t.clone() for t in flat]
    def copy():
        for a,b in zip(target, flat): a.copy_(b)
    named = [0.]   # when the last checkpoint got its name
    def into(a, b, real=checkpoint.into_place):
        real(a, b)
        named[0] = time.perf_counter()
    saver,rows = Saver(tmp/'checkpoints', CheckpointConfig(keep=1)),[]
    saver.save(0, ts, {})
    saver.wait()
    with patch.object(checkpoint, 'into_place', into):
        for k in range(1, rounds+1):
            copied = timed(copy)
            written = timed(lambda: write_plainly(tmp/'plain', ts))
            stalled = timed(lambda: saver.save(k, ts, {}))
            begun = time.perf_counter()
            saver.wait()
            waited = time.perf_counter()-begun
            rows.append((stalled/copied, (named[0]-begun)/written, waited/written, copied, written))
    stall,durable,verified,copied,written = (median(x) for x in zip(*rows))
    note = (f'{n:,} parameters, {rounds} rounds, medians; copy {1000*copied:.0f} ms, '
            f'write and fsync {1000*written:.0f} ms; with reading back and retention {verified:.2f} times')
    most = 1.5 if full else 50  # a small model is measured only to see that it can be
    return [Row('the loop waits at most 1.5 times the copy of the tensors', 1, int(stall<=most),
                f'{stall:.2f} times; {note}'),
            Row('the checkpoint is on the disk, hashed and named, in at most 1.5 times a bare write and fsync',
                1, int(durable<=most), f'{durable:.2f} times')]

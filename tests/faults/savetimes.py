"What a save costs: the training loop, and the disk"
import os, time
from statistics import median
from unittest.mock import patch
import torch
from common import Row, fault
from pretrain.store import checkpoint
from pretrain.store.checkpoint import tensor_chunks
from pretrain.store.files import CHUNK
from pretrain.store.saver import CheckpointConfig, Saver

@fault
def save_times(full, seed, tmp):
    "Stall and background write of a model with AdamW's moments, against the bare copy and the bare write, side by side"
    n,parts,rounds = (30_000_000,12,11) if full else (1_000_000,4,5)
    g = torch.Generator().manual_seed(seed)
    ts = dict(model={f'w{i}': torch.randn(n//parts, generator=g) for i in range(parts)}, optimizer={f'm{i}': torch.randn(n//parts, generator=g) for i in range(2*parts)})
    flat = [t for p in ts.values() for t in p.values()]; target = [t.clone() for t in flat]
    named = [0.]
    def into(a, b, real=checkpoint.into_place): real(a, b); named[0] = time.perf_counter()
    def timed(f): t = time.perf_counter(); f(); return time.perf_counter()-t
    def copy():
        for a,b in zip(target, flat): a.copy_(b)
    def write():
        (tmp/'plain').unlink(missing_ok=True)
        with open(tmp/'plain', 'wb', buffering=0) as f:
            for part in ts.values():
                for c in map(memoryview, tensor_chunks(part)):
                    while len(c): c = c[os.write(f.fileno(), c[:CHUNK]):]
            os.fsync(f.fileno())
    saver,rows = Saver(tmp/'checkpoints', CheckpointConfig(keep=1)),[]
    saver.save(0, ts, {}); saver.wait()
    with patch.object(checkpoint, 'into_place', into):
        for k in range(1, rounds+1):
            a,p,s = timed(copy),timed(write),timed(lambda: saver.save(k, ts, {}))
            t = time.perf_counter(); saver.wait()
            rows.append((s/a, (named[0]-t)/p, (time.perf_counter()-t)/p, a, p))
    stall,durable,verified,a,p = (median(x) for x in zip(*rows))
    note = f'{n:,} parameters, {rounds} rounds, medians; copy {1000*a:.0f} ms, write and fsync {1000*p:.0f} ms; with reading back and retention {verified:.2f} times'
    most = 1.5 if full else 50  # a small model is measured only to see that it can be
    return [Row('the loop waits at most 1.5 times the copy of the tensors', 1, int(stall<=most), f'{stall:.2f} times; {note}'),
            Row('the checkpoint is on the disk, hashed and named, in at most 1.5 times a bare write and fsync', 1, int(durable<=most), f'{durable:.2f} times')]

"Files that changed on the disk, and files made to do harm"
import io, json, os, pickle, random, resource, struct, zipfile
from pathlib import Path
import torch
from common import Row, fault
from pretrain.store.checkpoint import (
    CheckpointError, MANIFEST, load_checkpoint, manifest_text, newest_checkpoint, save_checkpoint)
from pretrain.store.files import write_file

PAGE = 4096  # bytes

def parts(seed):
    g = torch.Generator().manual_seed(seed)
    return dict(model={f'w{i}': torch.randn(64,96, generator=g) for i in range(3)}, optimizer={f'm{i}': torch.randn(64,96, generator=g) for i in range(6)},
                rng=dict(key=torch.arange(2000)))

@fault
def damage(full, seed, tmp):
    "Flipped bits, truncations, zeroed and swapped pages, deleted files"
    rng,root = random.Random(seed),tmp/'checkpoints'
    for s in (1,2): save_checkpoint(root, s, parts(s), dict(step=s, note='x'*100))
    target = root/'step_00000002'
    whole = {p.name: p.read_bytes() for p in sorted(target.iterdir())}
    big = [n for n,b in whole.items() if len(b)>3*PAGE]
    def flip(b): i = rng.randrange(8*len(b)); b = bytearray(b); b[i//8] ^= 1<<i%8; return bytes(b)
    def zero(b): i = rng.randrange(len(b)//PAGE)*PAGE; return b[:i]+bytes(PAGE)+b[i+PAGE:]
    def swap(b):
        i,j = (k*PAGE for k in sorted(rng.sample(range(len(b)//PAGE), 2)))
        return b[:i]+b[j:j+PAGE]+b[i+PAGE:j]+b[i:i+PAGE]+b[j+PAGE:]
    any_file = lambda: rng.choices(list(whole), [len(b) for b in whole.values()])[0] if rng.random()<.5 else rng.choice(list(whole))
    kinds = [('flipped bit', 1000, any_file, flip), ('truncation', 200, any_file, lambda b: b[:rng.randrange(len(b))]),
             ('zeroed page', 50, lambda: rng.choice(big), zero), ('swapped pages', 20, lambda: rng.choice(big), swap), ('deleted file', 20, lambda: rng.choice(list(whole)), lambda b: None)]
    rows = []
    for what,n,pick,spoil in kinds:
        n,held = n if full else max(5, n//10),0
        for _ in range(n):
            name = pick(); bad = spoil(whole[name])
            while bad==whole[name]: bad = spoil(whole[name])
            p = target/name
            p.unlink() if bad is None else p.write_bytes(bad)
            path,problems = newest_checkpoint(root)
            held += path.name=='step_00000001' and len(problems)==1 and name in problems[0]
            p.write_bytes(whole[name])
        rows.append(Row(f'{what} of the newest checkpoint: noticed, the file named, the previous one used', n, held))
    assert newest_checkpoint(root)==(target, [])
    return rows

class Touch:
    "Unpickled, it makes a file: the proof that code ran"
    def __init__(self, path): self.path = path
    def __reduce__(self): return open, (self.path, 'w')

def header(d, body=b''): h = json.dumps(d).encode(); return struct.pack('<Q', len(h))+h+body

def payloads(mark):
    "Contents that have done harm elsewhere"
    z = io.BytesIO()
    with zipfile.ZipFile(z, 'w') as f: f.writestr('archive/data.pkl', pickle.dumps(Touch(mark))); f.writestr('../../escaped', 'x')
    t = io.BytesIO(); torch.save(dict(w=torch.ones(3)), t)
    one = dict(dtype='F32', shape=[2], data_offsets=[0,8])
    return dict(pickle=pickle.dumps(Touch(mark)), zip=z.getvalue(), torch=t.getvalue(),
        overlap=header(dict(a=one, b=one), bytes(8)), huge=struct.pack('<Q', 2**62)+b'{}', long=struct.pack('<Q', 10**9)+b'{}',
        shape=header(dict(a=dict(dtype='F32', shape=[2**40, 2**40], data_offsets=[0,8])), bytes(8)), beyond=header(dict(a=dict(one, data_offsets=[0,2**50])), bytes(8)),
        negative=header(dict(a=dict(one, data_offsets=[-8,0])), bytes(8)), deep=b'['*100_000, nul=bytes(1000), empty=b'')

def forged(d, name, content):
    "A checkpoint with one file of somebody else's, under a manifest that fits"
    d.mkdir()
    files = {'model.safetensors': header({}), 'state.json': b'{"step": 1}'} | {name: content}
    (d/MANIFEST).write_bytes(manifest_text(1, {k: write_file(d/k, [b]) for k,b in files.items()}))
    return d

def refused(fn):
    "Is it answered with one line, and nothing else?"
    try: fn()
    except CheckpointError as e: return '\n' not in str(e)
    return False

@fault
def hostile(full, seed, tmp):
    "Files that try to run code, to escape, to fill memory"
    mark,rng,held,tried = tmp/'code-ran',random.Random(seed),0,0
    for i,name in enumerate(('model.safetensors','state.json')):
        for kind,content in payloads(str(mark)).items():
            tried += 1; held += refused(lambda: load_checkpoint(forged(tmp/f'{i}{kind}', name, content)))
    for i,names in enumerate((['../escaped.safetensors'], ['/etc/passwd'], ['a/b.json'], ['model.pkl'])):
        d = tmp/f'names{i}'; d.mkdir(); (d/MANIFEST).write_bytes(manifest_text(1, {n: dict(size=0, sha256='') for n in names}|{'state.json': dict(size=0, sha256='')}))
        tried += 1; held += refused(lambda: load_checkpoint(d))
    for kind,make in dict(link=lambda p: os.symlink('/etc/hostname', p), fifo=os.mkfifo, folder=os.mkdir).items():
        d = forged(tmp/kind, 'state.json', b'{"step": 1}'); (d/'state.json').unlink(); make(d/'state.json')
        tried += 1; held += refused(lambda: load_checkpoint(d))
    for kind in ('pickle','zip','deep','nul'):
        d = tmp/f'manifest-{kind}'; d.mkdir(); (d/MANIFEST).write_bytes(payloads(str(mark))[kind])
        tried += 1; held += refused(lambda: load_checkpoint(d))
    ran = mark.exists() or any(p.name=='escaped' for p in Path(tmp).parent.glob('*'))
    good,before,fine = header(dict(a=dict(dtype='F32', shape=[2,3], data_offsets=[0,24]), b=dict(dtype='I64', shape=[1], data_offsets=[24,32])), bytes(32)),resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,0
    n = 1000 if full else 100
    for i in range(n):
        b = bytearray(good)
        for _ in range(rng.randint(1, 4)): b[rng.randrange(len(b)-32)] = rng.randrange(256)
        d = forged(tmp/f'm{i}', 'model.safetensors', bytes(b))
        try: load_checkpoint(d); fine += 1
        except CheckpointError as e: fine += '\n' not in str(e)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss-before)/1024
    return [Row('hostile files under a fitting manifest: one line each, nothing executed', tried, held if not ran else 0),
            Row('mutated safetensors headers: refused in one line or read, no crash, memory as before', n, fine if grown<100 else 0, f'largest memory {grown:+.0f} MB')]

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
    "Tensors of a small checkpoint"
    g = torch.Generator().manual_seed(seed)
    def some(letter, n): return {f'{letter}{i}': torch.randn(64,96, generator=g) for i in range(n)}
    return dict(model=some('w', 3), optimizer=some('m', 6), rng=dict(key=torch.arange(2000)))

@fault
def damage(full, seed, tmp):
    "Flipped bits, truncations, zeroed and swapped pages, deleted files"
    rng,root = random.Random(seed),tmp/'checkpoints'
    for s in (1,2): save_checkpoint(root, s, parts(s), dict(step=s, note='x'*100))
    target = root/'step_00000002'
    whole = {p.name: p.read_bytes() for p in sorted(target.iterdir())}
    big = [n for n,b in whole.items() if len(b)>3*PAGE]

    def flip(b):
        i,b = rng.randrange(8*len(b)),bytearray(b)
        b[i//8] ^= 1<<i%8
        return bytes(b)
    def cut(b): return b[:rng.randrange(len(b))]
    def zero(b):
        i = rng.randrange(len(b)//PAGE)*PAGE
        return b[:i]+bytes(PAGE)+b[i+PAGE:]
    def swap(b):
        i,j = (k*PAGE for k in sorted(rng.sample(range(len(b)//PAGE), 2)))
        return b[:i]+b[j:j+PAGE]+b[i+PAGE:j]+b[i:i+PAGE]+b[j+PAGE:]
    def gone(b): return None

    def any_file(): return rng.choice(list(whole))
    def any_byte(): return rng.choices(list(whole), [len(b) for b in whole.values()])[0]
    def either(): return any_byte() if rng.random()<.5 else any_file()
    def big_file(): return rng.choice(big)

    def noticed(pick, spoil):
        "Is one file spoilt, named, and the checkpoint before it used?"
        name = pick()
        bad = spoil(whole[name])
        while bad==whole[name]: bad = spoil(whole[name])
        p = target/name
        p.unlink() if bad is None else p.write_bytes(bad)
        path,problems = newest_checkpoint(root)
        p.write_bytes(whole[name])
        return path.name=='step_00000001' and len(problems)==1 and name in problems[0]

    kinds = [('flipped bit', 1000, either, flip), ('truncation', 200, either, cut), ('zeroed page', 50, big_file, zero),
             ('swapped pages', 20, big_file, swap), ('deleted file', 20, any_file, gone)]
    rows = []
    for what,n,pick,spoil in kinds:
        if not full: n = max(5, n//10)
        held = sum(noticed(pick, spoil) for _ in range(n))
        promise = f'{what} of the newest checkpoint: noticed, the file named, the previous one used'
        rows.append(Row(promise, n, held))
    assert newest_checkpoint(root)==(target, [])
    return rows

class Touch:
    "Unpickled, it makes a file: the proof that code ran"
    def __init__(self, path): self.path = path
    def __reduce__(self): return open, (self.path, 'w')

def header(d, body=b''):
    "A safetensors file with this header"
    h = json.dumps(d).encode()
    return struct.pack('<Q', len(h))+h+body

def payloads(mark):
    "Contents that have done harm elsewhere"
    zipped,saved = io.BytesIO(),io.BytesIO()
    with zipfile.ZipFile(zipped, 'w') as f:
        f.writestr('archive/data.pkl', pickle.dumps(Touch(mark)))
        f.writestr('../../escaped', 'x')
    torch.save(dict(w=torch.ones(3)), saved)
    one = dict(dtype='F32', shape=[2], data_offsets=[0,8])
    def tensors(**kw): return header(kw, bytes(8))
    return dict(
        pickle=pickle.dumps(Touch(mark)), zip=zipped.getvalue(), torch=saved.getvalue(),
        overlap=tensors(a=one, b=one),
        huge=struct.pack('<Q', 2**62)+b'{}',
        long=struct.pack('<Q', 10**9)+b'{}',
        shape=tensors(a=dict(one, shape=[2**40, 2**40])),
        beyond=tensors(a=dict(one, data_offsets=[0,2**50])),
        negative=tensors(a=dict(one, data_offsets=[-8,0])),
        deep=b'['*100_000, nul=bytes(1000), empty=b'')

def forged(d, name, content):
    "A checkpoint with one file of somebody else's, under a manifest that fits"
    d.mkdir()
    files = {'model.safetensors': header({}), 'state.json': b'{"step": 1}'} | {name: content}
    (d/MANIFEST).write_bytes(manifest_text(1, {k: write_file(d/k, [b]) for k,b in files.items()}))
    return d

def refused(d):
    "Is this checkpoint answered with one line, and nothing else?"
    try: load_checkpoint(d)
    except CheckpointError as e: return '\n' not in str(e)
    return False

def hostile_checkpoints(tmp, mark):
    "Directories that somebody hands over as a checkpoint: contents, names, what isn't a file, and no manifest at all"
    loads = payloads(mark)
    for i,name in enumerate(('model.safetensors','state.json')):
        for kind,content in loads.items(): yield forged(tmp/f'{i}{kind}', name, content)
    empty = dict(size=0, sha256='')
    for i,name in enumerate(('../escaped.safetensors','/etc/passwd','a/b.json','model.pkl')):
        d = tmp/f'names{i}'
        d.mkdir()
        (d/MANIFEST).write_bytes(manifest_text(1, {name: empty, 'state.json': empty}))
        yield d
    def link(p): os.symlink('/etc/hostname', p)
    for kind,make in dict(link=link, fifo=os.mkfifo, folder=os.mkdir).items():
        d = forged(tmp/kind, 'state.json', b'{"step": 1}')
        (d/'state.json').unlink()
        make(d/'state.json')
        yield d
    for kind in ('pickle','zip','deep','nul'):
        d = tmp/f'manifest-{kind}'
        d.mkdir()
        (d/MANIFEST).write_bytes(loads[kind])
        yield d

def mutated(rng, tmp, n):
    "Checkpoints with a safetensors header in which some bytes are others"
    good = header(dict(a=dict(dtype='F32', shape=[2,3], data_offsets=[0,24]),
                       b=dict(dtype='I64', shape=[1], data_offsets=[24,32])), bytes(32))
    for i in range(n):
        b = bytearray(good)
        for _ in range(rng.randint(1, 4)): b[rng.randrange(len(b)-32)] = rng.randrange(256)
        yield forged(tmp/f'm{i}', 'model.safetensors', bytes(b))

def fine(d):
    "Is it read, or refused in one line?"
    try: load_checkpoint(d)
    except CheckpointError as e: return '\n' not in str(e)
    return True

def rss(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024   # largest memory so far [MB]

@fault
def hostile(full, seed, tmp):
    "Files that try to run code, to escape, to fill memory"
    mark = tmp/'code-ran'
    res = [refused(d) for d in hostile_checkpoints(tmp, str(mark))]
    ran = mark.exists() or any(p.name=='escaped' for p in Path(tmp).parent.glob('*'))
    before,n = rss(),1000 if full else 100
    held = sum(fine(d) for d in mutated(random.Random(seed), tmp, n))
    grown = rss()-before
    return [Row('hostile files under a fitting manifest: one line each, nothing executed',
                len(res), 0 if ran else sum(res)),
            Row('mutated safetensors headers: refused in one line or read, no crash, memory as before',
                n, held if grown<100 else 0, f'largest memory {grown:+.0f} MB')]

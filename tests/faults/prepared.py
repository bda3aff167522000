"Prepared tokens and tokenizers that were damaged, swapped, or made to do harm"
import hashlib, json, os, random, shutil, time, warnings
import numpy as np
from common import Row, fault
from damage import PAGE, payloads, rss
from operations import begin, hashes, preparation, settings
from pretrain.data.prepare import get_tokenizer, prepare
from pretrain.data.shards import INDEX, verify_file
from pretrain.data.bpe import SPECIALS, SPLIT
from pretrain.data.tokenizer import JSON_FILE, RANKS_FILE, Tokenizer, fingerprint, rank_lines

# What may stand in the place of any other value
VALUES = (None, True, 'x', '', -1, 0, 1, 1.5, 2**31, 2**63, 10**400, [], [1], {}, {'a': 1}, '../../escaped',
          '\x1b[2J\n', 'é'*1000)
HOLES = 2**40  # size of a file that takes no room [bytes]
RATE_BYTES = 2**26  # read to measure how fast
MEMORY_MB = 100  # a file that is made to fill memory would need more than this

class Cache:
    "A prepared corpus that is harmed, used again, and compared with what it was"
    def __init__(self, tmp):
        self.dir = tmp/'cache-of'
        begin('preparation', self.dir)
        self.train,_ = preparation(self.dir)
        self.ids,self.lens = self.train.stream(0, self.train.n_tok).copy(),self.train.lens
        self.folder = next((self.dir/'cache'/'tokens').glob('train-*/'))
        self.tok_dir = next((self.dir/'cache'/'tokenizers').glob('*/'))
        self.clean = hashes(self.dir)
        self.copy = tmp/'copy'
        shutil.copytree(self.dir/'cache', self.copy)

    def restore(self):
        shutil.rmtree(self.dir/'cache')
        shutil.copytree(self.copy, self.dir/'cache')

    def used(self):
        "Use it as a run does: (is all as it was, are the tokens right, lines said)"
        d,t,p = settings(self.dir)
        with warnings.catch_warnings(record=True) as w:
            warnings.simplefilter('always')
            try: toks = prepare(d, get_tokenizer(d, t, p, say=lambda s: None), p, 'train', say=lambda s: None)
            except (ValueError, OSError) as e: return None,None,[str(e)]
        right = np.array_equal(toks.stream(0, toks.n_tok), self.ids) and np.array_equal(toks.lens, self.lens)
        return hashes(self.dir)==self.clean,right,[str(o.message) for o in w]

    def repaired(self, harm, silent=False):
        "Is harm noticed, in one line, and everything made again as it was? `silent`: what is missing need not be told"
        harm()
        same,right,said = self.used()
        ok = bool(same and right) and all('\n' not in s for s in said) and (silent or len(said)==1)
        if not same: self.restore()
        return ok

    def right(self, harm):
        "Whatever was done: the tokens that are used are the right ones, or one line says why there are none"
        harm()
        _,right,said = self.used()
        self.restore()
        return (right is True or right is None and len(said)==1) and all('\n' not in s for s in said)

def replace(path, content):
    "Another file in its place; an open map keeps the old one"
    path.unlink(missing_ok=True)
    path.write_bytes(content)

def hollow(path):
    "A file that takes no room, in its place"
    replace(path, b'')
    os.truncate(path, HOLES)

def damages(c, rng, n):
    "Harm done to shards and index `n` times, of each kind as often: what to do, and is it nothing that would be told?"
    shards = [c.folder/f'0000{i}.{k}' for i in range(len(c.train.shards)) for k in ('bin','lens')]
    files = [*shards, c.folder/INDEX]
    def flip(p):
        b = bytearray(p.read_bytes())
        i = rng.randrange(8*len(b))
        b[i//8] ^= 1<<i%8
        replace(p, bytes(b))
    def cut(p):
        b = p.read_bytes()
        replace(p, b[:rng.randrange(len(b))])
    def zero(p):
        b = p.read_bytes()
        i = rng.randrange(-(-len(b)//PAGE))*PAGE
        k = len(b[i:i+PAGE])
        replace(p, b[:i]+bytes(k)+b[i+PAGE:])
    def longer(p): replace(p, p.read_bytes()+rng.randbytes(8))
    def swap(p):
        others = [q for q in files if q.suffix==p.suffix and q.read_bytes()!=p.read_bytes()]
        q = rng.choice(others or [c.folder/'00000.json'])
        a,b = p.read_bytes(),q.read_bytes()
        replace(p, b)
        replace(q, a)
    def gone(p): p.unlink()
    for i in range(n):
        what,p = (flip,cut,zero,longer,swap,gone)[i%6],rng.choice(files)
        yield (lambda what=what, p=p: what(p)), what is gone and p.name==INDEX

def forged(c, rng):
    "An index with one value replaced anywhere, under a sum that fits"
    o = json.loads((c.folder/INDEX).read_text())|dict(sha256='')
    places = []
    def walk(v):
        for k in (v if isinstance(v, dict) else range(len(v))):
            places.append((v, k))
            if isinstance(v[k], (dict, list)): walk(v[k])
    walk(o)
    v,k = rng.choice([(v, k) for v,k in places if k!='sha256'])
    v[k] = rng.choice(VALUES)
    raw = json.dumps(o).encode()
    return json.dumps(o|dict(sha256=hashlib.sha256(raw).hexdigest())).encode()

def specials(c, tmp):
    "What isn't a file, in the place of one"
    outside = tmp/'outside'
    outside.write_text('stays as it is')
    def put(make):
        def harm(p):
            p.unlink(missing_ok=True)
            make(p)
        return harm
    makes = dict(link=put(lambda p: p.symlink_to(outside)), loop=put(lambda p: p.symlink_to(p)), pipe=put(os.mkfifo),
                 holes=hollow, device=put(lambda p: p.symlink_to('/dev/zero')), folder=put(os.mkdir))
    places = (c.folder/'00000.bin', c.folder/'00001.lens', c.folder/INDEX, c.tok_dir/JSON_FILE, c.tok_dir/RANKS_FILE,
              c.dir/'cache'/'.files.json')
    return [(name, lambda make=make, p=p: make(p)) for name,make in makes.items() for p in places]

def refused(fn):
    "Is it answered with one line, and nothing else?"
    try: fn()
    except (ValueError, OSError) as e: return '\n' not in str(e)
    return False

def tokenizers(tmp, mark):
    "Directories that somebody hands over as `tokenizer.path`, none of them a tokenizer"
    ranks = {bytes([i]): i for i in range(256)}
    for kind,content in payloads(mark).items():
        for f in (JSON_FILE, RANKS_FILE): yield f'{kind}-{f}', ranks, dict(), {f: content}
    bad_ranks = ranks|{b'ab': -1}, ranks|{b'ab': 10**4000}, ranks|{b'ab': 300}, {b'a': 0}, {}
    for i,bad in enumerate(bad_ranks): yield f'ranks{i}', bad, {}, {}
    bad_meta = (dict(pattern='('), dict(pattern='x'), dict(pattern='('*5000+')'*5000), dict(pattern='\ud800'),
                dict(specials=['a']), dict(specials=['<|bos|>']*2), dict(specials=['<|bos|>','\ud800']), dict(format=2),
                dict(format=10**4000), dict(fingerprint='a\nb'), dict(specials=[1]), dict(pattern=None))
    for i,bad in enumerate(bad_meta): yield f'meta{i}', ranks, bad, {}

def write_tokenizer(d, ranks, meta, files):
    "A tokenizer's two files, its fingerprint fitting as far as it can"
    d.mkdir()
    m = dict(format=1, pattern=SPLIT, specials=list(SPECIALS))|meta
    (d/RANKS_FILE).write_bytes(rank_lines(ranks))
    (d/JSON_FILE).write_text(json.dumps(dict(fingerprint=fingerprint(ranks, m['pattern'], m['specials']))|m))
    for f,b in files.items(): (d/f).write_bytes(b)
    return d

@fault
def prepared(full, seed, tmp):
    "A cache in which anything may have happened"
    rng,c,mark,rows = random.Random(seed),Cache(tmp),tmp/'code-ran',[]
    def some(items, n):
        items = list(items)
        return items if full else rng.sample(items, min(n, len(items)))
    def row(promise, res, held=True):
        "How often it held, if nothing was executed or written elsewhere"
        harmless = held and not mark.exists() and not list(tmp.rglob('*escaped*'))
        rows.append(Row(promise, len(res), sum(res) if harmless else 0))
    begun,loads = rss(),payloads(str(mark))
    res = [c.repaired(harm, silent) for harm,silent in damages(c, rng, 60 if full else 12)]
    row('prepared tokens with a flipped bit, cut, zeroed, swapped, longer, missing: noticed before they are used, '
        'made again with the same hashes', res)

    def shard(content):
        "In the JSON of a shard, which is read when a preparation is taken up"
        replace(c.folder/'00000.json', content)
        (c.folder/INDEX).unlink()
    in_place = [(c.folder/f, b) for b in loads.values() for f in ('00000.bin','00000.lens',INDEX)]
    todo = [(lambda p=p, b=b: replace(p, b), False) for p,b in in_place]
    todo += [(lambda b=b: shard(b), True) for b in loads.values()]
    res = [c.repaired(*o) for o in some(todo, 8)]
    row('hostile files in place of shards and index: one line, nothing executed, made again with the same hashes', res)

    res = [c.right(lambda: replace(c.folder/INDEX, forged(c, rng))) for _ in range(40 if full else 8)]
    row('an index with any value replaced, under a sum that fits: the right tokens all the same, or one line', res)

    res = [c.right(harm) for _,harm in some(specials(c, tmp), 8)]
    row('links, loops, pipes, devices, folders and a terabyte of holes in place of files: the right tokens, or one '
        'line; nothing else is written', res, (tmp/'outside').read_text()=='stays as it is')

    files = c.tok_dir/JSON_FILE, c.tok_dir/RANKS_FILE, c.dir/'cache'/'.files.json'
    todo = [(lambda p=p, b=b: replace(p, b)) for b in loads.values() for p in files]
    res = [c.repaired(harm, True) for harm in some(todo, 4)]
    row('hostile files in the cache of tokenizers and of hashes: made again with the same hashes', res)

    hostile = some(tokenizers(tmp, str(mark)), 12)
    res = [refused(lambda: Tokenizer.load(write_tokenizer(tmp/f'tok-{name}', *how))) for name,*how in hostile]
    row('hostile tokenizer files, fingerprints that fit among them: refused in one line, nothing executed', res)
    return rows+[memory(rss()-begun, tmp/'big')]

def memory(grown, big):
    "How much was needed, and how fast a file is verified"
    big.write_bytes(bytes(RATE_BYTES))
    sha,t = hashlib.sha256(bytes(RATE_BYTES)).hexdigest(),time.process_time()
    verify_file(big, np.dtype('<u2'), sha, 0)
    rate = RATE_BYTES/(time.process_time()-t)
    note = f'largest memory {grown:+.0f} MB; verified at {rate/1e9:.1f} GB/s a core'
    return Row('none of it fills memory', 1, int(grown<MEMORY_MB), note)

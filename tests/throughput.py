"""How fast, and in how much memory, text becomes token shards, beside tiktoken's own batch encoding of the same text on
the same cores. A command rather than a test: it takes minutes, and a figure of a machine proves nothing about another.

    python tests/throughput.py --text FOLDER --mb 1000 --rounds 1 --out nbs/reports/throughput.json

FOLDER has `.jsonl` or `.txt`; its documents are repeated with words exchanged until there are so many MB of text, as
JSON lines and as Parquet in zstd. Each measurement is a process of its own, in turns, so that whoever shares the
machine slows both."""
import argparse, json, os, platform, random, resource, shutil, statistics, subprocess, sys, tempfile, time
from datetime import date
from pathlib import Path
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

EXCHANGED = 50     # One word in so many has another place in each repetition
GROUP_DOCS = 5_000 # Rows of a row group of the Parquet file
BATCH_DOCS = 256   # Documents that tiktoken is given at a time
VOCAB = 8192       # Size of the vocabulary [tokens]
VALID_MB = 2       # Text of validation where it has a file of its own [MB]

# ------------------------------------------------------------ the text

def documents(folder):
    "Documents of a folder, as they are"
    for p in sorted(Path(folder).rglob('*')):
        if p.suffix=='.jsonl': yield from (json.loads(o)['text'] for o in p.open(encoding='utf-8'))
        elif p.suffix=='.txt': yield p.read_text(encoding='utf-8')

def varied(doc, n, i):
    "A document with some of its words in other places"
    words,rng = doc.split(' '),random.Random(n*10**6+i)
    for _ in range(len(words)//EXCHANGED if n else 0):
        a,b = rng.randrange(len(words)),rng.randrange(len(words))
        words[a],words[b] = words[b],words[a]
    return ' '.join(words)

def repeated(docs, n_bytes, n=0):
    "Documents again and again, until there are so many bytes"
    while n_bytes>0:
        for i,o in enumerate(docs):
            text = varied(o, n, i)
            n_bytes -= len(text.encode())
            yield text
            if n_bytes<=0: return
        n += 1

def write(folder, docs, mb):
    "The same text as JSON lines and as Parquet, and a little for validation"
    import pyarrow as pa, pyarrow.parquet as pq
    schema,hand = pa.schema([('text', pa.string())]),[]
    with open(folder/'train.jsonl', 'w', encoding='utf-8') as f, \
         pq.ParquetWriter(folder/'train.parquet', schema, compression='zstd') as w:
        def flush(): w.write_table(pa.table([hand], schema=schema))
        for text in repeated(docs, mb*10**6):
            f.write(json.dumps(dict(text=text), ensure_ascii=False)+'\n')
            hand.append(text)
            if len(hand)==GROUP_DOCS: hand = [flush()][1:]
        if hand: flush()
    with open(folder/'valid.jsonl', 'w', encoding='utf-8') as f:
        for text in repeated(docs, VALID_MB*10**6, 10**6): f.write(json.dumps(dict(text=text), ensure_ascii=False)+'\n')

# ------------------------------------------------------------ one measurement, in a process of its own

def peak_mb():
    "Most memory that this process ever had; what `getrusage` says begins with that of its parent"
    try: said = Path('/proc/self/status').read_text()
    except OSError: return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/2**10
    return int(said.partition('VmHWM:')[2].split()[0])/2**10

def measured(fn):
    "Seconds by the clock, seconds of all cores, peak memory [MB], and what came out"
    import pretrain.build, pyarrow.parquet  # noqa: F401  a start is no part of it
    wall,cpu = time.perf_counter(),time.process_time()
    out = fn()
    return dict(s=time.perf_counter()-wall, cpu_s=time.process_time()-cpu, peak_mb=peak_mb()) | out

def by_tiktoken(folder, cores, form=lambda pattern: pattern):
    "Only the encoding counts, not the reading"
    import tiktoken
    from pretrain.data.tokenizer import Tokenizer
    tok,spent,n = Tokenizer.load(folder/'tok'),[0., 0.],[0, 0]
    enc = tiktoken.Encoding('beside', pat_str=form(tok.pattern), mergeable_ranks=tok.ranks, special_tokens={})
    def encode(hand):
        wall,cpu = time.perf_counter(),time.process_time()
        ids = enc.encode_ordinary_batch(hand, num_threads=cores)
        spent[:] = spent[0]+time.perf_counter()-wall,spent[1]+time.process_time()-cpu
        n[:] = n[0]+sum(len(o.encode()) for o in hand),n[1]+sum(map(len, ids))
    hand = []
    for o in (folder/'train.jsonl').open(encoding='utf-8'):
        hand.append(json.loads(o)['text'])
        if len(hand)==BATCH_DOCS: hand = [encode(hand)][1:]
    if hand: encode(hand)
    return dict(n_bytes=n[0], n_tok=n[1])|dict(s=spent[0], cpu_s=spent[1])

def by_prepare(folder, cores, name, own):
    "All of it: hashing the files, splitting, reading, encoding, writing shards, of both sides"
    from pretrain import CorpusConfig, PrepareConfig, Tokenizer, prepare
    from pretrain.data.prepare import hashes_of
    tok,cache = Tokenizer.load(folder/'tok'),folder/'cache'
    shutil.rmtree(cache, ignore_errors=True)
    data = CorpusConfig(train=(str(folder/name),), valid=(str(folder/'valid.jsonl'),) if own else ())
    prep = PrepareConfig(cache=str(cache), workers=cores)
    hashes = hashes_of(prep)
    sides = [prepare(data, tok, prep, o, lambda line: None, hashes) for o in ('train', 'valid')]
    return dict(n_bytes=sum(o.n_bytes for o in sides), n_tok=sum(o.n_tok-o.n_doc for o in sides))

def in_our_form(folder, cores):
    "tiktoken with the form of the split pattern that `Tokenizer` gives it"
    from pretrain.data.bpe import sooner
    return by_tiktoken(folder, cores, sooner)


WAYS = {'tiktoken': by_tiktoken, 'tiktoken, our form': in_our_form,
        'jsonl': lambda *a: by_prepare(*a, 'train.jsonl', False),
        'parquet': lambda *a: by_prepare(*a, 'train.parquet', False),
        'jsonl, valid named': lambda *a: by_prepare(*a, 'train.jsonl', True),
        'parquet, valid named': lambda *a: by_prepare(*a, 'train.parquet', True)}

def child(folder, cores, way):
    "A measurement"
    if hasattr(os, 'sched_setaffinity'): os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    cmd = [sys.executable, __file__, '--child', way, '--folder', str(folder), '--cores', str(cores)]
    done = subprocess.run(cmd, capture_output=True, text=True)
    if done.returncode: sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])

# ------------------------------------------------------------ the command

def compare(text, mb, rounds, ways, cores, tmp):
    "Measure in turns; what was found, as it is kept"
    from pretrain import train_tokenizer
    folder,docs = Path(tmp),[*documents(text)]
    train_tokenizer(docs, vocab_size=VOCAB).save(folder/'tok')
    write(folder, docs, mb)
    found = {k: [] for k in ('tiktoken', *ways)}
    for i in range(rounds):
        for k in found:
            found[k].append(child(folder, cores, k) | dict(load=os.getloadavg()[0]))
            m = found[k][-1]
            clock,core = (m['n_bytes']/1e6/m[unit] for unit in ('s', 'cpu_s'))
            print(f'{i+1}: {k:<22}{clock:7.2f} MB/s, {core:6.2f} MB in a second of a core, '
                  f'{m["peak_mb"]:6.0f} MB of memory, load {m["load"]:.1f}', flush=True)
    sizes = {o.name: o.stat().st_size for o in folder.glob('*.*')}
    return dict(date=date.today().isoformat(), machine=f'{cores} cores, {platform.machine()}', mb=mb, n_doc=len(docs),
                vocab=VOCAB, sizes=sizes, rounds=found)

def ratios(found, way, unit='s'):
    "Throughput over that of tiktoken in the same round; the lowest, the median, the highest"
    def speed(m): return m['n_bytes']/m[unit]
    each = sorted(speed(m)/speed(t) for m,t in zip(found['rounds'][way], found['rounds']['tiktoken']))
    return each[0],statistics.median(each),each[-1]

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--text', help='folder with .jsonl or .txt')
    p.add_argument('--mb', type=int, default=1000, help='text to prepare [MB]')
    p.add_argument('--rounds', type=int, default=3, help='how often each way is measured')
    p.add_argument('--ways', nargs='+', default=[o for o in WAYS if o!='tiktoken'], choices=WAYS)
    p.add_argument('--cores', type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 1)
    p.add_argument('--tmp', help='where the files go; they are removed')
    p.add_argument('--out', help='a .json to keep what was found')
    p.add_argument('--child', help=argparse.SUPPRESS)
    p.add_argument('--folder', help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.child: return print(json.dumps(measured(lambda: WAYS[a.child](Path(a.folder), a.cores))))
    with tempfile.TemporaryDirectory(dir=a.tmp) as tmp: found = compare(a.text, a.mb, a.rounds, a.ways, a.cores, tmp)
    for k in a.ways:
        (lo,mid,hi),(_,core,_) = ratios(found, k),ratios(found, k, 'cpu_s')
        print(f'{k}: {mid:.0%} of tiktoken by the clock ({lo:.0%} to {hi:.0%}), {core:.0%} by the time of the cores')
    if a.out: Path(a.out).write_text(json.dumps(found, indent=1)+'\n')

if __name__=='__main__': main()

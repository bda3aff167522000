"""Corpora that are large where nobody expects it, read with `skip` in a process of its own: what is whole is read, what
is not is counted, and the most memory that the process ever had stays below half a gigabyte."""
import bz2, gzip, json, lzma, random, sys
from _case import case

READ = '''
import json, sys
from pathlib import Path
from pretrain.data.corpus import CorpusConfig, documents
from pretrain.data.policy import Skipped
skipped = Skipped()
sizes = []
try:
    for o in documents(['text'], CorpusConfig(train=('text',), on_error='skip'), skipped): sizes.append(len(o))
except ValueError as e: print(e, file=sys.stderr)
peak = int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])/1000
print(json.dumps([len(sizes), max(sizes, default=0), skipped.bad, peak]))
'''
MB = 10**6
LIMIT_MB = 500 # Of the process

def pieces(piece, n, first=b'', last=b''):
    "Bytes of a large file, one part after the other"
    yield first
    for _ in range(n): yield piece
    yield last

def opened(path):
    "A file to write into, packed as its name says"
    if path.suffix=='.gz': return gzip.open(path, 'wb', compresslevel=1)
    if path.suffix=='.xz': return lzma.open(path, 'wb', preset=0)
    if path.suffix=='.bz2': return bz2.open(path, 'wb', compresslevel=1)
    if path.suffix!='.zst': return path.open('wb')
    if sys.version_info>=(3,14): from compression import zstd
    else: from backports import zstd
    return zstd.open(path, 'wb')

def read(lab, name, parts):
    "Documents, the longest of them [millions of characters], mistakes, and the memory"
    path = lab.dir/'text'/name
    path.parent.mkdir()
    with opened(path) as f:
        for o in parts: f.write(o)
    done = lab.process('-c', READ, timeout=600)
    path.unlink()
    if done.code or not done.out: return done.err[-300:]
    n,longest,bad,peak = json.loads(done.out)
    memory = 'below 500 MB' if peak<LIMIT_MB else f'{peak:.0f} MB'
    return f'{n} documents, the longest {longest/MB:.0f} M, {bad} mistakes, {memory}'

LINE = b'{"text": "A cat."}\n'
WORDS = b'A cat sat on a mat and saw a hat. '*30_000   # about 1 MB
LARGE = [
    # name, what it is, file, its bytes in parts, what comes of it
    ('line_200', 'a line of 200 MB', 'x.jsonl', lambda: pieces(WORDS, 200, LINE+b'{"text": "', b'"}\n'+LINE),
     '2 documents, the longest 0 M, 1 mistakes'),
    ('text_200', 'a text of 200 MB', 'x.txt', lambda: pieces(WORDS, 200),
     '1 documents, the longest 204 M, 0 mistakes'),
    ('empty_lines', '10 million empty lines', 'x.jsonl', lambda: pieces(b'\n'*MB, 10, LINE, LINE),
     '2 documents, the longest 0 M, 0 mistakes'),
    ('array_200', 'an array of 200 MB', 'x.json', lambda: pieces((b'"'+WORDS[:1000]+b'",\n')*1000, 200, b'[',
                                                                  b'"end"]'),
     '200001 documents, the longest 0 M, 0 mistakes'),
    ('quote_200', 'a quote that never ends', 'x.csv', lambda: pieces(WORDS, 200, b'id,text\n1,"A cat."\n2,"'),
     '1 documents, the longest 0 M, 1 mistakes'),
    *((f'bomb_{end[1:]}', f'2 GB of zeros as {end}', f'x.txt{end}', lambda: pieces(bytes(MB), 2_000),
       '0 documents, the longest 0 M, 1 mistakes') for end in ('.gz','.bz2','.xz','.zst')),
]

def add(name, what, file, parts, expected):
    def fn(lab): return read(lab, file, parts())
    fn.__name__ = f'large_{name}'
    case(f'{what}, with skip', f'{expected}, below 500 MB', full=True)(fn)

for o in LARGE: add(*o)

LOOK = '''
from pathlib import Path
from pretrain.cli import main
main(['look', 'text'])
peak = int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])/1000
print(int(peak))
'''
LOOK_DOCS = 7_000 # Of 2,500 words each, 100 MB

@case('100 MB of JSON lines, `look`', 'exit 0, below 500 MB', full=True)
def look_100(lab):
    from pretrain.data.readers import embedded_documents
    words,r = ' '.join(embedded_documents()).split(' '),random.Random(0)
    lab.write('text/x.jsonl', ''.join(json.dumps(dict(text=' '.join(r.choices(words, k=2500))))+'\n'
                                      for _ in range(LOOK_DOCS)))
    done = lab.process('-c', LOOK, timeout=600)
    peak = int(done.out.splitlines()[-1])
    return f'exit {done.code}, {"below 500 MB" if peak<LIMIT_MB else f"{peak} MB"}'

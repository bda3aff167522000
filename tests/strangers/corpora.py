"""Malformed corpora, each under both policies: with `stop` one line that names the file and what was found, with `skip`
what is whole, and the same counts twice. What is no mistake (a mark, CR alone in a text) is read under both."""
import bz2, gzip, io, json, lzma, os, random, socket, sys, tarfile
from _case import case

def gz(data): return gzip.compress(data, mtime=0)
def zst(data):
    if sys.version_info>=(3,14): from compression.zstd import compress
    else: from backports.zstd import compress
    return compress(data)

def lines(*texts, key='text'): return b''.join(json.dumps({key: t}).encode()+b'\n' for t in texts)
def tar(files, end=None):
    "An archive; a value that is a string is a link to it"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w') as t:
        for name,data in files.items():
            m = tarfile.TarInfo(name)
            if isinstance(data, str): m.type,m.linkname = tarfile.SYMTYPE,data
            else: m.size = len(data)
            t.addfile(m, io.BytesIO(data) if m.isreg() else None)
    return out.getvalue()[:end]

def table(columns, form='parquet'):
    import pyarrow as pa
    import pyarrow.feather, pyarrow.parquet
    out,t = io.BytesIO(),pa.table(columns)
    if form=='parquet': pa.parquet.write_table(t, out)
    else: pa.feather.write_feather(t, out, compression='uncompressed')
    return out.getvalue()

RANDOM = random.Random(0).randbytes(3000).hex().encode()   # hardly shrinks, so that a cut is behind the first lines
A,B,C = 'A cat.','A hat.','An owl.'
LONG = lines(A, B)+b'{"text": "'+RANDOM+b'"}\n'
POINTER = b'version https://git-lfs.github.com/spec/v1\noid sha256:'+b'0'*64+b'\nsize 12345\n'
CSV = b'id,text\n1,A cat.\n2,"A hat."\n'
# name, files below `text`, what the line of `stop` says ('' where it is no mistake), documents of `skip`,
# kinds of mistakes
BROKEN = [
    # encodings
    ('latin1', {'x.txt': b'caf\xe9'}, 'byte 0xe9 at offset 3 is not UTF-8', [], ['not UTF-8']),
    ('latin1_line', {'x.jsonl': lines(A)+b'{"text": "caf\xe9"}\n'+lines(B)}, 'x.jsonl:2: byte 0xe9', [A, B],
     ['not UTF-8']),
    ('latin1_item', {'x.json': b'["A cat.", "caf\xe9"]'}, 'byte 0xe9', [A], ['not UTF-8']),
    ('latin1_cell', {'x.csv': CSV+b'3,caf\xe9\n'}, 'x.csv:4: byte 0xe9', [A, B], ['not UTF-8']),
    ('half_a_character', {'x.txt': 'né'.encode()[:-1]}, 'offset 1 is not UTF-8', [], ['not UTF-8']),
    ('utf16_mark', {'x.txt': A.encode('utf-16')}, 'begins like UTF-16', [], ['not UTF-8']),
    ('utf16_no_mark', {'x.txt': (A*9).encode('utf-16-le')}, 'looks like UTF-16 without a mark', [], ['no text']),
    ('utf32_mark', {'x.txt': A.encode('utf-32')}, 'x.txt:1: ', [], ['not UTF-8']),
    ('utf32_no_mark', {'x.txt': (A*9).encode('utf-32-be')}, 'looks like UTF-32 without a mark', [], ['no text']),
    ('utf16_json', {'x.json': json.dumps([A]).encode('utf-16')}, 'begins like UTF-16', [], ['not UTF-8']),
    ('utf16_csv', {'x.csv': CSV.decode().encode('utf-16')}, 'begins like UTF-16', [], ['not UTF-8']),
    ('mark', {'x.txt': b'\xef\xbb\xbf'+A.encode(), 'y.jsonl': b'\xef\xbb\xbf'+lines(B),
     'z.csv': b'\xef\xbb\xbftext\nAn owl.\n'},
     '', [A, B, C], []),
    ('nuls_at_the_end', {'x.txt': A.encode()*99+bytes(512)}, 'bytes are NUL', [], ['no text']),
    ('one_nul', {'x.txt': b'A C string ends with \0, as is known.'}, '', ['A C string ends with \0, as is known.'], []),
    ('binary', {'x.txt': bytes(range(256))*9}, 'x.txt:1: ', [], ['no text']),
    ('cr_only_text', {'x.txt': b'A cat.\rA hat.\r'}, '', ['A cat.\rA hat.\r'], []),
    ('cr_only_jsonl', {'x.jsonl': lines(A, B).replace(b'\n', b'\r')}, 'CR alone', [], ['not JSON']),
    ('cr_only_csv', {'x.csv': CSV.replace(b'\n', b'\r')}, '', [A, B], []),
    # what stands under the key
    ('surrogate', {'x.jsonl': lines(A)+b'{"text": "\\ud800"}\n'}, 'x.jsonl:2: \'text\' holds half a character', [A],
     ['half a character']),
    ('surrogate_json', {'x.json': b'["A cat.", "\\udfff"]'}, 'half a character', [A], ['half a character']),
    ('null', {'x.jsonl': b'{"text": null}\n'+lines(A)}, "x.jsonl:1: 'text' holds null", [A], ['no text']),
    ('nan', {'x.jsonl': b'{"text": NaN}\n'+lines(A)}, "holds a number", [A], ['no text']),
    ('number', {'x.jsonl': b'{"text": 3}\n'+lines(A)}, 'holds a number', [A], ['no text']),
    ('list', {'x.jsonl': b'{"text": ["A"]}\n'+lines(A)}, 'holds a list', [A], ['no text']),
    ('object', {'x.jsonl': b'{"text": {"a": 1}}\n'+lines(A)}, 'holds an object', [A], ['no text']),
    ('huge_number', {'x.jsonl': b'{"text": '+b'9'*10_000+b'}\n'+lines(A)}, 'x.jsonl:1: ', [A], ['not JSON']),
    ('key_missing', {'x.jsonl': lines(A)+lines(B, key='txt')},
     "x.jsonl:2: no key 'text' among ['txt']; did you mean 'txt'?",
     [A], ['key missing']),
    ('key_twice', {'x.jsonl': b'{"text": "a", "text": "b"}\n'+lines(A)}, 'stands there 2 times', [A], ['key twice']),
    ('key_twice_json', {'x.json': b'[{"text": "a", "text": "b"}, "A cat."]'}, 'stands there 2 times', [A],
     ['key twice']),
    ('key_twice_csv', {'x.csv': b'text,text\na,b\n'}, "2 columns 'text'", [], ['key twice']),
    ('no_object', {'x.jsonl': b'["A cat."]\n'+lines(A)}, 'a list instead of an object', [A], ['no object']),
    ('half_a_line', {'x.jsonl': lines(A)+b'{"text": "A h'}, 'x.jsonl:2: not JSON', [A], ['not JSON']),
    ('two_on_a_line', {'x.jsonl': b'{"text": "a"} {"text": "b"}\n'+lines(A)}, 'not JSON', [A], ['not JSON']),
    ('deep', {'x.jsonl': b'['*100_000+b'\n'+lines(A)}, 'not readable JSON', [A], ['not JSON']),
    ('blank_lines', {'x.jsonl': b'\n \n'+lines(A)+b'\t\n\r\n'+lines(B)+b'\n'}, '', [A, B], []),
    ('empty_files', {'a.txt': b'', 'b.jsonl': b'', 'c.json': b'', 'd.csv': b'', 'x.txt': A.encode()}, '', [A], []),
    ('white_space_files', {'a.jsonl': b' \n\n', 'b.json': b' \n', 'c.csv': b'\n', 'x.txt': A.encode()}, 'c.csv:1: ',
     [A],
     ['no column']),
    # JSON documents
    ('array_cut', {'x.json': b'["A cat.", "A h'}, 'cut off in the middle of a value', [A], ['cut off']),
    ('array_open', {'x.json': b'["A cat.",'}, 'the file is cut off', [A], ['cut off']),
    ('array_no_comma', {'x.json': b'["A cat." "A hat."]'}, 'instead of a comma', [A], ['not JSON']),
    ('array_rest', {'x.json': b'["A cat."] x'}, 'something follows the array', [A], ['not JSON']),
    ('array_mixed', {'x.json': b'["A cat.", 3, {"a": 1}, null]'}, 'a number instead of an object', [A],
     ['key missing', 'no object']),
    ('description', {'config.json': b'{"width": 3}', 'x.txt': A.encode()}, "config.json:1: no key 'text'", [A],
     ['key missing']),
    # tables of text
    ('csv_column', {'x.csv': b'id,body\n1,A\n'}, "no column 'text' among", [], ['no column']),
    ('csv_semicolons', {'x.csv': b'id;text\n1;A\n'}, "separated by ','", [], ['no column']),
    ('csv_fields', {'x.csv': CSV+b'3,one, two\n4\n'}, 'x.csv:4: 3 fields', [A, B], ['another number of fields']),
    ('csv_quote_open', {'x.csv': CSV+b'3,"never closed\n4,lost\n'},
     'x.csv:4: a quote is opened there and never closed', [A, B],
     ['quotes']),
    ('csv_quote_inside', {'x.csv': CSV+b'3,"a"b\n'}, 'x.csv:4: no row', [A, B], ['quotes']),
    ('csv_blank_lines', {'x.csv': CSV+b'\n\n3,An owl.\n\n'}, '', [A, B, C], []),
    ('tsv_with_commas', {'x.tsv': CSV}, "no column 'text'", [], ['no column']),
    # compressed
    *[(f'cut_{e}', {f'x.jsonl.{e}': f(LONG)[:-40]}, 'is cut off', [A, B], ['cut off']) for e,f in (('gz',gz),
     ('xz',lzma.compress))],
    *[(f'cut_{e}', {f'x.jsonl.{e}': f(LONG)[:-40]}, 'is cut off', [], ['cut off']) for e,f in (('bz2',bz2.compress),
     ('zst',zst))],
    *[(f'rest_{e}', {f'x.jsonl.{e}': f(lines(A))+b'rubbish'}, 'something else follows', [A], ['bytes after the end'])
      for e,f in (('gz',gz), ('bz2',bz2.compress), ('xz',lzma.compress), ('zst',zst))],
    *[(f'two_{e}', {f'x.jsonl.{e}': f(lines(A))+f(lines(B))}, '', [A, B], [])
      for e,f in (('gz',gz), ('bz2',bz2.compress), ('xz',lzma.compress), ('zst',zst))],
    ('empty_gz', {'x.txt.gz': b'', 'y.txt': A.encode()}, 'is empty, which no gzip file is', [A], ['cut off']),
    ('flipped_gz', {'x.txt.gz': gz(RANDOM)[:-6]+b'??????', 'y.txt': A.encode()}, 'damaged', [A], ['damaged']),
    ('bomb', {'x.jsonl.gz': gz(lines(A)+b' '*(2**26)+b'\n'+b' '*2**22), 'y.txt': B.encode()},
     'as in a decompression bomb', [A, B],
     ['expands too far']),
    # by another name
    ('gz_as_jsonl', {'x.jsonl': gz(lines(A)), 'y.txt': B.encode()},
     'x.jsonl: is gzip, though its name ends in .jsonl', [B], ['wrong name']),
    ('text_as_gz', {'x.txt.gz': A.encode(), 'y.txt': B.encode()}, 'is no gzip file', [B], ['wrong name']),
    ('bz2_as_gz', {'x.txt.gz': bz2.compress(A.encode()), 'y.txt': B.encode()}, 'is no gzip file but bzip2', [B],
     ['wrong name']),
    ('gz_twice', {'x.txt.gz': gz(gz(A.encode())), 'y.txt': B.encode()}, 'is gzip inside', [B], ['wrong name']),
    ('zip_as_txt', {'x.txt': b'PK\x03\x04'+bytes(40), 'y.txt': B.encode()}, 'is a zip archive', [B], ['wrong name']),
    ('lfs_pointer', {'x.txt': POINTER, 'y.jsonl': POINTER, 'z.txt.gz': POINTER, 'a.parquet': POINTER},
     'a pointer of Git LFS', [], ['wrong name']),
    ('text_as_tar', {'x.tar': A.encode()*200, 'y.txt': B.encode()}, 'x.tar: the archive is damaged', [B], ['cut off']),
    ('lines_as_json', {'x.json': lines(A, B)}, '', [A, B], []),
    # archives
    ('tar_cut', {'x.tar': tar({'a.txt': A.encode(), 'b.txt': RANDOM}, 3000)}, 'x.tar: the archive is', [A],
     ['cut off']),
    ('tar_cut_between', {'x.tar': tar({'a.txt': A.encode(), 'b.txt': B.encode()}, 1024)},
     'x.tar: the archive is cut off', [A], ['cut off']),
    ('tar_members', {'x.tar': tar({'a.txt': A.encode(), 'b.txt': b'caf\xe9', 'c.txt': 'a.txt', '.d.txt': b'x',
     'e.jpg': b''})},
     'x.tar!b.txt:1: byte 0xe9', [A], ['not UTF-8']),
    ('tar_gz_cut', {'x.tar.gz': gz(tar({'a.txt': A.encode(), 'b.txt': RANDOM}))[:-99]},
     'x.tar.gz: the gzip stream is cut off', [],
     ['cut off']),
]

PARQUET = table(dict(text=[A, None, B]))
BROKEN += [
    ('parquet_null', {'x.parquet': PARQUET}, 'x.parquet', [A, B], None),
    ('parquet_cut', {'x.parquet': PARQUET[:-20]}, 'x.parquet', [], None),
    ('parquet_empty', {'x.parquet': b''}, 'x.parquet', [], None),
    ('parquet_column', {'x.parquet': table(dict(body=[A, B]))}, 'body', [], None),
    ('parquet_numbers', {'x.parquet': table(dict(text=[1, 2]))}, 'x.parquet', [], None),
    ('parquet_as_txt', {'x.txt': PARQUET}, 'x.txt: is parquet, though its name ends in .txt', [], ['wrong name']),
    ('text_as_parquet', {'x.parquet': A.encode()*9}, 'x.parquet', [], None),
    ('parquet_cut_gz', {'x.parquet.gz': gz(PARQUET)[:-9]}, 'is cut off', [], ['cut off']),
    ('feather', {'x.feather': table(dict(text=[A, B]), 'feather')}, '', [A, B], []),
    ('feather_cut', {'x.feather': table(dict(text=[A, B]), 'feather')[:-30]}, 'x.feather', [], None),
    ('feather_null', {'x.feather': table(dict(text=[A, None]), 'feather')}, 'x.feather', [A], None),
]

def read(lab, on_error, **keys):
    "Documents, kinds of mistakes, and how often"
    from pretrain.data.corpus import CorpusConfig, documents
    from pretrain.data.policy import Skipped
    sk = Skipped()
    docs = [*documents(['text'], CorpusConfig(train='text', on_error=on_error, **keys), sk)]
    return docs,sk.by,sk.bad

def both(lab, said, **keys):
    "What `stop` says, in a word, and what `skip` keeps, the same twice"
    from pretrain.data.policy import CorpusError
    try: stops = read(lab, 'stop', **keys)[0]
    except CorpusError as e:
        right = said and said in str(e) and '\n' not in str(e) and 'text/' in str(e)
        stops = 'stops' if right else str(e)
    try: docs,by,n = read(lab, 'skip', **keys)
    except CorpusError as e: return stops,str(e)
    if read(lab, 'skip', **keys)!=(docs,by,n) or n!=sum(sum(o.values()) for o in by.values()): return 'other counts'
    return stops,docs,sorted(by)

def add(name, files, said, docs, kinds):
    def fn(lab):
        for k,v in files.items(): lab.write(f'text/{k}', v)
        lab.write('text/~last.txt', C.encode()*2)
        seen = both(lab, said)
        return seen[:2] if kinds is None and seen[2:]!=([],) else seen   # some kind
    fn.__name__ = f'corpus_{name}'
    docs = [*docs, C*2]
    expected = ('stops' if said else docs, docs)
    case(f'a corpus: {name.replace("_", " ")}', expected if kinds is None else (*expected, sorted(kinds)))(fn)

for o in BROKEN: add(*o)

# What lies in a folder beside files

def special(lab, make):
    lab.write('text/a.txt', A)
    make(lab.dir/'text')
    return both(lab, 'cannot be read')

FINE,BROKEN_LINK = ([A], [A], []),('stops', [A], ['cannot be read'])
@case('a pipe among the files', FINE)
def corpus_pipe(lab): return special(lab, lambda at: os.mkfifo(at/'p.txt'))

@case('a socket among the files', FINE)
def corpus_socket(lab):
    here = socket.socket(socket.AF_UNIX)
    os.makedirs('text')
    here.bind('text/s.txt')
    return special(lab, lambda at: None)

@case('a link to a device among the files', FINE)
def corpus_device(lab): return special(lab, lambda at: os.symlink('/dev/zero', at/'d.txt'))

@case('links in a circle', FINE)
def corpus_circle(lab):
    def make(at):
        (at/'b').mkdir()
        os.symlink(at, at/'b'/'up')
        os.symlink('..', at/'b'/'again')
    return special(lab, make)

@case('a folder named x.txt with a file in it', ([A, B], [A, B], []))
def corpus_folder(lab):
    lab.write('text/x.txt/b.txt', B)
    return special(lab, lambda at: None)

@case('a link to nothing', BROKEN_LINK)
def corpus_dangling(lab): return special(lab, lambda at: os.symlink('gone.txt', at/'b.txt'))

@case('a link to itself', BROKEN_LINK)
def corpus_self(lab): return special(lab, lambda at: os.symlink('b.txt', at/'b.txt'))

@case('a file that the system refuses to read', BROKEN_LINK)
def corpus_refused(lab):
    from unittest import mock
    import pretrain.data.streams as S
    real = open
    def refuse(path, *a):
        if str(path).endswith('b.txt'): raise PermissionError(13, 'Permission denied', str(path))
        return real(path, *a)
    lab.write('text/b.txt', B)
    with mock.patch.object(S, 'open', refuse, create=True): return special(lab, lambda at: None)

# From the command line

SHOWN = 'latin1_line','utf16_no_mark','surrogate','null','key_missing','key_twice','array_cut','csv_fields'
SHOWN += 'csv_quote_open','cut_gz','rest_bz2','bomb','gz_as_jsonl','tar_members','parquet_null','parquet_cut'
QUICK = 'latin1_line','csv_quote_open','rest_bz2','tar_members'
def shell(lab, name):
    "`prepare` under both policies: how it ends, what it says, and whether the list names every place, also when reused"
    _,files,said,_,_ = next(o for o in BROKEN if o[0]==name)
    lab.texts()
    for k,v in files.items(): lab.write(f'text/{k}', v)
    stops = lab.main('prepare', 'tiny.toml')
    first,again = (lab.main('prepare', 'tiny.toml', 'data.on_error=skip') for _ in range(2))
    def counted(o):
        said = [l for l in o.text.splitlines() if 'train tokens' in l and 'skipped ' in l]
        return said[0].partition('skipped ')[2].partition('; each')[0] if said else ''
    told = [counted(o) for o in (first, again)]
    lists = [*(lab.dir/'cache/tokens').glob('train-*/skipped.jsonl')]
    rows = [json.loads(l) for l in lists[0].read_text().splitlines()] if lists else []
    n = int(told[1].split()[0].replace(',', '')) if told[1] else 0
    places,counts = [o for o in rows if 'became' in o],[o for o in rows if 'count' in o]
    return stops.answer() if said in stops.text else stops.text, [first.code, again.code], \
        'the same' if told[0]==told[1]!='' else told, n==len(places)==sum(o['count'] for o in counts)>0

for o in SHOWN:
    def fn(lab, o=o): return shell(lab, o)
    fn.__name__ = f'shell_{o}'
    case(f'`prepare`, {o.replace("_", " ")}', ('exit 2, 1 line', [0, 0], 'the same', True), full=o not in QUICK)(fn)

"""The same documents in every format, plain and packed: the same tokens, bit for bit. In tests/, since it writes all of
them with other libraries than those that read them."""
import bz2, csv, gzip, io, json, lzma, sys, tarfile
import pytest
from pretrain.data.corpus import CorpusConfig
from pretrain.data.policy import LISTED
from pretrain.data.prepare import PrepareConfig, prepare
from pretrain.data.streams import kinds

TEXTS = ['A cat.', 'Two\nlines,\r\nwith "quotes", commas and\ttabs.', 'naïve 從前 \U0001f600', ' white space ',
         '{"text": "x"}', 'a\\nb', '\u2028 separates lines', 'x'*200_000, '"']
TEXTS += [f'Number {i} of many.' for i in range(200)]
SEP,SIDES = '\n<|end|>\n',('train','valid')

def zstd(data):
    if sys.version_info>=(3,14): from compression.zstd import compress
    else: from backports.zstd import compress
    return compress(data)

def jsonl(texts):
    return ''.join(json.dumps(dict(id=i, text=t), ensure_ascii=i%2)+'\n' for i,t in enumerate(texts)).encode()

def table(texts, sep):
    out = io.StringIO(newline='')
    csv.writer(out, delimiter=sep).writerows([('id','text'), *enumerate(texts)])
    return out.getvalue().encode()

def columns(texts, form):
    import pyarrow as pa
    import pyarrow.feather, pyarrow.parquet
    out,t = io.BytesIO(),pa.table(dict(id=range(len(texts)), text=texts))
    if form=='parquet': pa.parquet.write_table(t, out, row_group_size=50)
    else: pa.feather.write_feather(t, out, compression='lz4')
    return out.getvalue()

def archive(texts):
    "A file for each text, of several formats"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w') as tar:
        for i,t in enumerate(texts):
            name,data = (f'd/{i:04}.txt', t.encode()) if i%3 else (f'{i}.jsonl.gz', gzip.compress(jsonl([t])))
            m = tarfile.TarInfo(name)
            m.size = len(data)
            tar.addfile(m, io.BytesIO(data))
    return out.getvalue()

FORMATS = {'.txt': lambda o: SEP.join(o).encode(), '.md': lambda o: SEP.join(o).encode(), '.jsonl': jsonl,
           '.ndjson': jsonl,
           '.json': lambda o: json.dumps([dict(text=t) if i%2 else t for i,t in enumerate(o)], indent=1).encode(),
           '.csv': lambda o: table(o, ','), '.tsv': lambda o: table(o, '\t'),
           '.parquet': lambda o: columns(o, 'parquet'), '.arrow': lambda o: columns(o, 'arrow'),
           '.feather': lambda o: columns(o, 'feather'), '.tar': archive}
PACKED = {'': bytes, '.gz': gzip.compress, '.bz2': bz2.compress, '.xz': lzma.compress, '.zst': zstd}

class Bytes:
    "The plainest tokenizer"
    vocab_size,bos,fingerprint = 257,256,'bytes'
    def encode_array(self, text):
        import numpy as np
        return np.frombuffer(text.encode(), np.uint8).astype(np.uint16)

@pytest.fixture(scope='module')
def want(tmp_path_factory):
    at = tmp_path_factory.mktemp('plain')
    return made(at, '.jsonl', '')

def made(at, kind, packed):
    "Hashes of the shards that come of the texts in a format"
    path = at/f'x{kind}{packed}'
    path.write_bytes(PACKED[packed](FORMATS[kind](TEXTS)))
    # inside an archive a separator would cut its text files, which are whole documents
    data = CorpusConfig(train=str(path), separator='' if kind=='.tar' else SEP, valid_frac=.2)
    prep = PrepareConfig(cache=str(at/f'cache{kind}{packed}'), workers=1)
    n_doc = sum(prepare(data, Bytes(), prep, split, lambda _: None).n_doc for split in SIDES)
    assert not [*at.glob(f'cache{kind}{packed}/tokens/*/{LISTED}')]
    return [[(s.n_doc, s.bin, s.lens) for s in shards_of(at/f'cache{kind}{packed}', split)] for split in SIDES], n_doc

def shards_of(cache, split):
    from pretrain.data.shards import read_index
    (index,) = (cache/'tokens').glob(f'{split}-*/index.json')
    return read_index(index.parent).shards

@pytest.mark.parametrize('packed', PACKED)
@pytest.mark.parametrize('kind', FORMATS)
def test_the_same_tokens(kind, packed, want, tmp_path):
    assert kinds(f'x{kind}{packed}')==(kind, packed)
    assert made(tmp_path, kind, packed)==want

def test_another_text_has_other_tokens(want, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], 'TEXTS', [*TEXTS[:-1], 'Number 7 of many!'])
    assert made(tmp_path, '.csv', '.zst')!=want

@pytest.mark.parametrize('kind', [o for o in FORMATS if o!='.tar'])   # whose text files are whole documents
def test_none_may_be_larger(kind, tmp_path):
    from pretrain.data.readers import read_file
    texts,most = ['A cat.', 'A large cat. '*80, 'A hat.'],100*4**(kind in ('.csv','.tsv'))   # there a quarter acts
    path,seen = tmp_path/f'x{kind}',[]
    path.write_bytes(FORMATS[kind](texts))
    left = [t.strip() for _,t in read_file(path, 'text', SEP, seen.append, max_doc=most)]
    assert texts[1].strip() not in left and left[0]==texts[0] and len(seen)==1
    assert left[1:]==texts[2:] or 'not read' in str(seen[0])
    assert seen[0].kind=='too large' and 'raise data.max_doc' in str(seen[0])

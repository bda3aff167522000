"""Corpora in real stores: an S3 server and a web server on the loopback address, from Python, the command line and two
ranks. In tests/, since servers and processes are more than a kernel should start."""
import gzip, hashlib, io, json, os, subprocess, sys, tarfile, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
import pytest

pytest.importorskip('s3fs')
server = pytest.importorskip('moto.server')
import fsspec
from helpers import SMALL, env, pretrain, write_texts
from pretrain.data import remote, stores
from pretrain.data.corpus import CorpusConfig, documents, find_files
from pretrain.data.policy import CorpusError
from pretrain.data.prepare import PrepareConfig, hashes_of, prepare
from pretrain.data.remote import RemoteError, find_remote, open_remote

DOCS = [f'Document {i}: {"an owl and a mouse " * (i%17)}\n' for i in range(300)]
SECRET = 'hunter2hunter2'

class Bytes:
    "Bytes as ids: a tokenizer that needs no training"
    bos,vocab_size,fingerprint = 256,257,'bytes'
    def encode_array(self, text):
        import numpy as np
        return np.frombuffer(text.encode(), dtype=np.uint8)

# ------------------------------------------------------------ a web server on a bad day

DATA = hashlib.shake_128(b'data').digest(2_000_000)
class Web(BaseHTTPRequestHandler):
    "The first part of a path says how it behaves"
    protocol_version,hits,files = 'HTTP/1.1',[],{}
    def log_message(self, *a): pass
    def handle(self):
        try: super().handle()
        except ConnectionError: pass   # the reader has left
    def answer(self, code, body=b'', size=None, **headers):
        self.send_response(code)
        for k,v in headers.items(): self.send_header(k.replace('_', '-'), v)
        self.send_header('Content-Length', str(len(body) if size is None else size))
        self.end_headers()
        if self.command=='GET': self.wfile.write(body)
    def do_HEAD(self): self.do_GET()
    def do_GET(self):
        self.hits.append((self.command, self.path, self.headers.get('Range')))
        at = int((self.headers.get('Range') or 'bytes=0-')[6:].split('-')[0])
        getattr(self, self.path.split('/')[1])(at)

    def rest(self, at, n=len(DATA), tag='"e"'):
        part = dict(Content_Range=f'bytes {at}-{len(DATA)-1}/{len(DATA)}') if at else {}
        self.answer(206 if at else 200, DATA[at:at+n], len(DATA)-at, ETag=tag, **part)

    def ranges(self, at): self.rest(at)
    def plain(self, at): self.answer(200, DATA)
    def headless(self, at): self.answer(405) if self.command=='HEAD' else self.answer(200, DATA)
    def redirect(self, at): self.answer(302, Location=f'/ranges/x?X-Amz-Signature={SECRET}')
    def refused(self, at): self.answer(302, Location=f'/forbidden/x?X-Amz-Signature={SECRET}')
    def forbidden(self, at): self.answer(403)
    def gone(self, at): self.answer(404)
    def broken(self, at): self.answer(500)
    def file(self, at):
        "One of `files`, with ranges"
        data = self.files[self.path.split('/')[2].partition('?')[0]]
        part = dict(Content_Range=f'bytes {at}-{len(data)-1}/{len(data)}') if at else {}
        self.answer(206 if at else 200, data[at:], ETag='"f"', **part)
    def whole(self, at): self.answer(200, self.files[self.path.split('/')[2].partition('?')[0]], ETag='"f"')
    def secret(self, at): self.answer(200, DATA) if SECRET in self.path else self.answer(403)
    def packed(self, at): self.answer(200, gzip.compress(DATA), Content_Encoding='gzip')
    def elsewhere(self, at): self.answer(206, DATA, Content_Range=f'bytes 0-{len(DATA)-1}/{len(DATA)}', ETag='"e"')
    def cut(self, at):
        "Breaks off after 700 kB"
        self.rest(at, 700_000)
        self.close_connection = True
    def changing(self, at):
        "Breaks off, and is another file then"
        self.rest(at, 700_000, '"e"' if sum(path==self.path for _,path,_ in self.hits)<3 else '"f"')
        self.close_connection = True
    def short(self, at): self.answer(200, DATA if self.command=='HEAD' else DATA[:1000], ETag='"e"')
    def busy(self, at):
        n = sum(path==self.path for _,path,_ in self.hits)
        self.answer(503) if n in (1,3) else self.answer(200, DATA, ETag='"e"')
    def pieces(self, at, end=b'0\r\n\r\n'):
        "Of a size that nobody says before"
        self.send_response(200)
        self.send_header('Transfer-Encoding', 'chunked')
        self.end_headers()
        if self.command=='HEAD': return
        for i in range(0, len(DATA), 250_000): self.wfile.write(b'%x\r\n' % 250_000+DATA[i:i+250_000]+b'\r\n')
        self.wfile.write(end)
    def torn(self, at):
        self.pieces(at, b'')
        self.close_connection = True

@pytest.fixture(scope='module')
def web():
    srv = ThreadingHTTPServer(('127.0.0.1', 0), Web)
    threading.Thread(target=srv.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{srv.server_port}'
    srv.shutdown()

@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(stores, 'WAITS_S', (.01,)*3)
    monkeypatch.setattr(remote, 'PATIENCE_S', (.01,)*3)
    Web.hits.clear()

def get(url):
    (file,) = find_remote(url)
    with open_remote(file) as f: return f.read()

@pytest.mark.parametrize('how', ['ranges','plain','headless','redirect','busy','pieces','cut','elsewhere'])
def test_web_whole(web, how): assert get(f'{web}/{how}/a%20b.bin?dl=1')==DATA

def test_web_goes_on_where_it_broke(web):
    get(f'{web}/cut/x')
    asked = [int(r[6:-1]) for cmd,_,r in Web.hits if cmd=='GET' and r]
    assert len(asked)>=2 and asked==sorted(set(asked)) and asked[0]>0, asked

def test_web_never_unpacks(web): assert gzip.decompress(get(f'{web}/packed/x.gz'))==DATA

@pytest.mark.parametrize('how,said', [
    ('gone', '404 Not Found'), ('forbidden', '403 Forbidden; a line in ~/.netrc'), ('refused', '403 Forbidden'),
    ('broken', '500 Internal Server Error; asking again did not help'), ('short', 'broke off at byte 1,000'),
    ('torn', 'broke off at byte'), ('changing', 'changed while it was being read: was 2,000,000 bytes, ETag e, is'),
    ('gone/*', 'a web server has no folders or patterns')])
def test_web_says_what_is_wrong(web, how, said):
    with pytest.raises(CorpusError) as e: get(f'{web}/{how}/x.txt')
    assert said in str(e.value) and '\n' not in str(e.value) and how.split('/')[0] in str(e.value)
    assert SECRET not in str(e.value)

@pytest.mark.parametrize('how,can', [('ranges', True), ('plain', False), ('pieces', False), ('elsewhere', False)])
def test_web_is_seekable_if_it_is(web, how, can):
    f = open_remote(find_remote(f'{web}/{how}/x')[0])
    assert f.seekable()==can
    if can: assert (f.seek(1_999_990), f.read(), f.seek(5), f.read(7))==(1_999_990, DATA[-10:], 5, DATA[5:12])

def test_a_secret_stays_in_the_environment(web, monkeypatch, tmp_path):
    monkeypatch.setenv('PART', f'token={SECRET}')
    (file,) = find_remote(f'{web}/secret/x.txt?${{PART}}')
    assert open_remote(file).read()==DATA and SECRET not in repr(file) and '${PART}' in file.url
    monkeypatch.setenv('PART', 'token=other')
    with pytest.raises(CorpusError, match='403') as e: find_remote(f'{web}/secret/x.txt?${{PART}}')
    assert 'other' not in str(e.value)
    with pytest.raises(CorpusError, match=r'token=\*\*\*') as e: find_files([f'{web}/secret/x.txt?token={SECRET}'])
    assert SECRET not in str(e.value)

# ------------------------------------------------------------ a bucket

@pytest.fixture(scope='module')
def s3():
    "An S3 server; its address and keys stand in the environment, as a user's would"
    srv = server.ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
    srv.start()
    with pytest.MonkeyPatch.context() as m:
        for k in [k for k in os.environ if k.startswith('AWS_')]: m.delenv(k)
        m.setenv('AWS_ENDPOINT_URL', 'http://{}:{}'.format(*srv.get_host_and_port()))
        keys = dict(ACCESS_KEY_ID='id', SECRET_ACCESS_KEY=SECRET, DEFAULT_REGION='us-east-1')
        for k,v in keys.items(): m.setenv(f'AWS_{k}', v)
        import logging
        logging.getLogger('werkzeug').setLevel(logging.ERROR)
        import s3fs
        s3fs.S3FileSystem.clear_instance_cache()
        fs = s3fs.S3FileSystem()
        fs.mkdir('bucket')
        yield fs
        s3fs.S3FileSystem.clear_instance_cache()
    srv.stop()

def packed(docs):
    "The same documents in several forms: name to bytes"
    import pyarrow as pa, pyarrow.parquet as pq
    zstd = pytest.importorskip('compression.zstd' if sys.version_info>=(3,14) else 'backports.zstd')
    lines = '\n'.join(json.dumps(dict(text=o)) for o in docs).encode()
    table,tar = io.BytesIO(),io.BytesIO()
    pq.write_table(pa.table(dict(text=docs)), table, row_group_size=50)
    with tarfile.open(fileobj=tar, mode='w:gz') as t:
        info = tarfile.TarInfo('deep/x.jsonl')
        info.size = len(lines)
        t.addfile(info, io.BytesIO(lines))
    return dict(zip(FORMS, (lines, zstd.compress(lines), table.getvalue(), tar.getvalue())))

FORMS = 'a.jsonl','b.jsonl.zst','c.parquet','d.tar.gz'

@pytest.fixture(scope='module')
def corpus(s3, tmp_path_factory):
    "The same documents as files of this machine, in the bucket and in memory; where each begins"
    here = tmp_path_factory.mktemp('corpus')
    (here/'forms').mkdir()
    (here/'valid.txt').write_text('Held out.')
    memory = fsspec.filesystem('memory')
    for name,data in packed(DOCS).items():
        (here/'forms'/name).write_bytes(data)
        s3.pipe_file(f'bucket/forms/{name}', data)
        memory.pipe_file(f'/bucket/forms/{name}', data)
    yield here
    memory.rm('/bucket', recursive=True)

def places(corpus): return str(corpus),'s3://bucket','memory://bucket'
def config(corpus, *train): return CorpusConfig(train=train, valid=str(corpus/'valid.txt'))
def tokens(cfg, cache, say=lambda s: None):
    "Fingerprint of the tokens, and hashes of their shards"
    toks = prepare(cfg, Bytes(), PrepareConfig(cache=str(cache), workers=1), 'train', say)
    files = [o for folder in Path(cache, 'tokens').iterdir() if folder.is_dir() for o in folder.iterdir()]
    return toks.fingerprint,{o.name: hashlib.sha256(o.read_bytes()).hexdigest() for o in files}

@pytest.mark.parametrize('form', ['', *FORMS])
def test_the_same_tokens_from_everywhere(corpus, tmp_path, form):
    made = [tokens(config(corpus, f'{at}/forms/{form}'), tmp_path/str(i)) for i,at in enumerate(places(corpus))]
    assert made[0]==made[1]==made[2] and len(made[0][1])>1

@pytest.mark.parametrize('how', ['file','whole'])
def test_the_same_tokens_from_a_web_server(corpus, web, tmp_path, how):
    "With ranges, and without: tables, which are read from their end, too"
    Web.files = {o.name: o.read_bytes() for o in (corpus/'forms').iterdir()}
    there = [f'{web}/{how}/{o}?x=1' for o in FORMS]
    assert tokens(config(corpus, *there), tmp_path/'a')==tokens(config(corpus, f'{corpus}/forms'), tmp_path/'b')

def test_a_corpus_that_moves_into_a_bucket_keeps_its_tokens(corpus, tmp_path):
    said = []
    local = tokens(config(corpus, f'{corpus}/forms'), tmp_path, said.append)
    said.clear()
    assert tokens(config(corpus, 's3://bucket/forms'), tmp_path, said.append)==local and 'reused' in said[0]

def test_an_object_that_was_edited_is_named(corpus, tmp_path, s3):
    said = []
    for k in 'ab': s3.pipe_file(f'bucket/edited/{k}.txt', f'{k} text\n'.encode()*9)
    first = tokens(config(corpus, 's3://bucket/edited'), tmp_path, said.append)
    s3.pipe_file('bucket/edited/b.txt', b'B text\n'*9)
    assert tokens(config(corpus, 's3://bucket/edited'), tmp_path, said.append)[0]!=first[0]
    assert any('s3://bucket/edited/b.txt was changed' in o for o in said), said

def test_a_transfer_that_fails_is_never_skipped(web):
    cfg = CorpusConfig(train=f'{web}/short/x.txt', on_error='skip')
    with pytest.raises(RemoteError, match='broke off at byte 1,000'): list(documents(cfg.train, cfg))

def test_a_hash_is_remembered_while_the_store_tells(corpus, tmp_path, s3):
    prep = PrepareConfig(cache=str(tmp_path))
    def read(spec):
        hashes = hashes_of(prep)
        found = [hashes(o) for o in hashes.files([spec])]
        hashes.save()
        return hashes.n_read,found
    assert [read('s3://bucket/forms')[0] for _ in range(2)]==[4,0]
    assert [read('memory://bucket/forms')[0] for _ in range(2)]==[4,4]   # memory gives no tag
    _,before = read('s3://bucket/forms')
    s3.pipe_file('bucket/forms/a.jsonl', s3.cat_file('bucket/forms/a.jsonl')[:-2]+b'!}')
    n,after = read('s3://bucket/forms')
    s3.pipe_file('bucket/forms/a.jsonl', packed(DOCS)['a.jsonl'])
    assert n==1 and before[1:]==after[1:] and before[0]!=after[0]
    assert SECRET.encode() not in (tmp_path/'.files.json').read_bytes()

def test_lists_are_in_order_and_mix(corpus, s3):
    for k in ('2','10','a/1','.hidden','1'): s3.pipe_file(f'bucket/many/{k}.txt', k.encode())
    s3.pipe_file('bucket/many/empty/', b'')
    s3.pipe_file('bucket/many/x.exe', b'')
    found = find_files(['s3://bucket/many', str(corpus/'valid.txt'), 's3://bucket/many/1.txt'])
    assert [*map(str, found)]==[*(f's3://bucket/many/{o}.txt' for o in ('1','10','2','a/1')), str(corpus/'valid.txt')]
    assert 'left out of data.train: 1 .exe' in found.left
    both = CorpusConfig(train='s3://bucket/many', valid='s3://bucket/many/a/*')
    with pytest.raises(CorpusError, match="'s3://bucket/many/a/1.txt' is in data.train too"):
        prepare(both, Bytes(), PrepareConfig(cache=str(corpus/'both')), 'valid', lambda s: None)

@pytest.mark.parametrize('spec,said', [
    ('s3://bucket/form', 'did you mean s3://bucket/forms?'),
    ('s3://bucket/forms/a.json', 'did you mean s3://bucket/forms/a.jsonl?'),
    ('s3://bucket/forms/*.csv', 'the nearest folder that exists is s3://bucket/forms'),
    ('s3://no-bucket/x', 'no object matches'),
    ('s3://bucket/many/*.exe', 'has nothing to read (1 .exe'),
    ('s3://${UNSET}/x', 'no variable UNSET in the environment')])
def test_a_name_that_means_nothing(corpus, s3, spec, said):
    s3.pipe_file('bucket/many/x.exe', b'')
    with pytest.raises(CorpusError) as e: find_files([spec], 'data.valid')
    assert str(e.value).startswith('data.valid: ') and said in str(e.value)

def test_no_credentials(s3, monkeypatch):
    for k in ('AWS_ACCESS_KEY_ID','AWS_SECRET_ACCESS_KEY'): monkeypatch.delenv(k)
    monkeypatch.setenv('AWS_EC2_METADATA_DISABLED', 'true')
    type(s3).clear_instance_cache()
    with pytest.raises(CorpusError, match='AWS_ACCESS_KEY_ID or AWS_PROFILE'): find_remote('s3://bucket/x')
    type(s3).clear_instance_cache()

def test_what_is_not_installed(monkeypatch):
    def said(spec):
        with pytest.raises(CorpusError) as e: find_remote(spec)
        return str(e.value)
    monkeypatch.setitem(sys.modules, 'gcsfs', None)
    assert said('gs://b/x').endswith("gs:// needs gcsfs, which is not installed; pip install 'pretrain[remote]'")
    monkeypatch.setitem(sys.modules, 'fsspec', None)
    assert said('s3://b/x').endswith("through fsspec, which is not installed; pip install 'pretrain[remote]'")

def test_a_hub_of_data_sets(monkeypatch):
    "hf:// with a stand-in for the hub: addresses of data sets, revisions, hashes of its objects"
    from fsspec.implementations.memory import MemoryFileSystem
    class Hub(MemoryFileSystem):
        protocol,store,pseudo_dirs = 'hf',{},['']
        @classmethod
        def _strip_protocol(cls, path): return MemoryFileSystem._strip_protocol(path.removeprefix('hf://'))
        def info(self, path, **kw): return super().info(path, **kw) | dict(blob_id='9a03')
        def find(self, path, detail=True, **kw): return {o: self.info(o) for o in super().find(path)}
    monkeypatch.setattr(stores, '_store', lambda at: Hub)
    for k in 'ba': Hub().pipe_file(f'datasets/owner/name@main/data/{k}.parquet', k.encode())
    found = find_remote('hf://datasets/owner/name@main/**/*.parquet')
    assert [o.url for o in found]==[f'hf://datasets/owner/name@main/data/{k}.parquet' for k in 'ab']
    assert found[0].tells and found[0].stamp=='1 byte, blob_id 9a03' and open_remote(found[1]).read()==b'b'

def test_an_object_that_is_overwritten_while_it_is_read(s3):
    s3.pipe_file('bucket/big.bin', DATA*10)
    (file,) = find_remote('s3://bucket/big.bin')
    with open_remote(file) as f:
        f.read(10)
        s3.pipe_file('bucket/big.bin', DATA*9+DATA[::-1])
        with pytest.raises(RemoteError, match='s3://bucket/big.bin: changed while it was being read'): f.read()

def test_a_fork_reads_on(s3):
    s3.pipe_file('bucket/small.bin', DATA[:1000])
    (file,) = find_remote('s3://bucket/small.bin')
    pid = os.fork()
    if not pid:
        try: os._exit(open_remote(file).read()!=DATA[:1000])
        finally: os._exit(2)
    assert os.waitpid(pid, 0)[1]==0 and open_remote(file).read()==DATA[:1000]

GROWTH = r'''
import re, sys
from pretrain.data.remote import find_remote, open_remote
def peak(): return int(re.search(r'VmHWM:\s+(\d+)', open('/proc/self/status').read())[1])/1024
(small,),(big,) = find_remote(sys.argv[1]),find_remote(sys.argv[2])
with open_remote(small) as f: f.read()
before,n = peak(),0
with open_remote(big) as f:
    while data := f.read(2**16): n += len(data)
print(n, peak()-before)
'''
@pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='asks Linux')
def test_memory_is_bounded(s3):
    "Of an object of 60 MB a few blocks are in memory at a time"
    size = 60*10**6
    s3.pipe_file('bucket/small.bin', b'x')
    s3.pipe_file('bucket/huge.bin', bytes(size))
    p = subprocess.run([sys.executable, '-c', GROWTH, 's3://bucket/small.bin', 's3://bucket/huge.bin'], env=env(),
                       capture_output=True, text=True, timeout=100)
    s3.rm('bucket/huge.bin')
    n,mb = p.stdout.split()
    assert int(n)==size and float(mb)<40, (p.stdout, p.stderr[-2000:])

def test_two_ranks_train_on_a_bucket(s3, tmp_path, monkeypatch):
    "From the command line; the run keeps no secret"
    write_texts(tmp_path/'text', 20)
    for i,o in enumerate(sorted((tmp_path/'text').iterdir())):
        s3.pipe_file(f'bucket/{"valid" if i==0 else "text"}/{o.name}', o.read_bytes())
    keys = [*SMALL, 'data.train=s3://bucket/text/*.txt', 'data.valid=s3://${BUCKET}/valid', 'eval.every=0',
            'sample.every=0', 'out=run']
    monkeypatch.setenv('BUCKET', 'bucket')
    p = pretrain('train', 'quickstart', *keys, 'train.steps=4', cwd=tmp_path, n_proc=2)
    assert p.returncode==0, p.stderr[-3000:]
    kept = b''.join(o.read_bytes() for o in [*tmp_path.rglob('*.json*'), *tmp_path.rglob('*.toml')])
    assert SECRET not in p.stdout+p.stderr and SECRET.encode() not in kept
    assert b's3://${BUCKET}/valid' in (tmp_path/'run/config.toml').read_bytes()
    assert len((tmp_path/'run/metrics.jsonl').read_text().splitlines())>=4

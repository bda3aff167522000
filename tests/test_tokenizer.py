"""`pretrain.data.tokenizer` across real processes, which a notebook kernel cannot be: thread counts, hash seeds,
workers, memory, panics of Rust code."""
import json, os, subprocess, sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import pytest
from pretrain.data.bpe import TokenizerConfig
from pretrain.data.tokenizer import train_tokenizer

LIMIT_S = 100  # a process that takes longer has hung
COMMON = '''
import json, random, resource, sys
from pydoc_data.topics import topics
from pretrain.data.tokenizer import Tokenizer, train_tokenizer
from pretrain.data.bpe import TokenizerConfig
docs = [topics[k] for k in sorted(topics)]
def peak_mb(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024
'''

def run(body, **env):
    "What a script prints, as JSON"
    env = os.environ | dict(PYTHONPATH=os.pathsep.join(p for p in sys.path if p)) | env
    p = subprocess.run([sys.executable, '-c', COMMON+body], env=env, capture_output=True, text=True, timeout=LIMIT_S)
    assert p.returncode==0, p.stderr[-2000:]
    return json.loads(p.stdout)

def test_same_in_every_process():
    "Threads, hash seeds and the order of documents leave no trace"
    body = '''
random.Random(int(sys.flags.hash_randomization and hash('x'))).shuffle(docs)
toks = [train_tokenizer(docs, TokenizerConfig(vocab_size=2000, max_chars=n)) for n in (100_000, 10**7)]
print(json.dumps([docs[0][:50], *(t.fingerprint for t in toks)]))
'''
    res = [run(body, RAYON_NUM_THREADS=str(n), PYTHONHASHSEED=str(n)) for n in (1,2,3,8)]
    assert len({r[0] for r in res})>1, 'the documents were never shuffled'
    assert len({tuple(r[1:]) for r in res})==1, res

@pytest.mark.parametrize('method', ['spawn', 'fork'])
def test_travels_to_workers(method):
    texts = ['She sells sea shells.', 'né 吃葡萄', '']
    tok = train_tokenizer(texts*3, TokenizerConfig(vocab_size=280))
    with ProcessPoolExecutor(2, mp_context=get_context(method)) as ex:
        assert list(ex.map(tok.encode, texts))==tok.encode_batch(texts)

def test_trains_after_a_fork():
    "A config and a tokenizer of the default pattern start no threads, for which a forked process would wait forever"
    body = '''
from multiprocessing import get_context
Tokenizer({bytes([i]):i for i in range(256)}, TokenizerConfig().pattern)
p = get_context('fork').Process(target=train_tokenizer, args=(docs[:50], TokenizerConfig(vocab_size=300)))
p.start()
p.join(30)
p.kill()
print(json.dumps(p.exitcode))
'''
    assert run(body)==0

def test_memory_bounded():
    "Forty times the documents, the same peak"
    body = '''
def stream(n):
    for i in range(n): yield ' '.join(map(str, range(i, i+200)))
train_tokenizer(stream(500), TokenizerConfig(vocab_size=400, max_chars=300_000))
small = peak_mb()
train_tokenizer(stream(20_000), TokenizerConfig(vocab_size=400, max_chars=300_000))
print(json.dumps([small, peak_mb(), sum(map(len, stream(20_000)))/2**20]))
'''
    small,large,corpus = run(body)
    assert large-small < corpus/2, (small, large, corpus)

def test_panics_are_one_line():
    "A pattern that backtracks without end is the user's mistake, answered as such"
    body = r'''
bad = r'(?:a|b|ab)*(?=c)|[\s\S]'
res = []
for f in (lambda: train_tokenizer(['ab'*50], TokenizerConfig(pattern=bad)),
          lambda: Tokenizer({bytes([i]):i for i in range(256)}, bad).encode('ab'*50)):
    try: f()
    except ValueError as e: res.append(str(e))
print(json.dumps(res))
'''
    train,encode = run(body)
    assert 'tokenizer.pattern: matching gave up' in train and 'the split pattern gave up' in encode
    assert '\n' not in train+encode

"""Real processes: two builders at once, a builder killed half-way, a disk that takes no more.
A notebook kernel is a single process and cannot kill itself to see what remains."""
import json, os, signal, subprocess, sys, time
from hashlib import sha256
from pathlib import Path

import pytest

N_DOCS = 400
CHILD = '''
import os, resource, signal, sys, time
import numpy as np
from pretrain.data.corpus import CorpusConfig
from pretrain.data.prepare import PrepareConfig, prepare

class Slow:
    "Bytes as ids, at the speed of a much larger corpus"
    bos,vocab_size,fingerprint = 256,257,'slow'
    def encode_array(self, text):
        time.sleep(float(os.environ['DELAY_S']))
        return np.frombuffer(text.encode(), dtype=np.uint8)

here,cache,limit = sys.argv[1:]
if int(limit):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try: toks = prepare(CorpusConfig(train=f'{here}/train.jsonl', valid=f'{here}/valid.txt'), Slow(),
    PrepareConfig(cache=cache, workers=int(os.environ['WORKERS']), shard_chars=2000), 'train',
    lambda s: print(s, flush=True))
except (OSError,ValueError) as e: sys.exit(str(e))
print(toks.fingerprint)
'''

@pytest.fixture
def corpus(tmp_path):
    (tmp_path/'train.jsonl').write_text('\n'.join(json.dumps(dict(text=f'Document {i}: {"owl "*(i%20)}\n'))
                                                  for i in range(N_DOCS)))
    (tmp_path/'valid.txt').write_text('Held out.')
    return tmp_path

def start(corpus, cache, delay_s=0., limit=0, workers=1):
    env = os.environ | dict(DELAY_S=str(delay_s), WORKERS=str(workers))
    return subprocess.Popen([sys.executable, '-c', CHILD, str(corpus), str(cache), str(limit)], env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)

def finish(p, timeout=120):
    out,err = p.communicate(timeout=timeout)
    return p.returncode,out,err

def folder(cache): return next(o for o in Path(cache, 'tokens').iterdir() if o.is_dir())
def hashes(cache): return {o.name: sha256(o.read_bytes()).hexdigest() for o in folder(cache).iterdir()}

@pytest.fixture
def clean(corpus):
    code,out,err = finish(start(corpus, corpus/'clean'))
    assert code==0, err
    return hashes(corpus/'clean')

def test_two_builders(corpus, clean):
    ps = [start(corpus, corpus/'both', delay_s=.005) for _ in range(2)]
    done = [finish(p) for p in ps]
    assert [o[0] for o in done]==[0,0], done
    outs = [o[1] for o in done]
    assert sum('encoding with' in o for o in outs)==1, outs
    assert outs[0].splitlines()[-1]==outs[1].splitlines()[-1]
    assert hashes(corpus/'both')==clean

@pytest.mark.parametrize('workers', (1,2))
def test_killed_and_resumed(corpus, clean, workers):
    cache = corpus/f'killed{workers}'
    p = start(corpus, cache, delay_s=.01, workers=workers)
    for _ in range(3000):
        if len(list(cache.glob('tokens/*/*.json')))>=3: break
        time.sleep(.01)
    p.send_signal(signal.SIGKILL)
    assert finish(p)[0]==-signal.SIGKILL
    assert not (folder(cache)/'index.json').exists()
    kept = {o.name: o.stat().st_mtime_ns for o in folder(cache).glob('*.bin') if o.with_suffix('.json').exists()}
    assert kept
    (folder(cache)/'00099.bin.1.tmp').write_bytes(b'what a killed process leaves')
    code,out,err = finish(start(corpus, cache, workers=workers))
    assert code==0, err
    assert hashes(cache)==clean
    assert all((folder(cache)/k).stat().st_mtime_ns==v for k,v in kept.items()), 'a finished shard was made twice'

def test_lock_of_a_dead_process(corpus, clean):
    cache = corpus/'dead'
    p = start(corpus, cache, delay_s=.1)
    assert 'encoding with' in p.stdout.readline()
    q = start(corpus, cache)
    assert 'waiting' in q.stdout.readline()
    p.send_signal(signal.SIGKILL)
    finish(p)
    code,out,err = finish(q)
    assert code==0, err
    assert hashes(cache)==clean

def test_no_room(corpus):
    code,out,err = finish(start(corpus, corpus/'full', limit=1000))
    assert code==1 and err.count('\n')==1 and '00000.bin' in err and 'Traceback' not in err
    assert not list((corpus/'full').rglob('*.tmp'))

def test_no_folder(corpus):
    code,out,err = finish(start(corpus, corpus/'valid.txt'))
    assert code==1 and err.count('\n')==1 and 'valid.txt' in err and 'Traceback' not in err

def test_unwritable(corpus):
    code,out,err = finish(start(corpus, '/sys/pretrain-cache'))
    assert code==1 and err.count('\n')==1 and '/sys/pretrain-cache' in err and 'Traceback' not in err

"""Parts of preparing as real processes: at the same time, killed, from the command line, on a cluster of Ray that loses
a node. A notebook kernel is a single process. `pytest tests/test_parts_prepare.py -k ray` needs Ray, 40 s and 1 GB."""
import json, multiprocessing, os, random, signal, sys, time
from hashlib import sha256
from pathlib import Path
import pytest
from pretrain.cli import main
from pretrain.data import stages
from pretrain.data.bpe import TokenizerConfig
from pretrain.data.corpus import CorpusConfig
from pretrain.data.machines import NO_PART, merge_parts, prepare_part
from pretrain.data.parts import read_texts, tokenizer_of
from pretrain.data.prepare import PrepareConfig

TOK = TokenizerConfig(vocab_size=300)
SIZES = 3, 90, 1, 120, 50, 7, 9, 40
SPAWN = multiprocessing.get_context('spawn')   # the library that learns vocabularies has threads: no fork

def quiet(line): pass
def text(i): return f'Document {i} says that {i*37%101} is more than {i*17%97}. '*(1+i%5)
def at(home, name): return PrepareConfig(cache=str(home/name), workers=1, shard_chars=2000)
def on_disk(home, name):
    "Every file of tokens and tokenizers of a cache, with its hash"
    folders = 'tokens/train-','tokens/valid-','tokens/all-','tokenizers/'
    kept = [o for k in folders for o in (home/name).glob(f'{k}*/*')]
    assert not [*(home/name).glob('tokens/units-*')], 'left behind'
    return {f'{o.parent.name}/{o.name}': sha256(o.read_bytes()).hexdigest() for o in kept if o.is_file()}

@pytest.fixture(scope='module')
def home(tmp_path_factory):
    "Eight files, and what one process makes of them in the cache `one`"
    home = tmp_path_factory.mktemp('parts')
    (home/'text').mkdir()
    for k,n in enumerate(SIZES):
        (home/'text'/f'{k}.jsonl').write_text('\n'.join(json.dumps(dict(text=text(100*k+i))) for i in range(n)))
    one_process(home, 'one', corpus(home))
    return home

def corpus(home): return CorpusConfig(train=str(home/'text'))
def one_process(home, name, data):
    p = at(home, name)
    return read_texts(data, tokenizer_of(data, TOK, p, quiet), p, quiet)

@pytest.mark.parametrize('n', (1, 2, 7, 20))   # twenty are more than there are files
def test_any_number_in_any_order(home, n):
    order,name = [*range(n)],f'of{n}'
    random.Random(n).shuffle(order)
    for i in order+order[:2]: prepare_part(corpus(home), TOK, at(home, name), f'{i}/{n}', quiet)   # two of them again
    merged = merge_parts(corpus(home), TOK, at(home, name), quiet)
    one = one_process(home, 'one', corpus(home))
    assert on_disk(home, name)==on_disk(home, 'one')
    assert (merged.train.fingerprint, merged.valid.fingerprint)==(one.train.fingerprint, one.valid.fingerprint)

def test_mixture_and_a_store(home):
    fsspec = pytest.importorskip('fsspec')
    for k in range(3): fsspec.filesystem('memory').pipe(f'/parts/{k}.jsonl', (home/'text'/f'{k+1}.jsonl').read_bytes())
    same = dict(path=str(home/'text/3.jsonl'), name='again', weight=1)   # also in the first: texts in common
    data = CorpusConfig(train=[dict(path='memory://parts/*.jsonl', weight=2, name='far'), same])
    one_process(home, 'mixed1', data)
    for i in (1, 0): prepare_part(data, TOK, at(home, 'mixed2'), f'{i}/2', quiet)
    merge_parts(data, TOK, at(home, 'mixed2'), quiet)
    assert on_disk(home, 'mixed2')==on_disk(home, 'mixed1')

def slow(home, name, part, delay_s):
    "A part in a process of its own; whatever it encodes takes so long, and is written down"
    def make(base, texts, tok, fast=stages.make_shard):
        time.sleep(delay_s)
        with open(home/f'{name}.made', 'a') as f: f.write(f'{base}\n')
        return fast(base, texts, tok)
    stages.make_shard = make
    prepare_part(corpus(home), TOK, at(home, name), part, quiet)

def start(*args):
    p = SPAWN.Process(target=slow, args=args, daemon=True)
    p.start()
    return p

def made(home, name): return (home/f'{name}.made').read_text().split() if (home/f'{name}.made').exists() else []

def test_two_at_once(home):
    both = [start(home, 'both', f'{i}/2', .005) for i in range(2)]
    for p in both: p.join(60)
    assert [p.exitcode for p in both]==[0, 0]
    merge_parts(corpus(home), TOK, at(home, 'both'), quiet)
    files = on_disk(home, 'both')
    assert files==on_disk(home, 'one')
    assert len(made(home, 'both'))==sum(k.endswith('.bin') for k in files), 'a shard was made twice'

def test_killed_and_repeated(home):
    prepare_part(corpus(home), TOK, at(home, 'killed'), '1/2', quiet)
    p = start(home, 'killed', '0/2', .05)
    while len(made(home, 'killed'))<2 and p.is_alive(): time.sleep(.01)
    os.kill(p.pid, signal.SIGKILL)
    p.join()
    assert p.exitcode==-signal.SIGKILL
    with pytest.raises(ValueError, match='part 0/2 ended before it was done') as e:
        merge_parts(corpus(home), TOK, at(home, 'killed'), quiet)
    assert '\n' not in str(e.value)
    prepare_part(corpus(home), TOK, at(home, 'killed'), '0/2', quiet)
    merge_parts(corpus(home), TOK, at(home, 'killed'), quiet)
    assert on_disk(home, 'killed')==on_disk(home, 'one')

def test_command_line(home, capsys, monkeypatch):
    monkeypatch.chdir(home)
    keys = ['data.train=text', 'tokenizer.vocab_size=300', 'prepare.cache=cli', 'prepare.workers=1',
            'prepare.shard_chars=2000', 'out=run', 'model.n_layer=1', 'model.width=16', 'model.n_head=1',
            'model.seq_len=16', 'loader.batch_rows=2', 'train.steps=1', 'eval.bytes=2000', 'sample.every=0',
            'schedule.warmup=0']
    def call(*args):
        code = main(['prepare', 'quickstart', *keys, *args])
        out,err = capsys.readouterr()
        return code,out+err
    assert call('--merge')==(2, f'pretrain: --merge: {NO_PART}\n')
    for bad in (['--part', '2/2'], ['--part', 'x'], ['--part', '0/2', '--merge']): assert call(*bad)[0]==2
    for i in (1, 0): assert call('--part', f'{i}/2')[0]==0
    code,out = call('--merge')
    assert code==0 and 'train  Tokens: ' in out, out
    monkeypatch.undo()
    assert {k: v for k,v in on_disk(home, 'cli').items() if k[:5] in ('train','valid')}=={
        k: v for k,v in on_disk(home, 'one').items() if k[:5] in ('train','valid')}
    monkeypatch.chdir(home)
    assert main(['train', 'quickstart', *keys])==0
    out = ''.join(capsys.readouterr())
    assert out.count('reused')==3 and 'encoding' not in out and 'learning' not in out, out

RAY = '''
import sys, threading, time, ray
from pathlib import Path
from ray.cluster_utils import Cluster
sys.path.insert(0, sys.argv[2])
from test_parts_prepare import TOK, at, corpus, quiet
from pretrain.data.machines import prepare_ray
home = Path(sys.argv[1])
cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=1))
second = cluster.add_node(num_cpus=1)
cluster.connect()
assert sum(o['Alive'] for o in ray.nodes())==2
def remove():
    while not [*(home/'ray').glob('tokens/units-*/lens-0-*.npz')]: time.sleep(.02)
    cluster.remove_node(second, allow_graceful=False)
thread = threading.Thread(target=remove)
thread.start()
prepare_ray(corpus(home), TOK, at(home, 'ray'), quiet)
thread.join()
while sum(o['Alive'] for o in ray.nodes())>1: time.sleep(.1)
print('one node is left')
'''
def test_ray_loses_a_node(home):
    pytest.importorskip('ray')
    import subprocess
    env = os.environ | dict(RAY_USAGE_STATS_ENABLED='0', RAY_raylet_start_wait_time_s='120',
                            RAY_agent_register_timeout_ms='120000')
    p = subprocess.run([sys.executable, '-c', RAY, str(home), str(Path(__file__).parent)], env=env, text=True,
                       capture_output=True, timeout=300)
    assert p.returncode==0 and 'one node is left' in p.stdout, p.stdout[-2000:]+p.stderr[-4000:]
    assert on_disk(home, 'ray')==on_disk(home, 'one')

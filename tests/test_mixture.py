"""A mixture of three sources through Loader, Run, the command line and torchrun: shares, order and validation are the
same through each. Needs processes. `python tests/test_mixture.py` also takes four ranks, and prints what was seen."""
import json, os, tempfile
from fractions import Fraction
from pathlib import Path
import numpy as np, pytest
from helpers import pretrain
from pretrain import Run
from pretrain.base.config import ConfigError, to_dict
from pretrain.build import load_config, read_data
from pretrain.cli import main
from pretrain.eval.sources import run_sources

WEIGHTS = dict(web=.7, books=.2, code=.1)
CONFIG = '''
prepare = {cache = "cache", workers = 1}
tokenizer = {vocab_size = 300}
model = {seq_len = 16, n_layer = 1, n_head = 2, width = 16}
loader = {batch_rows = 8, window = 64}
eval = {every = 10, rows = 8}
train = {steps = 40, device = "cpu", threads = 1}
sample = {prompts = []}
metrics = {peak_tflops = 1.0}
preflight = {at_start = false}

[[data.train]]
path = "web/*.jsonl"
weight = 0.7
text_key = "content"

[[data.train]]
path = "books/"
weight = 0.2

[[data.train]]
path = "code.txt"
weight = 0.1
separator = "\\n--\\n"
'''

def write_sources(d):
    "Pages under a key of their own, a book a file, one file of programs; the words of each are its own"
    (d/'web').mkdir()
    (d/'books').mkdir()
    pages = [f'page {i} says {i*37%101} is more than {i*17%97} '*(1+i%3) for i in range(200)]
    (d/'web/a.jsonl').write_text('\n'.join(json.dumps(dict(content=o)) for o in pages))
    for k in range(12): (d/f'books/{k}.txt').write_text(f'Once upon a time there was book {k}. '*(1+k%3))
    (d/'code.txt').write_text('\n--\n'.join(f'def f{i}(x): return x+{i}' for i in range(60)))
    (d/'c.toml').write_text(CONFIG)

@pytest.fixture(scope='module')
def here(tmp_path_factory):
    d,was = tmp_path_factory.mktemp('mixture'),Path.cwd()
    write_sources(d)
    os.chdir(d)
    r = pretrain('train', 'c.toml', 'out=whole', cwd=d)
    assert r.returncode==0, r.stderr
    (d/'said.txt').write_text(r.stdout)
    yield d
    os.chdir(was)

def records(run): return [json.loads(l) for l in (Path(run)/'metrics.jsonl').read_text().splitlines()]
def read_tokens(run): return [{k: v for k,v in r.items() if k.startswith('tokens') or k=='row'} for r in records(run)]
def learnt(run):
    return [{k: v for k,v in r.items() if k.startswith('val_') or k in ('step','loss')} for r in records(run)]

def data_of(): return read_data(load_config('c.toml'), lambda _: None)

def deviations(loader, rows):
    "By how many rows each source is off, at its worst"
    who,total = loader.turns.sources(0, rows),int(loader.turns.round)
    had = np.cumsum(who[:,None]==np.arange(loader.turns.n), axis=0)
    return abs(had*total-np.arange(1, rows+1)[:,None]*loader.turns.shares).max(axis=0)/total

def test_shares_are_never_a_row_off(here):
    loader = data_of().loader
    rows = loader.first(3)
    assert (deviations(loader, rows)<=Fraction(3, 4)).all()   # of three sources
    part = loader.report(rows=rows).parts
    assert all(abs(o.rows-Fraction(str(WEIGHTS[k]))*rows)<1 for k,o in part.items())
    ids = loader.rows(0, loader.first(1))   # what was delivered, told by what is in it
    of = {k: {tuple(r) for r in p.rows(0, p.first(8)).tolist()} for k,p in loader.parts.items()}
    for k,rows_of in of.items():
        n = sum(tuple(r) in rows_of for r in ids.tolist())
        assert abs(n-WEIGHTS[k]*len(ids))<=1, k

def test_records_are_what_happened(here):
    rs = records('whole')[1:]
    assert all(sum(r[f'tokens/{k}'] for k in WEIGHTS)==r['tokens'] for r in rs)
    for o in run_sources('whole'):
        assert o.n_tok==sum(r[f'tokens/{o.name}'] for r in rs)
        assert abs(o.share-WEIGHTS[o.name])<.01 and o.wanted==pytest.approx(WEIGHTS[o.name])
    said = (here/'said.txt').read_text()
    assert said.count('\nsource ')==6 and 'all of its text has been used 1 time' in said
    assert 'What it read' in (here/'whole/report/index.html').read_text()

def test_each_source_is_measured(here):
    first,last = [r for r in records('whole') if 'val_bpb' in r][::4]
    text = Run('c.toml', out='whole', say=None, look=True).data.text
    for r in (first,last):
        nats = sum(r[f'val_bpb/{k}']*o.n_bytes for k,o in text.parts.items())
        assert nats/text.n_bytes==pytest.approx(r['val_bpb'])
    assert all(last[f'val_bpb/{k}']<first[f'val_bpb/{k}'] for k in WEIGHTS)
    assert len({last[f'val_bpb/{k}'] for k in WEIGHTS})==3

def test_resumed_at_ten_places(here):
    for _ in range(10):
        run = Run('c.toml', out='cut', say=None)
        for _ in range(4): run.step()
        run.save()
        run.saver.join()
    assert read_tokens('cut')==read_tokens('whole') and learnt('cut')==learnt('whole')

def ranks_agree(d, n):
    r = pretrain('train', 'c.toml', f'out=ranks{n}', cwd=d, n_proc=n)
    assert r.returncode==0, r.stderr
    assert read_tokens(f'ranks{n}')==read_tokens('whole')
    a,b = (learnt(o) for o in (f'ranks{n}', 'whole'))
    assert [r['val_text'] for r in a if 'val_text' in r]==[r['val_text'] for r in b if 'val_text' in r]
    far = [abs(x[k]-y[k]) for x,y in zip(a, b) for k in x if isinstance(x[k], float)]
    assert max(far)<1e-4
    return max(far)

def test_two_ranks(here): ranks_agree(here, 2)

def test_another_weight_is_another_run(here):
    def other(*weights): return [to_dict(o) | dict(weight=w) for o,w in zip(load_config("c.toml").data.train, weights)]
    def run(train, **keys): return Run('c.toml', out='whole', say=None, **{'data.train': train, **keys})
    with pytest.raises(ValueError) as e: run(other(6, 3, 1), **{'tokenizer.path': 'whole/tokenizer'})
    assert "data.train: the weight of" in str(e.value) and '% of the rows, is now ' in str(e.value)
    assert '\n' not in str(e.value)
    assert run(other(14, 4, 2)).n_step==40   # the same shares

def test_mistakes_are_one_line(here):
    for value,said in [('[{path="web", wieght=1}]', 'did you mean weight?'),
                       ('[{path="web", weight=0}]', 'needs a number > 0'), ('[{weight=1}]', 'path: missing'),
                       ('[{path="web", weight=1}, "books"]', "'books' has no weight"),
                       ('[{path="web"}, {path="x/web"}]', "2 sources are called 'web'")]:
        with pytest.raises(ConfigError) as e: load_config('c.toml', [f'data.train={value}'])
        assert said in str(e.value) and '\n' not in str(e.value)

def test_eval_and_prepare(here, capsys):
    r = pretrain('eval', 'whole', cwd=here)
    assert r.returncode==0 and all(f'\n{k}: ' in r.stdout for k in WEIGHTS), r.stdout+r.stderr
    assert not main(['prepare', 'c.toml'])
    assert 'train  Tokens' in capsys.readouterr().out

def full():
    with tempfile.TemporaryDirectory() as d:
        d = Path(d)
        write_sources(d)
        os.chdir(d)
        assert pretrain('train', 'c.toml', 'out=whole', cwd=d).returncode==0
        loader = data_of().loader
        rows = loader.first(1)
        print(f'an epoch of {rows:,} rows, at worst {deviations(loader, rows).round(3).tolist()} of a row off')
        print({k: f'{o.rows/rows:.4%}' for k,o in loader.report(rows=rows).parts.items()})
        for o in run_sources('whole'): print(o)
        for n in (2, 4): print(f'{n} ranks: the same tokens of each source, losses within {ranks_agree(d, n):.2g}')
        test_resumed_at_ten_places(d)
        print('resumed at ten places: the same records')

if __name__=='__main__': full()

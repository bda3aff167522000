"""A run that an earlier version of the library began goes on as it would have gone on there. In tests/, since it needs
that run's files.

`old_run` was made at step 6 of 12 by the last version before the chapters moved into wings; `expected.jsonl` is what
that version logged to the end."""
import json, shutil
from pathlib import Path
import pytest
from helpers import pretrain
from pretrain.build import load_config, load_model
from pretrain.data.bpe import SPLIT_LETTERS
from pretrain.data.prepare import get_tokenizer
from pretrain.data.tokenizer import Tokenizer
from pretrain.store.checkpoint import newest_checkpoint

HERE = Path(__file__).parent/'old_run'

@pytest.fixture
def here(tmp_path):
    shutil.copytree(HERE, tmp_path, dirs_exist_ok=True)
    return tmp_path

def rows(path): return [json.loads(line) for line in path.read_text().splitlines()]

def test_it_goes_on_to_the_same_end(here):
    r = pretrain('train', 'c.toml', cwd=here)
    assert r.returncode==0, r.stderr
    assert 'step_00000006 at step 6 of 12' in r.stdout
    assert 'changed: optim' not in r.stdout and 'changed: guard' not in r.stdout
    assert r.stdout.count('eval.tokens = 1000 is taken as eval.bytes = 4000')==1
    assert 'another text than before' not in r.stdout   # all of it then and now
    got,want = rows(here/'run/metrics.jsonl'),rows(HERE/'expected.jsonl')
    assert [g['step'] for g in got]==[w['step'] for w in want]==list(range(13))
    for g,w in zip(got, want): assert {k: g[k] for k in w}==pytest.approx(w, rel=1e-4)
    assert f'data: {sum(g.get("tokens", 0) for g in got):,} targets trained on' in r.stdout

def test_it_goes_on_beside_files_that_it_could_not_read(here):
    "A folder that has got files of today's formats is the folder that it was: they are left out, and that is said"
    new = {'more.csv': 'text\nAn owl.\n', 'notes.md': 'A cat.\n', 'web.ndjson': '{"text": "A hat."}\n'}
    for name,text in new.items(): (here/'text'/name).write_text(text)
    r = pretrain('train', 'c.toml', 'train.steps=7', 'schedule.warmdown=0.0', cwd=here)
    assert r.returncode==0, r.stderr
    assert 'as this run was begun:' in r.stdout and 'data.formats' in r.stdout
    assert '1 .csv' in r.stdout and '1 .md' in r.stdout and '1 .ndjson' in r.stdout
    assert 'changed: train was' not in r.stdout and rows(here/'run/metrics.jsonl')[-1]['step']==7

def test_its_settings_moved(here):
    "Guard settings once stood under `optim`: they act, and the run's new config has them at their new place"
    r = pretrain('train', 'c.toml', 'train.steps=7', 'schedule.warmdown=0.0', cwd=here)
    assert r.returncode==0, r.stderr
    guard = (here/'run/config.toml').read_text().split('[guard]')[1]
    assert 'max_bad = 7' in guard and 'spike = 50.0' in guard and 'spike_window = 4' in guard

def test_a_changed_setting_is_still_refused(here):
    r = pretrain('train', 'c.toml', 'optim.spike=3.0', cwd=here)
    assert r.returncode==2 and 'guard.spike = 50.0' in r.stderr and r.stderr.count('\n')==1

def test_its_model_loads(here):
    model,tok,cfg,step = load_model(here/'run', 'cpu')
    assert (step, cfg.guard.max_bad, tok.vocab_size)==(6, 7, 300)
    assert newest_checkpoint(here/'run/checkpoints')[0].name=='step_00000006'
    r = pretrain('sample', 'run', '--prompt', 'The owl', '--tokens', '4', cwd=here)
    assert r.returncode==0 and r.stdout.startswith('The owl')

def test_its_pattern_gives_its_tokenizer(here, monkeypatch):
    "The former default, given explicitly, is the former tokenizer to the last bit"
    monkeypatch.chdir(here)
    cfg = load_config('c.toml', {'tokenizer.pattern': SPLIT_LETTERS, 'data.split_min_docs': 1000})
    tok,was = get_tokenizer(cfg.data, cfg.tokenizer, cfg.prepare, print),Tokenizer.load('run/tokenizer')
    assert (tok.fingerprint, tok.pattern)==(was.fingerprint, SPLIT_LETTERS)
    assert Tokenizer(was.ranks).fingerprint!=was.fingerprint

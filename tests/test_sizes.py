"""A depth that is chosen is chosen once: real runs in their directories. In tests/, since a run is made of every wing,
and the shipped points are a file that no chapter owns."""
import json
from pathlib import Path
import pytest
from pretrain import sizes
from pretrain.base.config import ConfigError
from pretrain.build import Run, load_config
from pretrain.model.curve import Curve, balance, fit_curve
from pretrain.train.pace import Pace

BASE = {'tokenizer.vocab_size': 300, 'prepare.workers': 1, 'prepare.cache': 'cache', 'data.train': 'a.txt',
        'data.valid': 'b.txt', 'model.seq_len': 16, 'preflight.at_start': False, 'metrics.peak_tflops': 1.,
        'train.device': 'cpu', 'train.threads': 1, 'sample.prompts': [], 'eval.every': 0, 'eval.bytes': 100}
POINTS = Path(__file__).parents[1]/'nbs/reports/sizes.json'

@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Run, 'finish', lambda run: None)
    lines = [f'The number {i} is {"less" if i%3 else "more"} than {i*7%50}.' for i in range(400)]
    Path('a.txt').write_text('\n'.join(lines))
    Path('b.txt').write_text('A number is more than another.')

def fast(monkeypatch, s):
    "A machine on which a token of depth d takes s·d² seconds"
    def paces(shapes, *_, **__): return {d: Pace(s*d*d, 0., True) for d in shapes}
    monkeypatch.setattr(sizes, 'paces', paces)
    monkeypatch.setattr(sizes, 'MEASURED', Curve(size=1e10, a=1.3, text=2e7, b=.13))

def test_a_choice_is_made_once(here, monkeypatch):
    "The same command on a machine that became faster goes on with the size that was chosen"
    said = []
    keys = BASE | {'out': 'run', 'model.depth': 'auto', 'train.minutes': 10.}
    fast(monkeypatch, .1)
    run = Run(None, say=said.append, **keys)
    depth,tokens,batch = run.cfg.model.depth,run.cfg.model.dial_tokens,run.loader.batch_rows
    run.close()
    assert depth==run.cfg.model.n_layer>0 and any(l.startswith(f'depth: {depth}, for about') for l in said)
    text = Path('run/config.toml').read_text(encoding='utf-8')
    assert f'depth = {depth}\n' in text and '# 64 x depth' in text
    fast(monkeypatch, 1e-6)
    again = Run(None, say=None, **keys)
    assert (again.cfg.model.depth, again.cfg.model.dial_tokens, again.loader.batch_rows)==(depth, tokens, batch)
    assert again.cfg==run.cfg
    again.close()
    other = Run(None, say=None, **keys | {'out': 'other'})
    assert other.cfg.model.depth>depth                       # a new run has the size of the faster machine
    other.close()

def test_a_dialled_run_resumes(here):
    "By the command and by its directory, also where the rules have become others"
    keys = BASE | {'out': 'run', 'model.depth': 1, 'train.tokens': 16*16*4}
    run = Run(None, say=None, **keys)
    run.step()
    run.save()
    lr = run.cfg.optim.muon_lr
    run.close()
    for again in (Run(None, say=None, **keys), Run('run', say=None)):
        assert again.n_step==1 and again.cfg.optim.muon_lr==lr
        again.close()

def test_a_depth_takes_the_place_of_a_shape_that_is_said_more_weakly():
    c = load_config('quickstart', ['model.depth=2'])
    assert (c.model.n_layer, c.model.width, c.model.n_head)==(2, 128, 1) and c.loader.batch_rows==8
    assert load_config(c)==c and load_config(c, **{'train.steps': 70}).model==c.model
    cfg = load_config(None, ['model.depth=auto', 'train.minutes=1', 'model.width=96'])   # what stands beside it stays
    assert load_config(cfg, {'model.depth': 3, 'model.dial_tokens': 9999}).model.width==96
    with pytest.raises(ConfigError, match='model.depth = 3 means 3 layers'):
        load_config(None, **{'model.depth': 3, 'model.n_layer': 4})

@pytest.mark.parametrize('value,said', [(.5, 'an integer >= 0 or "auto"'), (-1, '>= 0'), ('big', 'or "auto"'),
                                        ('auto', 'train.minutes=10 would work'), (True, 'an integer')])
def test_a_wrong_depth_is_one_line(value, said):
    with pytest.raises(ConfigError, match=said) as e: load_config(None, **{'model.depth': value})
    assert '\n' not in str(e.value)

def test_the_shipped_curve_is_that_of_the_shipped_points():
    d = json.loads(POINTS.read_text())
    fit = fit_curve([(p['N'], p['D'], p['bpb']) for p in d['points']])
    for k in ('size', 'a', 'text', 'b'): assert getattr(sizes.MEASURED, k)==pytest.approx(getattr(fit, k), rel=1e-4)
    assert d['off_inside']<.02 and max(d['off_left_out'].values())<.04
    N,D = balance(fit, 1e12)
    assert N>0 and D>0

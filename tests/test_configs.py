"""Reads the files of configs/, which no notebook owns: each is a valid config, and what its comments say of its size
is true"""
import re
from pathlib import Path
import pytest
from pretrain.base.config import read_config
from pretrain.model.cost import param_counts
from pretrain.build import Config, load_config
from pretrain.model.dial import RATIO

CONFIGS = sorted(o for o in (Path(__file__).parents[1]/"configs").iterdir() if o.is_file())

@pytest.mark.parametrize('f', CONFIGS, ids=[f.name for f in CONFIGS])
def test_config_is_valid(f): read_config(Config, f)

@pytest.mark.parametrize('d', [4, 8, 12, 20])
def test_depth_series(d):
    "One number gives what once stood there number by number; the rates of d4 are those of a short run, and higher"
    f = Path(__file__).parents[1]/f'configs/d{d}.toml'
    c = load_config(f'd{d}')
    n = param_counts(c.model, c.tokenizer.vocab_size)
    said = int(re.search(r'Depth \d+: (\d+) million parameters', f.read_text())[1])
    assert (c.model.depth, c.model.n_layer, c.model.width, c.model.head_dim)==(d, d, 64*d, 128)
    assert said==round(n['total']/1e6)
    steps = c.train.tokens_per_param*(n['attention']+n['mlp']+n['head'])/(c.loader.batch_rows*c.model.seq_len)
    short = max(1, (RATIO*41_943_040/c.model.dial_tokens)**.32)
    f = short*(768/c.model.width)**.5
    assert (c.optim.matrix, c.optim.embed_lr, c.optim.head_lr)==('muon', pytest.approx(.2*f, rel=.01),
        pytest.approx(.008*f, rel=.01))
    assert c.optim.weight_decay*steps*c.optim.muon_lr==pytest.approx(.1*4200*.02, rel=.01)
    assert steps==pytest.approx({4: 440, 8: 1600, 12: 4200, 20: 16600}[d], rel=.01)
    assert c.train.micro_rows==(16 if d==20 else 32) and (d==4 or c.optim.muon_lr==.02)

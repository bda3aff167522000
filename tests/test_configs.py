"""Reads the files of configs/, which no notebook owns: each is a valid config, and what its comments say of its size
is true"""
import re
from pathlib import Path
import pytest
from pretrain.base.config import read_config
from pretrain.model.cost import param_counts
from pretrain.build import Config

CONFIGS = sorted((Path(__file__).parents[1]/'configs').iterdir())

@pytest.mark.parametrize('f', CONFIGS, ids=[f.name for f in CONFIGS])
def test_config_is_valid(f): read_config(Config, f)

@pytest.mark.parametrize('d', [4, 8, 12, 20])
def test_depth_series(d):
    f = Path(__file__).parents[1]/f'configs/d{d}.toml'
    c = read_config(Config, f)
    n = param_counts(c.model, c.tokenizer.vocab_size)
    said = int(re.search(r'Depth \d+: (\d+) million parameters', f.read_text())[1])
    assert (c.model.n_layer, c.model.width, c.model.head_dim)==(d, 64*d, 128)
    assert said==round(n['total']/1e6)
    f = (768/c.model.width)**.5
    assert (c.optim.matrix, c.optim.embed_lr, c.optim.head_lr)==('muon', pytest.approx(.2*f, rel=.01),
        pytest.approx(.004*f, rel=.01))
    assert c.optim.weight_decay*c.train.steps==pytest.approx(.1*4200, rel=.01)
    per_param = c.train.steps*c.loader.batch_rows*c.model.seq_len/(n['total']-n['embedding'])
    assert per_param==pytest.approx(20, rel=0.01)

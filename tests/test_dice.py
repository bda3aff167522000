"""Whoever looks at a run draws nothing from the generators of the process: what is trained or thrown beside it stays
as it was. In tests/, since every door to one run is tried."""
import random
import numpy as np, pytest, torch
from helpers import SMALL, write_texts
from test_core import bundle

@pytest.fixture(scope='module')
def run(tmp_path_factory):
    "A run of eight steps"
    from pretrain.build import Run, load_config
    d = tmp_path_factory.mktemp('dice')
    write_texts(d/'text', 20)
    keys = [*SMALL, f'data.train={d/"text"}', f'prepare.cache={d/"cache"}', f'out={d/"run"}', 'train.steps=8',
            'model.init_out=1']
    return Run(load_config(None, keys), None).fit()

def loaded(run, device='cpu'):
    from pretrain.build import load_model
    return load_model(run.out, device)

def evaluate(run):
    from pretrain.eval.core.evaluate import evaluate_core
    res = evaluate_core(run.model, run.tok, bundle(run.out/'questions'), 4, run.model.seq_len)
    return res.interval(), repr(res)

def measure(run):
    from pretrain.eval.bpb import bits_per_text
    return bits_per_text(run.model, run.tok, ['A text.'])

def peak(run):
    from pretrain.train.mfu import measured_peak
    return measured_peak(torch.device('cpu'), torch.float32)

LOOKS = dict(load=loaded, sample=lambda r: r.sample('The ', tokens=5), write=lambda r: r.write('The ', tokens=5),
             check=lambda r: r.check(short=False, overfit=True), validate=lambda r: r.validate(),
             core=evaluate, bits=measure, plot=lambda r: r.plot(), report=lambda r: r.report(), peak=peak)

def dice(): return torch.rand(2).tolist(), np.random.rand(2).tolist(), [random.random(), random.random()]

@pytest.mark.parametrize('look', LOOKS)
def test_no_dice_are_thrown(run, look):
    from pretrain.train.machine import seed_all
    seed_all(3)
    want = dice()
    seed_all(3)
    LOOKS[look](run)
    assert dice()==want

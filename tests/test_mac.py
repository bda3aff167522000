"""A run from beginning to end on a device without float64, as Apple's GPUs are: a pretended one, whose tensors are
computed on the CPU but refuse float64 and refuse to meet tensors of the CPU. In tests/, since a whole run is asked.
What is shown is that nothing asks such a device for what it hasn't; the kernels of a real one are not tested."""
from types import SimpleNamespace
from unittest.mock import patch
import pytest, torch
from helpers import SMALL, write_texts
from pretend import FAR, pretend_far
from test_core import bundle
from pretrain.build import Run, load_config, load_model
from pretrain.eval.bpb import bits_per_text
from pretrain.eval.core.evaluate import evaluate_core
from pretrain.train.machine import pick_device

KEYS = [*SMALL, 'train.device=meta', 'train.steps=6', 'eval.every=3', 'train.save_every=3', 'sample.every=3',
        'guard.spike=50', 'optim.matrix=muon', 'model.window=20', 'model.n_kv_head=1',
        'sample.prompts=["The ", "A much longer one "]']

@pytest.fixture
def mac(tmp_path, monkeypatch):
    "Such a machine, with some text"
    write_texts(tmp_path/'text')
    monkeypatch.chdir(tmp_path)
    waits = patch.object(torch, FAR.type, SimpleNamespace(synchronize=lambda: None), create=True)
    with pretend_far(), waits, patch('torch.backends.mps.is_available', lambda: True): yield tmp_path

def test_the_device_refuses():
    "What is pretended does refuse"
    with pretend_far():
        t = torch.arange(3., device=FAR)
        assert (t.device.type, (t+1).sum().item(), t.cpu().tolist())==('meta', 6., [0,1,2])
        def wide(): return torch.zeros(2, device=FAR, dtype=torch.float64)
        for f in (t.double, wide, lambda: torch.ones(2).double().to(FAR)):
            with pytest.raises(TypeError, match='float64'): f()
        with pytest.raises(RuntimeError, match='on the CPU among'): t+torch.ones(3)

def run_of(*keys): return Run(load_config(None, [*KEYS, 'data.train=text', 'out=run', *keys]), None)

@pytest.mark.filterwarnings('ignore:.*non-meta parameter')   # nothing is really there, torch warns
def test_a_run(mac):
    "Trained, validated, saved, sampled, taken up, checked, evaluated"
    assert pick_device('auto')[0].type=='mps'
    run = run_of()
    assert run.model.device==FAR
    run.fit()
    assert run.done and run.best['val_bpb']<8
    report = run.check(short=False, overfit=True)
    assert {c.name for c in report if not c.ok}<={'copied'}, report   # what Python's help quotes twice
    again = run_of('train.steps=8')
    assert again.n_step==6
    again.fit()
    assert len(again.sample('The ', tokens=70, top_k=0))>10
    model,tok,cfg,step = load_model('run', 'meta')
    assert model.device==FAR and step==8
    model.grow(2*model.seq_len)   # positions beyond a row of training
    assert model.generate([tok.bos], 5, temperature=1., top_p=.9, min_p=.01, seed=1)
    assert bits_per_text(model, tok, ['Something else.']).bpb>0
    res = evaluate_core(model, tok, bundle(mac/'b'), max_seq_len=model.seq_len, resume_dir=mac/'core')
    assert len(res.examples)==33 and torch.isfinite(torch.tensor(res.core))

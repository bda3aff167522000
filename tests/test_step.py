"""What a run does besides arithmetic costs little: loader, metrics, log, tracker and checkpoint together at most 2 % of
a step of depth 4 and width 256 on 4,096 tokens, were that step at the peak of this machine. In tests/, since it times a
whole run with its files; by the time of the process, so that others on the machine change little."""
import time
import pytest
from pretrain import Run
from pretrain.model.blocks import ModelConfig
from pretrain.model.cost import flops_per_token
from pretrain.train.mfu import measured_peak

SHARE = .02    # Of the time of a step
STEPS = 12     # Timed; a checkpoint in every fourth
ROWS,T = 16,256

def arithmetic_s():
    "Least time of a step of depth 4 [s]"
    flops = flops_per_token(ModelConfig(n_layer=4, width=256, n_head=4, seq_len=T), 8192)
    return flops*ROWS*T/measured_peak().value

def test_all_but_arithmetic_is_under_two_percent(tmp_path, monkeypatch):
    pytest.importorskip('tensorboard')
    monkeypatch.chdir(tmp_path)
    (tmp_path/'t.txt').write_text('\n\n'.join(f'The {i} owls met {i*i} hares by the river.' for i in range(9000)))
    run = Run(None, say=None, out='run', **{
        'tokenizer.vocab_size': 300, 'prepare.workers': 1, 'data.train': ['t.txt'], 'data.separator': '\n\n',
        'model.seq_len': T, 'model.n_layer': 1, 'model.n_head': 1, 'model.width': 8, 'loader.batch_rows': ROWS,
        'preflight.at_start': False, 'metrics.peak_tflops': 1., 'train.steps': 3+STEPS, 'eval.every': 0,
        'track.to': ['tensorboard'], 'train.save_every': 4, 'train.device': 'cpu', 'train.threads': 1})
    inside,whole,real = [],[],run.loss_fn
    def timed(*args, **kw):   # forward; backward, clipping and the optimizer are left in: they are small here
        t = time.process_time()
        res = real(*args, **kw)
        inside.append(time.process_time()-t)
        return res
    run.loss_fn = timed
    for _ in range(2): run.step()
    inside.clear()
    for _ in range(STEPS):
        t = time.process_time()
        run.step()
        whole.append(time.process_time()-t)
    run.close()
    besides = (sum(whole)-2*sum(inside))/STEPS    # a backward pass takes as long as a forward one at least
    assert besides<=SHARE*arithmetic_s(), f'{besides*1e3:.1f} ms a step of {arithmetic_s()*1e3:.0f}'

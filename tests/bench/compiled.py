"""What compiling gains and costs: the first step with an empty cache, and a later one by one core's time [s].

    python tests/bench/compiled.py            # not at all, as a whole, by block

Each is a process of its own, one after the other; a few minutes."""
import os, shutil, statistics, subprocess, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
L,C,H,T,V,B = 4,256,4,256,8192,16   # layers, width, heads, tokens of a row, vocabulary, rows
STEPS = 9                           # that are timed

def worker(way):
    sys.path.insert(0, str(ROOT))
    import torch
    from pretrain.model.blocks import ModelConfig
    from pretrain.model.gpt import GPT
    from pretrain.model.optim import OptimConfig, build_optim
    from pretrain.train.gradients import accumulate, clip_grads
    from pretrain.train.machine import by_block, start_machine
    start_machine('cpu', threads=1)
    torch.manual_seed(0)
    model = GPT(ModelConfig(seq_len=T, n_layer=L, n_head=H, width=C, x0_scalars=True, value_residual=True), V)
    opt,params,ids = build_optim(model, OptimConfig(matrix='adamw')),list(model.parameters()),torch.randint(V, (B,T+1))
    make = dict(none=lambda fn: fn).get(way, torch.compile)
    loss = by_block(model, model.loss, make) if way=='block' else make(model.loss)
    def step():
        t = time.process_time()
        opt.zero_grad()
        accumulate(lambda x,y: loss(x, y, reduction='sum'), ids[:,:-1], ids[:,1:], B*T, B)
        clip_grads(params, 1.)
        opt.step()
        return time.process_time()-t
    begun = time.perf_counter()
    step()
    first = time.perf_counter()-begun
    later = statistics.median(step() for _ in range(STEPS))
    print(f'{way:<6} first step {first:5.1f} s, later {later:.3f} s', flush=True)

def main():
    for way in ('none', 'whole', 'block'):
        cache = tempfile.mkdtemp(prefix='compiled-')
        env = dict(os.environ, TORCHINDUCTOR_CACHE_DIR=cache, OMP_NUM_THREADS='1')
        subprocess.run([sys.executable, __file__, way], env=env, check=True)
        shutil.rmtree(cache)

if __name__=='__main__': worker(sys.argv[1]) if sys.argv[1:] else main()

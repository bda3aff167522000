"""Tokens per second of this library on two ranks beside torch's bare DistributedDataParallel loop on the same model, in
turns; and how much of the communication goes on during the backward pass, as a profile of torch shows.

    python tests/bench/ddp.py [--rounds 5] [--steps 12] [--width 256] [--layers 6] [--sums float64] [--keep FILE]"""
import argparse, json, os, platform, statistics, subprocess, sys, tempfile, time
from datetime import date
from pathlib import Path
import torch

ROOT = Path(__file__).resolve().parents[2]
V,T,ROWS = 4096,128,16
PROFILED_MB = 2   # buckets in the profile, since a model so small has hardly two of the usual size [MiB]

def parts(args):
    "A model with its first weights, and batches"
    from pretrain.build import load_config, make_model
    keys = {'model.recipe': 'plain', 'model.width': args.width, 'model.n_layer': args.layers, 'model.n_head': 4}
    keys |= {'model.seq_len': T, 'loader.batch_rows': ROWS, 'train.parallel': args.mode, 'optim.matrix': 'adamw'}
    if args.sums!='float32': keys |= {'train.sums': args.sums, 'train.micro_rows': ROWS//args.ranks}
    cfg = load_config(None, keys)
    g = torch.Generator().manual_seed(0)
    return cfg,lambda: make_model(cfg, V),[torch.randint(0, V, (ROWS, T+1), generator=g) for _ in range(4)]

def ours(args, cfg, make, mine):
    "A function that takes a step as `Loop.update` does"
    from pretrain.base.dist import all_sum
    from pretrain.train.gradients import accumulate
    par,opt = make()
    par.join(opt)
    params = list(par.model.parameters())
    def step(ids):
        opt.zero_grad()
        x,y = ids[mine,:-1],ids[mine,1:]
        loss = accumulate(par.loss, x, y, ROWS*T, len(x), around=par.micro)
        par.reduce()
        norm = par.clip(params, cfg.optim.clip)
        loss,norm = all_sum(loss).item(),norm.item()
        opt.step()
        return loss
    return step

def bare(args, cfg, make, mine):
    "The loop of torch's tutorial on the same model: mean of means, clip, AdamW"
    from torch.nn.parallel import DistributedDataParallel
    from pretrain.model.gpt import GPT
    from pretrain.train.machine import seed_all
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            seed_all(cfg.seed)
            self.gpt = GPT(cfg.model, V)
        def forward(self, x, y): return self.gpt.loss(x, y)
    net = DistributedDataParallel(Net())
    opt = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    def step(ids):
        opt.zero_grad()
        loss = net(ids[mine,:-1], ids[mine,1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), cfg.optim.clip)
        opt.step()
        return loss.item()
    return step

def overlap(step, ids):
    "Share of the time of all-reduces that lies within the backward pass"
    from torch.profiler import ProfilerActivity, profile
    with profile(activities=[ProfilerActivity.CPU]) as prof: step(ids)
    def spans(name): return [(e.time_range.start, e.time_range.end) for e in prof.events() if name in e.name]
    back = [s for s in spans('Backward') + spans('autograd::engine')]
    lo,hi = min(a for a,_ in back),max(b for _,b in back)
    sums = [s for s in spans('gloo:all_reduce') if s[0]>=lo-1 and s[1]-s[0]>0]
    sums = sorted(sums, key=lambda s: s[0])
    begun = sum(a<hi for a,_ in sums)
    total = sum(b-a for a,b in sums) or 1
    return dict(reduces=len(sums), begun_within=begun, within=sum(max(0, min(b, hi)-max(a, lo)) for a,b in sums)/total)

def work(args):
    "On a rank: the two loops in turns"
    from unittest.mock import patch
    from pretrain.base.dist import barrier, cleanup, rank, setup, slice_rows, world
    from pretrain.train import parallel
    torch.set_num_threads(1)
    setup('cpu')
    cfg,make,batches = parts(args)
    mine = slice_rows(ROWS, rank(), world())
    loops = {f.__name__: f(args, cfg, make, mine) for f in (ours, bare)}
    for step in loops.values(): [step(b) for b in batches]
    speeds = {k: [] for k in loops}
    for _ in range(args.rounds):
        for k,step in loops.items():
            barrier()
            t = time.perf_counter()
            for i in range(args.steps): step(batches[i%len(batches)])
            barrier()
            speeds[k].append(args.steps*ROWS*T/(time.perf_counter()-t))
    with patch.object(parallel.in_buckets, '__defaults__', (PROFILED_MB,)): step = ours(args, cfg, make, mine)
    for b in batches: step(b)   # DDP orders its buckets anew after the first
    seen = overlap(step, batches[0])
    if not rank(): Path(args.out).write_text(json.dumps(dict(speeds=speeds, overlap=seen)))
    cleanup()

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = dict(rounds=5, steps=12, width=256, layers=6, ranks=2)
    for k,v in sizes.items(): p.add_argument(f'--{k}', type=int, default=v)
    p.add_argument('--mode', default='ddp', choices=('ddp', 'fsdp'))
    p.add_argument('--sums', default='float32', choices=('float32', 'float64'))
    p.add_argument('--out', default='', help=argparse.SUPPRESS)
    p.add_argument('--keep', type=Path, help='gets what was found beside what is in it')
    args = p.parse_args()
    if args.out: return work(args)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)/'seen.json'
        launch = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', str(args.ranks)]
        env = os.environ | dict(OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
        subprocess.run([*launch, __file__, *sys.argv[1:], '--out', str(out)], check=True, env=env)
        seen = json.loads(out.read_text())
    mid = {k: statistics.median(v) for k,v in seen['speeds'].items()}
    each = [a/b for a,b in zip(*(seen['speeds'][k] for k in ('ours','bare')))]
    print(f'ours {mid["ours"]:,.0f} tokens/s, bare DDP {mid["bare"]:,.0f}: medians {mid["ours"]/mid["bare"]:.1%}, '
          f'{statistics.median(each):.1%} by rounds ({min(each):.1%} to {max(each):.1%})')
    o = seen['overlap']
    print(f'{o["reduces"]} all-reduces in a step, {o["begun_within"]} begun within the backward pass, '
          f'{o["within"]:.0%} of their time within it')
    if args.keep:
        how = {k: getattr(args, k) for k in (*sizes, 'mode', 'sums')}
        where = dict(date=str(date.today()), machine=f'{platform.machine()}, {os.cpu_count()} cores')
        rows = json.loads(args.keep.read_text()) if args.keep.exists() else []
        args.keep.write_text(json.dumps([*rows, where | how | seen], indent=1)+'\n')

if __name__=='__main__': main()

"""How fast a training step is, where its time goes, how much of the peak it uses and how memory it takes, beside an
older version of this package, or anybody's step. A command rather than a test: a figure of a machine proves nothing
about another.

    python tests/bench/step.py --shapes d4 d6 v32k --against FOLDER --rounds 5 --out nbs/reports/step.json
    NANOGPT=CLONE python tests/bench/step.py --shapes d4 d6 --peer nanoGPT=tests/bench/nanogpt_step.py

FOLDER holds another version's `pretrain`. FILE.py has `build(shape, ids)`, which returns a function that takes one
training step on `ids` `[B,T+1]`. Each contender is a process of its own, pinned to the same core; they take one step
each, in turn, so that whoever shares the machine slows all alike. Medians and quartiles of the ratios are printed."""
import argparse, importlib.util, json, os, platform, statistics, subprocess, sys, time
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHAPES = dict(  # layers, width, heads, tokens of a row, vocabulary, rows
    d4=(4, 256, 4, 256, 8192, 16), d4small=(4, 256, 4, 256, 8192, 4), d6=(6, 384, 6, 512, 8192, 8),
    v32k=(4, 256, 4, 256, 32768, 16))
WARM = 2        # Steps before any is timed
MARK = '@step ' # Before what a process tells the one who asks
PARTS = dict(   # Names of torch's operations
    products=('mm', 'addmm', 'addmm_', 'bmm', '_linear_pointwise', 'linear', 'matmul'),
    attention=('_scaled_dot_product_flash_attention_for_cpu', '_scaled_dot_product_flash_attention_for_cpu_backward'),
    optimizer=('_fused_adamw_', '_foreach_lerp_', '_foreach_norm', '_foreach_mul_', '_foreach_add_'))

# ------------------------------------------------------------ in a process of its own

def ours(shape, ids, matrix):
    "A step as a run takes it, and what it should need"
    import torch
    from pretrain.model.blocks import ModelConfig
    from pretrain.model.gpt import GPT
    from pretrain.model.optim import OptimConfig, build_optim
    from pretrain.train.gradients import accumulate, clip_grads
    from pretrain.train.machine import start_machine
    L,C,H,T,V,B = shape
    start_machine('cpu')
    torch.manual_seed(0)
    cfg = ModelConfig(seq_len=T, n_layer=L, n_head=H, width=C)
    model = GPT(cfg, V)
    opt,params = build_optim(model, OptimConfig(matrix=matrix)),list(model.parameters())
    def step():
        opt.zero_grad()
        loss = accumulate(lambda x,y: model.loss(x, y, reduction='sum'), ids[:,:-1], ids[:,1:], B*T, B)
        norm = clip_grads(params, 1.)
        loss,norm = loss.item(),norm.item()
        opt.step()
    return step,lambda: about(cfg, V, model, opt, ids)

def about(cfg, V, model, opt, ids):
    "FLOPs of a token, the peak, and memory by formula [bytes]"
    from pretrain.eval.check_room import memory_need, param_bytes
    from pretrain.model.cost import flops_per_token
    from pretrain.train.mfu import measured_peak
    need = memory_need(model, model.loss, ids[:,:-1], ids[:,1:], len(ids), optim=opt.cfg) if hasattr(opt, 'cfg') else {}
    peak = measured_peak()
    return dict(flops=flops_per_token(cfg, V), flops_seen=flops_per_token(cfg, V, causal=True), peak=peak.value,
                source=peak.source, need=dict(need, parameters=param_bytes(model)) if need else {})

def resident():
    "Memory of this process now, and the most it ever was [bytes]"
    lines = Path('/proc/self/status').read_text().splitlines()
    return tuple(int(next(l for l in lines if l.startswith(k)).split()[1])*1024 for k in ('VmRSS','VmHWM'))

def profiled(step):
    "Share of the processor's time by part, the longest operations, and how much torch held more than before [bytes]"
    from torch.profiler import ProfilerActivity, profile
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as p: step()
    now = most = 0
    events = [e for e in p.profiler.kineto_results.events() if e.name()=='[memory]']
    for e in sorted(events, key=lambda e: e.start_ns()):
        now += e.nbytes()
        most = max(most, now)
    rows = {e.key: e.self_cpu_time_total for e in p.key_averages()}
    total,part_of = sum(rows.values()),{n: k for k,names in PARTS.items() for n in names}
    shares = dict.fromkeys([*PARTS, 'the rest'], 0.)
    for k,t in rows.items():
        part = 'optimizer' if k.startswith('Optimizer') else part_of.get(k.rpartition('::')[2], 'the rest')
        shares[part] += t/total
    longest = sorted(rows.items(), key=lambda o: -o[1])[:12]
    return shares,{k: t/total for k,t in longest},most

def worker(job):
    "Takes a step for each line that comes in, and tells its time"
    os.sched_setaffinity(0, job['cores'])
    import torch
    torch.set_num_threads(len(job['cores']))
    L,C,H,T,V,B = shape = job['shape']
    ids = torch.randint(0, V, (B,T+1), generator=torch.Generator().manual_seed(1))
    importlib.import_module('pretrain.build')   # what is imported is not counted
    a = torch.ones(64, 64)
    before,facts = resident()[0],dict
    (a@a).sum()
    if job['peer']:
        spec = importlib.util.spec_from_file_location('peer', job['peer'])
        peer = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(peer)
        step = peer.build(shape, ids)
    else: step,facts = ours(shape, ids, job['matrix'])
    for _ in range(WARM): step()
    most = resident()[1]
    def tell(found): print(MARK+json.dumps(found), flush=True)
    tell(facts() | dict(before=before, most=most))
    for line in sys.stdin:
        if line.strip()=='profile': tell(profiled(step))
        else:
            t,c = time.perf_counter(),time.process_time()
            step()
            tell((time.perf_counter()-t, time.process_time()-c))

# ------------------------------------------------------------ the one who asks

class Contender:
    "A process that takes steps when asked"
    def __init__(self, name, shape, path, peer, args):
        self.name,self.times = name,[]
        job = dict(shape=shape, peer=peer and str(peer), matrix=args.matrix, cores=args.cores)
        env = dict(os.environ, PYTHONPATH=str(path), OMP_NUM_THREADS=str(len(args.cores)))
        self.p = subprocess.Popen([sys.executable, __file__, '--worker', json.dumps(job)], env=env, cwd=path, text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.facts = self.hear()
    def hear(self):
        for line in self.p.stdout:   # what others print is passed over
            if line.startswith(MARK): return json.loads(line.removeprefix(MARK))
        raise SystemExit(f'{self.name}: ended early')
    def say(self, what):
        self.p.stdin.write(what+'\n')
        self.p.stdin.flush()
        return self.hear()
    def end(self):
        self.p.stdin.close()
        self.p.wait()

def measure(shape, args):
    "All contenders on one shape, in turn"
    L,C,H,T,V,B = SHAPES[shape]
    all_ = [Contender('here', SHAPES[shape], ROOT, None, args)]
    if args.against: all_.append(Contender('before', SHAPES[shape], Path(args.against).resolve(), None, args))
    for o in args.peer:
        name,_,path = o.partition('=')
        all_.append(Contender(name, SHAPES[shape], ROOT, Path(path).resolve(), args))
    for i in range(args.rounds):
        for c in all_ if i%2==0 else all_[::-1]: c.times.append(c.say('step'))
    res = {c.name: dict(c.facts, times=c.times, tokens=B*T) for c in all_}
    here = res['here']
    here['shares'],here['longest'],here['above'] = all_[0].say('profile')
    for c in all_: c.end()
    return res

def median(xs): return statistics.median(xs)

def show(shape, res):
    "One table for a shape"
    here = res['here']
    print(f'\n{shape}: layers, width, heads, T, V, rows = {SHAPES[shape]}')
    for name,r in res.items():
        clock,cpu = (median([t[i] for t in r['times']]) for i in (0,1))
        ratio = [b[1]/a[1] for a,b in zip(here['times'], r['times'])]
        q = statistics.quantiles(ratio, n=4) if len(ratio)>1 else ratio*3
        used = r['flops']*r['tokens']/cpu/r['peak'] if r.get('flops') else 0
        mfu = f", MFU {used:.0%} of {r['peak']/1e9:.0f} GFLOPS" if used else ''
        print(f"  {name:<10}{r['tokens']/clock:7.0f} tokens/s, {r['tokens']/cpu:7.0f} by processor time, here is "
              f'{median(ratio):.2f} times as fast ({q[0]:.2f} to {q[2]:.2f}){mfu}')
    print('  time   '+', '.join(f'{k} {v:.0%}' for k,v in here['shares'].items()))
    if here['need']:
        need = sum(here['need'].values())
        held = here['above']+need-here['need']['activations']   # a step begins with all but these
        parts = ', '.join(f'{k} {v/1e6:.0f}' for k,v in here['need'].items())
        resident = here['most']-here['before']
        print(f'  memory {held/1e6:.0f} MB at most, {held/need:.2f} of the formula ({parts} MB); the process grew by '
              f'{resident/1e6:.0f} MB, libraries included')

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--shapes', nargs='+', default=['d4'], choices=SHAPES)
    p.add_argument('--against', help='folder with another version of the package')
    p.add_argument('--peer', action='append', default=[], metavar='NAME=FILE')
    p.add_argument('--rounds', type=int, default=5)
    p.add_argument('--matrix', default='adamw', choices=['adamw','muon'])
    p.add_argument('--cores', type=int, nargs='+', default=[0], help='that all are pinned to')
    p.add_argument('--out', type=Path)
    p.add_argument('--worker', help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.worker: return worker(json.loads(args.worker))
    found = dict(date=str(date.today()), machine=f'{platform.machine()}, {os.cpu_count()} cores', rounds=args.rounds,
                 matrix=args.matrix, shapes={})
    for s in args.shapes:
        found['shapes'][s] = measure(s, args)
        show(s, found['shapes'][s])
        if args.out: args.out.write_text(json.dumps(found, indent=1)+'\n')

if __name__=='__main__': main()

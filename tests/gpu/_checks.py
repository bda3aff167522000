"""The checks: each takes a `Rig` and gives rows (what, seen, wanted, as wanted?)"""
import gc, tempfile, time, warnings
import torch
from pretrain.build import Run
from pretrain.model.blocks import ModelConfig
from pretrain.model.cost import flops_per_token
from pretrain.model.generate import generate_batch
from pretrain.model.gpt import GPT
from pretrain.model.optim import OptimConfig, build_optim
from pretrain.train.gradients import accumulate, clip_grads
from pretrain.train.mfu import peak_flops
from pretrain.train.machine import sync_of
from pretrain.train.room import moving, parts_of, room_of, step_spans

BF16 = torch.bfloat16
CHECKS = {}
def check(fn):
    CHECKS[fn.__name__.replace('_', ' ')] = fn
    return fn

class Rig:
    "A device, and sizes for it"
    def __init__(self, device, tiny):
        self.device,self.tiny = device,tiny
        self.cuda = device.type=='cuda'
        self.card = torch.cuda.get_device_name(device) if self.cuda else 'CPU, tiny sizes: a trial of the script'
        self.sync = sync_of(device) or (lambda: None)
        self.small = ModelConfig(n_layer=2, n_head=2, width=32, seq_len=32) if tiny else \
            ModelConfig(n_layer=4, n_head=4, width=256, seq_len=256)
        self.V = 128 if tiny else 2048
        self.compiler = 'aot_eager' if tiny else 'inductor'   # which takes long on a CPU
        self.peak = peak_flops(device, BF16 if self.cuda else torch.float32)

    def clear(self):
        gc.collect()
        torch.compiler.reset()
        if self.cuda: torch.cuda.empty_cache()

    def deep(self, depth):
        "The shape of a depth, as `model.depth` gives it, and a vocabulary"
        if self.tiny: return ModelConfig(n_layer=depth//6, n_head=2, width=32, seq_len=32),128
        return ModelConfig(n_layer=depth, n_head=max(1, depth//2), width=64*depth, seq_len=2048),32768

    def room(self, cfg, V, rows, optim):
        "What is foretold of a step [bytes]"
        spans = step_spans(cfg, V, rows, BF16 if self.cuda else None, away=self.cuda)
        return room_of(parts_of(cfg, V, optim), spans, 'one', move=moving(cfg, V, optim)).peak

    def rows(self, cfg, V, optim):
        "Rows that fit into two thirds of the memory, at most 16"
        if not self.cuda: return 2
        free = torch.cuda.mem_get_info(self.device)[0]*2/3
        return next((r for r in (16, 8, 4, 2) if self.room(cfg, V, r, optim)<free), 1)

def batches(V, rows, T, n):
    g = torch.Generator().manual_seed(1)
    return [torch.randint(0, V, (rows,T+1), generator=g) for _ in range(n)]

class Trainer:
    "Real steps of a model, without a loop around them"
    def __init__(self, cfg, V, device, precision=None, compile='', matrix='muon'):
        torch.manual_seed(0)
        self.device,self.model = device,GPT(cfg, V, precision).to(device)
        # float32 in Newton-Schulz as well, where runs are compared
        self.opt = build_optim(self.model, OptimConfig(matrix=matrix, muon_dtype='auto' if precision else 'float32'))
        self.loss = torch.compile(self.model.loss, backend=compile) if compile else self.model.loss

    def step(self, ids):
        "Of a batch on the device; no number comes back before it is asked for"
        def fn(x, y): return self.loss(x, y, reduction='sum')
        self.opt.zero_grad()
        loss = accumulate(fn, ids[:,:-1], ids[:,1:], ids[:,1:].numel(), len(ids), self.device)
        clip_grads(self.opt.params, 1.)
        self.opt.step()
        return loss

def losses(rig, device, precision=None, compile='', n=20):
    t = Trainer(rig.small, rig.V, device, precision, compile)
    return torch.stack([t.step(ids.to(device)) for ids in batches(rig.V, 8, rig.small.seq_len, n)]).cpu()

def apart(a, b): return ((a-b).abs()/b.abs()).max().item()

@check
def losses_of_20_steps(rig):
    "As on a CPU"
    tf32 = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    cpu = losses(rig, torch.device('cpu'))
    for precision,name,most in ((None, 'float32', 1e-3), (BF16, 'bfloat16', 3e-2)):
        off = apart(losses(rig, rig.device, precision), cpu)
        what = f'losses of 20 steps, {name}, against float32 on a CPU'
        yield what,f'{off:.1e} apart at most',f'under {most:.0e}',off<most
    torch.backends.cuda.matmul.allow_tf32 = tf32

@check
def compiled_equals_eager(rig):
    a,b = (losses(rig, rig.device, compile=o, n=10) for o in ('', rig.compiler))
    off = apart(a, b)
    yield 'compiled against eager, losses of 10 steps, float32',f'{off:.1e} apart at most','under 1e-03',off<1e-3

@check
def resume_is_bitwise(rig):
    "A run that was interrupted and resumed, and one that was not"
    keys = {'train.device': str(rig.device), 'model.n_layer': 2, 'model.width': 64, 'model.seq_len': 64,
            'train.steps': 6, 'train.save_every': 3, 'tokenizer.vocab_size': 512, 'loader.batch_rows': 4,
            'eval.every': 0, 'eval.bytes': 8192, 'sample.every': 0,
            'preflight.at_start': False}
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with tempfile.TemporaryDirectory() as tmp:
            def run(name): return Run(None, say=None, out=f'{tmp}/{name}', **keys | {'prepare.cache': f'{tmp}/cache'})
            whole,again,half = run('a').fit(),run('b').fit(),run('c')
            for _ in range(3): half.step()
            half.save()
            half.close()
            half = run('c').fit()
            def weights(r): return r.model.state_dict().values()
            def same(a, b): return all(map(torch.equal, weights(a), weights(b)))
            twice,resumed = same(whole, again),same(whole, half)
            for r in (whole, again, half): r.close()
    finally: torch.use_deterministic_algorithms(False)
    yield 'the same run twice, weights after 6 steps','equal' if twice else 'not equal','equal',twice
    yield 'interrupted after 3 steps and resumed','equal' if resumed else 'not equal','equal',resumed

@check
def no_synchronisation_inside_a_step(rig):
    "torch warns wherever the host waits for the device"
    t = Trainer(rig.small, rig.V, rig.device, BF16 if rig.cuda else None)
    ids = [b.to(rig.device) for b in batches(rig.V, 8, rig.small.seq_len, 4)]
    for b in ids: t.step(b)
    rig.sync()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        if rig.cuda: torch.cuda.set_sync_debug_mode('warn')
        t.step(ids[0])
        if rig.cuda: torch.cuda.set_sync_debug_mode('default')
    waits = [str(w.message) for w in seen if 'synchroniz' in str(w.message).lower()]
    said = f'{len(waits)}'+(f': {waits[0][:80]}' if waits else '' if rig.cuda else ', though a CPU never waits')
    yield 'times that the host waits inside a step',said,'0',not waits

def timed(rig, fn, n):
    rig.sync()
    t = time.perf_counter()
    for i in range(n): fn(i)
    rig.sync()
    return (time.perf_counter()-t)/n

def speed(rig, depth, compile):
    "Rows of the table for one depth"
    cfg,V = rig.deep(depth)
    optim = OptimConfig(matrix='muon')
    rows,precision = rig.rows(cfg, V, optim),BF16 if rig.cuda else None
    ids = [b.to(rig.device) for b in batches(V, rows, cfg.seq_len, 4)]
    if rig.cuda: torch.cuda.reset_peak_memory_stats(rig.device)
    t0 = time.perf_counter()
    t = Trainer(cfg, V, rig.device, precision, compile and rig.compiler)
    t.step(ids[0])
    rig.sync()
    first = time.perf_counter()-t0
    t.step(ids[1])
    dt = timed(rig, lambda i: t.step(ids[i%4]), 2 if rig.tiny else 8)
    tok_s = rows*cfg.seq_len/dt
    mfu = flops_per_token(cfg, V)*tok_s/rig.peak.value if rig.peak.value else float('nan')
    how = f'depth {depth}, {rows} rows of {cfg.seq_len}, {"compiled" if compile else "eager"}'
    seen = f'{tok_s:,.0f}, {mfu:.1%} of {rig.peak.value/1e12:.3g} TFLOPS'
    yield f'{how}: tokens a second, MFU',seen,'a number',tok_s>0
    yield f'{how}: from nothing to the first step',f'{first:.1f} s','under 120 s',first<120
    if rig.cuda and not compile:
        real,said = torch.cuda.max_memory_allocated(rig.device),rig.room(cfg, V, rows, optim)
        off = said/real-1
        seen = f'{real/1e9:.2f} GB, {said/1e9:.2f} foretold ({off:+.1%})'
        yield f'{how}: memory, foretold by `pretrain plan`',seen,'within 10 %',abs(off)<.1
    elif not rig.cuda:
        seen = f'{rig.room(cfg, V, rows, optim)/1e6:.1f} MB foretold'
        yield f'{how}: memory, foretold by `pretrain plan`',seen,'a card to compare',True

@check
def depth_12_eager(rig): yield from speed(rig, 12, False)

@check
def depth_12_compiled(rig): yield from speed(rig, 12, True)

@check
def depth_20_eager(rig): yield from speed(rig, 20, False)

@check
def depth_20_compiled(rig): yield from speed(rig, 20, True)

@check
def generation(rig):
    cfg,V = rig.deep(12)
    torch.manual_seed(0)
    model,n = GPT(cfg, V, BF16 if rig.cuda else None).to(rig.device).eval(),8 if rig.tiny else 128
    for rows in (1, 32):
        prompts = [[1,2,3]]*rows
        generate_batch(model, prompts, 4)
        dt = timed(rig, lambda i: generate_batch(model, prompts, n), 1)
        yield f'depth 12, {rows} texts at once: new tokens a second',f'{rows*n/dt:,.0f}','a number',True

@check
def a_step_under_the_profiler(rig):
    "Copies between host and device, and what the host waits for, counted by torch's profiler"
    from torch.profiler import ProfilerActivity, profile
    t = Trainer(rig.small, rig.V, rig.device, BF16 if rig.cuda else None)
    ids = [b.to(rig.device) for b in batches(rig.V, 8, rig.small.seq_len, 3)]
    for b in ids: t.step(b)
    rig.sync()
    kinds = [ProfilerActivity.CPU]+[ProfilerActivity.CUDA]*rig.cuda
    with profile(activities=kinds) as p: t.step(ids[0])
    names = [e.name for e in p.events()]
    waits = sum(n in ('cudaStreamSynchronize', 'cudaEventSynchronize', 'aten::_local_scalar_dense') for n in names)
    said = f'{waits} among {len(names):,} events'+(', steps that AdamW reads on a CPU' if not rig.cuda else '')
    yield 'waits in a step, by the profiler',said,'0 on a card',not waits or not rig.cuda

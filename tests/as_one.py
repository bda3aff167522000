"""Runs of a few steps under torchrun, one group of processes for all: `torchrun … tests/as_one.py FOLDER STEPS CASE…`.
Each rank leaves what it saw as FOLDER/WORLD_RANK.json: case to ids, losses, norms, and the model at the end."""
import json, sys
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch
import numpy as np, torch
from pretrain.base.dist import barrier, cleanup, rank, setup, world
from pretrain.build import Run, load_config, make_model
from pretrain.data.loader import Loader
from pretrain.data.shards import Tokens
from pretrain.model.gpt import GPT
from pretrain.train.console import Console
from pretrain.train.loop import Loop

NORM = torch._foreach_norm
V,ROWS,T = 51,8,16   # an odd vocabulary, so that rows of embedding and head do not divide
SMALL = {'model.seq_len': T, 'model.n_layer': 3, 'model.n_head': 2, 'model.width': 24, 'model.init_out': 1.,
         'model.recipe': 'plain', 'loader.batch_rows': ROWS, 'schedule.warmup': 1, 'schedule.warmdown': .5}
EVERY = {f'model.{k}': v for k,v in dict(resid_scalars=True, x0_scalars=True, value_embed='all', value_gate=2.,
         value_residual=True, qk_scale=1.2, post_norm=True, attn_gate=True, smear=True, backout=True, bigram=37,
         n_kv_head=1).items()}
MUON = {'optim.matrix': 'muon', 'optim.muon_beta2': .9, 'optim.muon_equal_rows': True, 'optim.muon_cautious': True,
        'optim.muon_momentum_rise': 5, 'optim.decay_shape': 'linear'}
KINDS = dict(adamw={}, muon={'optim.matrix': 'muon'}, every=EVERY, best=EVERY|MUON, tiny={'model.n_layer': 1},
             even=EVERY|{'train.sums': 'float64'}, wide={'optim.matrix': 'muon', 'train.sums': 'float64'},
             again=EVERY|MUON|{'train.checkpoint_activations': True}, frozen={}, idle={}, exact=EVERY|MUON,
             order=EVERY|MUON|{'train.sums': 'float64', 'train.checkpoint_activations': True})
MICROS = dict(adamw=(0,1), best=(0,1), every=(1,), muon=(1,), tiny=(0,), again=(0,), frozen=(0,), idle=(1,),
              exact=(0,1), even=(1,), wide=(1,2), order=(1,2))  # rows
TIMED = 'timed'   # The one that is no comparison
CASES = [f'{mode} {kind} {micro}' for mode in ('ddp','fsdp') for kind,micros in MICROS.items() for micro in micros]

def text():
    "Ids of twenty documents of odd lengths"
    g = np.random.default_rng(0)
    def doc(n): return [0, *(g.integers(0, V-1, n)*g.integers(0, 2, n)+1).tolist()]
    return Tokens.from_docs([doc(n) for n in range(30, 70, 2)], vocab_size=V)

def odd_gpt(kind):
    "What other models may have: a matrix that stands still, a layer that the loss does not reach; or float64"
    def make(*args):
        m = GPT(*args)
        if kind in ('frozen','order'): m.blocks[0].attn.q.weight.requires_grad_(False)
        if kind=='idle': m.idle = torch.nn.Linear(3, 3)
        return m.double() if kind=='exact' else m
    return make

def model_of(cfg, kind):
    "Model and optimizer"
    with patch('pretrain.build.GPT', odd_gpt(kind)): par,opt = make_model(cfg, V)
    for g in opt.groups if kind=='exact' else (): g['dtype'] = torch.float64   # of Muon's products
    return par,opt

def wide(kind):
    "Inside, float64 has norms in float64, too"
    return patch('torch._foreach_norm', lambda gs, p, dtype: NORM(gs, p)) if kind=='exact' else nullcontext()

def nudged(model, seed):
    "Every parameter moved by its last bit, up or down"
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters(): p.mul_(1+2**-23*(2*torch.randint(0, 2, p.shape, generator=g)-1))

def case(name, steps, out, nudge=None):
    "One run: what it saw. `nudge` is the seed of a last bit added to its first weights"
    mode,kind,micro = name.split()
    cfg = load_config(None, SMALL | {'train.steps': steps, 'train.micro_rows': int(micro), 'train.parallel': mode} |
                      KINDS[kind])
    par,opt = model_of(cfg, kind)
    if nudge is not None: nudged(par.model, nudge)
    loader = Loader(text(), T=T, batch_rows=ROWS, seed=cfg.seed, rank=rank(), world=world())
    run = Loop(par, opt, loader, out, cfg.train, cfg.schedule, clip=.5, console=Console(None)).resume()
    batch,ids = run.loader.batch,[]
    def seen(*args, **kw):
        x,y = batch(*args, **kw)
        ids.append([*x.tolist(), *y.tolist()])
        return x,y
    run.loader.batch = seen
    with wide(kind): recs = [run.step() for _ in range(steps)]
    def end(run): return [p.double().sum().item() for p in run.model.parameters()]
    loss,norm = ([r[k] for r in recs] for k in ('loss', 'grad_norm'))
    return dict(ids=ids, loss=loss, norm=norm, mode=par.mode, end=run.shown_whole(end))

def thawed(out):
    "What is said where ranks ask `fit` for more steps and fewer, and to a matrix that is frozen on the way, under ddp"
    cfg = load_config(None, SMALL | {'model.n_layer': 1, 'train.steps': 3, 'train.parallel': 'ddp'})
    par,opt = model_of(cfg, 'tiny')
    loader = Loader(text(), T=T, batch_rows=ROWS, rank=rank(), world=world())
    run = Loop(par, opt, loader, out, cfg.train, cfg.schedule, console=Console(None)).resume()
    run.step()
    try: uneven = run.fit(1+rank()) and ''
    except ValueError as e: uneven = str(e)
    par.model.blocks[0].attn.q.weight.requires_grad_(False)
    try: return uneven,run.step() and ''
    except ValueError as e: return uneven,str(e)

def timed(folder):
    "A run of minutes in shards, from its text on: what is measured before the first step, two steps, and its end"
    keys = SMALL | {'train.minutes': 9, 'train.parallel': 'fsdp', 'data.train': str(folder/'text'),
                    'sample.prompts': (), 'tokenizer.vocab_size': 300, 'prepare.workers': 1,
                    'prepare.cache': str(folder/'cache'), 'metrics.peak_tflops': 1,
                    'preflight.at_start': False, 'eval.every': 1000}
    with Run(None, say=None, out=folder/'timed', **keys) as run:
        recs = [run.step() for _ in range(2)]
        seen = dict(mode=run.parallel.mode, loss=[r['loss'] for r in recs], n_valid=run.data.text.n_bytes)
    barrier()   # the first rank writes
    seen |= dict(zip(('uneven','thawed'), thawed(folder/'thawed'), strict=True))
    return seen | dict(saved=[p.name for p in (folder/'timed/checkpoints').glob('step_*')])

if __name__=='__main__':
    folder,steps,*names = sys.argv[1:]
    torch.set_num_threads(1)
    setup('cpu')
    def made(name): return case(name, int(steps), Path(folder)/f'{world()} {name}')
    out = {name: timed(Path(folder)) if name==TIMED else made(name) for name in names or CASES}
    (Path(folder)/f'{world()}_{rank()}.json').write_text(json.dumps(out))
    cleanup()

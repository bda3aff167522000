"""Optimizers side by side: share of a step, and bits per byte of held-out text after equal steps and equal time. A
command rather than a test: it takes an hour, and a figure of a machine proves nothing about another.

    python tests/bench/optim.py --text FOLDER --out nbs/reports/optimizers.json
    python tests/bench/optim.py --text FOLDER --out nbs/reports/optimizers.json --larger RUNS --steps 130   # in RUNS

FOLDER has `train*.jsonl` and `val*.jsonl`. Times are those of the process on one thread, so that whoever shares the
machine spoils them less. What is in the file already is not measured again; `--only` names what is wanted."""
import argparse, json, os, platform, statistics, subprocess, sys, time
os.environ.setdefault('OMP_NUM_THREADS', '1')
from dataclasses import replace
from datetime import date
from pathlib import Path
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))
import torch
from pretrain.build import load_config, make_model, read_data
from pretrain.eval.text import text_bpb, valid_text
from pretrain.model.optim import Optim, adamw, build_optim, group_settings, split_params
from pretrain.train.gradients import accumulate, clip_grads

BASE = {'tokenizer.vocab_size': 2048, 'model.seq_len': 128, 'model.n_layer': 4, 'model.n_head': 2, 'model.width': 128,
        'loader.batch_rows': 8, 'eval.bytes': 100_000, 'eval.rows': 16, 'schedule.warmup': 5, 'schedule.warmdown': .5,
        'optim.matrix': 'muon', 'optim.beta1': .8, 'optim.embed_lr': .2, 'optim.head_lr': .01, 'optim.lr': 4e-3}
STEPS = 150          # Of a trial [steps]
SHAPES = {'quickstart': (256, 4, 4, 128, 4096), 'depth 4': (256, 4, 2, 256, 8192)} # T, layers, heads, width, vocabulary
TOKENS = 8192        # Of a step whose parts are timed [tokens]
ROWS = 16            # Rows of a step of a trial at equal time
ROUNDS = 3           # Times that each is timed, in turns
M,O = 'optim.muon_','optim.'
TO_ZERO = {O+'decay_shape': 'cosine'}
EVERY = {M+'beta2': .9, M+'equal_rows': True, M+'cautious': True, M+'momentum_rise': 40} | TO_ZERO

# ------------------------------------------------------------ what is compared

def decay(v, **more): return {O+'weight_decay': float(v)} | {O+k: x for k,x in more.items()}
def adamw_at(lr, **more): return {O+'matrix': 'adamw', O+'lr': lr} | {O+k: x for k,x in more.items()}

SHORT = {M+'momentum': .9} | decay(1)   # what a short run wants
FAST,FASTER = SHORT | decay(.5) | {M+'lr': .04}, SHORT | decay(.3) | {M+'lr': .06}
TRIALS = {'plain': {}, 'momentum .9': {M+'momentum': .9}, 'momentum .85': {M+'momentum': .85}, 'decay 1': decay(1),
    'momentum .9, decay 1': SHORT, 'momentum .9, decay 3': SHORT | decay(3), 'AdamW 8e-3': adamw_at(8e-3),
    'AdamW 4e-3': adamw_at(4e-3), 'momentum .85, decay 1': SHORT | {M+'momentum': .85},
    'momentum .9, decay 1, NorMuon': SHORT | {M+'beta2': .9}, 'AdamW 8e-3, decay 5': adamw_at(8e-3, weight_decay=5.),
    'momentum .9, decay 1, rate .03': SHORT | {M+'lr': .03}, 'warmdown .7': {'schedule.warmdown': .7},
    'momentum .9, decay 4 cautious to 0': SHORT | decay(4, muon_cautious=True, decay_shape='cosine'),
    'embed_lr .4': {O+'embed_lr': .4}, 'head_lr .02': {O+'head_lr': .02}, '4 iterations': {M+'iters': 4},
    "nanochat's betas": {O+'embed_betas': [.8, .995], O+'head_betas': [.8, .96]}, 'quintic': {M+'chain': 'quintic'},
    'NorMuon': {M+'beta2': .9}, 'equal rows': {M+'equal_rows': True}, 'momentum rises': {M+'momentum_rise': 40},
    'momentum rises and falls': {M+'momentum_rise': 40, M+'momentum_end': .85}, 'no Nesterov': {M+'nesterov': False},
    'decay 1 to 0': decay(1, decay_shape='cosine'), 'decay 1 cautious': decay(1, muon_cautious=True),
    'decay 1 cautious to 0': decay(1, muon_cautious=True, decay_shape='cosine'), 'decay 0': decay(0),
    '3 iterations': {M+'iters': 3}, 'rms scale': {M+'scale': 'rms', M+'lr': .008}, 'AdamW 2e-3': adamw_at(2e-3),
    'AdamW 1.6e-2': adamw_at(1.6e-2), 'momentum .9, decay .5, rate .04': FAST,
    'momentum .9, decay .3, rate .06': FASTER,
    'momentum .9, decay .5, rate .04, NorMuon, equal rows': FAST | {M+'beta2': .9, M+'equal_rows': True}}
RIVALS = ('plain', 'momentum .9, decay 1', 'momentum .9, decay .5, rate .04', 'momentum .9, decay .3, rate .06',
          'momentum .9, decay .5, rate .04, NorMuon, equal rows', 'AdamW 4e-3', 'AdamW 2e-3', 'AdamW 8e-3')

TRIALS |= {f'rate {v:g}': {M+'lr': v} for v in (.01, .04)}
TRIALS |= {f'{k} {v:g}': {f'{O}{k}': v} for k,vs in dict(embed_lr=(.1,), head_lr=(.005,), beta1=(.9,), beta2=(.99,),
                                                       clip=(0.,)).items() for v in vs}
TRIALS |= {f'{k} {v:g}': {f'schedule.{k}': v} for k,vs in dict(warmdown=(.3, 1.), final=(.05,)).items() for v in vs}

# The quickstart with a larger model and steps of 8,192 tokens; `tests/bench/score.py` scores each run
LARGER = ['quickstart', 'model.n_layer=4', 'model.width=256', 'model.seq_len=256', 'model.softcap=0', 'eval.every=0',
          'tokenizer.vocab_size=8192', 'loader.batch_rows=32', 'train.micro_rows=0', 'train.device=cpu',
          'sample.every=0', 'optim.embed_decay=0', 'optim.head_decay=0', 'optim.weight_decay=0.05', 'model.n_head=2']
LARGE = {f'Muon {r:g}': [f'optim.muon_lr={r:g}'] for r in (.04, .06)}
LARGE |= {f'AdamW {r:g}': ['optim.matrix=adamw', f'optim.lr={r:g}'] for r in (4e-3, 6e-3, 2e-3)}

def torch_muon(model, cfg):
    "As torch has it: its Muon for the matrices, AdamW for the rest"
    how,groups = group_settings(cfg),{k: [p for _,p in ps] for k,ps in split_params(model).items() if ps}
    muon = torch.optim.Muon([dict(params=groups.pop('matrix'), name='matrix')], lr=cfg.muon_lr,
                            momentum=cfg.muon_momentum, weight_decay=cfg.weight_decay)
    return Optim(model, [muon, adamw([dict(params=ps, name=k, **how[k]) for k,ps in groups.items()], cfg)], cfg)

# ------------------------------------------------------------ training

READ = {}   # what was read already

def start(args, keys):
    "Config, data, model, optimizer"
    text = {'data.train': [str(p) for p in sorted(args.text.glob('train*.jsonl'))],
            'data.valid': [str(p) for p in sorted(args.text.glob('val*.jsonl'))]}
    cfg = load_config(None, BASE | text | {'train.device': 'cpu', 'train.steps': STEPS} | keys)
    key = (cfg.tokenizer.vocab_size, cfg.model.seq_len, cfg.loader.batch_rows, cfg.seed)
    if key not in READ:
        data = read_data(cfg, lambda line: None)
        READ[key] = replace(data, text=valid_text(data.measure, data.tok, cfg.eval.bytes))
    par,opt = make_model(cfg, READ[key].tok.vocab_size)
    return cfg,READ[key],par.model,opt

def one_step(cfg, model, opt, loader, i, n):
    "An update; seconds of forward and backward, and of the optimizer [s of the process]"
    row,t0 = i*cfg.loader.batch_rows,time.process_time()
    (x,y),n_tok = loader.batch(row=row),loader.n_valid(row=row)
    opt.schedule(i, n, cfg.schedule)
    opt.zero_grad()
    def loss(x, y): return model.loss(x, y, 'sum')
    accumulate(loss, x, y, n_tok, cfg.train.micro_rows or len(x), torch.device('cpu'))
    clip_grads(opt.params, cfg.optim.clip)
    t1 = time.process_time()
    opt.step()
    return t1-t0,time.process_time()-t1

def trial(args, keys, seed, steps=STEPS):
    "Bits per byte after a short training, and what it cost"
    cfg,data,model,opt = start(args, keys | {'seed': seed, 'train.steps': steps})
    parts = [one_step(cfg, model, opt, data.loader, i, steps) for i in range(steps)]
    def loss(x, y): return model.loss(x, y, reduction='none')
    v,_ = text_bpb(loss, data.text, data.tok.n_bytes, cfg.model.seq_len, cfg.eval.rows)
    return dict(bpb=v.bpb, steps=steps, seed=seed, s=sum(map(sum, parts)), optim_s=sum(o for _,o in parts))

def timed(args, keys, rounds=ROUNDS):
    "Seconds of forward and backward and of each optimizer, in turns"
    cfg,data,model,ours = start(args, keys)
    every = start(args, keys | EVERY)[0]
    opts = {'AdamW': build_optim(model, replace(cfg.optim, matrix='adamw')), 'Muon': ours,
            'Muon, every switch': build_optim(model, every.optim), "torch's Muon": torch_muon(model, cfg.optim)}
    res = {k: [] for k in ('forward and backward', *opts)}
    one_step(cfg, model, ours, data.loader, 0, STEPS)
    for r in range(rounds):
        res['forward and backward'].append(one_step(cfg, model, ours, data.loader, r, STEPS)[0])
        for k,o in opts.items():
            t = time.process_time()
            o.step()
            res[k].append(time.process_time()-t)
    return res

def shares(args, shape):
    "What the parts of a step of `TOKENS` tokens take"
    T,L,H,C,V = SHAPES[shape]
    return timed(args, {'model.seq_len': T, 'model.n_layer': L, 'model.n_head': H, 'model.width': C,
        'tokenizer.vocab_size': V, 'loader.batch_rows': TOKENS//T, 'train.micro_rows': TOKENS//T//4})

def longer(times, name):
    "Steps of a trial for one of Muon in the same time"
    t = {k: statistics.median(v) for k,v in times.items()}
    both = t['forward and backward']
    return (both+t['Muon'])/(both+t['AdamW']) if 'AdamW' in name else 1

def rivals(args, base, seed, known):
    "Muon as a short run may want it, and AdamW at several rates for as many steps as take the same time"
    size = base | {'loader.batch_rows': ROWS}
    if 'times' not in known: known['times'] = timed(args, size, 3*ROUNDS)
    for k in RIVALS:
        if any(o['seed']==seed for o in known.setdefault(k, [])): continue
        res = trial(args, size | TRIALS[k], seed, round(args.steps*longer(known['times'], k)))
        print(f'{k:<28} seed {seed} {res["steps"]} steps {res["bpb"]:.4f} {res["s"]:.0f} s', flush=True)
        known[k].append(res)
        yield

def larger(args, name, times):
    "Bits per byte of a run by command, in the same time as the others"
    steps = round(args.steps*longer(times, name))
    out = args.larger/f'{name} {steps}'.replace(' ', '-')
    keys = dict(out=out, **{'data.train': args.text/'train*.jsonl', 'data.valid': args.text/'val.jsonl',
                            'prepare.cache': args.larger/'cache', 'train.steps': steps})
    command = ['-m', 'pretrain', 'train', *LARGER, *(f'{k}={v}' for k,v in keys.items()), *LARGE[name]]
    subprocess.run([sys.executable, *command], check=True)
    score = [sys.executable, HERE/'score.py', 'ours', out, '--valid', args.text/'val.jsonl']
    return dict(json.loads(subprocess.run(score, check=True, capture_output=True).stdout), steps=steps)

def main():
    p = argparse.ArgumentParser()
    p.add_argument('--text', type=Path, required=True)
    p.add_argument('--out', type=Path, required=True)
    p.add_argument('--only', nargs='*', default=None, help='names of trials, "shares", "rivals"')
    p.add_argument('--set', nargs='*', default=[], help='key=value: another base than the one below')
    p.add_argument('--steps', type=int, default=STEPS, help='of a trial; AdamW alone takes more at equal time')
    p.add_argument('--seeds', type=int, nargs='*', default=[1])
    p.add_argument('--larger', type=Path, help='folder for runs of the larger model; nothing else is measured then')
    args = p.parse_args()
    torch.set_num_threads(1)
    base = BASE | {k: json.loads(v) for k,v in (o.split('=') for o in args.set)}
    found = json.loads(args.out.read_text()) if args.out.exists() else dict(trials={}, shares={})
    def keep(): args.out.write_text(json.dumps(found, indent=1)+'\n')
    for k in LARGE if args.larger else ():
        known = found.setdefault('larger', {}).setdefault(str(args.steps), {})
        if k in known or args.only is not None and k not in args.only: continue
        known[k] = larger(args, k, found['shares']['depth 4'])
        keep()
    if args.larger: return
    found |= dict(date=str(date.today()), machine=f'{platform.machine()}, torch {torch.__version__}, one thread',
                  base=base, tokens=TOKENS)
    for k in SHAPES:
        if k not in found['shares'] and (args.only is None or 'shares' in args.only):
            found['shares'][k] = shares(args, k)
            keep()
    for seed in args.seeds:
        if args.only is not None and 'rivals' not in args.only: continue
        for _ in rivals(args, base, seed, found.setdefault('rivals', {})): keep()
    for seed in args.seeds:
        for k,keys in TRIALS.items():
            known = {o['seed'] for o in found['trials'].get(k, [])}
            if seed in known or args.only is not None and k not in args.only: continue
            res = trial(args, base | keys, seed, args.steps)
            found['trials'].setdefault(k, []).append(res)
            keep()
            print(f'{k:<28} seed {seed} {res["bpb"]:.4f} {res["s"]:.0f} s', flush=True)

if __name__=='__main__': main()

"""What ideas of architecture gain: `python tests/bench/arch.py VARIANTS --base quickstart --seeds 1,2,3 --out FILE.json
key=value…` trains each variant of a base config at equal steps on the same batches from the same first weights, where
both have them, and measures bits per byte of validation text. The base is also trained for four fifths of the steps:
that says what time is worth. The mean of the weights of the last tenth of the steps is measured, too. Then steps of
each variant and of the base are timed in turn. Runs that are in the file already are not made again.

VARIANTS: a line each, `name: key=value key=value`; lines that begin with # are left out. `ramp=4`, no key of a config,
takes the first quarter of the tokens in steps of a quarter of the rows."""
import argparse, json, os, platform, shlex, statistics, time
from dataclasses import replace
from pathlib import Path
import torch
from pretrain.build import build_optim, load_config, make_model, read_data
from pretrain.eval.text import text_bpb, valid_text
from pretrain.train.gradients import accumulate, clip_grads

TEXT = 'eval.bytes=300000'  # Of validation text, where nobody says otherwise
PLACES = ('data', 'prepare')  # Sections that say where things lie on this machine
ROUNDS,WARM = 12,2  # Of steps timed in turn, and of those before them
RAMPED,AVERAGED = 1/4,1/10 # Shares of the steps: with fewer rows where asked for, and whose weights are averaged

def read_variants(path):
    "Name to its keys"
    lines = [l for l in Path(path).read_text().splitlines() if l.strip() and not l.startswith('#')]
    return {(cut := l.partition(':'))[0].strip(): shlex.split(cut[2]) for l in lines}

class Trained:
    "A variant on its way: the base's data, a model, an optimizer"
    def __init__(self, data, cfg, seed):
        self.cfg,self.data = replace(cfg, seed=seed),data
        self.model = make_model(self.cfg, data.tok.vocab_size)[0].model
        torch.manual_seed(seed)
        self.model.init_weights()   # drawn before anything that only this variant has
        self.model.load_state_dict(self.model.state_dict() | (data.first_weights(self.cfg) or {}))
        self.opt,self.params = build_optim(self.model, cfg.optim),list(self.model.parameters())

    def step(self, i, N, part=0, parts=1):
        x,y = (t.chunk(parts)[part] for t in self.data.loader.batch(i))
        self.opt.schedule(i, N, self.cfg.schedule)
        self.opt.zero_grad()
        def summed(x, y): return self.model.loss(x, y, 'sum')
        loss = accumulate(summed, x, y, int((y>=0).sum()), len(x), torch.device('cpu'))
        clip_grads(self.params, self.cfg.optim.clip)
        self.opt.step()
        return loss.item()

    def bpb(self):
        def loss(x, y): return self.model.loss(x, y, 'none')
        with torch.no_grad():
            return text_bpb(loss, self.data.text, self.data.tok.n_bytes, self.cfg.model.seq_len,
                            self.cfg.eval.rows)[0].bpb

def loss_of(losses, share=.1):
    "Mean of the last steps [nats per token]"
    last = losses[-max(1, int(len(losses)*share)):]
    return sum(last)/len(last)

def train(data, cfg, seed, N, ramp=1):
    t,mean,first = Trained(data, cfg, seed),None,N-max(1, int(N*AVERAGED))
    begun,losses = time.process_time(),[]
    for i in range(N):
        parts = ramp if i<N*RAMPED else 1
        losses += [t.step(i, N, k, parts) for k in range(parts)]
        if i>=first: mean = averaged(mean, t.model, i-first)
    bpb,spent = t.bpb(),time.process_time()-begun
    t.model.load_state_dict(mean)
    return dict(seed=seed, steps=N, bpb=bpb, bpb_mean=t.bpb(), loss=loss_of(losses), cpu_s=spent,
                curve=[round(l, 4) for l in losses[::max(1, N//60)]])

def averaged(mean, model, n):
    "The mean of `n` states with one more"
    now = model.state_dict()
    return {k: v.clone() if mean is None else mean[k].lerp(v, 1/(n+1)) for k,v in now.items()}

def step_ratio(data, base, cfg, N):
    "Step time of a variant over that of the base, in turn: median and all of them"
    pair,times = [Trained(data, c, 1) for c in (base, cfg)],([],[])
    for i in range(ROUNDS+WARM):
        for t,spent in zip(pair, times):
            begun = time.process_time()
            t.step(i, N)
            spent.append(time.process_time()-begun)
    each = [b/a for a,b in zip(*(t[WARM:] for t in times))]
    return dict(median=statistics.median(each), each=each)

def write(out, found):
    temp = out.with_suffix('.part')
    temp.write_text(json.dumps(found, indent=1))
    os.replace(temp, out)

def main(argv=None):
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument('variants')
    ask.add_argument('keys', nargs='*', help='of the base, key=value')
    ask.add_argument('--base', default='quickstart')
    ask.add_argument('--seeds', default='1')
    ask.add_argument('--only', default='', help='names, with commas; all where left out')
    ask.add_argument('--out', type=Path, default=Path('architecture.json'))
    a = ask.parse_args(argv)
    torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', '1')))
    keys = [TEXT, *a.keys]
    base,variants = load_config(a.base, keys),{'base': [], **read_variants(a.variants)}
    if a.only: variants = {k: v for k,v in variants.items() if k in a.only.split(',')}
    N,data = base.train.steps,read_data(base, print)
    data = replace(data, text=valid_text(data.measure, data.tok, base.eval.bytes))
    found = json.loads(a.out.read_text()) if a.out.exists() else dict(runs=[], ratios={})
    said = [k for k in keys if k.partition('.')[0] not in PLACES]
    found |= dict(date=time.strftime('%Y-%m-%d'), torch=torch.__version__, machine=platform.machine(), base=a.base,
                  keys=said, steps=N, tokens=N*base.loader.batch_rows*base.model.seq_len)
    def ramp(name): return max([1, *(int(k.removeprefix('ramp=')) for k in variants[name] if k.startswith('ramp='))])
    def config(name): return load_config(a.base, [*keys, *(k for k in variants[name] if not k.startswith('ramp='))])
    seeds = [*map(int, a.seeds.split(','))]
    for seed,name,steps in [*((s, k, N) for s in seeds for k in variants), *((s, 'base', N*4//5) for s in seeds)]:
        if any((r['name'], r['seed'], r['steps'])==(name, seed, steps) for r in found['runs']): continue
        run = dict(name=name, keys=variants[name]) | train(data, config(name), seed, steps, ramp(name))
        found['runs'].append(run)
        write(a.out, found)
        print(f"{name:<28} seed {seed} {steps} steps: {run['bpb']:.4f} bpb, {run['cpu_s']:.0f} s", flush=True)
    for name in variants:
        if name in found['ratios'] or name=='base' or ramp(name)>1: continue
        found['ratios'][name] = step_ratio(data, base, config(name), N)
        write(a.out, found)
        print(f"{name:<28} {found['ratios'][name]['median']:.3f} x step time of the base", flush=True)

if __name__=='__main__': main()

"""What `track.layers_every` costs: a step whose layers are recorded beside one whose layers are not, in turn, in one
process. A command rather than a test: a figure of a machine proves nothing about another.

    python tests/bench/layers.py --shapes d4 d6 --rounds 9 --out nbs/reports/layers.json

The share of a run follows from how often layers are recorded: one step in 100 is what the chapter names. Times are of
the processor, in one thread, so that others on the machine do not count."""
import argparse, json, platform, statistics, sys, time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
from step import SHAPES, WARM

def contenders(shape):
    "A step without and with a record of its layers"
    import torch
    from pretrain.model.blocks import ModelConfig
    from pretrain.model.gpt import GPT
    from pretrain.model.optim import OptimConfig, build_optim
    from pretrain.train.gradients import accumulate, clip_grads
    from pretrain.train.layers import Layers
    from pretrain.train.machine import start_machine
    L,C,H,T,V,B = shape
    start_machine('cpu')
    torch.manual_seed(0)
    model = GPT(ModelConfig(seq_len=T, n_layer=L, n_head=H, width=C), V)
    opt,params = build_optim(model, OptimConfig()),list(model.parameters())
    ids = torch.randint(0, V, (B,T+1), generator=torch.Generator().manual_seed(0))
    def step(due):
        opt.zero_grad()
        accumulate(lambda x,y: model.loss(x, y, reduction='sum'), ids[:,:-1], ids[:,1:], B*T, B).item()
        layers = Layers(model, due)
        clip_grads(params, 1.).item()
        opt.step()
        return layers.told()
    return lambda: step(False),lambda: step(True)

def timed(fn):
    start = time.process_time()
    fn()
    return time.process_time()-start

def extra(plain, recorded, rounds):
    "Times of both, in turn [s]"
    for _ in range(WARM): plain(),recorded()
    return [(timed(plain), timed(recorded)) for _ in range(rounds)]

def cost(pairs):
    "Medians of a step, and of what a record adds [s]"
    return statistics.median(a for a,_ in pairs),statistics.median(b-a for a,b in pairs)

def said(name, pairs, every):
    "A line"
    step,more = cost(pairs)
    return (f'{name}: a step takes {1000*step:.0f} ms, a record of its layers {1000*more:+.1f} ms ({more/step:+.1%}); '
            f'with one in {every} {more/step/every:+.3%} of the run; {len(pairs)} pairs')

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--shapes', nargs='+', choices=SHAPES, default=['d4','d6'], help='as tests/bench/step.py has them')
    p.add_argument('--rounds', type=int, default=9, help='pairs of steps')
    p.add_argument('--every', type=int, default=100, help='steps between records')
    p.add_argument('--out', type=Path, help='keep what was measured')
    args = p.parse_args()
    import torch
    torch.set_num_threads(1)
    found = {}
    for name in args.shapes:
        pairs = extra(*contenders(SHAPES[name]), args.rounds)
        print(said(name, pairs, args.every), flush=True)
        found[name] = dict(zip(('step_s', 'record_s'), (round(o, 5) for o in cost(pairs))), pairs=len(pairs))
    if args.out: args.out.write_text(json.dumps(dict(machine=platform.machine(), shapes=found), indent=1)+'\n')

if __name__=='__main__': main()

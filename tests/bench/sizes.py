"""Bits per byte of small models by size and tokens, and the curve through them. A command rather than a test: it takes
from minutes to hours.

    python tests/bench/sizes.py --out nbs/reports/sizes.json
    python tests/bench/sizes.py --train 'texts/train_*.jsonl' --valid texts/val.jsonl --vocab 8192 --out mine.json

Each size is trained by the dial's rules once for each number of tokens, from scratch and to the end of its schedule. A
point is written as soon as it is there; started again, the command goes on with what is missing. The fit is written
with the points, and how far it is off where a size was left out."""
import argparse, json, os, sys, tempfile, time
from dataclasses import asdict
from pathlib import Path
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

def settings(a, depth, tokens, out):
    "Keys of one run"
    keys = {'out': str(out), 'data.train': a.train, 'tokenizer.vocab_size': a.vocab, 'model.seq_len': a.seq_len,
            'model.depth': depth, 'model.recipe': a.recipe, 'train.tokens': tokens, 'seed': a.seed,
            'eval.bytes': a.bytes, 'eval.every': 0, 'train.threads': a.threads, 'preflight.at_start': False,
            'sample.prompts': [], 'metrics.peak_tflops': 1.}
    return keys | {k: v for k,v in {'data.valid': a.valid, 'prepare.cache': a.cache}.items() if v}

def quiet_run():
    "A run that measures at its end only, and draws nothing"
    from pretrain.build import Run
    nothing = lambda run: None
    return type('Quiet', (Run,), dict(first_validation=lambda run: {}, finish=nothing, meet_text=nothing))

def measure(a, depth, tokens):
    "One point: a run from scratch to its end"
    from pretrain.build import load_config
    from pretrain.model.cost import flops_per_token
    from pretrain.model.dial import n_multiplying
    with tempfile.TemporaryDirectory() as d:
        t = time.perf_counter()
        run = quiet_run()(load_config(None, [settings(a, depth, tokens, Path(d)/'run'), *a.set]), say=None).fit()
        cfg,V = run.cfg.model,run.tok.vocab_size
        seen = run.n_step*run.loader.batch_rows*run.loader.T
        return dict(depth=depth, width=cfg.width, N=n_multiplying(cfg, V), D=seen, asked=tokens, V=V, seed=a.seed,
                    bpb=run.best['val_bpb'], flops=flops_per_token(cfg, V)*seen, text_tokens=run.loader.n_text,
                    steps=run.n_step, rows=run.loader.batch_rows, set=a.set,
                    seconds=round(time.perf_counter()-t, 1))

def fitted(points):
    "What the points say: the curve, its error inside, and where a size was left out"
    from pretrain.model.curve import fit_curve, left_out, rms_off
    of = [(p['N'], p['D'], p['bpb']) for p in points if not p['set']]
    try: curve = fit_curve(of)
    except ValueError as e: return dict(why_not=str(e))
    inside = [(*p, curve(*p[:2])) for p in of]
    by = dict(tokens=left_out(of), size=left_out(of, 0))
    return dict(curve=asdict(curve), off_inside=rms_off(inside),
                off_left_out={k: rms_off(rows) for k,rows in by.items() if rows})

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--train', default='embedded')
    p.add_argument('--valid', default='')
    p.add_argument('--vocab', type=int, default=4096)
    p.add_argument('--seq-len', type=int, default=256)
    p.add_argument('--depths', type=int, nargs='+', default=[1, 2, 3, 4])
    p.add_argument('--tokens', type=int, nargs='+', default=[2**k for k in range(14, 19)])
    p.add_argument('--recipe', default='plain')
    p.add_argument('--bytes', type=int, default=80_000, help='of validation text [bytes]')
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--cache', default='')
    p.add_argument('--set', nargs='*', default=[], metavar='key=value', help='the same for every run')
    p.add_argument('--out', default='sizes.json')
    a = p.parse_args()
    out = Path(a.out)
    points = json.loads(out.read_text())['points'] if out.exists() else []
    have = {(o['depth'], o['asked'], o['seed'], tuple(o['set'])) for o in points}
    command = 'python tests/bench/sizes.py '+' '.join(sys.argv[1:])
    for depth,tokens in ((d, n) for n in a.tokens for d in a.depths):
        if (depth, tokens, a.seed, tuple(a.set)) in have: continue
        points.append(o := measure(a, depth, tokens))
        out.write_text(json.dumps(dict(command=command, points=points) | fitted(points), indent=1)+'\n')
        print(f"depth {depth}, {o['D']:,} tokens: {o['bpb']:.4f} bits per byte in {o['seconds']} s", flush=True)
    print(json.dumps(fitted(points)))

if __name__=='__main__':
    os.environ.setdefault('MPLBACKEND', 'agg')
    main()

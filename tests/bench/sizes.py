"""Bits per byte of small models by size and tokens, and the curve through them. A command rather than a test: it takes
from minutes to hours.

    python tests/bench/sizes.py --out nbs/reports/sizes.json
    python tests/bench/sizes.py --train 'texts/train_*.jsonl' --valid texts/val.jsonl --vocab 8192 --out mine.json

Each size is trained by the dial's rules once for each number of tokens, from scratch and to the end of its schedule. A
point is written as soon as it is there; started again, the command goes on with what is missing. The fit is written with
the points, and how far it is off where a size was left out."""
import argparse, json, os, platform, sys, tempfile, time
from dataclasses import asdict
from pathlib import Path
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

def settings(a, depth, tokens, out):
    "Keys of one run"
    from pretrain.model.dial import turn
    said = {'model.seq_len': a.seq_len, 'train.tokens': tokens} | dict(o.split('=', 1) for o in a.set)
    found = {k: v.value for k,v in turn(depth, said, a.vocab).items()}
    rows = said.get('loader.batch_rows', found.get('loader.batch_rows'))
    keys = {'out': str(out), 'data.train': a.train, 'tokenizer.vocab_size': a.vocab, 'model.seq_len': a.seq_len,
            'seed': a.seed, 'eval.bytes': a.bytes, 'eval.every': 0, 'train.steps': max(1, round(tokens/(rows*a.seq_len))),
            'train.threads': a.threads, 'preflight.at_start': False, 'sample.prompts': [], 'metrics.peak_tflops': 1.}
    if a.valid: keys['data.valid'] = a.valid
    if a.cache: keys['prepare.cache'] = a.cache
    return keys | {k: v for k,v in found.items() if k!='model.dial_tokens'} | {o.partition('=')[0]: o.partition('=')[2] for o in a.set}

def measure(a, depth, tokens):
    "One point: a run from scratch to its end"
    from pretrain.build import Run, load_config
    from pretrain.model.cost import flops_per_token
    from pretrain.model.dial import n_multiplying
    quiet = type('Quiet', (Run,), dict(first_validation=lambda run: {}, finish=lambda run: None, meet_text=lambda run: None))
    with tempfile.TemporaryDirectory() as d:
        keys = settings(a, depth, tokens, Path(d)/'run')
        own = {o.partition('=')[0] for o in a.set}
        t = time.perf_counter()
        run = quiet(load_config(None, [{k: v for k,v in keys.items() if k not in own}, *a.set]), say=None).fit()
        cfg,V = run.cfg.model,run.tok.vocab_size
        seen = run.cfg.train.steps*run.cfg.loader.batch_rows*cfg.seq_len
        return dict(depth=depth, width=cfg.width, N=n_multiplying(cfg, V), D=seen, bpb=run.best['val_bpb'], V=V,
                    flops=flops_per_token(cfg, V)*seen, text_tokens=run.loader.n_text,
                    steps=run.cfg.train.steps, rows=run.cfg.loader.batch_rows, seed=a.seed, set=a.set,
                    seconds=round(time.perf_counter()-t, 1))

def fitted(points):
    "What the points say: the curve, its error inside, and where a size was left out"
    from pretrain.model.curve import fit_curve, left_out, rms_off
    of = [(p['N'], p['D'], p['bpb']) for p in points if not p['set']]
    try: curve = fit_curve(of)
    except ValueError as e: return dict(why_not=str(e))
    return dict(curve=asdict(curve), off_inside=rms_off([(*p, curve(*p[:2])) for p in of]), off_left_out=rms_off(left_out(of)))

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--train', default='embedded')
    p.add_argument('--valid', default='')
    p.add_argument('--vocab', type=int, default=4096)
    p.add_argument('--seq-len', type=int, default=256)
    p.add_argument('--depths', type=int, nargs='+', default=[1, 2, 3, 4])
    p.add_argument('--tokens', type=int, nargs='+', default=[2**k for k in range(15, 20)])
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
    for tokens in a.tokens:
        for depth in a.depths:
            if (depth, tokens, a.seed, tuple(a.set)) in have: continue
            points.append(measure(a, depth, tokens) | dict(asked=tokens))
            told = dict(command='python tests/bench/sizes.py '+' '.join(sys.argv[1:]), cpu=platform.processor(), points=points)
            out.write_text(json.dumps(told | fitted(points), indent=1)+'\n')
            o = points[-1]
            print(f"depth {depth}, {o['D']:,} tokens: {o['bpb']:.4f} bits per byte in {o['seconds']} s", flush=True)
    print(json.dumps(fitted(points)))

if __name__=='__main__':
    os.environ.setdefault('MPLBACKEND', 'agg')
    main()

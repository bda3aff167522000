"""The quickstart: how good its model is after how long, and what each of its settings gains. A command rather than a
test, since it takes five minutes of two quiet cores for each run.

    python tests/bench/quick.py whole model.recipe=best --out nbs/reports/quickstart.json
    python tests/bench/quick.py trial --seconds 240 'NAME: key=value key=value' … --out nbs/reports/quickstart.json

`whole` is the command that a newcomer types, timed from its start to its end. A `trial` gives a variant of the
quickstart so many seconds of one core, rates by the share that is spent; two at once on two cores disturb each other
alike."""
import argparse, json, os, platform, shlex, statistics, subprocess, sys, tempfile, time
from dataclasses import replace
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNSURE = 4  # Steps after which the length of a trial is estimated from what is spent

def whole(keys, seed):
    "The command, and what its log says"
    env = {k: v for k,v in os.environ.items() if k!='OMP_NUM_THREADS'} | dict(PYTHONPATH=str(ROOT))   # of a newcomer
    with tempfile.TemporaryDirectory() as d:
        out,begun,cpu = f'{d}/run',time.perf_counter(),os.times()
        subprocess.run([sys.executable, '-m', 'pretrain', 'train', 'quickstart', f'out={out}', f'seed={seed}', *keys],
                       check=True, cwd=d, env=env, stdout=subprocess.DEVNULL)
        s,spent = time.perf_counter()-begun,os.times()
        log = [json.loads(l) for l in Path(out, 'metrics.jsonl').read_text().splitlines()]
    dts,bpb = [r['dt_s'] for r in log if 'dt_s' in r],[(r['step'], r['val_bpb']) for r in log if 'val_bpb' in r]
    return dict(s=s, core_s=sum(spent[2:4])-sum(cpu[2:4]), steps=log[-1]['step'], bpb=bpb[-1][1], curve=bpb,
                val_bytes=log[-1]['val_bytes'], tokens=sum(r.get('tokens', 0) for r in log),
                step_s=dict(zip(('least', 'median'), (min(dts), statistics.median(dts)))))

def trial(keys, seed, seconds):
    "A variant for so many seconds of one core"
    import torch
    from pretrain.build import load_config
    from pretrain.eval.text import valid_text
    from pretrain.reading import read_data
    from pretrain.train.machine import keep_memory
    from arch import Trained
    torch.set_num_threads(1)
    keep_memory()
    cfg = load_config('quickstart', keys)
    data = read_data(cfg, lambda line: None)
    t = Trained(replace(data, text=valid_text(data.measure, data.tok, 0)), cfg, seed)
    begun,i = time.process_time(),0
    while (spent := (time.process_time()-begun)/seconds)<1:
        t.step(i, max(i+2, int(i/spent)) if i>=UNSURE else cfg.train.steps)
        i += 1
    return dict(seconds=seconds, steps=i, tokens=i*cfg.loader.batch_rows*cfg.model.seq_len, bpb=t.bpb())

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('kind', choices=('whole', 'trial'))
    p.add_argument('what', nargs='*', help='keys of one whole run, or a trial each: NAME: KEYS')
    p.add_argument('--seconds', type=float, default=240)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--out', type=Path, required=True)
    a = p.parse_args()
    for o in a.what if a.kind=='trial' else [' '.join(a.what)]:
        name,_,keys = o.partition(':') if a.kind=='trial' else (o or 'as shipped', '', o)
        keys = shlex.split(keys)
        res = dict(kind=a.kind, name=name, keys=keys, seed=a.seed, date=str(date.today()),
                   machine=f'{platform.machine()}, {os.cpu_count()} cores')
        res |= whole(keys, a.seed) if a.kind=='whole' else trial(keys, a.seed, a.seconds)
        found = json.loads(a.out.read_text()) if a.out.exists() else []   # read late: two trials may run at once
        a.out.write_text(json.dumps([*found, res], indent=1)+'\n')
        print(f"{name}: {res['bpb']:.4f} bits per byte after {res['steps']:,} steps", flush=True)

if __name__=='__main__': main()

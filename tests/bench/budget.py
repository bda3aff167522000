"""Does a run of so many minutes take so many?

    python tests/bench/budget.py [--minutes 1,2,…] [--out nbs/reports/budget.json] [key=value…]
    python tests/bench/budget.py --minutes 3 --each model.depth=auto,1,2,3,4 --out nbs/reports/chosen.json

starts a command for each, with prepared data, and prints what was asked, what passed until the process had ended, and
the decisions. `--each` does so for each value of a key: is the depth that `auto` takes as good as the best by hand? A
command rather than a test: ten runs of one to ten minutes take an hour."""
import argparse, json, os, platform, subprocess, sys, tempfile, time, tomllib
from datetime import date
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MINUTES = '1,2,3,4,5,6,7,8,9,10'

def timed(config, minutes, out, keys):
    "Seconds of one command, and its log"
    args = [sys.executable, '-m', 'pretrain', 'train', config, *keys, f'train.minutes={minutes:g}', f'out={out}']
    t0 = time.monotonic()
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL,
                   env=os.environ | dict(PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])))
    took_s = time.monotonic()-t0
    return took_s,[json.loads(line) for line in (out/'metrics.jsonl').read_text().splitlines()]

def main():
    p = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    p.add_argument('--minutes', default=MINUTES, help='of the runs, with commas between')
    p.add_argument('--each', default='', help='a key and its values, with commas between: key=value,value')
    p.add_argument('--config', default='quickstart', help='a shipped config or a file')
    p.add_argument('--out', type=Path, help='keeps what was found, as JSON')
    p.add_argument('keys', nargs='*', help='keys of the config, key=value')
    a = p.parse_args()
    found = dict(date=str(date.today()), machine=f'{platform.machine()}, {os.cpu_count()} cores', config=a.config,
                 keys=a.keys, each=a.each, threads=os.environ.get('OMP_NUM_THREADS', 'unset'), rows=[])
    with tempfile.TemporaryDirectory() as d:
        longest = 'train.minutes='+a.minutes.split(',')[-1]   # a size that is chosen needs a time
        subprocess.run([sys.executable, '-m', 'pretrain', 'prepare', a.config, *a.keys, longest], check=True,
                       stdout=subprocess.DEVNULL)
        print(f'{"value":>5} {"asked":>7} {"real":>7} {"ratio":>6} {"steps":>7} {"decisions":>9} {"first":>7} '
              f'{"bpb":>7}  load')
        key,_,values = a.each.partition('=')
        for value,m in product(values.split(','), map(float, a.minutes.split(','))):
            out = Path(d)/f'{value}-{m:g}'
            took_s,log = timed(a.config, m, out, [*a.keys, *[f'{key}={value}']*bool(key)])
            plan,bpb = [r['horizon'] for r in log if 'horizon' in r],[r['val_bpb'] for r in log if 'val_bpb' in r]
            layers = tomllib.loads((out/'config.toml').read_text())['model']['n_layer']
            r = dict(value=value, layers=layers, minutes=m, s=took_s, steps=log[-1]['step'], decisions=len(plan),
                     first=plan[0], bpb=bpb[-1], load=os.getloadavg()[0])
            found['rows'].append(r)
            print(f'{value:>5} {60*m:6.0f}s {took_s:6.1f}s {took_s/60/m:6.3f} {r["steps"]:7,} {len(plan):9} '
                  f'{plan[0]:7,} {bpb[-1]:7.4f}  {r["load"]:.1f}', flush=True)
            if a.out: a.out.write_text(json.dumps(found, indent=1)+'\n')

if __name__=='__main__': main()

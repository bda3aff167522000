"""Break things on purpose and count: `python tests/faults [--full] [--seed N] [--json FILE] [NAME...]` prints what was promised and how often it held.

Without `--full` each experiment does a share of its count that fits into a few minutes for all; the full tier takes hours of two cores."""
import argparse, datetime, importlib, json, os, platform, sys, tempfile, time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import FAULTS

for f in sorted(Path(__file__).parent.glob('[!_]*.py')): importlib.import_module(f.stem)

def main(argv=None):
    p = argparse.ArgumentParser('python tests/faults', description=__doc__.splitlines()[0])
    p.add_argument('names', nargs='*', metavar='NAME', help=', '.join(FAULTS))
    p.add_argument('--full', action='store_true', help='the whole count')
    p.add_argument('--seed', type=int, default=0, help='of every random choice')
    p.add_argument('--json', type=Path, help='add the rows to this file, replacing those of the same experiments')
    a = p.parse_args(argv)
    if bad := [n for n in a.names if n not in FAULTS]: p.error(f'no experiment {bad[0]!r}; there are {", ".join(FAULTS)}')
    done = json.loads(a.json.read_text()) if a.json and a.json.exists() else {}
    failed = 0
    print('| experiment | promise | held | tried | s | note |\n|--|----|-|-|-|----|')
    for name in a.names or FAULTS:
        t = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f'faults-{name}-') as tmp: rows = FAULTS[name](a.full, a.seed, Path(tmp))
        t = time.monotonic()-t
        for r in rows: print(f'| {name} | {r.promise} | {r.held} | {r.tried} | {t:.0f} | {r.note} |', flush=True)
        failed += sum(r.held!=r.tried for r in rows)
        done[name] = dict(rows=[vars(r) for r in rows], seconds=round(t, 1), seed=a.seed, full=a.full, date=datetime.date.today().isoformat(),
                          machine=f'{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}, Python {platform.python_version()}')
        if a.json: a.json.write_text(json.dumps(done, indent=1)+'\n')
    return int(failed>0)

if __name__=='__main__': sys.exit(main())

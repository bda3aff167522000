"What all experiments share: a row of the table, a seed, and the command that runs them and keeps what they found"
import argparse, datetime, json, os, platform, sys, tempfile, time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `helpers`, when started by hand

@dataclass(frozen=True)
class Row:
    "What was promised, how often it was tried, how often it held"
    promise:str   # What a user may rely on
    tried:int     # Faults injected, or cases looked at
    held:int      # How often the promise held
    note:str = '' # Figures and circumstances, one line

FAULTS = {}  # name: function of (full, seed, tmp) that returns rows

def fault(fn):
    "Register an experiment under its name; `full` asks for the whole count, otherwise for a few minutes' share of it"
    FAULTS[fn.__name__] = fn
    return fn

def machine():
    "What an experiment ran on"
    return (f'{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}, '
            f'Python {platform.python_version()}')

def arguments(prog, doc, table, argv, options):
    "What the command line of a battery says"
    p = argparse.ArgumentParser(prog, description=doc.splitlines()[0])
    p.add_argument('names', nargs='*', metavar='NAME', help=', '.join(table))
    p.add_argument('--full', action='store_true', help='the whole count')
    p.add_argument('--seed', type=int, default=0, help='of every random choice')
    p.add_argument('--json', type=Path, help='add the rows to this file, replacing those of the same experiments')
    for name,kw in options.items(): p.add_argument(f'--{name}', **kw)
    a = p.parse_args(argv)
    if bad := [n for n in a.names if n not in table]: p.error(f'no experiment {bad[0]!r}; there are {", ".join(table)}')
    return a

def battery(prog, doc, table, call, argv=None, **options):
    """Run experiments by name, print a row for each promise, exit with an error when one was broken;
    `call(experiment, arguments, folder)` gives rows"""
    a = arguments(prog, doc, table, argv, options)
    done = json.loads(a.json.read_text()) if a.json and a.json.exists() else {}
    failed = 0
    print('| experiment | promise | held | tried | s | note |\n|--|----|-|-|-|----|', flush=True)
    for name in a.names or table:
        t = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f'{name}-') as tmp: rows = call(table[name], a, Path(tmp))
        t = time.monotonic()-t
        for r in rows: print(f'| {name} | {r.promise} | {r.held} | {r.tried} | {t:.0f} | {r.note} |', flush=True)
        failed += sum(r.held!=r.tried for r in rows)
        done[name] = dict(rows=[vars(r) for r in rows], seconds=round(t, 1), seed=a.seed, full=a.full,
                          date=datetime.date.today().isoformat(), machine=machine())
        if a.json: a.json.write_text(json.dumps(done, indent=1)+'\n')
    return int(failed>0)

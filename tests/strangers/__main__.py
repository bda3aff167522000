"""Situations that strangers to the library met, and what they should meet instead: a table situation → expected → seen.

    python tests/strangers [--full] [NAME...]"""
import argparse, importlib, sys, tempfile, time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from _case import CASES, try_case

for f in sorted(Path(__file__).parent.glob('[!_]*.py')): importlib.import_module(f.stem)

def main(argv=None):
    p = argparse.ArgumentParser('python tests/strangers', description=__doc__.partition('\n')[0])
    p.add_argument('names', nargs='*', metavar='NAME', help='cases; all where left out')
    p.add_argument('--full', action='store_true', help='also those that take long')
    a = p.parse_args(argv)
    if unknown := set(a.names)-set(CASES): p.error(f'{", ".join(sorted(unknown))}: unknown; {", ".join(CASES)}')
    cases = [CASES[n] for n in a.names] or [c for c in CASES.values() if a.full or not c.full]
    bad,t0 = 0,time.time()
    print('| situation | expected | seen |\n|--|--|--|')
    with tempfile.TemporaryDirectory(prefix='strangers-') as tmp:
        for c in cases:
            ok,seen = try_case(c, tmp)
            bad += not ok
            print(f'| {c.name}: {c.situation} | {c.expected} | {seen if ok else f"NO: {seen}"} |', flush=True)
    print(f'\n{len(cases)-bad} of {len(cases)} as expected, {time.time()-t0:.0f} s')
    return int(bad>0)

if __name__=='__main__': sys.exit(main())

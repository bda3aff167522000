"""Break things on purpose and count: what was promised, and how often it held.

    python tests/faults [--full] [--seed N] [--json FILE] [NAME...]

Without `--full` each experiment does a share of its count that fits into a few minutes for all; the full tier takes
hours of two cores."""
import importlib, sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import FAULTS, battery

for f in sorted(Path(__file__).parent.glob('[!_]*.py')): importlib.import_module(f.stem)

def call(fn, a, tmp): return fn(a.full, a.seed, tmp)

def main(argv=None): return battery('python tests/faults', __doc__, FAULTS, call, argv)

if __name__=='__main__': sys.exit(main())

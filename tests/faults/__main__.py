"""Break things on purpose and count: `python tests/faults [--full] [--seed N] [--json FILE] [NAME...]` prints what was promised and how often it held.

Without `--full` each experiment does a share of its count that fits into a few minutes for all; the full tier takes hours of two cores."""
import importlib, sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from common import FAULTS, battery

for f in sorted(Path(__file__).parent.glob('[!_]*.py')): importlib.import_module(f.stem)

def main(argv=None): return battery('python tests/faults', __doc__, FAULTS, lambda fn, a, tmp: fn(a.full, a.seed, tmp), argv)

if __name__=='__main__': sys.exit(main())

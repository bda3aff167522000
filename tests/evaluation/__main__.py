"""Can others trust the evaluation? What was promised, and how often it held.

    python tests/evaluation [--bundle DIR] [--full] [--seed N] [--json FILE] [NAME...]

Without `--bundle` a tiny bundle is made, which takes seconds; with the bundle of CORE it takes minutes, and with
`--full` hours of two cores."""
import importlib, os, sys
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')   # before torch is imported: more threads make tiny models slower
sys.path.insert(0, str(Path(__file__).resolve().parent))
from _core import EXPERIMENTS, Lab
from common import battery

for f in sorted(Path(__file__).parent.glob('[!_]*.py')): importlib.import_module(f.stem)

BUNDLE = dict(metavar='DIR', help='directory of the evaluation data of CORE; a tiny one is made where left out')

def call(fn, a, tmp): return fn(Lab(a.full, a.seed, tmp, a.bundle))

def main(argv=None): return battery('python tests/evaluation', __doc__, EXPERIMENTS, call, argv, bundle=BUNDLE)

if __name__=='__main__': sys.exit(main())

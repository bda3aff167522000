"What all experiments share: one row of the table each, a seed, and runs small enough to be broken hundreds of times"
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `helpers`, when started by hand

@dataclass(frozen=True)
class Row:
    "What was promised, how often it was tried, how often it held"
    promise:str   # What a user may rely on
    tried:int     # Faults injected
    held:int      # How often the promise held
    note:str = '' # Figures and circumstances, one line

FAULTS = {}  # name: function of (full, seed, tmp) that returns rows

def fault(fn):
    "Register an experiment under its name; `full` asks for the whole count, otherwise for a few minutes' share of it"
    FAULTS[fn.__name__] = fn
    return fn

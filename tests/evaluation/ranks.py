"Do several processes find what one finds?"
import json, os, subprocess, sys
import torch
from _core import HERE, Row, compare, experiment, small_gpt
from pretrain.eval.core.evaluate import evaluate_core
from pretrain.eval.core.keep import load_core

def start(lab, n):
    "Evaluate in `n` processes"
    launch = ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', str(n)] if n>1 else []
    env = {k: v for k,v in os.environ.items() if k not in ('RANK','WORLD_SIZE','LOCAL_RANK')}
    env |= dict(OMP_NUM_THREADS='1', PYTHONPATH=os.pathsep.join(p for p in sys.path if p))
    args = [sys.executable, *launch, HERE/'_rank.py', lab.bundle, lab.tmp, str(lab.some), str(lab.seed)]
    p = subprocess.run(args, env=env, capture_output=True, text=True)
    assert p.returncode==0, p.stderr[-3000:]
    said = [json.loads((lab.tmp/f'rank_{r}_of_{n}.json').read_text()) for r in range(n)]
    return load_core(lab.tmp/f'of_{n}'),said

@experiment
def ranks(lab):
    "One process and two under torchrun"
    lab.tok.save(lab.tmp/'tokenizer')
    torch.manual_seed(lab.seed)
    here = evaluate_core(small_gpt(lab.tok.vocab_size, n_kv_head=2, window=9), lab.tok, lab.bundle, lab.some)
    one,said_by_one = start(lab, 1)
    two,said_by_two = start(lab, 2)
    said = said_by_one+said_by_two
    n = lab.n(lab.some)
    counts = [len(here.examples), len(one.examples), len(two.examples), *(s['n'] for s in said)]
    rows = [Row('every rank has every example', len(counts), sum(c==n for c in counts), lab.asked_of(lab.some))]
    held,worst,first = compare(two.examples, one.examples, ids=False)
    rows.append(Row('two ranks: decisions and mean losses are those of one', n, held,
                    f'largest difference of a mean loss {worst:.1e} nats{first}'))
    whole = dict(core=here.core, n=n, right=[e.correct for e in here.examples])
    rows.append(Row('every rank returns the same CORE and the same right answers as this process',
                    3, sum(s==whole for s in said), f'CORE {here.core:.6f}'))
    return rows

"""What only a card can show, in at most 8 minutes on one: a table with its name, as Markdown and JSON.

    python tests/gpu [--out DIR]                    # on the first CUDA device
    python tests/gpu --device cpu --tiny            # the same checks on a CPU with tiny sizes: does the script work?

Sizes adapt to the memory of the card. A check that fails says so in its row, and the others go on; one for which there
is no time left is named."""
import os
os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')   # read by cuBLAS when it starts: the same sums each time
import argparse, json, sys, time
from datetime import date
from pathlib import Path
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from _checks import CHECKS, Rig

LIMIT_S = 8*60

def table(found):
    "As Markdown"
    head = f'{found["card"]}, torch {found["torch"]}, {found["date"]}, {found["seconds"]:.0f} s'
    rows = [f'| {r["what"]} | {r["seen"]} | {r["wanted"]} | {"yes" if r["ok"] else "NO"} |' for r in found['rows']]
    return '\n'.join([head, '', '| what | seen | wanted | as wanted |', '|--|--|--|--|', *rows])

def run(rig, limit_s=LIMIT_S):
    "All checks, one after the other"
    t0,rows = time.monotonic(),[]
    for name,check in CHECKS.items():
        if time.monotonic()-t0>limit_s:
            rows.append(dict(what=name, seen='no time left', wanted='', ok=False))
            continue
        try: new = [dict(zip(('what','seen','wanted','ok'), r)) for r in check(rig)]
        except Exception as e:
            new = [dict(what=name, seen=f'{type(e).__name__}: {str(e)[:120]}', wanted='to work', ok=False)]
        rows += new
        for r in new: print(f'  {r["what"]}: {r["seen"]}', flush=True)
        rig.clear()
    return dict(card=rig.card, torch=torch.__version__, date=str(date.today()), seconds=time.monotonic()-t0,
                tiny=rig.tiny, rows=rows)

def main(argv=None):
    p = argparse.ArgumentParser('python tests/gpu', description=__doc__.partition('\n')[0])
    p.add_argument('--device', default='cuda')
    p.add_argument('--tiny', action='store_true', help='tiny sizes')
    p.add_argument('--out', type=Path, help='folder for gpu.md and gpu.json')
    a = p.parse_args(argv)
    if a.device!='cpu' and not torch.cuda.is_available():
        p.error('no CUDA device here; --device cpu --tiny tries the script itself')
    found = run(Rig(torch.device(a.device), a.tiny))
    print('\n'+table(found))
    if a.out:
        a.out.mkdir(parents=True, exist_ok=True)
        (a.out/'gpu.md').write_text(table(found)+'\n')
        (a.out/'gpu.json').write_text(json.dumps(found, indent=1)+'\n')
    return int(not all(r['ok'] for r in found['rows']))

if __name__=='__main__': sys.exit(main())

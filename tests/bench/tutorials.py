"""How long each tutorial takes, from a fresh kernel to its last cell: by the clock, and of the processor with all the
processes that it starts.

    python tests/bench/tutorials.py [NOTEBOOK…] --out nbs/reports/tutorials.json

The page *Reliability* shows what is kept. Where others use the machine too, the clock says more about them: on one core
that is free a tutorial takes about the time of the processor, on two less. A command rather than a test: it takes
minutes, and another machine has other figures."""
import argparse, datetime, json, os, platform, resource, time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_S = 3000   # For a tutorial, on a crowded machine

def spent():
    "Seconds of the processor that processes took which this one has seen end"
    u = resource.getrusage(resource.RUSAGE_CHILDREN)
    return u.ru_utime+u.ru_stime

def once(nb):
    "A notebook as a reader goes through it; what is saved in it stays"
    import nbformat
    from nbclient import NotebookClient
    book,at,before = nbformat.read(nb, 4),time.time(),spent()
    where = dict(metadata=dict(path=str(nb.parent)))
    NotebookClient(book, timeout=MOST_S, kernel_name='python3', resources=where).execute()
    return dict(cells=sum(c.cell_type=='code' for c in book.cells), clock_s=round(time.time()-at, 1),
                cpu_s=round(spent()-before, 1))

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('notebooks', nargs='*', type=Path)
    ap.add_argument('--out', type=Path)
    a = ap.parse_args()
    os.environ.pop('IN_TEST', None)
    where = f'{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}'
    found = dict(date=str(datetime.date.today()), machine=where, tutorials={})
    for nb in a.notebooks or sorted((ROOT/'nbs/tutorials').glob('*.ipynb')):
        found['tutorials'][nb.stem] = took = once(nb)
        print(nb.stem, took, f'{os.getloadavg()[0]:.1f} processes want the processor', flush=True)
        if a.out: a.out.write_text(json.dumps(found, indent=1)+'\n', encoding='utf-8')

if __name__=='__main__': main()

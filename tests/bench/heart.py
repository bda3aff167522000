"""The heart of the loop, read while it runs: of each line of `Loop.update` the time it took, its share of the step, and
the shapes of what it named, in a run of the quickstart's own config.

    python tests/bench/heart.py [CONFIG] [--steps 20] --out nbs/reports/heart.json

The chapter *Loop* shows what is kept. Times are of the processor, in one thread, so that others on the machine do not
count; the first steps, which warm up, are left out. A command rather than a test: another machine has other figures."""
import argparse, inspect, json, platform, statistics, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
WARM = 3   # Steps that are not counted

def shape(v):
    "What a reader wants to know of a value; '' where that is nothing"
    import torch
    if isinstance(v, torch.Tensor): return '×'.join(map(str, v.shape)) or 'a number'
    if isinstance(v, float): return f'{v:.4g}'
    return f'{v:,}' if type(v) is int else ''

class Lines:
    "Times the lines of one function, while it is called"
    def __init__(self, fn): self.code,self.took,self.seen,self.at = fn.__code__,{},{},None

    def mark(self, frame):
        "The line that was running is over"
        now = time.process_time()
        if self.at:
            line,since,had = self.at
            self.took[line] = self.took.get(line, 0.)+now-since
            new = {k: s for k,v in frame.f_locals.items() if had.get(k) is not v and (s := shape(v))}
            if new: self.seen[line] = new

    def lines(self, frame, event, arg):
        self.mark(frame)
        self.at = None if event=='return' else (frame.f_lineno, time.process_time(), dict(frame.f_locals))
        return self.lines

    def calls(self, frame, event, arg):
        if frame.f_code is not self.code: return None
        self.at = None
        return self.lines

    def once(self, fn):
        "Line to seconds, line to what it named"
        self.took,self.seen = {},{}
        sys.settrace(self.calls)
        try: fn()
        finally: sys.settrace(None)
        return self.took,self.seen

def statements(fn):
    "Of each line of a function the first line of its statement, and that statement's text"
    import ast
    source,first = inspect.getsourcelines(fn)
    tree = ast.parse(''.join(source)).body[0]
    res = {}
    def look(body):
        for s in body:
            inner = [getattr(s, k) for k in ('body', 'orelse') if isinstance(getattr(s, k, None), list)]
            end = inner[0][0].lineno-1 if inner and inner[0][0].lineno>s.lineno else s.end_lineno
            text = ''.join(source[s.lineno-1:end]).rstrip()
            for i in range(s.lineno, end+1): res[first+i-1] = (first+s.lineno-1, text)
            for b in inner: look([o for o in b if o.lineno>s.lineno])
    look(tree.body[1:] if ast.get_docstring(tree) else tree.body)
    return res

def rows_of(fn, steps):
    "Each statement in its order: text, median seconds, share, what it named"
    where,each = statements(fn),{}
    for took,_ in steps:
        mine = {}
        for line,s in took.items(): mine[where[line][0]] = mine.get(where[line][0], 0.)+s
        for k,s in mine.items(): each.setdefault(k, []).append(s)
    whole = statistics.median(sum(t.values()) for t,_ in steps)
    named = {}
    for line,new in steps[-1][1].items(): named.setdefault(where[line][0], {}).update(new)
    return [dict(code=text, s=round(m := statistics.median(each[k]), 7) if k in each else None,
                 share=round(m/whole, 5) if k in each else None, named=named.get(k, {}))
            for k,text in sorted({v for v in where.values()})], whole

def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('config', nargs='?', default='quickstart')
    p.add_argument('--steps', type=int, default=20)
    p.add_argument('--out', type=Path)
    a = p.parse_args()
    import torch
    from pretrain.build import Run
    from pretrain.train.loop import Loop
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as tmp:
        keys = {'train.threads': 1, 'prepare.workers': 1, 'eval.bytes': 10_000, 'sample.every': 0, 'eval.every': 0}
        run = Run(a.config, out=f'{tmp}/run', **keys, **{'prepare.cache': f'{tmp}/cache', 'preflight.at_start': False})
        lines = Lines(Loop.update)
        steps = [lines.once(run.step) for _ in range(WARM+a.steps)][WARM:]
        rows,whole = rows_of(Loop.update, steps)
        run.yards.join()
        c = run.cfg
        about = dict(config=a.config, steps=a.steps, step_s=round(whole, 4), machine=platform.machine(),
                     rows=c.loader.batch_rows, T=c.model.seq_len, layers=c.model.n_layer, width=c.model.width,
                     V=run.tok.vocab_size)
    for r in rows:
        print(f'{1000*(r["s"] or 0):9.2f} ms {r["share"] or 0:6.1%} {r["code"].strip().splitlines()[0]}  {r["named"]}')
    if a.out: a.out.write_text(json.dumps(dict(about, lines=rows), indent=1, ensure_ascii=False)+'\n', encoding='utf-8')

if __name__=='__main__': main()

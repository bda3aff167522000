"The log after a crash at any byte, and what a long run leaves behind in memory, descriptors and threads"
import gc, json, os, random, threading
from common import Row, fault
from helpers import SMALL, write_texts
from pretrain.base.config import read_config
from pretrain.store.log import MetricsLog, read_metrics
from pretrain.build import Config, Run

def line(rng, step):
    "A record as the log writes it"
    record = dict(step=step, loss=rng.random(), note='é'*rng.randrange(4))
    return json.dumps(record, ensure_ascii=False).encode()+b'\n'

def torn(tmp, rng, i):
    """A log cut at a random byte, taken up at a random step: every record that is to stay is there once, and no byte is
    lost"""
    n = rng.randrange(1, 40)
    lines = [line(rng, s) for s in range(n)]
    whole = b''.join(lines)
    cut = whole[:rng.randrange(len(whole))]
    path = tmp/f'{i}'/'metrics.jsonl'
    path.parent.mkdir()
    path.write_bytes(cut)
    back = rng.randrange(-1, n)
    with MetricsLog(path) as log:
        repaired = [r['step'] for r in read_metrics(path)]
        log.truncate(back)
        log.append(dict(step=n, loss=1.))
    got = [r['step'] for r in read_metrics(path)]
    aside = [json.loads(l) for l in log.side.read_text().splitlines()] if log.side.exists() else []
    # what should be there
    n_whole = cut.count(b'\n')
    rest = cut[len(b''.join(lines[:n_whole])):]
    only_end_missing = rest and rest+b'\n'==lines[n_whole]   # then the record is there
    readable = n_whole+bool(only_end_missing)
    kept = [s for s in range(readable) if s<=back]
    fragments = [rest.decode('utf-8', 'backslashreplace')] if rest and not only_end_missing else []
    return (repaired==list(range(readable))
            and got==[*kept, n]
            and [r['step'] for r in aside if 'step' in r]==list(range(len(kept), readable))
            and [r['torn'] for r in aside if 'torn' in r]==fragments)

@fault
def log(full, seed, tmp):
    "Truncations of the log at any byte"
    rng = random.Random(seed)
    res = [torn(tmp, rng, i) for i in range(500 if full else 100)]
    promise = 'a log cut at any byte and taken up at any step has each step once; what was cut is in the side file'
    return [Row(promise, len(res), sum(res))]

def used():
    "Memory [bytes], descriptors, threads of this process"
    gc.collect()
    with open('/proc/self/statm') as f: rss = int(f.read().split()[1])*os.sysconf('SC_PAGE_SIZE')
    return rss,len(os.listdir('/proc/self/fd')),threading.active_count()

@fault
def leak(full, seed, tmp):
    "A long run with saves, validations and samples"
    steps,warm = (20_000,2_000) if full else (1200,400)
    every = warm//4
    write_texts(tmp/'text')
    tiny = ['model.seq_len=16', 'model.width=16', 'loader.batch_rows=2', 'train.micro_rows=0', 'eval.bytes=800']
    due = [f'train.steps={steps}', f'train.save_every={every}', f'eval.every={every}', f'sample.every={every}']
    paths = [f'data.train={tmp}/text', f'prepare.cache={tmp}/cache', f'out={tmp}/run']
    over = [*SMALL, *tiny, *due, *paths, 'guard.spike=50', 'preflight.at_start=false']
    run = Run(read_config(Config, overrides=over), say=None)
    while run.n_step<warm: run.step()
    run.saver.join()
    rss,fds,threads = used()
    while run.n_step<steps-1: run.step()
    run.saver.join()
    rss2,fds2,threads2 = used()
    mb = (rss2-rss)/2**20
    note = f'{mb:+.1f} MB from step {warm:,} to {steps:,}, descriptors {fds} to {fds2}, threads {threads} to {threads2}'
    held = mb<10 and fds==fds2 and threads==threads2
    return [Row('a long run grows by less than 10 MB, with constant descriptors and threads', 1, int(held), note)]

"Many processes that begin at once: in one run directory one may train, in one cache one may build"
import platform, re, signal, time
from common import Row, fault
from _lab import Lab
from stops import artefacts

def at_once(lab, go, argvs, name, **kw):
    "Processes that all wait for the file `go`, which is made when the last of them is there; ledgers by `name`"
    ps = [lab.start(*argv, wait=str(go), tell=['begin'], ledger=f'{name}-{i}.ledger', **kw)
          for i,argv in enumerate(argvs)]
    for p in ps: p.hears()
    go.touch()
    return ps

def tells_who(text, pid):
    "Is it one line that tells who trains, where, and since when?"
    m = re.search(r'\(pid (\d+) on (\S+) since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\)', text)
    return '\n' not in text and bool(m) and int(m[1])==pid and m[2]==platform.node()

@fault
def starts(full, seed, tmp):
    "50 processes that start in one run directory at the same moment, again and again"
    lab = Lab(tmp, 'train.steps=20000', whole=False)
    n,rounds = (50,8) if full else (20,1)
    assert lab.start('prepared', command='prepare').end()==0
    one,named,n_refused,strange = 0,0,0,''
    for r in range(rounds):
        ps = at_once(lab, lab.dir/f'go{r}', [('run', 'train.save_every=50') for _ in range(n)], f'run{r}')
        end = time.monotonic()+60
        while time.monotonic()<end and sum(p.p.is_alive() for p in ps)>1: time.sleep(.02)
        trains = {e['pid'] for i in range(n) for e in lab.events(f'run{r}-{i}') if e['event']=='resume'}
        alive = [p for p in ps if p.p.is_alive()]
        winner = alive[0].pid if alive else None
        one += len(alive)==1 and trains<={winner}
        for i,p in enumerate(ps):
            if p in alive:
                p.end(signal.SIGKILL)
                continue
            text = lab.said(f'run{r}-{i}').strip()
            n_refused += 1
            good = p.end()==2 and tells_who(text, winner)
            named += good
            if not good: strange = f'exit {p.end()}, while {winner} trains: {text[-300:]}'
    return [Row('of processes that start at once in one directory exactly one trains', rounds, one,
                f'{n} processes a round; the winner is killed, and the next round finds its lock free'),
            Row('each of the others is told in one line who trains: process, host, since when', n_refused, named,
                strange)]

# What a preparation says where it builds
BUILDS = 'tokenizer: learning','train tokens: encoding','valid tokens: encoding'

@fault
def two_preparations(full, seed, tmp):
    "Two preparations that start at once with an empty cache"
    lab = Lab(tmp, 'prepare.shard_chars=10000', whole=False)
    assert lab.start('clean', 'prepare.cache=clean', command='prepare').end()==0
    clean,_ = artefacts(lab.dir/'clean')
    n = 10 if full else 2
    held = tried = late = 0
    fails = []
    while tried<n and late<=n:
        r = tried+late
        argvs = [(f'p{i}', f'prepare.cache=both{r}') for i in range(2)]
        ps = at_once(lab, lab.dir/f'go{r}', argvs, f'p{r}', command='prepare')
        codes = [p.end() for p in ps]
        said = [lab.said(f'p{r}-{i}') for i in range(2)]
        built = [sum(s.count(k) for s in said) for k in BUILDS]
        ok = codes==[0,0] and built==[1,1,1] and artefacts(lab.dir/f'both{r}')[0]==clean
        if ok and not any('waiting' in s for s in said):
            late += 1  # the second began when all was there: nobody had to wait, nothing was tried
            continue
        tried += 1
        held += ok
        if not ok: fails.append(f'exit codes {codes}, built {built} times')
    note = '; '.join(fails)+f'{late} more pairs did not meet'*bool(late)
    promise = 'two preparations at once: one builds, the other waits, both end with the files of an undisturbed one'
    return [Row(promise, tried, held, note)]

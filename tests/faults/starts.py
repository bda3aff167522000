"Many processes that begin at once: in one run directory one may train, in one cache one may build"
import platform, re, signal, time
from common import Row, fault
from _lab import Lab
from stops import artefacts

@fault
def starts(full, seed, tmp):
    "50 processes that start in one run directory at the same moment, again and again"
    lab = Lab(tmp, 'train.steps=20000', whole=False)
    n,rounds = (50,8) if full else (20,1)
    assert lab.start('prepared', command='prepare').end()==0
    one,named,n_refused = 0,0,0
    for r in range(rounds):
        go = lab.dir/f'go{r}'
        ps = [lab.start('run', 'train.save_every=50', wait=str(go), tell=['begin'], ledger=f'run{r}-{i}.ledger') for i in range(n)]
        for p in ps: p.hears()
        go.touch()
        end = time.monotonic()+60
        while time.monotonic()<end and sum(p.p.is_alive() for p in ps)>1: time.sleep(.02)
        trains = {e['pid'] for i in range(n) for e in lab.events(f'run{r}-{i}') if e['event']=='resume'}
        alive = [p for p in ps if p.p.is_alive()]
        one += len(alive)==1 and trains<={alive[0].pid}
        for i,p in enumerate(ps):
            if p in alive: p.end(signal.SIGKILL); continue
            text = lab.said(f'run{r}-{i}').strip(); m = re.search(r'\(pid (\d+) on (\S+) since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\)', text)
            n_refused += 1
            named += p.end()==2 and text.count('\n')==0 and bool(m) and int(m[1])==alive[0].pid and m[2]==platform.node()
    return [Row('of processes that start at once in one directory exactly one trains', rounds, one, f'{n} processes a round; the winner is killed, and the next round finds its lock free'),
            Row('each of the others is told in one line who trains: process, host, since when', n_refused, named)]

@fault
def two_preparations(full, seed, tmp):
    "Two preparations that start at once with an empty cache"
    lab = Lab(tmp, 'prepare.shard_chars=10000', whole=False)
    assert lab.start('clean', 'prepare.cache=clean', command='prepare').end()==0
    clean,_ = artefacts(lab.dir/'clean')
    n,held,tried,late,fails = 10 if full else 2,0,0,0,[]
    while tried<n and late<=n:
        r = tried+late
        go = lab.dir/f'go{r}'
        ps = [lab.start(f'p{i}', f'prepare.cache=both{r}', command='prepare', wait=str(go), tell=['begin'], ledger=f'p{r}-{i}.ledger') for i in range(2)]
        for p in ps: p.hears()
        go.touch()
        codes = [p.end() for p in ps]
        said = [lab.said(f'p{r}-{i}') for i in range(2)]
        built = [sum(s.count(k) for s in said) for k in ('tokenizer: learning','train tokens: encoding','valid tokens: encoding')]
        ok = codes==[0,0] and built==[1,1,1] and artefacts(lab.dir/f'both{r}')[0]==clean
        if ok and not any('waiting' in s for s in said): late += 1; continue  # the second began when all was there: nobody had to wait, nothing was tried
        tried += 1; held += ok
        if not ok: fails.append(f'exit codes {codes}, built {built} times')
    note = '; '.join(fails)+f'{late} more pairs did not meet'*bool(late)
    return [Row('two preparations at once: one builds, the other waits, both end with the files of an undisturbed one', tried, held, note)]

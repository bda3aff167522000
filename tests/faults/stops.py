"SIGTERM in every phase of a run, and preparation killed at any time"
import random, signal, time
from hashlib import sha256
from common import Row, fault
from _lab import Lab, both_cores

STEPS,EVERY = 40,6   # of a run, and between saves [steps]
OVER = f'train.save_every={EVERY}',f'sample.every={EVERY}','eval.every=5'

# What a run does: building, a step's parts, what is due after it, the plot at its end
PHASES = 'begin','data','train','eval','sample','save','end'

# These are waited for up to so many times, others up to five, and the end once
SELDOM = dict(save=2, eval=2, sample=2)

# How a shell sees it, and how Python tells of it where no handler was set yet
STOPPED = {128+signal.SIGTERM, -signal.SIGTERM}

def told(phase):
    "The events with which a phase begins"
    if phase is None: return []
    return ['begin'] if phase=='begin' else [f'phase {phase}']

class Stops:
    "One run after the other, each stopped again and again, each time by a new process taken up"
    def __init__(self, lab, name, phases, seed, span_s):
        self.lab,self.name,self.span_s = lab,name,span_s
        self.rng = random.Random(f'{seed} {name}')
        self.todo,self.codes = list(phases),set()
        self.saved,self.same = 0,0    # stops after which a promise held
        self.lives,self.logs = 0,[]   # runs that came to their end, and whether each was as it should be
        while self.todo: self.live()

    def stop(self, p, phase):
        "Wait for the phase, or for some time, and send the signal"
        if phase is None: time.sleep(self.rng.uniform(0, self.span_s))
        else:
            for _ in range(self.times(phase)):
                if p.hears() is None: break
            time.sleep(self.rng.uniform(0, .1 if phase in ('begin','end') else .01))
        return p.end(signal.SIGTERM)

    def times(self, phase): return 1 if phase=='end' else self.rng.randint(1, SELDOM.get(phase, 5))

    def live(self):
        "One run from its beginning to its end"
        out = f'{self.name}_{self.lives}'
        self.lives += 1
        pending = at = 0  # stops that no process has gone on from yet; events seen
        def lived():
            "Check what the last process did; stops before it count as survived once a process has gone on from them"
            nonlocal at,pending
            new = self.lab.events(out, at)
            at += len(new)
            if not any(e['event']=='resume' for e in new): return
            if not self.lab.wrong(new): self.same += pending
            pending = 0
        while self.todo:
            phase = self.todo[-1]
            code = self.stop(self.lab.start(out, *OVER, tell=told(phase)), phase)
            lived()
            if code==0: break  # it was faster, or had everything done
            self.todo.pop()
            pending += 1
            self.codes.add(code)
            last = max((e['at'] for e in self.lab.events(out) if e['event']=='step'), default=0)
            self.saved += code in STOPPED and max(self.lab.intact(out), default=0)==last
            if phase=='end': break
        code = self.lab.start(out, *OVER).end()
        lived()
        self.logs.append(code==0 and not pending and self.lab.same_end(out))

@fault
def sigterm(full, seed, tmp):
    "SIGTERM in all phases of a run"
    lab = Lab(tmp, f'train.steps={STEPS}', 'eval.every=5')
    t = time.monotonic()
    lab.start('timing', f'train.save_every={EVERY}').end()
    t = time.monotonic()-t
    n = 100 if full else 8
    kinds = [*PHASES, None]
    phases = [kinds[i%len(kinds)] for i in range(n)]
    chains = 10 if full else 2
    done = both_cores(lambda i: Stops(lab, f'chain{i}', phases[i::chains], seed, t/2), range(chains))
    logs = [ok for c in done for ok in c.logs]
    note = f'in {", ".join(PHASES)} and at any time; exit codes {sorted(set.union(*(c.codes for c in done)))}'
    return [Row('SIGTERM: the last step taken is saved', n, sum(c.saved for c in done), note),
            Row('a run ended by SIGTERM goes on bitwise', n, sum(c.same for c in done)),
            Row('log and last checkpoint of a stopped run equal those of an undisturbed one',
                len(logs), sum(logs), f'{len(logs)} runs of {STEPS} steps')]

def artefacts(cache):
    "Hashes of the tokenizer and the tokens, and whether anything unfinished is left beside them"
    paths = [p for k in ('tokenizers','tokens') for p in sorted((cache/k).rglob('*'))]
    whole = [p for p in paths if p.is_file() and p.suffix!='.lock']
    files = {p.relative_to(cache).as_posix(): sha256(p.read_bytes()).hexdigest() for p in whole}
    return files, any('.tmp' in f or '/.' in f for f in files)

@fault
def preparation(full, seed, tmp):
    "Tokenizer training and preparation killed, by SIGKILL and SIGTERM in turn"
    lab = Lab(tmp, 'prepare.shard_chars=10000', whole=False)
    def start(cache): return lab.start('any', f'prepare.cache={cache}', command='prepare')
    t = time.monotonic()
    assert start('clean').end()==0, lab.said('any')
    t = time.monotonic()-t
    clean,_ = artefacts(lab.dir/'clean')
    def chain(i):
        rng = random.Random(f'{seed} {i}')
        left,good,builds,codes = 7,0,[],[]
        while left:
            cache,hits = f'cache{i}_{len(builds)}',0
            while left:
                p = start(cache)
                time.sleep(rng.uniform(0, 1.1*t))
                code = p.end(signal.SIGKILL if left%2 else signal.SIGTERM)
                if code==0: break  # it was faster
                left -= 1
                hits += 1
                codes.append(code)
            code = start(cache).end()
            files,_ = artefacts(lab.dir/cache)
            builds.append(code==0 and files==clean)
            good += hits*builds[-1]
        return good,builds,codes
    res = both_cores(chain, range(10 if full else 1))
    codes = [c for r in res for c in r[2]]
    wrong = set(codes)-STOPPED-{-signal.SIGKILL}
    expected = 0 if 'Traceback' in lab.said('any') else sum(c not in wrong for c in codes)
    return [Row('preparation and tokenizer training, killed at any time: '
                'the next process ends with the files of an undisturbed one', len(codes), sum(r[0] for r in res),
                f'{sum(len(r[1]) for r in res)} builds of {len(clean)} files, {t:.1f} s undisturbed'),
            Row('a stopped preparation exits as a shell expects, without a traceback',
                len(codes), expected, f'exit codes {sorted(set(codes))}')]

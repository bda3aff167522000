"SIGKILL at any time, and in the middle of saves: what is lost, and whether the run that goes on is still the same run"
import random, signal, time
from statistics import median
from common import Row, fault
from _lab import Lab, both_cores

STEPS,EVERY,KEEP = 80,4,2  # of a run [steps], between saves [steps], checkpoints kept

class Chain:
    "One run that is killed again and again, each time by a new process taken up, and at last left to reach its end"
    def __init__(self,
        lab,
        name,
        n,       # Kills
        seed,
        aimed,   # Into saves? Otherwise at any time
        save_s,  # What a save takes [s]
        span_s,  # Latest kill of a process [s], where not aimed
    ):
        self.lab,self.name,self.n,self.aimed = lab,name,n,aimed
        self.save_s,self.span_s = save_s,span_s
        self.rng = random.Random(f'{seed} {name}')
        self.kills = 0
        self.same,self.lost,self.kept = 0,0,0  # kills after which a promise held
        self.lives,self.logs = 0,[]            # runs that came to their end, and whether each was as it should be
        while self.kills<n: self.live()

    def live(self):
        "One run from its beginning to its end"
        out = f'{self.name}_{self.lives}'
        over = f'train.save_every={EVERY}',f'checkpoint.keep={KEEP}'
        self.lives += 1
        pending = at = 0  # kills that no process has gone on from yet; events seen
        def lived():
            "Check what the last process did; kills before it count as survived once a process has gone on from them"
            nonlocal at,pending
            new = self.lab.events(out, at)
            at += len(new)
            if not any(e['event']=='resume' for e in new): return
            if not self.lab.wrong(new): self.same += pending
            pending = 0
        while self.kills<self.n:
            p = self.lab.start(out, *over, tell=['phase save'] if self.aimed else [])
            self.wait(p)
            code = p.end(signal.SIGKILL)
            lived()
            if code!=-signal.SIGKILL: break  # it was faster
            self.kills += 1
            pending += 1
            self.look(out)
        code = self.lab.start(out, *over).end()
        lived()
        self.logs.append(code==0 and not pending and self.lab.same_end(out))

    def wait(self, p):
        "Until it is to be killed"
        if not self.aimed: return time.sleep(self.rng.uniform(0, self.span_s))
        for _ in range(self.rng.randint(1, 3)): p.hears()
        time.sleep(self.rng.uniform(0, 1.2*self.save_s))

    def look(self, out):
        "After a kill: what would the next process find?"
        ev,intact = self.lab.events(out),self.lab.intact(out)
        def steps(event): return {e['at'] for e in ev if e['event']==event}
        def top(event): return max(steps(event), default=0)
        newest,begun,saved = max(intact, default=0),top('saving'),top('saved')
        self.kept += newest>=saved and len(intact)>=min(KEEP, len(steps('saved')))
        reached = begun if begun>saved else top('step')
        self.lost += reached-newest <= EVERY

@fault
def kills(full, seed, tmp):
    "200 SIGKILLs in 20 chains, half uniform in time, half aimed into saves"
    chains,n = (10,10) if full else (1,5)
    lab = Lab(tmp, f'train.steps={STEPS}', 'eval.every=20')
    t = time.monotonic()
    lab.start('timing', f'train.save_every={EVERY}').end()
    t = time.monotonic()-t
    save_s = median(e['s'] for e in lab.events('timing') if e['event']=='saved')
    todo = [(f'{kind}{i}', kind=='aimed') for kind in ('uniform','aimed') for i in range(chains)]
    done = both_cores(lambda c: Chain(lab, c[0], n, seed, c[1], save_s, t/3), todo)
    tried = sum(c.kills for c in done)
    logs = [ok for c in done for ok in c.logs]
    note = (f'{sum(c.kills for c in done if c.aimed)} of them aimed into a save of {save_s*1000:.0f} ms; '
            f'{len(todo)} chains, {sum(c.lives for c in done)} runs of {STEPS} steps, a save every {EVERY}')
    return [Row('a run killed by SIGKILL goes on bitwise: parameters, moments, generators, position, sample ids',
                tried, sum(c.same for c in done), note),
            Row('at most one save interval is lost (counted to where a save began that was being written)',
                tried, sum(c.lost for c in done)),
            Row('no finished checkpoint is lost', tried, sum(c.kept for c in done)),
            Row('log and last checkpoint of a killed run equal those of an undisturbed one', len(logs), sum(logs))]

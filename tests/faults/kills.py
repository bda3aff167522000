"SIGKILL at any time, and in the middle of saves: what is lost, and whether the run that goes on is still the same run"
import random, signal, time
from statistics import median
from common import Row, fault
from _lab import Lab, both_cores

STEPS,EVERY,KEEP = 80,4,2  # of a run [steps], between saves [steps], checkpoints kept

class Chain:
    "One run that is killed again and again, each time by a new process taken up, and at last left to reach its end"
    def __init__(self, lab, name, n, seed, aimed, save_s, span_s):
        self.lab,self.name,self.n,self.rng,self.aimed,self.save_s,self.span_s = lab,name,n,random.Random(f'{seed} {name}'),aimed,save_s,span_s
        self.kills,self.same,self.lost,self.kept,self.logs = 0,0,0,0,[]
        self.lives = 0  # runs that came to their end
        while self.kills<n: self.live()

    def live(self):
        "One run from its beginning to its end"
        out,pending,at,self.lives = f'{self.name}_{self.lives}',0,0,self.lives+1
        def lived():
            "Check what the last process did; kills before it count as survived once a process has gone on from them"
            nonlocal at,pending
            new = self.lab.events(out, at); at += len(new)
            if not any(e['event']=='resume' for e in new): return
            self.same += pending*(not self.lab.wrong(new)); pending = 0
        while self.kills<self.n:
            p = self.lab.start(out, f'train.save_every={EVERY}', f'checkpoint.keep={KEEP}', tell=['phase save'] if self.aimed else [])
            if self.aimed:
                for _ in range(self.rng.randint(1, 3)): p.hears()
                time.sleep(self.rng.uniform(0, 1.2*self.save_s))
            else: time.sleep(self.rng.uniform(0, self.span_s))
            code = p.end(signal.SIGKILL)
            lived()
            if code!=-signal.SIGKILL: break  # it was faster
            self.kills += 1; pending += 1
            self.look(out)
        code = self.lab.start(out, f'train.save_every={EVERY}', f'checkpoint.keep={KEEP}').end()
        lived()
        self.logs.append(code==0 and not pending and self.lab.same_end(out))

    def look(self, out):
        "After a kill: what would the next process find?"
        ev,intact = self.lab.events(out),self.lab.intact(out)
        top = lambda *names: max((e['at'] for e in ev if e['event'] in names), default=0)
        newest,begun,saved = max(intact, default=0),top('saving'),top('saved')
        self.kept += newest>=saved and len(intact)>=min(KEEP, len({e['at'] for e in ev if e['event']=='saved'}))
        self.lost += (begun if begun>saved else top('step'))-newest <= EVERY

@fault
def kills(full, seed, tmp):
    "200 SIGKILLs in 20 chains, half uniform in time, half aimed into saves"
    chains,n = (10,10) if full else (1,5)
    lab = Lab(tmp, f'train.steps={STEPS}', 'eval.every=20')
    t = time.monotonic(); lab.start('timing', f'train.save_every={EVERY}').end(); t = time.monotonic()-t
    save_s = median(e['s'] for e in lab.events('timing') if e['event']=='saved')
    todo = [(f'{kind}{i}', kind=='aimed') for kind in ('uniform','aimed') for i in range(chains)]
    done = both_cores(lambda c: Chain(lab, c[0], n, seed, c[1], save_s, t/3), todo)
    tried = sum(c.kills for c in done)
    note = f'{sum(c.kills for c in done if c.aimed)} of them aimed into a save of {save_s*1000:.0f} ms; {len(todo)} chains, {sum(c.lives for c in done)} runs of {STEPS} steps, a save every {EVERY}'
    return [Row('a run killed by SIGKILL goes on bitwise: parameters, moments, generators, position, sample ids', tried, sum(c.same for c in done), note),
            Row('at most one save interval is lost (counted to where a save began that was being written)', tried, sum(c.lost for c in done)),
            Row('no finished checkpoint is lost', tried, sum(c.kept for c in done)),
            Row('log and last checkpoint of a killed run equal those of an undisturbed one', sum(len(c.logs) for c in done), sum(sum(c.logs) for c in done))]

"Three trackers read back: equal to the log, also after kills"
import json, math, os, random, signal, socket, sqlite3, time
from _rig import left, records
from helpers import SMALL, pretrain
from pretrain.train.track.names import CLOCKS, numbers
from pretrain.train.track.services import wandb_rows

THREE = 'tensorboard','wandb','trackio'

def expected(run, clocks=True):
    "What each tracker should have: step to numbers"
    res = {}
    for r in records(run):
        r = r if clocks else {k: v for k,v in r.items() if k not in CLOCKS}
        res[r['step']] = {k: v for k,v in numbers(r).items()}
    return res

def of_tensorboard(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    acc = EventAccumulator(str(run/'track/tensorboard'), size_guidance=dict(scalars=0)).Reload()
    rows = []
    for tag in acc.Tags()['scalars']: rows += [(e.step, {tag: e.value}) for e in acc.Scalars(tag)]
    return rows

def of_wandb(run):
    files = sorted(run.glob('track/wandb/wandb/offline-run-*/run-*.wandb'))
    last = max((f.name for f in files), key=lambda n: (len(n), n))   # the id that the run has at the end
    return [(s, {k: v for k,v in r.items() if not k.startswith('samples')})
            for f in files if f.name==last for s,r in wandb_rows(f)]

def of_trackio(run):
    (db,) = (run.parent/'trackio').glob(f'{run.name}.db')
    found = sqlite3.connect(db).execute('select run_name, step, metrics from metrics')
    rows = [(n, s, json.loads(m)) for n,s,m in found]
    last = max({n for n,_,_ in rows}, key=lambda n: (len(n), n))
    special = dict(NaN=math.nan)
    rows = [(s, {k: special.get(v, v) if isinstance(v, str) else v for k,v in m.items() if not isinstance(v, dict)})
            for n,s,m in rows if n==last]
    return [(s, m) for s,m in rows if m]

READ = dict(tensorboard=of_tensorboard, wandb=of_wandb, trackio=of_trackio)

def differs(name, run, clocks=True):
    "What a tracker has too much, too little or otherwise than the log, or ''"
    want,rows = expected(run, clocks),READ[name](run)
    have,names = {},{k for r in want.values() for k in r}
    for s,r in rows:
        for k,v in r.items():
            if k in have.setdefault(s, {}): return f'{name}: step {s} has {k} twice'
            if clocks or k in names: have[s][k] = v
    for d in (*want.values(), *have.values()): d.pop('total_training_flops', None)
    if sorted(have)!=sorted(want): return f'{name}: steps {sorted(set(have)^set(want))} are in one only'
    tol = 1e-6 if name=='tensorboard' else 0.   # it keeps 32 bits
    for s,r in want.items():
        if r.keys()!=have[s].keys(): return f'{name}: step {s}: {sorted(r.keys()^have[s].keys())} are in one only'
        for k,v in r.items():
            if not (math.isnan(v) and math.isnan(have[s][k]) or abs(v-have[s][k])<=tol*max(1, abs(v))):
                return f'{name}: step {s}: {k} is {have[s][k]}, not {v}'
    return ''

KEYS = ['eval.every=10', 'sample.every=20', 'sample.tokens=4', 'sample.prompts=["The "]', 'track.grace_s=30']

def equal(lab, sinks=THREE):
    "A run to its end"
    found,code,stray = lab.train('fit', 'equal', 40, *sinks, *KEYS, 'track.project=equal', WANDB_MODE='offline')
    if code or stray or len(found.get('said', []))!=len(sinks): return f'{found} {code} {stray}'
    return next(filter(None, (differs(n, lab.folder/'equal') for n in sinks)), '')

def n_records(run): return (run/'metrics.jsonl').exists() and (run/'metrics.jsonl').read_bytes().count(b'\n')

def kills(lab, sinks=THREE, n=5, steps=120, seed=0):
    "Killed `n` times at whatever moment, then to the end"
    dice,run,bad = random.Random(seed),lab.folder/'killed',''
    how = ['hand', 'killed', steps, *sinks, *KEYS, 'track.project=killed', 'train.save_every=5']
    more = dict(WANDB_MODE='offline', TRACKER_TEST_SLEEP='0.05')
    for i in range(n):
        p,mark = lab.start(*how, **more)
        at,until = n_records(run),time.monotonic()+90
        while n_records(run)<at+12 and time.monotonic()<until: time.sleep(.1)
        time.sleep(dice.random()*3)
        os.kill(p.pid, signal.SIGKILL)
        p.communicate()
        if i%2: time.sleep(dice.random())   # the next begins while trackers are still at it
        elif l := left(mark, 40.): bad = bad or f'left behind: {l}'
    found,code,stray = lab.train(*how, **more)
    if bad or code or stray: return bad or f'{found} {code} {stray}'
    return next(filter(None, (differs(n, run, clocks=n=='tensorboard') for n in sinks)), '')

def two_ranks(lab):
    "Under torchrun one process follows, of the first rank"
    own = lab.folder/'own.py'
    own.write_text('class Own:\n    def row(self, step, numbers): print(step, flush=True)\n')
    keys = [*SMALL, 'data.train=["texts"]', 'preflight.at_start=false', 'eval.every=0', 'sample.every=0', 'out=ranks']
    r = pretrain('train', 'quickstart', *keys, 'train.steps=5', 'track.to=["own.py:Own"]', cwd=lab.folder, n_proc=2)
    said = [l for l in r.stdout.splitlines() if l.startswith('track')]
    if r.returncode or said!=['track: own.py:Own, 6 rows sent']: return f'{r.returncode} {said} {r.stderr}'
    steps = [*map(int, (lab.folder/'ranks/track/own-Own.log').read_text().split())]
    return '' if steps==[r['step'] for r in records(lab.folder/'ranks')] else f'steps {steps}'

def silent_server(lab):
    "wandb with a key, and a server that never answers: offline in the end"
    server = socket.create_server(('127.0.0.1', 0))
    more = dict(WANDB_API_KEY='0'*40, WANDB_BASE_URL=f'http://127.0.0.1:{server.getsockname()[1]}')
    found,code,stray = lab.train('fit', 'silent', 40, 'wandb', *KEYS[:-1], 'track.grace_s=90', timeout_s=200, **more)
    server.close()
    if code or stray or '(offline), 41 rows sent' not in found['said'][-1]: return f'{found} {code} {stray}'
    return differs('wandb', lab.folder/'silent')

CHECKS = {'two ranks': two_ranks, 'a silent server': silent_server, 'three read back': equal, 'five kills': kills}

"""How soon the first optimizer step is taken, from the command, with prepared data. A command rather than a test: it
takes minutes, and a figure of a machine proves nothing about another.

    python tests/bench/startup.py --text FOLDER --out nbs/reports/startup.json

FOLDER has `train*.jsonl` and `val.jsonl`. Each start is a process of its own, the cases in turn, round by round, so
that whoever shares the machine slows all alike. `--peer 'COMMAND' --peer-line REGEX` also measures another command,
until it prints a line that matches; CPUs are chosen with taskset around the whole."""
import argparse, json, os, platform, re, subprocess, sys, tempfile, threading, time
from datetime import date
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
PRETRAIN = [sys.executable, '-u', '-m', 'pretrain']
SHAPE = {'tokenizer.vocab_size': 8192, 'model.seq_len': 256, 'model.n_layer': 4, 'model.n_head': 4, 'model.width': 256,
         'loader.batch_rows': 16, 'train.steps': 400}   # of the comparison with others: 4,096 tokens a step
MANY_MB = 100   # Validation text of the case `large validation` [MB]
LATE = 100      # Epoch of the case `late epoch`
LOOK_S = .01    # Between two looks into the log [s]
MOST_S = 600    # After which a start is given up [s]

def words(keys): return [f'{k}={json.dumps(v)}' for k,v in keys.items()]

# ------------------------------------------------------------ what is started

def repeated(path, out, n_bytes):
    "The documents of a file again and again, each time with a line of its own, until there are so many bytes"
    docs,n,k = [json.loads(o)['text'] for o in path.open(encoding='utf-8')],0,0
    with out.open('w', encoding='utf-8') as f:
        while n<n_bytes:
            text = f'Copy {k//len(docs)}\n{docs[k%len(docs)]}'
            n,k = n+len(text.encode()),k+1
            f.write(json.dumps(dict(text=text), ensure_ascii=False)+'\n')

def at_epoch(keys, out, epoch):
    "A run that stands at the beginning of an epoch: one step, and the rest as if it had been taken"
    from pretrain.build import Run
    run = Run(None, say=None, out=str(out), **keys | {'preflight.at_start': False})
    run.step()
    run.state.row = run.loader.first(epoch)
    run.state.epoch = run.loader.mark(run.state.row)
    run.mark()
    run.saved = None
    run.close()

def cases(text, folder):
    "Name to words of the command, and where the log of a fresh start lies; all data are prepared"
    keys = SHAPE | {'data.train': [str(text/'train*.jsonl')], 'data.valid': [str(text/'val.jsonl')],
                    'prepare.cache': str(folder/'cache')}
    repeated(text/'val.jsonl', folder/'many.jsonl', MANY_MB*10**6)
    many = keys | {'data.valid': [str(folder/'many.jsonl')]}
    quick = {'prepare.cache': str(folder/'cache')}
    for o in ([None, *words(keys)], [None, *words(many)], ['quickstart', *words(quick)]):
        command = [*PRETRAIN, 'prepare', o[0] or write_config(folder), *o[1:]]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {'small': keys, 'large validation': many, 'late epoch': keys, 'quickstart': quick}

def write_config(folder):
    "A config to which all is said on the command line"
    (folder/'plain.toml').write_text('seed = 1')
    return str(folder/'plain.toml')

# ------------------------------------------------------------ one start

NEWS = 'device tokenizer validation model plan resume preflight'.split()  # Lines whose time is kept, by their beginning

def told(lines):
    "When which news came first"
    res = {}
    for s,line in lines:
        what = line.split(':')[0]
        if what in NEWS: res.setdefault('first validation' if 'step 0' in line else what, s)
    return res

def watch(command, done):
    "Seconds until `done` of a started process, and when which line came; then it is killed"
    t0,lines = time.perf_counter(),[]
    how = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace')
    p = subprocess.Popen(command, **how)
    def read():
        for line in p.stdout: lines.append((round(time.perf_counter()-t0, 3), line.rstrip()))
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    def gone(): return os.waitid(os.P_PID, p.pid, os.WEXITED|os.WNOHANG|os.WNOWAIT)
    while not done(lines) and not gone() and time.perf_counter()-t0<MOST_S: time.sleep(LOOK_S)
    s,ok = time.perf_counter()-t0,bool(done(lines))
    p.kill()
    used = os.wait4(p.pid, 0)[2]
    p.returncode = 0   # it has been waited for
    reader.join()
    if not ok: raise SystemExit('no first step:\n'+'\n'.join(o for _,o in lines[-20:]))
    return dict(s=round(s, 3), cpu_s=round(used.ru_utime+used.ru_stime, 3), lines=told(lines))

def steps_in(log):
    "Steps that a log holds"
    try: return sum('"lr"' in o for o in log.read_text(encoding='utf-8').splitlines())
    except OSError: return 0

def start(name, keys, folder, n):
    "The command line, in a fresh process, until its first step is in the log"
    out = folder/f'{name.replace(" ", "_")}{n}'
    if name=='late epoch': at_epoch(keys, out, LATE)
    before = steps_in(out/'metrics.jsonl')
    config = 'quickstart' if name=='quickstart' else write_config(folder)
    command = [*PRETRAIN, 'train', config, *words(keys | dict(out=str(out)))]
    return watch(command, lambda _: steps_in(out/'metrics.jsonl')>before)

def help_s():
    "Time of `--help`"
    t0,before = time.perf_counter(),os.times()
    subprocess.run([*PRETRAIN, '--help'], check=True, stdout=subprocess.DEVNULL)
    now = os.times()
    cpu = now.children_user+now.children_system-before.children_user-before.children_system
    return dict(s=round(time.perf_counter()-t0, 3), cpu_s=round(cpu, 3), lines={})

def main():
    a = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    a.add_argument('--text', type=Path, required=True, help='folder with train*.jsonl and val.jsonl')
    a.add_argument('--rounds', type=int, default=5)
    a.add_argument('--out', type=Path, help='JSON file for a report; printed where left out')
    a.add_argument('--peer', help='another command, run by a shell')
    a.add_argument('--peer-line', help='regular expression for the line that it prints at its first step')
    a = a.parse_args()
    rounds = {}
    with tempfile.TemporaryDirectory() as d:
        todo = cases(a.text.absolute(), Path(d))
        for n in range(a.rounds):
            def add(name, found):
                rounds.setdefault(name, []).append(found)
                print(f'round {n+1}: {name}: {found["s"]:.2f} s', file=sys.stderr, flush=True)
            add('--help', help_s())
            for name,keys in todo.items(): add(name, start(name, keys, Path(d), n))
            def said(lines): return any(re.search(a.peer_line, o) for _,o in lines)
            if a.peer: add('peer', watch(['bash', '-c', a.peer], said))
    cpus = f'{platform.machine()}, {len(os.sched_getaffinity(0))} CPUs'
    found = dict(date=str(date.today()), machine=cpus, peer=a.peer, threads=os.environ.get('OMP_NUM_THREADS', ''),
                 load=os.getloadavg()[1], rounds=rounds)
    for name,rs in rounds.items():
        s,cpu = [r['s'] for r in rs],[r.get('cpu_s', r['s']) for r in rs]
        print(f'{name:<18}{median(s):7.2f} s  ({min(s):.2f} to {max(s):.2f}), {median(cpu):.2f} s of one core')
    if a.out: a.out.write_text(json.dumps(found, ensure_ascii=False, indent=0)+'\n', encoding='utf-8')

if __name__=='__main__': main()

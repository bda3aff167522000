"What several test files need: a small corpus, a small config, the command line in a process of its own"
import os, signal, subprocess, sys
from pathlib import Path
import forks

SMALL = ['tokenizer.vocab_size=400', 'prepare.workers=1', 'model.seq_len=64', 'model.n_layer=2', 'model.n_head=2',
         'model.width=32',
         'loader.batch_rows=8', 'train.micro_rows=4', 'train.device=cpu', 'train.threads=1', 'eval.bytes=8000',
         'eval.rows=8', 'schedule.warmup=2', 'schedule.warmdown=0.5',
         'sample.tokens=8', 'sample.prompts=["The "]', 'metrics.peak_tflops=1', 'prepare.cache=cache']

TIMES = {'dt_s', 'tok_per_s', 'mfu', 'mfu_seen', 'eta_s', 'train_s', 'compile_s',
         'peak'}   # of a record: no two runs take the same time

def write_texts(folder, n=60):
    "The topics of Python's own help as a folder of text files"
    from pydoc_data.topics import topics
    Path(folder).mkdir(parents=True, exist_ok=True)
    for k in sorted(topics)[:n]: (Path(folder)/f'{k.replace("/", "_")}.txt').write_text(topics[k], encoding='utf-8')

def env(**more):
    "This process's environment, one thread, without the notebook tests' flag"
    e = {k: v for k,v in os.environ.items() if k!='IN_TEST'}
    return {**e, 'OMP_NUM_THREADS':'1', **more}

def pretrain(*args, cwd, n_proc=1, fresh=False, **kw):
    "Run `python -m pretrain`, under torchrun when there is more than one process"
    args,module = [*map(str, args)],'pretrain'
    if n_proc>1: args,module = ['--standalone', '--nproc_per_node', str(n_proc), '-m', module, *args],forks.LAUNCHER
    if not fresh and not kw and forks.usable(env()): return forks.run(args, cwd, env(), module=module)
    return subprocess.run([sys.executable, '-m', module, *args], cwd=cwd, env=env(), capture_output=True, text=True,
                          timeout=300, **kw)

def begun(*args, cwd):
    "Start `python -m pretrain`, and don't wait for it; all that it says goes where its results go"
    if forks.usable(env()): return forks.Started([*map(str, args)], cwd, env(), module='pretrain', merged=True)
    return subprocess.Popen([sys.executable, '-m', 'pretrain', *map(str, args)], cwd=cwd, env=env(), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=hear_hang_up)

def hear_hang_up(): signal.signal(signal.SIGHUP, signal.SIG_DFL)   # which these tests may have been told to ignore

def on_ranks(script, *args, n=2, cwd='.', launch=('--standalone',), **more):
    """Start a script on `n` ranks (one: without torchrun), in a session of its own and without what another torchrun
    left in the environment; the process, a launcher's if there are several"""
    args = [str(script), *map(str, args)]
    if n>1: args = ['-m', forks.LAUNCHER, *launch, '--nproc_per_node', str(n), *args]
    e = env(PYTHONPATH=os.pathsep.join(p for p in sys.path if p), **more)
    for k in {'RANK', 'WORLD_SIZE', 'LOCAL_RANK'}-{*more}: e.pop(k, None)
    if forks.usable(e):
        what = dict(module=args[1]) if n>1 else dict(script=str(Path(cwd)/script))
        return forks.Started(args[2 if n>1 else 1:], Path(cwd).resolve(), e, alone=True, **what)
    return subprocess.Popen([sys.executable, *args], cwd=cwd, env=e, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, start_new_session=True)

def quiet():
    "Has a process of this machine a core to itself? What others keep from its turn cannot be in time to the second"
    return os.getloadavg()[0]<(os.cpu_count() or 1)

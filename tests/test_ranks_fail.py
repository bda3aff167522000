"""Ranks that disagree, die, hang or are told to stop: what the others do about it. In tests/, since each rank is a
process that torchrun starts. `python tests/test_ranks_fail.py` does it many times and at random moments, and prints a
table; with `disks`, it fills the disk of one rank, or kills it in the middle of a save in parts."""
import json, os, re, shutil, subprocess, sys, time
from pathlib import Path
import pytest
from helpers import SMALL, on_ranks as torchrun, quiet, write_texts
from pretrain.store.checkpoint import load_checkpoint, newest_checkpoint
from pretrain.store.files import GO_ON, mark_run
from pretrain.store.log import each_record

LIMIT_S = 100  # a test that takes longer has hung
CONFIG = [*SMALL, 'data.train=texts', 'preflight.at_start=false', 'sample.prompts=[]', 'train.steps=8']

# ------------------------------------------------------------ before the first step

DISAGREE = '''
import contextlib, errno, importlib.metadata, io, json, os, sys
from pathlib import Path
from unittest.mock import patch
import pretrain.build, pretrain.base.agree as agree, pretrain.train.keep as keep, pretrain.train.machine as machine
from pretrain.cli import main
here,config = sys.argv[1],sys.argv[2:]
second,version,program = os.environ['RANK']=='1',importlib.metadata.version,agree.program
same = machine.same_start
shared,linked = f'out={here}/a/run',f'out={here}/a/linked'
in_parts = 'train.parallel=fsdp','checkpoint.sharded=sharded',f'out={here}/a/parts'
def refused(*args, **kw): raise OSError(errno.EROFS, 'Read-only file system')
cases = dict(       # on both ranks, on the second, its folder, what it takes for what
    same=([], [], 'a', ()),
    config=([], ['optim.lr=0.07'], 'a', ()),
    misspelt=(['optim.lrr=1'], [], 'a', ()),
    nowhere=(['data.train=nowhere'], [], 'a', ()),
    seed=([], ['seed=2'], 'a', ()),
    version=([], [], 'a', (agree, '__version__', '0.0')),
    torch=([], [], 'a', (importlib.metadata, 'version', lambda p: '1.0' if p=='torch' else version(p))),
    code=([], [], 'a', (agree, 'program', lambda: program() | {'code of train/loop.py': 'other'})),
    device=([], [], 'a', (machine, 'same_start', lambda asked, kind: same(asked, 'cuda'))),
    no_data=([shared], [], 'none', ()),
    data=([shared], [], 'other', ()),
    out=([], [], 'copy', ()),
    filed=(['out=filed'], [], 'copy', ()),
    unwritten=(in_parts, [], 'a', (Path, 'touch', refused)),
    checkpoints=([linked], [], 'copy', ()),
    checkpoint=([], [], 'a', (keep, 'newest_checkpoint', lambda path: (None, []))))
said,reason = {},Path(os.environ['TORCHELASTIC_ERROR_FILE'])
for name,(both,own,folder,other) in cases.items():
    os.chdir(f'{here}/{folder if second else "a"}')
    err = io.StringIO()
    change = patch.object(*other) if second and other else contextlib.nullcontext()
    with patch.object(agree, 'LATE_S', .5), contextlib.redirect_stderr(err), change:
        code = main(['train', f'{here}/c.toml', *config, *both, *(own if second else [])])
    table = json.loads(reason.read_text())['message']['message'] if reason.exists() else ''
    reason.unlink(missing_ok=True)
    said[name] = code,err.getvalue(),table
with open(f'{here}/said_{int(second)}', 'w') as f: json.dump(said, f)
'''
SAYS = dict(config='optim.lr: rank 1 on HOST has 0.07, rank 0 has 0.00',
            seed='seed: rank 1 on HOST has 2, rank 0 has 1',
            misspelt='optim.lrr = 1: unknown key; did you mean optim.lr?',
            nowhere="data.train: no file matches 'nowhere'",
            version='version of pretrain: rank 1 on HOST has 0.0, rank 0 has 0.1.0',
            torch='version of torch: rank 1 on HOST has 1.0', code='code of train/loop.py: rank 1 on HOST has other',
            device='device: rank 1 on HOST has cuda, rank 0 has cpu',
            no_data='rank 1 on HOST: data.train', data='data.train, texts/assert.txt: rank 1 on HOST has',
            filed='rank 1 on HOST: filed: not a folder',
            unwritten='rank 1 on HOST cannot write there (Read-only file system); a disk that all machines may write',
            out='run; start all in the same folder, or give the whole path',
            checkpoints='a disk that all machines share',
            checkpoint='newest intact checkpoint: rank 1 on HOST has none, rank 0 has step_00000008')

@pytest.fixture(scope='module')
def disagreed(tmp_path_factory):
    "Two processes that differ in one thing after the other: code and lines of each, by rank"
    here = tmp_path_factory.mktemp('disagree')
    (here/'script.py').write_text(DISAGREE)
    (here/'c.toml').write_text('seed = 1')
    write_texts(here/'a/texts')
    for copy in ('other', 'copy'): shutil.copytree(here/'a', here/copy)
    (here/'none').mkdir()
    (here/'other/texts/assert.txt').write_text('another text on this machine')
    for folder in ('a', 'copy'): (here/folder/'own').mkdir()
    (here/'copy/filed').touch()
    (here/'a/linked').mkdir()
    mark_run(here/'a/linked', {})
    (here/'a/linked/checkpoints').symlink_to('/proc/self/cwd/own')   # another folder for each process
    p = torchrun('script.py', here, *CONFIG, cwd=here)
    out,err = p.communicate(timeout=LIMIT_S)
    assert p.returncode==0, err[-3000:]
    return [json.loads((here/f'said_{r}').read_text()) for r in (0, 1)]

@pytest.mark.parametrize('how', SAYS)
def test_disagreement_is_refused_in_one_line(how, disagreed):
    """Exit code 2 on every rank, and one line, said once, which names rank, key and both values; torchrun's own table
    gives it as the reason of each. So it is with a mistake that all of them make, before they meet or after"""
    import socket
    zero,one = (o[how] for o in disagreed)
    line = zero[1]+one[1]
    assert (zero[0], one[0], line.count('\n'))==(2, 2, 1), (zero, one)
    assert SAYS[how].replace('HOST', socket.gethostname()) in line, line
    assert all(f'pretrain: {o[2]}\n'==line for o in (zero, one)), (zero, one)

def test_equal_ranks_train(disagreed):
    assert [o['same'][0] for o in disagreed]==[0, 0], disagreed

# ------------------------------------------------------------ during it

FAULTY = '''
import errno, json, os, signal, sys, threading, time
import torch
from pretrain.base.dist import Board
from pretrain.build import Run
from pretrain.cli import main
from pretrain.data.loader import Loader
from pretrain.model.optim import Optim
from pretrain.store import checkpoint, sharded
from pretrain.store.log import MetricsLog
from pretrain.train import guard, loop
from pretrain.train.loop import Loop
from pretrain.train.parallel import Parallel
def strike():
    with open('struck', 'w') as f: f.write(f'{time.time()} {os.getpid()}')
    if how=='raise': raise KeyError('x')
    if how=='full': raise OSError(errno.ENOSPC, 'No space left on device')
    if how=='hang': time.sleep(1000)
    if how in SIGNALS: os.kill(os.getpid(), SIGNALS[how])
SIGNALS = dict(kill=signal.SIGKILL, stop=signal.SIGSTOP, term=signal.SIGTERM)
SITES = dict(data=(Loader, 'batch'), loss=(Loop, 'loss'), backward=(torch.Tensor, 'backward'),
             reduce=(Parallel, 'reduce'), clip=(Parallel, 'clip'), optim=(Optim, 'step'), record=(Loop, 'record'),
             validate=(Run, 'validate'), save=(Loop, 'save_due'), stop=(Loop, 'stopping'),
             piece=(sharded, 'write_file'), file=(checkpoint, 'write_file'), log=(MetricsLog, '_write'))
how,site,at = os.environ.get('FAULT', '0 0 0').split()
def faulty(real, n):
    def call(*args, **kw):
        n[0] += 1
        if n[0]==float(at) or how=='full' and n[0]>float(at): strike()
        return real(*args, **kw)
    return call
if os.path.exists('struck'): site = ''   # a restarted process is spared
if os.environ['RANK']==os.environ.get('FAULT_RANK', '1') and site in SITES:
    owner,name = SITES[site]
    setattr(owner, name, faulty(getattr(owner, name), [0]))
elif os.environ['RANK']==os.environ.get('FAULT_RANK', '1') and site=='any':   # some time after the first step
    def begun(run): 
        timer = threading.Timer(float(at), strike)
        timer.daemon = True
        timer.start()
        return begin(run)
    begin,Loop.begin = Loop.begin,begun
elif os.environ['RANK']==os.environ.get('FAULT_RANK', '1') and site=='end':   # where it waits for the end of the others
    def last(run):
        Board.wait = faulty(Board.wait, [0])
        return finish(run)
    finish,Run.finish = Run.finish,last
sys.exit(main(['train', 'c.toml', *sys.argv[1:]]))
'''
LONG = [*CONFIG, 'train.steps=16', 'train.save_every=4', 'eval.every=8', 'train.limit_s=4', 'out=run']
STUCK_S,OUT_S = 4+5,30  # from the fault to the end of all processes, where a rank is stuck, and else [s]

def texts(here):
    "What a run needs"
    (here/'script.py').write_text(FAULTY)
    (here/'c.toml').write_text('seed = 1')
    write_texts(here/'texts')

@pytest.fixture(scope='module')
def calm(tmp_path_factory):
    """A folder in which a run has gone to its end undisturbed, and what it learnt. The faults strike a second run
    there, each where the last has left it: that its end is the same in the end shows that it survived them all"""
    here = tmp_path_factory.mktemp('calm')
    texts(here)
    return here, learnt(here, start(here))

def start(here, fault='', launch=('--standalone',), keys=(), **more):
    "Run to the end, or to the fault: code, errors, seconds since the fault"
    (here/'struck').unlink(missing_ok=True)
    p = torchrun('script.py', *LONG, *keys, cwd=here, launch=launch, **(dict(FAULT=fault) if fault else {}), **more)
    try: out,err = p.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, 9)
        if at := struck_at(here): os.kill(int(at[1]), 9)   # a frozen rank outlives torchrun
        pytest.fail(f'{fault}: hung for {LIMIT_S} s: {p.communicate()[1][-2000:]}')
    at = struck_at(here)
    return p.returncode, err+out, time.time()-float(at[0]) if at else None

def struck_at(here):
    "When the fault came, and to which process; [] if it has not"
    return (here/'struck').read_text().split() if (here/'struck').exists() else []

def learnt(here, end):
    "Weights, moments and losses of a run that has gone to its end; its directory is removed"
    assert end[0]==0, end[1][-3000:]
    tensors,_ = load_checkpoint(newest_checkpoint(here/'run/checkpoints')[0], ('model', 'optimizer'))
    losses = [r['loss'] for r,_ in each_record(here/'run/metrics.jsonl') if 'loss' in r]
    shutil.rmtree(here/'run')
    return {f'{part}.{k}': t for part,ts in tensors.items() for k,t in ts.items()},losses

def test_a_rank_that_hangs_is_named_with_its_stack(calm):
    here = calm[0]
    shutil.rmtree(here/'run', ignore_errors=True)
    code,err,took_s = start(here, 'hang data 4')
    assert code!=0 and took_s is not None, err[-3000:]
    says = r'pretrain: rank 1 hangs in step 4, phase data for \d s\n(.*\n)+.*time\.sleep\(1000\)'
    assert re.search(says, err), err[-5000:]
    assert took_s<STUCK_S or not quiet(), took_s

def test_a_frozen_rank_is_named(calm):
    "It cannot speak any more; its neighbour says so, and ends it"
    code,err,took_s = start(calm[0], 'stop backward 7')
    assert code!=0 and took_s is not None, err[-3000:]
    assert took_s<STUCK_S+2 or not quiet(), (took_s, err[-3000:])
    # steps are short here: its last sign may be older than the first of them
    assert re.search(r'rank 1 has given no sign of life for 4 s(, last in step \d+, phase \w+)?', err), err[-3000:]

def test_torchrun_starts_again(calm):
    "`--max-restarts`: the next round meets anew, and goes on from the newest checkpoint to the same bits"
    import torch
    here,(tensors,losses) = calm
    end = start(here, 'kill data 6', ('--standalone', '--max-restarts=1'))
    assert (here/'struck').exists()
    again,same = learnt(here, end)
    assert same==losses and all(torch.equal(t, tensors[k]) for k,t in again.items())

# ------------------------------------------------------------ many times, by command

SAID = r'^pretrain: .*rank [01] .*$',r'Signal 9 \(SIGKILL\) received',r'^.*interrupted: after step.*$'
NAMED = re.compile('|'.join(SAID), re.M)
REPORT = Path(__file__).parents[1]/'nbs/reports/ranks_fail.json'
TRIES = 10   # moments until one lies before the run's end

def battery(kills=20, stops=10):
    "Faults of rank 1: at random moments, an exception at each site, a signal, and frozen when all is done"
    import random
    rng = random.Random(0)
    def moments(how, n): return [lambda: f'{how} any {rng.uniform(.05, .8):.2f}' for _ in range(n)]
    sites = [f'raise {o} 3' for o in 'data loss backward reduce clip optim record save stop'.split()]
    fixed = [*sites, 'raise validate 1', 'term data 6', 'stop end 1']
    return [*moments('kill', kills), *moments('stop', stops), *(lambda f=f: f for f in fixed)]

def struck(here, fault):
    "A fault that came before the end; what came of it"
    for _ in range(TRIES):
        shutil.rmtree(here/'run', ignore_errors=True)
        how = fault()
        code,err,took_s = start(here, how)
        if took_s is not None: return how,code,err,took_s
    raise AssertionError(f'{how}: the run ended before')

def outcome(here, fault, tensors, losses):
    "Whether all were out in time, whether somebody said why, and whether the next start goes on to the same bits"
    import torch
    how,code,err,took_s = struck(here, fault)
    found = NAMED.search(err)
    again,same = learnt(here, start(here))
    equal = same==losses and all(torch.equal(t, tensors[k]) for k,t in again.items())
    late = took_s>(STUCK_S if how.startswith('stop') else OUT_S)
    said = found[0][:110] if found else ''
    print(f'{how:18} exit {code} {took_s:5.1f} s{" LATE" if late else ""} {"same bits" if equal else "OTHER BITS"}  '
          f'{said or f"NOT NAMED: {err[-300:]!r}"}', flush=True)
    return dict(fault=how, exit=code, late=late, same=equal, said=said)

def main(*words):
    "Every fault; the outcomes as nbs/reports/ranks_fail.json, where none was left out"
    import tempfile
    os.environ['FRESH'] = '1'   # see forks.py
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        texts(here)
        undisturbed = learnt(here, start(here))
        found = [outcome(here, fault, *undisturbed) for fault in battery(*map(int, words))]
    if not words: REPORT.write_text(json.dumps(found, indent=1)+'\n')

AGAIN = 'checkpoint.retries=1', 'checkpoint.retry_s=0.1'
IN_PARTS = 'train.parallel=fsdp', 'checkpoint.sharded=sharded', *AGAIN
DISKS = [('kill piece 4', 1, IN_PARTS), ('full piece 3', 1, IN_PARTS),   # what happens, to which rank of which run
         ('full file 6', 0, AGAIN), ('full log 7', 0, AGAIN)]

def disks():
    "A disk that is full for one rank, or a rank killed between the files of a save in parts: nothing is lost"
    import tempfile, torch
    with tempfile.TemporaryDirectory() as folder:
        here,straight = Path(folder),{}
        texts(here)
        for fault,r,keys in DISKS:
            if keys not in straight: straight[keys] = learnt(here, start(here, keys=keys))
            tensors,losses = straight[keys]
            code,err,took_s = start(here, fault, keys=keys, FAULT_RANK=str(r))
            said = [line for line in err.splitlines() if line.startswith('pretrain: ')]
            assert code!=0 and said and took_s<OUT_S, err[-3000:]
            if fault.startswith('full'):
                assert any(f'rank {r}' in line for line in said) and any(GO_ON in line for line in said), said
            again,same = learnt(here, start(here, keys=keys))
            equal = same==losses and all(torch.equal(t, tensors[k]) for k,t in again.items())
            bits = 'same' if equal else 'OTHER'
            print(f'{fault}, rank {r}: exit {code}, {took_s:.1f} s, {bits} bits: {said}', flush=True)
            assert equal

if __name__=='__main__': disks() if sys.argv[1:]==['disks'] else main(*sys.argv[1:])

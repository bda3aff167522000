"""Machines that go and come again, played on this one. In tests/, since each is an agent of torchrun. pytest reads the
launch files; `python tests/test_agents.py [ROUNDS]` kills one of two agents and lets it join again, and kills a process
whose agent lives; `python tests/test_agents.py link [ROUNDS]` cuts the wire between two network namespaces (as root, on
Linux). They print a table, and fail where a line of it is not as it should be."""
import os, re, shutil, signal, socket, subprocess, sys, tempfile, time
from pathlib import Path
from helpers import SMALL, env, write_texts
from pretrain.store.log import each_record

LAUNCH = Path(__file__).parents[1]/'configs/launch'
REJOIN = 'TORCH_DISABLE_SHARE_RDZV_TCP_STORE'   # what torch 2.13 needs to let an agent join again

def test_launch_files_let_an_agent_join_again():
    "Where agents meet by c10d, torch's shared store is switched off, and the page says so, too"
    for file in LAUNCH.iterdir():
        text = file.read_text()
        if 'c10d' in text: assert f'export {REJOIN}=1' in text, file.name
    page = (Path(__file__).parents[1]/'nbs/beyond.ipynb').read_text()
    assert f'{REJOIN}=1 torchrun --nnodes=1:4' in page

# ------------------------------------------------------------ by command

SLOW = '''
import os, sys, time
from pretrain.cli import main
from pretrain.data.loader import Loader
def slowly(self, *args, **kw):
    if not os.path.exists('fast'): time.sleep(.5)
    return batch(self, *args, **kw)
batch,Loader.batch = Loader.batch,slowly
if os.environ['RANK']=='0':
    with open('worlds', 'a') as f: f.write(os.environ['WORLD_SIZE']+' ')
sys.exit(main(['train', 'c.toml', *sys.argv[1:]]))
'''
STEPS,LIMIT_S,HUNG_S,TOL = 200,4,400,1e-6
KEYS = [*SMALL, 'data.train=texts', 'preflight.at_start=false', 'sample.prompts=[]', f'train.steps={STEPS}', 'out=run',
        'train.save_every=3', 'eval.every=0', f'train.limit_s={LIMIT_S}', 'model.n_layer=1', 'model.width=16',
        'model.seq_len=16']
MEET = 'keep_alive_interval=1,keep_alive_max_attempt=3,last_call_timeout=2,read_timeout=30'  # sooner than torch's own

def folder_of(where):
    "Text and script"
    here = Path(where)
    (here/'script.py').write_text(SLOW)
    (here/'c.toml').write_text('seed = 1')
    write_texts(here/'texts', 20)
    return here

def agent(here, name, *launch, head=(), **more):
    "An agent with one process; what it says goes to a file"
    cmd = [*head, sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=1', *launch, 'script.py', *KEYS]
    path = os.pathsep.join(p for p in sys.path if p)
    with open(here/f'{name}.err', 'a') as err:
        return subprocess.Popen(cmd, cwd=here, env=env(PYTHONPATH=path, **more), stdout=subprocess.DEVNULL,
                                stderr=err, start_new_session=True)

def children(pid):
    "All processes that it has started, itself first"
    found = [pid]
    for p in found:
        at = Path(f'/proc/{p}/task/{p}/children')
        found += map(int, at.read_text().split()) if at.exists() else []
    return found

def ended(pid):
    "Is it gone, or would it be, if its launcher looked?"
    at = Path(f'/proc/{pid}/stat')
    return not at.exists() or at.read_text().rpartition(')')[2].split()[0]=='Z'

def kill(p):
    "A machine that goes: agent and processes at once"
    for o in children(p.pid):
        try: os.kill(o, signal.SIGKILL)
        except ProcessLookupError: pass
    p.wait()

def records(here):
    log = here/'run/metrics.jsonl'
    return [r for r,_ in each_record(log)] if log.exists() else []

def losses(here): return {r['step']: r['loss'] for r in records(here) if 'loss' in r}
def worlds(here):
    "How many processes each start had"
    return (here/'worlds').read_text().split() if (here/'worlds').exists() else []

def until(what, fn, *agents, wait_s=HUNG_S):
    "Wait until `fn` gives something; the seconds that it took"
    t = time.monotonic()
    while not fn():
        if time.monotonic()-t>wait_s: raise AssertionError(f'{what}: still not after {wait_s} s')
        for p in agents:
            if p.poll() is not None: raise AssertionError(f'{what}: an agent ended with {p.returncode}')
        time.sleep(.1)
    return time.monotonic()-t

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

def forget(here):
    "As before the first start"
    shutil.rmtree(here/'run', ignore_errors=True)
    for name in ('worlds', 'fast'): (here/name).unlink(missing_ok=True)
    for p in here.glob('*.err'): p.unlink()

def straight(here):
    "Losses of a run that nobody disturbs"
    (here/'fast').touch()
    p = agent(here, 'straight', '--standalone')
    assert p.wait(HUNG_S)==0, (here/'straight.err').read_text()[-3000:]
    found = losses(here)
    forget(here)
    return found

def equal(here, want):
    "Each step once, and its loss"
    steps = [r['step'] for r in records(here) if 'loss' in r]
    got = losses(here)
    assert steps==[*range(1, STEPS+1)], f'steps {steps}'
    return max(abs(got[k]-want[k]) for k in want)

def trained(here, world):
    "Has one start more, of so many processes, trained?"
    n,at = len(worlds(here)),len(losses(here))
    return lambda: len(worlds(here))>n and worlds(here)[-1]==str(world) and len(losses(here))>at+3

def start_of(port, nodes):
    "Starts an agent of so many"
    launch = [f'--nnodes={nodes}', '--max-restarts=3', '--rdzv-backend=c10d', f'--rdzv-id={port}',
              f'--rdzv-endpoint=127.0.0.1:{port}', f'--rdzv-conf={MEET}']
    return lambda here, name: agent(here, name, *launch, **{REJOIN: '1'})

def goes(here, start, port):
    "The one that does not keep the meeting is killed, and comes again"
    a = start(here, 'a')
    until('the first listens', lambda: listening(port), a)
    b = start(here, 'b')
    yield from (a, b)
    until('two train', trained(here, 2), a, b)
    kill(b)
    yield f'one goes on after {until("one goes on", trained(here, 1), a):.1f} s'
    b = start(here, 'b')
    yield b
    yield f'two again after {until("two again", trained(here, 2), a, b):.1f} s'

def falls(here, start, port):
    "A process is killed whose agent lives: agents count restarts each for itself, and meet all the same"
    a = start(here, 'a')
    until('the first listens', lambda: listening(port), a)
    b = start(here, 'b')
    yield from (a, b)
    until('two train', trained(here, 2), a, b)
    os.kill(children(b.pid)[-1], signal.SIGKILL)
    yield f'both go on after {until("both go on", trained(here, 2), a, b):.1f} s'

def rounds_of(fault, nodes, rounds):
    "Each with a meeting of its own; each step is taken once, and is that of a run which nobody disturbs"
    with tempfile.TemporaryDirectory() as folder:
        here = folder_of(folder)
        want = straight(here)
        for i in range(rounds):
            forget(here)
            port,said,ps = free_port(),[],[]
            try:
                for o in fault(here, start_of(port, nodes), port): (said if isinstance(o, str) else ps).append(o)
                (here/'fast').touch()
                codes = [p.wait(HUNG_S) for p in ps]
                far = equal(here, want)
                assert codes in ([0, 0], [0, -9, 0]) and far<TOL, (codes, far)
                print(f'{fault.__name__} {i+1}: {", ".join(said)}; processes of each start {" ".join(worlds(here))}; '
                      f'loss {far:.1e} off', flush=True)
            except BaseException:
                for f in here.glob('*.err'): print(f'--- {f.name}', f.read_text()[-3000:], file=sys.stderr)
                raise
            finally:
                for p in ps: kill(p)

def agents(rounds=5):
    rounds_of(goes, '1:2', rounds)
    rounds_of(falls, '2', rounds)

AFTER_S = 5   # More than the limit, from the cut to the end of the ranks; what torchrun needs to end is its own [s]
LINK = 'ptA', 'ptB'   # Namespaces, one for each machine; their ends of the wire have the same names
APART = 'unshare', '--pid', '--fork', '--kill-child', '--mount-proc'   # nor does a machine see another's processes
HOST = '10.203.0.{}'

def ip(*words): subprocess.run(['ip', *words], check=True)

def wire():
    "Two namespaces and a wire"
    unwire()
    for o in LINK: ip('netns', 'add', o)
    ip('link', 'add', LINK[0], 'netns', LINK[0], 'type', 'veth', 'peer', 'name', LINK[1], 'netns', LINK[1])
    for k,o in enumerate(LINK):
        ip('-n', o, 'addr', 'add', HOST.format(k+1)+'/24', 'dev', o)
        for dev in ('lo', o): ip('-n', o, 'link', 'set', dev, 'up')

def unwire():
    for o in LINK: subprocess.run(['ip', 'netns', 'del', o], stderr=subprocess.DEVNULL)

def cut(how): ip('-n', LINK[1], 'link', 'set', LINK[1], how)

def link(rounds=1):
    "A cut while two train: each side ends and says which rank it misses; mended, the same command goes on"
    with tempfile.TemporaryDirectory() as folder:
        here = folder_of(folder)
        want = straight(here)
        for i in range(rounds):
            forget(here)
            wire()
            try:
                ps = linked(here)
                until('two train', trained(here, 2), *ps)
                ranks = [children(p.pid)[-1] for p in ps]
                cut('down')
                out_s = until('ranks end', lambda: all(map(ended, ranks)))
                codes = [p.wait(HUNG_S) for p in ps]
                said = [(here/f'{o}.err').read_text() for o in LINK]
                lines = [next((o for o in text.splitlines() if re.match(NAMES, o)), '') for text in said]
                assert all(codes) and all(lines), (codes, said)
                assert out_s<LIMIT_S+AFTER_S, out_s
                cut('up')
                (here/'fast').touch()
                assert [p.wait(HUNG_S) for p in linked(here)]==[0, 0]
                far = equal(here, want)
                assert far<TOL, far
                print(f'link {i+1}: ranks out after {out_s:.1f} s (limit {LIMIT_S} s); {" | ".join(lines)}; mended, to '
                      f'the end, loss {far:.1e} off', flush=True)
            finally:
                for p in ps: kill(p)
                unwire()

NAMES = r'pretrain: .*rank [01]( of 2)? (has|is|hangs)'   # which rank, and what of it

def linked(here):
    "One agent in each namespace; a machine that is to be met by others has a fixed address"
    launch = ['--nnodes=2', f'--master-addr={HOST.format(1)}', '--master-port=29511']
    return [agent(here, o, *launch, f'--node-rank={k}', head=('ip', 'netns', 'exec', o, *APART), GLOO_SOCKET_IFNAME=o)
            for k,o in enumerate(LINK)]

def listening(port):
    with socket.socket() as s: return s.connect_ex(('127.0.0.1', port))==0

if __name__=='__main__':
    words = sys.argv[1:]
    if 'link' in words: link(*map(int, words[1:]))
    else: agents(*map(int, words))

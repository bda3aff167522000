"""`pretrain.base.dist` in two real processes started by torchrun, which a notebook kernel cannot be."""
import json, os, shutil, signal, socket, subprocess, sys, textwrap, time
from pathlib import Path
import pytest, torch
import forks
from helpers import env as plain, on_ranks, pretrain, quiet

COMMON = '''
import json, sys, time, torch
from pathlib import Path
from pretrain.base.agree import first
from pretrain.base.dist import all_sum, barrier, by_main, cleanup, is_main, rank, together
from pretrain.train.gradients import reduce_grads
from pretrain.base.dist import setup, share, slice_rows, world
dir = Path(sys.argv[1])
'''

LIMIT_S = 100 # a test that takes longer has hung


def run(tmp_path, body, n=2, timeout_s=60):
    "Run a script in `n` processes (one: without torchrun); exit code, stderr, seconds"
    script = tmp_path/'script.py'
    script.write_text(f'{COMMON}\nsetup("cpu", timeout_s={timeout_s})\n{body}\ncleanup()\n')
    t = time.monotonic()
    p = on_ranks(script, tmp_path, n=n)
    try: _,err = p.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, 9)
        pytest.fail(f'hung for {LIMIT_S} s: {p.communicate()[1][-2000:]}')
    return p.returncode, err, time.monotonic()-t


def ok(tmp_path, body, n=2, **kw):
    "Run a script that must succeed"
    code,err,_ = run(tmp_path, body, n, **kw)
    assert code==0, err[-3000:]


# ------------------------------------------------------------ ranks that do well: one start for all

GRADS = '''
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).double()
late, never = torch.nn.Parameter(torch.ones(4).double()), torch.nn.Parameter(torch.ones(2).double())
params = [*net.parameters(), late, never]
x = torch.randn(12, 6).double()
for step in range(3):
    for p in params: p.grad = None
    mine = x[slice_rows(12, rank(), world())]
    for micro in mine.chunk(2): (net(micro).square().sum()/12).backward()
    if is_main(): (3*late).sum().backward() # a gradient on one rank only
    reduce_grads(params, bucket_mb=BUCKET)
    with torch.no_grad():
        for p in params:
            if p.grad is not None: p -= .1*p.grad
assert never.grad is None
n = all_sum(torch.tensor([len(mine), 1]))
keep(dict(params=[p.tolist() for p in params], late=late.grad.tolist(), rows=int(n[0]), ranks=int(n[1])))
'''

MUON = '''
from pretrain.model.optim import OptimConfig, build_optim
from pretrain.train.gradients import clip_grads
def train(**switches):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(12, 24), torch.nn.Tanh(), torch.nn.Linear(24, 24), torch.nn.Tanh(),
                              torch.nn.Linear(24, 12))
    opt = build_optim(net, OptimConfig(matrix='muon', **switches))
    x,goal = torch.randn(64, 12),torch.randn(64, 12)
    for step in range(8):
        opt.zero_grad()
        mine = slice_rows(64, rank(), world())
        ((net(x[mine])-goal[mine]).square().sum()/64).backward()
        reduce_grads(opt.params)
        clip_grads(opt.params, 1.)
        opt.step()
    return {n: v.tolist() for n,v in [*net.named_parameters(), *opt.state_tensors().items()]}
keep([train(), train(muon_beta2=.9, muon_equal_rows=True, muon_cautious=True)])
'''

FAILS = '''
def fail(e):
    if not is_main(): raise e
said = []
for e in (ValueError('no such file'), KeyError('x')):
    try: together(lambda: fail(e))
    except Exception as found: said.append(f'{type(found).__name__}: {found}')
assert all_sum(torch.ones(1)).item()==2
keep(said)
'''

FIRST = '''
def build():
    made = not (dir/'cache').exists()
    if made:
        time.sleep(3) # longer than a collective operation may take
        (dir/'cache').write_text(str(rank()))
    elif not is_main(): time.sleep(3) # the first waits for the other, too
    return made
made = first(build)
barrier()
all_sum(torch.ones(1))
keep([made, (dir/'cache').read_text(), share([rank(), 'é'])])
'''

WORK = '''
def busy():
    t = time.monotonic()
    while time.monotonic()-t<3: sum(range(10**5))
by_main(lambda: time.sleep(3))
by_main(busy)
together(lambda: is_main() or time.sleep(3))
keep(all_sum(torch.ones(1)).item())
'''

RUNS = '2_0','2_1','1_0'   # Number of ranks, and the rank that tells
ANY = dict(one_message=GRADS.replace('BUCKET', '32.'), many_messages=GRADS.replace('BUCKET', '1e-4'), muon=MUON)
TWO = dict(fails=FAILS, first=FIRST, work=WORK)
SHORT_S = 2   # limit of a collective operation, for those that work longer

def cases(bodies):
    "A script of one function for each, which meet anew"
    anew = f'    cleanup()\n    setup("cpu", timeout_s={SHORT_S})\n'
    meet = {k: anew if k in ('first','work') else '' for k in bodies}
    keep = 'def keep(o): (dir/f"NAME_{world()}_{rank()}").write_text(json.dumps(o))'
    return '\n'.join(f'def case_{k}():\n    {keep.replace("NAME", k)}\n'
                     f'{meet[k]}{textwrap.indent(body, "    ")}\ncase_{k}()' for k,body in bodies.items())

@pytest.fixture(scope='module')
def saw(tmp_path_factory):
    "What the cases kept: by name, number of ranks and rank"
    here = tmp_path_factory.mktemp('ranks')
    ok(here, cases(ANY), 1)
    ok(here, cases(ANY | TWO))
    def found(name): return [json.loads((here/f'{name}_{o}').read_text()) for o in RUNS[:3 if name in ANY else 2]]
    return found

@pytest.mark.parametrize('name', ['one_message', 'many_messages'])
def test_two_ranks_equal_one_process(saw, name):
    "Parameters after three steps: the same on both ranks bit for bit, and as in one process"
    a,b,one = saw(name)
    assert a==b
    assert (a['rows'], a['ranks'], one['rows'], one['ranks']) == (12, 2, 12, 1)
    assert a['late'] == one['late'] == [3.]*4

    def flat(o): return [o] if isinstance(o, float) else [v for e in o for v in flat(e)]
    assert flat(a['params']) == pytest.approx(flat(one['params']), abs=1e-12)

def test_muon_on_two_ranks_equals_one_process(saw):
    """Every rank orthogonalises the same sum: parameters and moments the same on both bit for bit, and as in one
    process to rounding"""
    a,b,one = saw('muon')
    assert a==b and [sum(k.startswith('muon/') for k in o) for o in a]==[3, 6]   # with a mean square, each has two
    for o,want,atol in zip(a, one, (1e-5, 1e-4)):   # a mean square near zero makes more of the rounding
        for k in want: torch.testing.assert_close(torch.tensor(o[k]), torch.tensor(want[k]), atol=atol, rtol=0, msg=k)

def test_first_builds_once(saw):
    "The main rank alone builds, however long it takes; the other finds it built; values are shared from the main rank"
    assert saw('first')==[[True, '0', [0, 'é']], [False, '0', [0, 'é']]]

def test_work_of_one_rank_has_no_limit(saw):
    """Where the limit of a collective operation is 2 s, the first rank works for 3 s, once idle and once busy, and
    after that the other; and both still sum"""
    assert saw('work')==[2, 2]

def test_failing_on_one_rank_fails_on_all(saw):
    "A user's mistake is one everywhere; what only we can cause says which rank; and ranks can go on together after it"
    zero,one = saw('fails')
    assert zero==['ValueError: no such file', "RuntimeError: rank 1 failed, so rank 0 stops: KeyError: 'x'"]
    assert one==['ValueError: no such file', "KeyError: 'x'"]

# ------------------------------------------------------------ ranks that fail: a start for each

def test_a_rank_that_left_or_is_stopped(tmp_path):
    "Nobody waits for ever: not for one that has gone, nor for one that is frozen, which no launcher notices"
    code,err,dt_s = run(tmp_path, '''
import os, signal
if not is_main():
    (dir/'pid').write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGSTOP)
try: barrier()
except RuntimeError as e: (dir/'said').write_text(str(e))
os.kill(int((dir/'pid').read_text()), signal.SIGKILL)   # else torchrun waits 30 s for it
os._exit(3)
''', timeout_s=3)
    assert code!=0 and dt_s<LIMIT_S
    assert (tmp_path/'said').read_text()=='rank 1 has given no sign of life for 3 s, so rank 0 stops'

def test_first_failing_on_main_stops_all(tmp_path):
    "The other rank hears the reason instead of waiting"
    code,_,dt_s = run(tmp_path, '''
def build(): raise ValueError('no corpus here')
try: first(build)
except Exception as e:
    (dir/f'err_{rank()}').write_text(f'{type(e).__name__}: {e}')
    if not is_main(): raise
    time.sleep(5) # the other rank must not need us to die first
''')
    assert code!=0 and dt_s<LIMIT_S
    assert (tmp_path/'err_0').read_text() == 'ValueError: no corpus here'
    assert (tmp_path/'err_1').read_text() == 'ValueError: no corpus here'


@pytest.mark.parametrize('bad', ['raise ValueError("broken rank")', 'time.sleep(1000)'], ids=['raises', 'hangs'])
def test_bad_rank_does_not_hang_the_others(tmp_path, bad):
    "A rank that dies, or never arrives, ends the run within the timeout"
    code,err,dt_s = run(tmp_path, f'''
if rank()==1: {bad}
all_sum(torch.ones(1))
(dir/'done').write_text('')
''', timeout_s=3)
    assert code!=0 and dt_s<LIMIT_S
    assert not (tmp_path/'done').exists()


def test_ranks_that_never_met(tmp_path):
    "A script that forgets `setup` is told so"
    script = tmp_path/'script.py'
    script.write_text('import torch\nfrom pretrain.base.dist import all_sum\nall_sum(torch.ones(1))\n')
    env = {**os.environ, 'WORLD_SIZE':'2', 'RANK':'0', 'PYTHONPATH':os.pathsep.join(p for p in sys.path if p)}
    r = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=env, timeout=LIMIT_S)
    assert r.returncode!=0 and 'call setup(device) first' in r.stderr


def alone(*args, cwd, read=False, **env):
    "The command line in a process that the environment tells to be one of several; is it read while it writes?"
    if not read and forks.usable(plain()): return forks.Started(args, cwd, plain(**env), module='pretrain')
    return subprocess.Popen([sys.executable, '-m', 'pretrain', *args], cwd=cwd, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=os.environ | dict(PYTHONPATH=os.pathsep.join(sys.path)) | env)

CONTRADICTIONS = [dict(WORLD_SIZE='2'), dict(WORLD_SIZE='2', RANK='0'), dict(RANK='1'), dict(SLURM_PROCID='1')]

def test_left_over_environment(tmp_path):
    "Nobody trains alone where several were meant: one line, and nothing is written"
    started = [(env, alone('train', 'quickstart', 'out=run', cwd=tmp_path, **env)) for env in CONTRADICTIONS]
    for env,p in started:
        out,err = p.communicate(timeout=LIMIT_S)
        assert (p.returncode, err.count('\n'))==(2, 1), (env, err)
        assert list(env)[0] in err and 'torchrun' in err, err
    assert not list(tmp_path.iterdir())

@pytest.mark.parametrize('r', [0, 1])
def test_a_start_that_waits_says_so_and_can_be_stopped(tmp_path, r):
    "The other process never comes: who is missing and where is said, and SIGTERM ends the wait"
    with socket.create_server(('localhost', 0)) as s: port = s.getsockname()[1]
    p = alone('train', 'quickstart', 'out=run', 'train.device=cpu', cwd=tmp_path, read=True, WORLD_SIZE='2',
              RANK=str(r), MASTER_ADDR='localhost', MASTER_PORT=str(port))
    who = f'rank {1-r} of 2 at localhost:{port}'
    assert p.stderr.readline()==f'pretrain: waiting for {who}, at most 300 s; Ctrl-C stops\n'
    t = time.monotonic()
    p.send_signal(signal.SIGTERM)
    assert p.communicate(timeout=LIMIT_S)[1]=='pretrain: interrupted; start again with the same command to go on\n'
    assert p.returncode==143 and (time.monotonic()-t<10 or not quiet()) and not list(tmp_path.iterdir())

def test_work_for_one_process(tmp_path):
    "Under torchrun one process draws, and the other leaves; a WORLD_SIZE that was left over changes nothing"
    run_dir = [*Path(__file__).parent.glob('old_run/**/config.toml')][0].parent
    shutil.copytree(run_dir, tmp_path/'run')
    r = pretrain('sample', 'run', '--tokens', '3', cwd=tmp_path, n_proc=2)
    assert r.returncode==0 and 'Traceback' not in r.stderr, r.stderr
    assert r.stderr.count('sample: rank 1 of 2 leaves: this is work for one process, rank 0')==1
    for left_over in (dict(WORLD_SIZE='2'), dict(RANK='1'), dict(WORLD_SIZE='2', RANK='0')):
        p = alone('sample', 'run', '--tokens', '3', cwd=tmp_path, **left_over)
        assert (p.communicate(timeout=LIMIT_S)[0], p.returncode)==(r.stdout, 0)

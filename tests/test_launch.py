"""The files of configs/launch. That for Slurm is run: a stand-in for srun starts what it is told once for each node,
here two on this machine, which meet and train. The others are read; where its own parser is installed, by that; that
for Ray is run on a cluster of two nodes, where Ray is installed (`pip install 'ray[train]'`) and LAUNCH_FULL=1."""
import os, subprocess, sys
from pathlib import Path
import pytest, yaml

LAUNCH = Path(__file__).parents[1]/'configs/launch'
SRUN = '''#!/bin/bash
while [[ $1 == --* ]]; do shift; done
for i in 0 1; do SLURM_PROCID=$i SLURM_NODEID=$i SLURM_LOCALID=0 SLURM_STEP_NUM_TASKS=2 "$@" & pids+=" $!"; done
code=0
for p in $pids; do wait $p || code=$?; done
exit $code
'''
KEYS = ['data.train=text.txt', 'tokenizer.vocab_size=300', 'prepare.cache=cache', 'out=run', 'model.n_layer=1',
        'model.width=16', 'model.n_head=1', 'model.seq_len=16', 'loader.batch_rows=4', 'train.steps=2',
        'eval.bytes=500', 'sample.every=0', 'schedule.warmup=0', 'train.device=cpu', 'preflight.at_start=false']

@pytest.fixture
def slurm(tmp_path):
    "A folder to work in, and an environment with Slurm's commands and variables"
    (tmp_path/'text.txt').write_text('\n'.join(f'Line {i} of a text that is long enough.' for i in range(400)))
    (tmp_path/'bin').mkdir()
    python = f'#!/bin/bash\nexec {sys.executable} -m torch.distributed.run "$@"\n'
    for name,text in dict(srun=SRUN, scontrol='#!/bin/bash\necho 127.0.0.1\necho node1\n', torchrun=python).items():
        (tmp_path/'bin'/name).write_text(text)
        (tmp_path/'bin'/name).chmod(0o755)
    path = f'{tmp_path}/bin:{Path(sys.executable).parent}:{os.environ["PATH"]}'
    return tmp_path,os.environ | dict(PATH=path, SLURM_NNODES='2', SLURM_JOB_NODELIST='node[0-1]', OMP_NUM_THREADS='1')

def bash(slurm, file, *args, **env):
    where,base = slurm
    return subprocess.run(['bash', LAUNCH/file, *args], cwd=where, env=base | env, text=True, capture_output=True,
                          timeout=240)

def test_slurm(slurm):
    import socket
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = str(s.getsockname()[1])
    p = bash(slurm, 'slurm.sh', 'quickstart', *KEYS, NPROC='1', PORT=port, SLURM_JOB_ID=port)
    assert p.returncode==0, p.stderr[-4000:]
    assert '2 processes' in p.stdout or 'world 2' in p.stdout, p.stdout
    assert (slurm[0]/'run/checkpoints/step_00000002').is_dir()

def test_slurm_prepares(slurm):
    p = bash(slurm, 'slurm_prepare.sh', 'quickstart', *KEYS, SLURM_ARRAY_TASK_ID='1', SLURM_ARRAY_TASK_COUNT='4')
    assert p.returncode==0 and 'part 1/4: done' in p.stdout, p.stdout+p.stderr

def keys_of(command):
    "The config and the keys that a command trains with are some that there are"
    from pretrain.build import load_config
    words = command.split() if isinstance(command, str) else command
    at = words.index('train')
    return load_config(words[at+1], [o for o in words[at+2:] if '=' in o])

def test_kubernetes():
    job = yaml.safe_load((LAUNCH/'kubernetes.yaml').read_text())
    trainer = job['spec']['trainer']
    assert (job['kind'], trainer['command'][:4])==('TrainJob', ['torchrun', '-m', 'pretrain', 'train'])
    assert keys_of(trainer['command']).out.startswith('/shared/')
    assert trainer['numProcPerNode']==trainer['resourcesPerNode']['limits']['nvidia.com/gpu']

def test_kubernetes_by_its_parser():
    models = pytest.importorskip('kubeflow_trainer_api.models')
    job = yaml.safe_load((LAUNCH/'kubernetes.yaml').read_text())
    read = models.TrainerV1alpha1TrainJob.from_dict(job)
    assert read.to_dict()==job, 'the parser drops what it does not know'

def test_skypilot():
    task = yaml.safe_load((LAUNCH/'skypilot.yaml').read_text())
    assert task['num_nodes']==2 and '--nnodes="$SKYPILOT_NUM_NODES"' in task['run']
    assert keys_of(['train', task['envs']['CONFIG'], *task['envs']['KEYS'].split()]).out.startswith('/shared/')
    assert subprocess.run(['bash', '-n'], input=task['run'], text=True).returncode==0

def test_skypilot_by_its_parser():
    sky = pytest.importorskip('sky')
    task = sky.Task.from_yaml(str(LAUNCH/'skypilot.yaml'))
    assert (task.num_nodes, task.envs['CONFIG'])==(2, 'd20')

RAY = '''
import os, runpy, socket, sys, ray
from ray.cluster_utils import Cluster
def ports():
    "Given, nobody waits until an agent of Ray has said which: that gives up after 15 s"
    held = {k: socket.create_server(('', 0)) for k in ('metrics_agent_port', 'metrics_export_port',
                                                       'dashboard_agent_listen_port', 'runtime_env_agent_port')}
    found = {k: s.getsockname()[1] for k,s in held.items()}
    for s in held.values(): s.close()
    return found
cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=2, **ports()))
cluster.add_node(num_cpus=2, **ports())
cluster.wait_for_nodes()
os.environ['RAY_ADDRESS'] = cluster.address
try: runpy.run_path(sys.argv.pop(1), run_name='__main__')
finally:
    ray.shutdown()
    cluster.shutdown()
'''
def test_ray_train(tmp_path):
    "Two nodes, a process on each; all ends by itself, and the next start has nothing left to do"
    pytest.importorskip('ray.train')
    if 'LAUNCH_FULL' not in os.environ: pytest.skip('LAUNCH_FULL=1: half a minute and 1 GB')
    (tmp_path/'text.txt').write_text('\n'.join(f'Line {i} of a text that is long enough.' for i in range(400)))
    at = [o.replace('=text', f'={tmp_path}/text').replace('=cache', f'={tmp_path}/cache').replace(
          '=run', f'={tmp_path}/run') for o in KEYS]
    env = os.environ | dict(RAY_USAGE_STATS_ENABLED='0', RAY_raylet_start_wait_time_s='300',
                            RAY_agent_register_timeout_ms='300000', OMP_NUM_THREADS='1', HOME=str(tmp_path))
    p = subprocess.run([sys.executable, '-c', RAY, LAUNCH/'ray_train.py', 'quickstart', *at], env=env, text=True,
                       capture_output=True, timeout=900)
    assert p.returncode==0, p.stdout[-2000:]+p.stderr[-4000:]
    assert 'world_size=2' in p.stdout+p.stderr and '2 processes' in p.stdout+p.stderr
    assert (tmp_path/'run/checkpoints/step_00000002').is_dir()

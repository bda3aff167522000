"""Training on a cluster of Ray, a process for each of its GPUs, or, where there are none, for each node:
python ray_train.py CONFIG out=/shared/runs/name [key=value ...]

out, prepare.cache and the text lie on a disk that all nodes share, and each has pretrain[cluster] installed. Ray Train
only starts the processes and tells them where they meet. If one is lost, it starts all again, up to three times, and
they go on from the newest checkpoint."""
import sys
import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

def train(how):
    from pretrain.cli import main
    if code := main(['train', *how['words']]): raise RuntimeError(f'pretrain train: exit code {code}')

ray.init()
gpus,nodes = int(ray.cluster_resources().get('GPU', 0)),sum(o['Alive'] for o in ray.nodes())
TorchTrainer(train, train_loop_config=dict(words=sys.argv[1:]),
             scaling_config=ScalingConfig(num_workers=gpus or nodes, use_gpu=gpus>0,
                                          placement_strategy='PACK' if gpus else 'STRICT_SPREAD'),
             run_config=RunConfig(failure_config=FailureConfig(max_failures=3))).fit()

"""Training on the nodes of a Ray cluster: python ray_train.py WORKERS CONFIG out=/shared/runs/name [key=value ...]

Ray Train takes torchrun's place: it sets the same variables (rank, world, where to meet) in a process for each GPU,
or for each core where there is none, and starts all again if one is lost. Run it where Ray's head is, or with
RAY_ADDRESS."""
import os, sys
import ray, torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

def train(job):
    "In every worker: the command, as torchrun would start it"
    os.chdir(job['where'])
    torch.distributed.destroy_process_group()   # Ray's; a run makes its own, with signs of life
    from pretrain.cli import main
    if code := main(['train', *job['args']]): raise SystemExit(code)

if __name__=='__main__':
    n,*args = sys.argv[1:]
    ray.init(ignore_reinit_error=True)
    scale = ScalingConfig(num_workers=int(n), use_gpu=ray.cluster_resources().get('GPU', 0)>=int(n))
    again = RunConfig(failure_config=FailureConfig(max_failures=3), storage_path=os.path.abspath('ray_results'))
    job = dict(where=os.getcwd(), args=args)
    TorchTrainer(train, train_loop_config=job, scaling_config=scale, run_config=again).fit()

#!/bin/bash
# Training on several nodes under Slurm: sbatch slurm.sh CONFIG out=/shared/runs/name [key=value ...]
# out, prepare.cache and the text lie on a disk that all nodes share. After a requeue the job goes on from its newest
# checkpoint.
#SBATCH --job-name=pretrain
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@300
set -euo pipefail
HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed -n 1p)   # the machine where all meet
# Each start meets at a store of its own: in torch 2.13 the shared one knows neither an agent that joins again nor
# that each agent counts restarts for itself
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
# After a signal torchrun kills what has not ended in 30 s, where the step and a large save may need more
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=240
# One agent of torchrun a node, which starts a process for each GPU (NPROC for another number) and starts all again,
# up to three times, if one is lost
exec srun --kill-on-bad-exit=1 torchrun --nnodes="$SLURM_NNODES" --nproc-per-node="${NPROC:-gpu}" --max-restarts=3 \
    --rdzv-backend=c10d --rdzv-id="$SLURM_JOB_ID" --rdzv-endpoint="$HEAD:${PORT:-29500}" \
    -m pretrain train "$@"

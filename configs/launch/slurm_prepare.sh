#!/bin/bash
# Preparing in parts under Slurm, with nothing installed beside pretrain:
#   id=$(sbatch --parsable --array=0-15 slurm_prepare.sh CONFIG prepare.cache=/shared/cache [key=value ...])
#   sbatch --dependency=afterok:$id --wrap 'pretrain prepare CONFIG prepare.cache=/shared/cache [key=value ...] --merge'
# Parts count from 0. One that failed is done again with the same --array=NUMBER and PARTS=16 in the environment.
#SBATCH --job-name=prepare
#SBATCH --array=0-15
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
set -euo pipefail
exec python -m pretrain prepare "$@" --part "$SLURM_ARRAY_TASK_ID/${PARTS:-$SLURM_ARRAY_TASK_COUNT}"

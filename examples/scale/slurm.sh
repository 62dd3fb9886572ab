#!/bin/bash
# An archive on a SLURM cluster: sbatch slurm.sh SOURCE... DEST
# One scheduler and many workers in one job. srun starts a worker again that ended; what was done
# stays done, so a job that ran out of time is simply submitted again.
#SBATCH --job-name=ekg-archive
#SBATCH --ntasks=64
#SBATCH --cpus-per-task=1
#SBATCH --mem-per-cpu=2G
#SBATCH --time=04:00:00
set -euo pipefail

file=$PWD/scheduler-$SLURM_JOB_ID.json
dask scheduler --scheduler-file "$file" --no-dashboard &
until [ -s "$file" ]; do sleep 1; done

srun --kill-on-bad-exit=0 bash -c "
    until dask worker --scheduler-file '$file' --nthreads 1 --no-dashboard \
        --local-directory \"\${TMPDIR:-/tmp}\"; do sleep 2; done" &

address=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["address"])' "$file")
ekg archive "${@:1:$#-1}" --out "${!#}" --scheduler "$address"

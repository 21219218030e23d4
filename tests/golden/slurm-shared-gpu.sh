#!/bin/bash
#SBATCH --job-name="Supercube-bundle-HASH"
#SBATCH --nodes=1
#SBATCH --ntasks=3
#SBATCH --time=12:00:00
#SBATCH --gres=gpu:1
#SBATCH --mem=6144M
# A warning to this shell before the limit, in case the simulations do not see it coming.
#SBATCH --signal=B:USR1@60
#SBATCH --output="ROOT/project/logs/%j.out"

cd ROOT/project || exit 1

# A simulation leaves with a checkpoint before this time (seconds since 1970).
export SUPERCUBE_DEADLINE=$(($(date +%s) + 43200))
export SUPERCUBE_PROGRESS=lines TQDM_DISABLE=1 OMP_NUM_THREADS=1

# Several simulations share the GPU under NVIDIA's Multi-Process Service, which ends with this script.
CUDA_MPS_PIPE_DIRECTORY=$(mktemp -d) && export CUDA_MPS_PIPE_DIRECTORY CUDA_MPS_LOG_DIRECTORY=$CUDA_MPS_PIPE_DIRECTORY
nvidia-cuda-mps-control -d || { echo "NVIDIA's MPS does not start on $(hostname): set jobs_per_gpu: 1" >&2; exit 1; }
unset CUDA_VISIBLE_DEVICES  # the daemon has it, and counts from 0 for those it serves
trap 'echo quit | nvidia-cuda-mps-control; rm -rf "$CUDA_MPS_PIPE_DIRECTORY"' EXIT

# Commands run in the background, because only a shell that waits hears a signal at once. It goes on to them: they
# checkpoint and leave with 75, and nothing new is begun.
pids=() stopped= code=0
stop() { stopped=yes; [ -z "${pids[*]}" ] || kill -USR1 "${pids[@]}" 2>/dev/null; }
trap stop USR1 TERM
begin() { [ -n "$stopped" ] && return; "$@" & pids+=($!); [ -z "$stopped" ] || stop; }
finish() {
    local pid status again
    for pid in "${pids[@]}"; do
        wait "$pid"; status=$?
        # More than 128 is also what `wait` says when a signal came while it waited: then it has to wait again.
        while [ $status -gt 128 ] && kill -0 "$pid" 2>/dev/null; do wait "$pid"; status=$?; done
        # A command that ended between these two has not been asked yet; one that has been is not known any more (127).
        if [ $status -gt 128 ]; then wait "$pid" 2>/dev/null; again=$?; [ $again -eq 127 ] || status=$again; fi
        case $status in
            0) ;;
            75) echo "To be continued: submit again." ;;
            # One that was stopped before it could listen has not begun.
            *) [ -n "$stopped" ] && [ $status -gt 128 ] || code=1 ;;
        esac
    done
    pids=()
}

# simulate(JOB0)
begin PYTHON ROOT/workflow.py run -o simulate -j JOB0

# simulate(JOB1)
begin PYTHON ROOT/workflow.py run -o simulate -j JOB1

# simulate(JOB2)
begin PYTHON ROOT/workflow.py run -o simulate -j JOB2

finish
exit $code

# Submit command: sbatch

#!/bin/bash
#PBS -N Supercube-JOB0-buildequilib-HASH
#PBS -l select=1:ncpus=1:mpiprocs=1:ngpus=1:mem=8192mb
#PBS -l walltime=24:00:00
#PBS -q gpuq
#PBS -A nano42
#PBS -j oe
#PBS -o ROOT/project/logs/
#PBS -l place=excl

cd ROOT/project || exit 1

# A simulation leaves with a checkpoint before this time (seconds since 1970).
export SUPERCUBE_DEADLINE=$(($(date +%s) + 86400))
export SUPERCUBE_PROGRESS=lines TQDM_DISABLE=1 OMP_NUM_THREADS=1

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
begin apptainer exec --nv supercube.sif python3 ROOT/workflow.py run -o simulate -j JOB0
finish
exit $code

# Submit command: qsub

"""The signac-flow project: ``python workflow.py run | status | submit | exec ...``.

The only module that knows signac-flow. Operations are thin calls of ``supercube.operations``; conditions are named,
look only at files and the cached state point, and import no engine, so ``status`` works on a login node.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

# One thread a process: jobs run in parallel, and BLAS threads that fight over cores cost more than they give. numpy
# reads this when it is imported, so it stands before everything that does.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from flow import FlowProject, aggregator

from supercube import operations
from supercube.config import load_config
from supercube.errors import IncompleteError, SupercubeError

PROJECT = Path(__file__).resolve().parent / "project"


class Supercube(FlowProject):
    """Build, equilibrate, dry, classify and draw every job of the data space."""


def done(marker: str) -> Any:
    """Condition: the operation that writes this file last is complete."""

    def condition(job: Any) -> bool:
        return bool(job.isfile(marker))

    condition.__name__ = "has_" + Path(marker).stem
    return condition


initialised = done(operations.INITIAL)
equilibrated = done(operations.EQUILIBRATED)
evaporated = done(operations.EVAPORATED)
classified = done(operations.ORDER)
rendered = done(operations.PICTURE)


@Supercube.label
def failed(job: Any) -> bool:
    """Whether the last operation left an error (a file of its own, so that no document is opened)."""
    return bool(job.isfile(operations.FAILED))


for _condition in (initialised, equilibrated, evaporated, classified, rendered):
    Supercube.label(_condition)


def _attempt(function: Any, job: Any) -> None:
    # One broken job must not stop the others: its sentence goes to the document and to stderr, and main() counts it.
    try:
        with operations.recording_errors(job):
            function(job)
    except IncompleteError as stop:
        print(f"{job.id[:8]}: {stop}", file=sys.stderr)
        if stop.by_signal:
            parent = multiprocessing.parent_process()
            if parent is not None and parent.pid is not None:
                os.kill(parent.pid, signal.SIGTERM)  # a pool that lost a worker would wait for it for ever
            raise SystemExit(stop.exit_code) from None
    except SupercubeError as error:
        print(f"{job.id[:8]}: {error}", file=sys.stderr)


@Supercube.post(initialised)
@Supercube.operation
def build(job: Any) -> None:
    """Random fluid, crystal or the user's file -> initial.gsd."""
    _attempt(operations.build, job)


@Supercube.pre(initialised)
@Supercube.post(equilibrated)
@Supercube.operation
def equilibrate(job: Any) -> None:
    """Run at the initial volume."""
    _attempt(operations.equilibrate, job)


@Supercube.pre(equilibrated)
@Supercube.post(evaporated)
@Supercube.operation
def evaporate(job: Any) -> None:
    """Dry to the target and hold; resumable."""
    _attempt(operations.evaporate, job)


@Supercube.pre(evaporated)
@Supercube.post(classified)
@Supercube.operation
def classify(job: Any) -> None:
    """Label every particle; the answer goes to the job document."""
    _attempt(operations.classify, job)


@Supercube.pre(classified)
@Supercube.post(rendered)
@Supercube.operation
def render(job: Any) -> None:
    """order.png and structure.png."""
    _attempt(operations.render, job)


def _some_classified(*jobs: Any) -> bool:
    return any(classified(job) for job in jobs)


def _is_newer(name: str, jobs: tuple[Any, ...]) -> bool:
    result = PROJECT / name
    if not result.exists():
        return False
    made = result.stat().st_mtime
    newest = (Path(job.fn(operations.ORDER)) for job in jobs)
    return all(not path.exists() or path.stat().st_mtime <= made for path in newest)


def _map_is_newer(*jobs: Any) -> bool:
    return _is_newer("phase_map.png", jobs)


@Supercube.pre(_some_classified)
@Supercube.post(_map_is_newer)
@Supercube.operation(aggregator=aggregator())
def phase_map(*jobs: Any) -> None:
    """phase_map.png and phase_map.csv over the whole data space."""
    operations.phase_map(PROJECT, jobs)


def _crystals_pressed(*jobs: Any) -> bool:
    pressed = (job for job in jobs if job.cached_statepoint["pressure"] > 0)
    return any(job.cached_statepoint["initial"] != "fluid" and classified(job) for job in pressed)


def _stability_is_newer(*jobs: Any) -> bool:
    return _is_newer("stability_map.csv", jobs)


@Supercube.pre(_crystals_pressed)
@Supercube.post(_stability_is_newer)
@Supercube.operation(aggregator=aggregator())
def stability_map(*jobs: Any) -> None:
    """stability_map.png and stability_map.csv: which crystal has the least Gibbs free energy."""
    try:
        operations.stability_map(PROJECT, jobs)
    except SupercubeError as error:  # no reason to stop the jobs
        print(f"stability_map: {error}", file=sys.stderr)


def _exit_incomplete(_number: int, _frame: Any) -> None:
    # Leaving through an exception lets the process pool end its workers, which checkpoint before they go; a second
    # signal, such as the one a stopping worker sends here, must not cut that short.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    raise SystemExit(IncompleteError.exit_code)


def _workers_start_with_default_signals() -> None:
    # The pool ends its idle workers with SIGTERM. A handler of Python inherited from here runs only between two
    # bytecodes, so a worker that is just about to wait for its next task would sleep on, and the run would never end.
    # A simulation installs its own handler while it runs. Until the worker has put the default back, signals wait.
    stops = (signal.SIGTERM, signal.SIGUSR1)

    def child() -> None:
        for number in stops:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)

    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, stops),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, stops),
        after_in_child=child,
    )


def main() -> int:
    """Run signac-flow's command line on the project beside this file.

    Returns:
        int: 0; 1 if an operation of this call failed; 2 if there is no data space yet or config.yaml is wrong. A run
        that was stopped by a signal and can be continued leaves with 75.
    """
    if not (PROJECT / ".signac").exists():
        print("project/ holds no data space yet; fill it first: python init.py demo", file=sys.stderr)
        return 2
    try:
        load_config(PROJECT / "config.yaml")  # a mistake there is said once, not by every job
    except SupercubeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    signal.signal(signal.SIGTERM, _exit_incomplete)
    signal.signal(signal.SIGUSR1, _exit_incomplete)
    _workers_start_with_default_signals()
    began = time.time()
    project = Supercube.get_project(path=str(PROJECT))
    try:
        project.main()
    except LookupError as error:  # signac's answer to an unknown job id
        print(f"no such job ({error}); expected ids as in: supercube table", file=sys.stderr)
        return 2
    markers = (PROJECT / "workspace").glob(f"*/{operations.FAILED}")
    failures = [path for path in markers if path.stat().st_mtime >= began]
    if failures:
        print(f"{len(failures)} job(s) failed; the reason is in doc.error of each.", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

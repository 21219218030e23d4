"""The signac-flow project: ``python workflow.py run | status | submit | exec ...``.

The only module that knows signac-flow. Operations are thin calls of ``supercube.operations``; conditions are named,
look only at files and the cached state point, and import no engine, so ``status`` works on a login node.
"""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def _ignore_further_signals() -> None:
    # Such as the one that a stopping worker sends to its parent: it must not cut short what the first has begun.
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


def _exit_incomplete(_number: int, _frame: Any) -> None:
    # Leaving through an exception lets the process pool end its workers, which checkpoint before they go.
    _ignore_further_signals()
    raise SystemExit(75)  # IncompleteError.exit_code, which is not imported yet when this has to work


if __name__ == "__main__":  # before the imports, which take a second or, on a network's disk, many
    signal.signal(signal.SIGTERM, _exit_incomplete)
    signal.signal(signal.SIGUSR1, _exit_incomplete)

# One thread a process: jobs run in parallel, and BLAS threads that fight over cores cost more than they give. numpy
# reads this when it is imported, so it stands before everything that does.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# signac-flow imports jsonschema, which would build parsers for formats that nobody checks here: a second of every
# command, where Jupyter has brought the package along.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

from flow import FlowProject, aggregator
from flow.environment import (
    ComputeEnvironment,
    DefaultPBSEnvironment,
    DefaultSlurmEnvironment,
    StandardEnvironment,
    template_filter,
)
from flow.errors import SubmitError
from flow.scheduling.base import ClusterJob, JobStatus
from flow.scheduling.pbs import PBSScheduler
from flow.scheduling.slurm import SlurmScheduler
from signac.errors import JobsCorruptedError

from supercube import cluster, operations
from supercube.config import Config, load_config
from supercube.dataspace import DataSpace, JobRecord, is_ours, open_project, problem_lines, read_data_space
from supercube.errors import IncompleteError, InputError, LockedError, SupercubeError
from supercube.estimate import Estimate, estimate
from supercube.progress import Progress, duration, progress_of
from supercube.statepoint import nearest_key

PROJECT = Path(__file__).resolve().parent / "project"
#: What ``submit`` submits if no -o says otherwise: nothing that needs a GPU waits with what does not.
SUBMITTED = ("simulate", "analyse")
#: What happened to jobs in this call, in all its processes: a file with lines such as "failed ID", "stopped ID".
_REPORT = "SUPERCUBE_REPORT"
#: What is in the jobs' folders, in calls that only look: one listing a job instead of a question for every condition,
#: which network file systems answer slowly. Empty in calls that change it.
_LISTED: dict[str, JobRecord] = {}


class Supercube(FlowProject):
    """Build, equilibrate, dry, classify and draw every job of the data space."""

    def submit(
        self,
        bundle_size: int = 1,
        jobs: Any = None,
        names: Any = None,
        num: int | None = None,
        parallel: bool = False,
        **options: Any,
    ) -> None:
        """As signac-flow's, but by default the groups ``SUBMITTED``, each in bundles and submissions of its own.

        ``num`` limits each of them. Simulations that share a GPU (config.yaml) are bundled by themselves.
        """
        shared = load_config(PROJECT / "config.yaml").cluster.simulation.jobs_per_gpu
        self._check_selection(jobs, names)
        for chosen in [[name] for name in SUBMITTED] if names is None else [names]:
            bundle = (bundle_size, parallel)
            meant = {group for group in self.groups if any(re.fullmatch(name, group) for name in chosen)}
            if shared > 1 and bundle == (1, False) and meant <= {"simulate", "all"}:
                bundle = (shared, True)
            super().submit(bundle[0], jobs, chosen, num, bundle[1], **options)

    def run(self, jobs: Any = None, names: Any = None, **options: Any) -> None:
        """As signac-flow's, but a selection that selects nothing is an error, and the maps are drawn last."""
        self._check_selection(jobs, names)
        if names:
            super().run(jobs=jobs, names=names, **options)
            return
        # Within a run each operation is executed once: a map could come before the jobs that it should show.
        maps = [operation.__name__ for operation, _, _ in _MAPS]
        super().run(jobs=jobs, names=[name for name in self.operations if name not in maps], **options)
        left = cluster.seconds_left(load_config(PROJECT / "config.yaml"))
        if options.get("pretend") or options.get("num") is not None or (left is not None and left < 0):
            return
        every = tuple(self)
        for operation, is_due, is_newer in _MAPS:
            if is_due(*every) and not is_newer(*every):
                operation(*every)

    def _check_selection(self, jobs: Any, names: Any) -> None:
        known = [*self.operations, *self.groups]
        for name in names or ():
            try:
                found = any(re.fullmatch(name, one) for one in known)
            except re.error as error:
                raise InputError(
                    f"-o {name} is no regular expression ({error}); expected a name, such as simulate"
                ) from error
            if not found:
                raise InputError(f"there is no operation {name}; {nearest_key(name, dict.fromkeys(known))}")
        if jobs is not None and not len(jobs):
            raise InputError(
                "no job matches this selection; expected state point keys and values as in: supercube table"
            )


def done(marker: str) -> Any:
    """Condition: the operation that writes this file last is complete."""

    def condition(job: Any) -> bool:
        record = _LISTED.get(job.id)
        return record.has(marker) if record else bool(job.isfile(marker))

    condition.__name__ = "has_" + Path(marker).stem
    return condition


_has_failed = done(operations.FAILED)


def ours(job: Any) -> bool:
    """Whether the job is of this package; others in the workspace are left alone."""
    try:
        return job.id in _LISTED or is_ours(job.cached_statepoint)
    except Exception:  # whatever is wrong with its state point, the other jobs go on
        return False


# What goes to the cluster in one submission: `submit -o simulate`, `-o analyse`, or `-o all` for a job's whole way.
simulate = Supercube.make_group(name="simulate")
analyse = Supercube.make_group(name="analyse")
everything = Supercube.make_group(name="all")


initialised = done(operations.INITIAL)
equilibrated = done(operations.EQUILIBRATED)
evaporated = done(operations.EVAPORATED)
classified = done(operations.ORDER)
scattered = done(operations.SCATTERED)
rendered = done(operations.PICTURE)


@Supercube.label
def failed(job: Any) -> bool:
    """Whether the last operation left an error (a file of its own, so that no document is opened)."""
    return bool(_has_failed(job))


for _condition in (initialised, equilibrated, evaporated, classified, scattered, rendered):
    Supercube.label(_condition)


def _report(outcome: str, job: Any) -> None:
    # One write to a file opened for appending is whole, whichever process of a parallel run does it.
    if _REPORT in os.environ:
        with open(os.environ[_REPORT], "a", encoding="ascii") as report:
            report.write(f"{outcome} {job.id}\n")


@contextlib.contextmanager
def _leaving_cleanly() -> Iterator[None]:
    """In a worker of a parallel run, a signal ends an operation by an exception, so that the job's lock is released.

    Between operations it has to end the worker at once: see ``_workers_start_with_default_signals``.
    """
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:  # the main process always leaves by an exception
        yield
        return
    before = {number: signal.signal(number, _exit_incomplete) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    except SystemExit:
        os.kill(parent.pid, signal.SIGTERM)  # a pool that lost a worker would wait for it for ever
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _attempt(function: Any, job: Any) -> None:
    # One broken job must not stop the others: its sentence goes to the document and to stderr, and main() counts it.
    with _leaving_cleanly():
        try:
            cluster.check_time(load_config(PROJECT / "config.yaml"))
            with operations.recording_errors(job):
                function(job)
        except LockedError as error:  # nothing is wrong with it
            print(f"{job.id[:8]}: {error}", file=sys.stderr)
            _report("locked", job)
        except IncompleteError as stop:
            print(f"{job.id[:8]}: {stop}", file=sys.stderr)
            _report("stopped", job)
            if stop.by_signal:
                _ignore_further_signals()
                raise SystemExit(stop.exit_code) from None
        except SupercubeError as error:
            print(f"{job.id[:8]}: {error}", file=sys.stderr)
            _report("failed", job)


@everything
@simulate
@Supercube.pre(ours)
@Supercube.post(initialised)
@Supercube.operation
def build(job: Any) -> None:
    """Random fluid, crystal or the user's file -> initial.gsd."""
    _attempt(operations.build, job)


@everything
@simulate
@Supercube.pre(initialised)
@Supercube.post(equilibrated)
@Supercube.operation
def equilibrate(job: Any) -> None:
    """Run at the initial volume."""
    _attempt(operations.equilibrate, job)


@everything
@simulate
@Supercube.pre(equilibrated)
@Supercube.post(evaporated)
@Supercube.operation
def evaporate(job: Any) -> None:
    """Dry to the target and hold; resumable."""
    _attempt(operations.evaporate, job)


@everything
@analyse
@Supercube.pre(evaporated)
@Supercube.post(classified)
@Supercube.operation
def classify(job: Any) -> None:
    """Label every particle; the answer goes to the job document."""
    _attempt(operations.classify, job)


@everything
@analyse
@Supercube.pre(classified)
@Supercube.post(scattered)
@Supercube.operation
def scatter(job: Any) -> None:
    """Structure factor and scattered intensity, 1-D and along a zone axis."""
    _attempt(operations.scatter, job)


@everything
@analyse
@Supercube.pre(scattered)  # not at the same time: each holds the job
@Supercube.post(rendered)
@Supercube.operation
def render(job: Any) -> None:
    """order.png and structure.png."""
    _attempt(operations.render, job)


def _draw(make: Any) -> None:
    try:
        _say_problems(make(PROJECT))
    except SupercubeError as error:  # no reason to stop the jobs
        print(f"{make.__name__}: {error}", file=sys.stderr)


def _some_classified(*jobs: Any) -> bool:
    return any(classified(job) for job in jobs)


def _is_newer(name: str, jobs: tuple[Any, ...]) -> bool:
    result = PROJECT / name
    if not result.exists():
        return False
    made = result.stat().st_mtime
    return all(Path(job.fn(operations.ORDER)).stat().st_mtime <= made for job in jobs if classified(job))


def _map_is_newer(*jobs: Any) -> bool:
    return _is_newer("phase_map.png", jobs)


@Supercube.pre(_some_classified)
@Supercube.post(_map_is_newer)
@Supercube.operation(aggregator=aggregator())
def phase_map(*jobs: Any) -> None:
    """phase_map.png and phase_map.csv over the whole data space."""
    _draw(operations.phase_map)


def _crystals_pressed(*jobs: Any) -> bool:
    def is_one(job: Any) -> bool:
        state_point = job.cached_statepoint
        pressure = state_point.get("pressure")
        return isinstance(pressure, int | float) and pressure > 0 and state_point["initial"] != "fluid"

    return any(classified(job) and ours(job) and is_one(job) for job in jobs)


def _stability_is_newer(*jobs: Any) -> bool:
    return _is_newer("stability_map.csv", jobs)


@Supercube.pre(_crystals_pressed)
@Supercube.post(_stability_is_newer)
@Supercube.operation(aggregator=aggregator())
def stability_map(*jobs: Any) -> None:
    """stability_map.png and stability_map.csv: which crystal has the least Gibbs free energy."""
    _draw(operations.stability_map)


#: Each map, whether there is something to draw, and whether what is drawn is newer than every result.
_MAPS = ((phase_map, _some_classified, _map_is_newer), (stability_map, _crystals_pressed, _stability_is_newer))


def _say_problems(problems: dict[str, str]) -> None:
    for line in problem_lines(problems):
        print(line, file=sys.stderr)


# --- schedulers -------------------------------------------------------------------------------------------------------


_STATUS = {
    "ended": JobStatus.inactive,
    "held": JobStatus.held,
    "queued": JobStatus.queued,
    "active": JobStatus.active,
}


class _Asking:
    """What our schedulers share: asked once in a call, and a sentence where they do not answer."""

    name: str
    #: Whether to go on without an answer: what is in the queue must be known before more is submitted.
    optional = False
    _answer: list[ClusterJob] | None = None

    def jobs(self) -> list[ClusterJob]:
        """Cluster jobs of this user, empty if the scheduler does not answer and need not."""
        if _Asking._answer is None:
            try:
                found = cluster.queue(self.name)
            except InputError as error:
                if not self.optional:
                    raise
                print(f"{error} What is in the queue is not known.", file=sys.stderr)
                found = {}
            _Asking._answer = [ClusterJob(name, _STATUS[state]) for name, state in found.items()]
        return _Asking._answer


class _Slurm(_Asking, SlurmScheduler):
    name = "slurm"


class _PBS(_Asking, PBSScheduler):
    name = "pbs"


class _Cluster:
    """Our templates instead of signac-flow's, filled from config.yaml."""

    JOB_ID_SEPARATOR = "-"  # no scheduler's log files like a slash in a name

    @template_filter
    def request(cls, commands: list[Any], parallel: bool = False) -> cluster.Request:  # noqa: N805
        """What a script of these commands asks for."""
        kinds: list[cluster.Kind] = ["analysis" if _is_analysis(one.name) else "simulation" for one in commands]
        return cluster.request(load_config(PROJECT / "config.yaml"), kinds, parallel=parallel)

    @classmethod
    def submit(cls, script: str, *arguments: Any, **options: Any) -> Any:
        """Hand a script over; its output goes to ``project/logs``."""
        (PROJECT / "logs").mkdir(exist_ok=True)
        return super().submit(script, *arguments, **options)  # type: ignore[misc]


class SlurmCluster(_Cluster, DefaultSlurmEnvironment):
    """SLURM, with ``templates/supercube-slurm.sh``."""

    scheduler_type = _Slurm
    template = "supercube-slurm.sh"


class PBSCluster(_Cluster, DefaultPBSEnvironment):
    """PBS Professional or OpenPBS, with ``templates/supercube-pbs.sh``."""

    scheduler_type = _PBS
    template = "supercube-pbs.sh"


# config.yaml chooses the scheduler; signac-flow's guess from host names shall not meet these two.
for _name in (SlurmCluster.__name__, PBSCluster.__name__):
    del ComputeEnvironment.registry[_name]


def _is_analysis(name: str) -> bool:
    return name in ("analyse", "classify", "scatter", "render", "phase_map", "stability_map")


def _command(arguments: list[str]) -> str:
    """``status``, ``submit`` ...: what comes first beside global options."""
    return next((argument for argument in arguments if not argument.startswith("-")), "")


def _environment(config: Config, arguments: list[str]) -> Any:
    """The scheduler that this call talks to; on a machine without one only ``submit`` needs it."""
    submits = _command(arguments) == "submit"
    pretends = not submits or "--pretend" in arguments or {"-h", "--help"} & set(arguments)
    _Asking.optional = bool(pretends)
    try:
        chosen = cluster.scheduler_of(config)
    except InputError:
        if submits:
            raise
        return StandardEnvironment
    if pretends and not shutil.which(cluster.QUEUE_COMMANDS[chosen]):
        _Asking._answer = []  # there is no queue to ask, and nothing to warn of
    return PBSCluster if chosen == "pbs" else SlurmCluster


# --- progress ---------------------------------------------------------------------------------------------------------


def _print_progress(space: DataSpace, most: int = 20) -> None:
    """How far each begun job and the whole campaign are; problems go to stderr."""
    progress = progress_of(space)
    counts = ", ".join(f"{number} {stage}" for stage, number in progress.counts.items() if number)
    print(f"\nProgress: {100 * progress.done:.1f} % of {progress.total} jobs ({counts or 'none'})")
    by_id = {job.id: job for job in space.jobs}
    for job in progress.begun[:most]:
        pace = "-" if job.rate is None else f"{job.rate:.0f} steps/s"
        left = "" if job.seconds_left is None else f"{duration(job.seconds_left)} left"
        words = operations.describe_leniently(by_id[job.id].state_point)
        print(f"  {job.id[:8]}  {100 * job.done:3.0f} %  {job.stage:8s} {pace:>14s}  {left:14s} {words}")
    if len(progress.begun) > most:
        print(f"  ... and {len(progress.begun) - most} more")
    if not any(job.marks for job in space.jobs):
        print("Expected completion: no speed was measured yet; see: supercube estimate --measure")
        _say_problems(space.problems)
        return
    rest = estimate(space, at_a_time=max(1, progress.counts["running"]))
    print(_expectation(progress, rest))
    _say_problems(rest.problems)


def _expectation(progress: Progress, left: Estimate) -> str:
    failed = f"{progress.counts['failed']} failed jobs wait to be mended (see doc.error)."
    also = f" {failed}" if progress.counts["failed"] else ""
    unknown = f" {len(left.problems)} jobs cannot be read or estimated." if left.problems else ""
    also += unknown
    if not left.left:
        return f"{'All other jobs' if also else 'All jobs'} are simulated.{also}"
    if left.cost is None:
        return f"Expected completion: no speed was measured yet; see: supercube estimate --measure.{also}"
    cost, running = left.cost, progress.counts["running"]
    hours = f"{cost.hours:.2g} {cost.unit} left ({cost.low:.2g} to {cost.high:.2g}; supercube estimate says for what)"
    if not running:
        return f"Expected completion: nothing is running; {hours}.{also}"
    slowest = max((job.seconds_left or 0.0 for job in progress.begun if job.stage == "running"), default=0.0)
    end = time.localtime(time.time() + max(slowest, 3600.0 * cost.elapsed_hours))
    return f"Expected completion: {time.strftime('%Y-%m-%d %H:%M', end)} with {running} at a time; {hours}.{also}"


# --- the command line -------------------------------------------------------------------------------------------------


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
        int: 0; 1 if an operation of this call failed, or the scheduler refused a submission; 2 if there is no data
        space yet or config.yaml is wrong. A run that was stopped (by a signal or its walltime) and can be continued
        leaves with 75.
    """
    began = time.time()
    try:
        config = load_config(PROJECT / "config.yaml")  # a mistake there is said once, not by every job
        if not len(open_project(PROJECT)):
            raise InputError(f"{PROJECT} holds no job yet; fill it first: python init.py demo")
        end = cluster.deadline(config, began)
        environment = _environment(config, sys.argv[1:])
        if _command(sys.argv[1:]) == "submit":
            # Before the jobs are looked at: one that ends in between must not seem neither done nor in the queue.
            environment.get_scheduler().jobs()
    except SupercubeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if end is not None:
        os.environ[cluster.DEADLINE] = f"{end:.0f}"
    # signac logs a damaged state point whenever it meets one; status says it once, in a sentence.
    logging.getLogger("signac").setLevel(logging.CRITICAL)
    _workers_start_with_default_signals()
    executable = config.cluster.python or shlex.quote(sys.executable)
    project = Supercube.get_project(
        path=str(PROJECT),
        environment=environment,
        entrypoint={"executable": executable, "path": shlex.quote(str(Path(__file__).resolve()))},
    )
    if _command(sys.argv[1:]) == "status" and not sys.stderr.isatty():
        sys.argv.append("--hide-progress")  # bars of carriage returns are no use in a file
    space = read_data_space(project) if _command(sys.argv[1:]) in ("status", "submit") else None
    _LISTED.update({job.id: job for job in space.jobs} if space else {})
    with tempfile.NamedTemporaryFile(prefix="supercube-report-") as report:
        os.environ[_REPORT] = report.name
        code = _main_of(project, space)
        outcomes = Path(report.name).read_text(encoding="ascii").splitlines()
    failed = {line for line in outcomes if line.startswith("failed")}
    if failed:
        print(f"{len(failed)} job(s) failed; the reason is in doc.error of each.", file=sys.stderr)
    if code or failed:
        return code or 1
    return IncompleteError.exit_code if outcomes else 0


def _main_of(project: Any, space: DataSpace | None) -> int:
    """signac-flow's own main, with its refusals as sentences; 0, 1 or 2."""
    try:
        project.main()
        if space and _command(sys.argv[1:]) == "status" and "--json" not in sys.argv:
            _print_progress(space)
    except LookupError as error:
        if type(error) is not LookupError:  # only that is signac-flow's answer to an unknown job id
            raise
        print(f"no such job ({error}); expected ids as in: supercube table", file=sys.stderr)
        return 2
    except (JobsCorruptedError, json.JSONDecodeError) as error:
        print(
            f"a job is damaged, and -f has to look at all of them ({error}); select with -j, or mend the job that "
            "status names.",
            file=sys.stderr,
        )
        return 2
    except SubmitError as error:
        print(f"the scheduler refused the submission: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except SupercubeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

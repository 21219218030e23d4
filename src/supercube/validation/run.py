"""``supercube validate``: run the checks as independent tasks, each in a process of its own, and write the report."""

from __future__ import annotations

import math
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..engines.base import choose, present
from ..errors import InputError, SupercubeError
from ..statepoint import nearest_key
from .dynamics import Machine, label
from .report import Section, failure_lines, setting, verdict, write_report
from .results import ENGINE_NAMES, Check

if TYPE_CHECKING:
    from .crystals import Pressed

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Findings:
    """What a task found.

    Attributes:
        checks: at least one.
        tables: more Markdown.
        figures: file name -> PNG.
        explain: name of a check -> why it fails, if that is known.
    """

    checks: Sequence[Check]
    tables: str = ""
    figures: Mapping[str, bytes] = field(default_factory=dict)
    explain: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """A part of the validation; to add one, add it to ``GROUPS``.

    Attributes:
        name: for ``--only``.
        title: heading in the report, and ``group`` of its checks.
        text: paragraph below the heading.
        function: takes the engines and whether the run is quick; at the top level of a module, for it runs in another
            process. What is heavy is imported inside.
        engines: ``none``: no engine runs; ``each``: a task for each engine, which gets only that one; ``together``: one
            task with all engines.
        minutes: it takes, roughly, per task; long ones start first.
    """

    name: str
    title: str
    text: str
    function: Callable[[Sequence[Machine], bool], Findings | list[Check]]
    engines: Literal["none", "each", "together"]
    minutes: float


def _virial(machines: Sequence[Machine], quick: bool) -> Findings:
    from .virial import figure, table_markdown, virial_checks, virial_table

    if quick:
        return Findings(virial_checks(quick=True))
    rows = virial_table()
    return Findings(
        virial_checks(rows=rows), table_markdown(rows), {"virial.png": drawn(lambda path: figure(path, rows))}
    )


def drawn(draw: Callable[[Path], None]) -> bytes:
    """The PNG that a function draws into the file it is given."""
    with tempfile.TemporaryDirectory(prefix="supercube-") as folder:
        path = Path(folder) / "figure.png"
        draw(path)
        return path.read_bytes()


def _spheres(machines: Sequence[Machine], quick: bool) -> Findings:
    from .spheres import comparison_table, sphere_checks

    return Findings(sphere_checks(machines[0], quick=quick), comparison_table())


def _parity(machines: Sequence[Machine], quick: bool) -> list[Check]:
    from .parity import parity_checks

    return parity_checks(machines)


def _dynamics(machines: Sequence[Machine], quick: bool) -> list[Check]:
    from .dynamics import dynamics_checks

    return dynamics_checks(machines[0], quick=quick)


def _pressure(machines: Sequence[Machine], quick: bool) -> list[Check]:
    from .pressure import pressure_checks

    return pressure_checks(machines[0], quick=quick)


def _crystals(machines: Sequence[Machine], quick: bool) -> Findings:
    from .crystals import press

    return _judged(press(machines[0], quick=quick), str(machines[0]))


def _judged(crystals: Sequence[Pressed], name: str) -> Findings:
    from .crystal_report import crystal_figure, crystal_table, explanations
    from .crystals import crystal_checks

    picture = drawn(lambda path: crystal_figure(path, crystals))
    figures = {f"crystals-{name}.png": picture}
    return Findings(crystal_checks(crystals), crystal_table(crystals), figures, explanations(crystals))


def _campaign_crystals(project: Path, machines: Sequence[Machine], quick: bool) -> Findings:
    import signac

    from .crystals import pressed_crystals

    found = pressed_crystals(signac.get_project(project))
    if not found:
        raise _nothing_finished(project, "crystal at constant pressure")
    return _judged(found, "campaign")


def _nothing_finished(project: Path, what: str) -> InputError:
    return InputError(
        f"no finished jobs of validation.yaml in {project}; expected at least one classified {what}: fill the project "
        "from project/spaces/validation.yaml and run workflow.py."
    )


def _campaign_melting(project: Path, machines: Sequence[Machine], quick: bool) -> Findings:
    import signac

    from .melting import branches, melting_checks, melting_figure, melting_table

    found = branches(signac.get_project(project))
    if not found:
        raise _nothing_finished(project, "pressure ramp of cubes")
    picture = drawn(lambda path: melting_figure(path, found))
    return Findings(melting_checks(found), melting_table(found), {"melting.png": picture})


def campaign_groups(project: Path) -> tuple[Group, ...]:
    """Groups that judge the finished jobs of ``project/spaces/validation.yaml`` in a project.

    Raises:
        InputError: there is no project.
    """
    import signac

    try:
        signac.get_project(project, search=False)
    except LookupError:
        raise InputError(f"--project {project} is no signac project; expected one that init.py has filled.") from None
    return (
        Group(
            "campaign-crystals",
            f"{CRYSTALS}: the campaign",
            _CRYSTALS,
            partial(_campaign_crystals, project),
            "none",
            3.0,
        ),
        Group("campaign-melting", MELTING, _MELTING, partial(_campaign_melting, project), "none", 0.5),
    )


CRYSTALS, MELTING = "Crystals under pressure", "Melting and ordering of cubes"
_CRYSTALS = (
    "Crystals held at constant pressure, box lengths free. a_0 is the lattice constant at the least enthalpy U + P V "
    "of the model without motion, with the crystal's symmetry; a_d that of closest packing at the distance d(P) where "
    "contacts carry the pressure. Rows of SC slide on each other, so it is compared with a_s, the distance of faces "
    "that carry P e^2, averaged over lateral shifts. Motion adds a free volume proportional to 1/P, so a/a_0 (a/a_s) "
    "is extrapolated to 1/P = 0, over the pressures at which the crystal held."
)
_MELTING = (
    "Pressure ramps: from which volume fraction a crystal of cubes melts on slow expansion, and a fluid orders on slow "
    "compression."
)


GROUPS = (
    Group(
        "virial",
        "Second virial coefficients",
        "B2 of cubes and spheres by Monte Carlo over the model's own pair energies, against the exact values of hard "
        "spherocubes: it measures the effective size of a cube of beads at kT.",
        _virial,
        "none",
        1.5,
    ),
    Group(
        "spheres",
        "Hard-sphere limit",
        "Spheres alone, with a shell of range sigma = 0.1 D, have the compressibility factor Z = P V/(N kT) of hard "
        "spheres of the Barker-Henderson diameter d = int (1 - exp(-U)) dr; T is the kinetic temperature of the same "
        "run, whose fluctuations in the bath divide out. 500 spheres start as an expanded fcc crystal, which melts. "
        "The softness shift below is what the mapping neglects at this sigma/D (second order of the blip expansion), "
        "and the shift of the particle number is that of a constant N.",
        _spheres,
        "each",
        4.0,
    ),
    Group(
        "parity",
        "Parity of the engines",
        "Energy, forces and torques of the same configurations from every engine and from the formula: fluids, "
        "crystals and touching pairs of cubes and spheres, with and without attraction, in cubic and tilted boxes. "
        "Given is the largest difference: of energies over the sum of all absolute bead pair energies, of forces over "
        "the largest force of a bead pair, of torques over that force times e.",
        _parity,
        "together",
        0.7,
    ),
    Group(
        "dynamics",
        "Dynamics",
        "Without a thermostat, energy and momentum are constant; with it, translation and rotation have the "
        "temperature kT of the bath, and lone bodies diffuse with D = kT/zeta, the Stokes friction of the model (cube: "
        "zeta = 1, rotation 8 pi eta R^3).",
        _dynamics,
        "each",
        5.0,
    ),
    Group(
        "pressure",
        "Constant pressure",
        "A fluid of spheres takes the density at which hard spheres have the pressure, and volumes fluctuate against "
        "the virial as the distribution at constant pressure demands: with A = V (P_int - P), <A> = 0 and "
        "<dV A> = -kT <V>.",
        _pressure,
        "each",
        3.0,
    ),
    Group("crystals", CRYSTALS, _CRYSTALS, _crystals, "each", 8.0),
)


# --- tasks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """One group on some engines."""

    group: Group
    machines: tuple[Machine, ...]
    quick: bool

    def __str__(self) -> str:
        engines = ", ".join(ENGINE_NAMES.get(machine.name, str(machine)) for machine in self.machines)
        return self.group.name if self.group.engines == "none" else f"{self.group.name} ({engines})"


@dataclass(frozen=True)
class Outcome:
    """What came of a task, and how long it took, s."""

    task: Task
    findings: Findings
    seconds: float


def select(groups: Sequence[Group], only: Sequence[str]) -> list[Group]:
    """The groups of these names in the order of ``groups``; all of them without names.

    Raises:
        InputError: there is no group of such a name.
    """
    names = [group.name for group in groups]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise InputError(f"--only {unknown[0]} is no group of the validation; {nearest_key(unknown[0], names)}")
    return [group for group in groups if not only or group.name in only]


def engines_of(name: str) -> tuple[Machine, ...]:
    """The engines to validate, on the CPU.

    Args:
        name: ``all`` for those that are here, or the name of one.

    Raises:
        EngineError: it is not here, or none is.
    """
    names = (present() if name == "all" else [name]) or ["auto"]
    return tuple(Machine(choose(one, "cpu").name) for one in sorted(names, reverse=True))


def tasks_of(groups: Sequence[Group], machines: Sequence[Machine], quick: bool) -> list[Task]:
    """The tasks of the groups, in their order."""
    tasks: list[Task] = []
    for group in groups:
        if group.engines == "each":
            tasks += [Task(group, (machine,), quick) for machine in machines]
        else:
            tasks.append(Task(group, tuple(machines) if group.engines == "together" else (), quick))
    return tasks


def perform(task: Task) -> Outcome:
    """Run a task here; an error becomes a failed check."""
    began = time.perf_counter()
    try:
        found = task.group.function(task.machines, task.quick)
    except Exception as error:  # whatever it is, the report tells it beside the others' results
        return Outcome(task, _failure(task, error), time.perf_counter() - began)
    findings = found if isinstance(found, Findings) else Findings(found)
    if not findings.checks:
        findings = _failure(task, InputError("it made no checks; expected at least one"))
    return Outcome(task, findings, time.perf_counter() - began)


def _failure(task: Task, error: BaseException) -> Findings:
    text = " ".join(str(error).split()).rstrip(".")
    sentence = text if isinstance(error, SupercubeError) else f"{type(error).__name__}: {text or 'no reason given'}"
    engine = ", ".join(map(str, task.machines)) or "formula"
    check = Check(task.group.title, "the task ran", engine, math.nan, 0.0, 1.0, "-", 0.0, sentence)
    return Findings([check])


# --- processes -------------------------------------------------------------------------------------------------------


def perform_all(tasks: Sequence[Task], jobs: int, tell: Tell) -> list[Outcome]:
    """Run the tasks, ``jobs`` at a time, the long ones first; outcomes come in the order of the tasks.

    Args:
        tasks: any number.
        jobs: how many at a time.
        tell: gets a line when a task is done.
    """
    done: dict[int, Outcome] = {}
    order = sorted(range(len(tasks)), key=lambda k: -tasks[k].group.minutes)
    with _one_thread_each(), ThreadPoolExecutor(jobs) as threads:
        futures: dict[Future[Outcome], int] = {threads.submit(_isolated, tasks[k]): k for k in order}
        try:
            for future in as_completed(futures):
                outcome = done[futures[future]] = future.result()
                checks = outcome.findings.checks
                passed = sum(check.passed for check in checks)
                tell(
                    f"[{len(done)}/{len(tasks)}] {outcome.task}: {passed} of {len(checks)} checks passed, "
                    f"{outcome.seconds:.0f} s"
                )
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return [done[k] for k in range(len(tasks))]


def _isolated(task: Task) -> Outcome:
    """Run a task in a new process, whose end is the end of nothing else; not forked, for LAMMPS holds MPI."""
    began = time.perf_counter()
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_obey) as process:
        try:
            return process.submit(perform, task).result()
        except BrokenProcessPool as error:
            return Outcome(task, _failure(task, error), time.perf_counter() - began)


def _obey() -> None:
    """In a worker: Ctrl-C ends it at once and without a traceback, also within an engine."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """BLAS and OpenMP of the processes started meanwhile use one thread; they read this when they are imported."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# --- the command -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    """Options of the command.

    Attributes:
        output: folder of the report.
        only: names of groups; all without any.
        quick: a tenth of the length: it shows that everything runs, with errors three times as large.
        engine: ``all``, ``lammps`` or ``hoomd``.
        jobs: tasks at a time; 0 for one a core.
        project: with finished jobs of the campaign, to be judged too.
    """

    output: Path
    only: Sequence[str] = ()
    quick: bool = False
    engine: str = "all"
    jobs: int = 0
    project: Path | None = None


def validate(request: Request, tell: Tell, groups: Sequence[Group] = GROUPS) -> tuple[str, bool]:
    """Run the validation and write its report.

    Args:
        request: options.
        tell: gets lines of progress.
        groups: what there is to run.

    Returns:
        a summary as text, and whether all checks passed.

    Raises:
        InputError: no such group, a negative number of jobs, or the output is a file.
        EngineError: the engine is not here.
    """
    if request.jobs < 0:
        raise InputError(f"--jobs is {request.jobs}; expected 1 or more, or 0 for one a core.")
    if request.output.exists() and not request.output.is_dir():
        raise InputError(f"--output {request.output} is a file; expected a folder, or a name that is free.")
    if request.project is not None:
        groups = (*groups, *campaign_groups(request.project.resolve()))
    chosen = select(groups, request.only)
    needs = any(group.engines != "none" for group in chosen)
    machines = engines_of(request.engine) if needs else ()
    request.output.mkdir(parents=True, exist_ok=True)  # what cannot be written is refused now, not in half an hour
    tasks = tasks_of(chosen, machines, request.quick)
    jobs = min(request.jobs or os.cpu_count() or 1, len(tasks))
    tell(f"{len(tasks)} tasks, {jobs} at a time: {', '.join(map(str, tasks))}")
    began = time.perf_counter()
    outcomes = perform_all(tasks, jobs, tell)
    minutes = (time.perf_counter() - began) / 60
    note = "This was a quick run, with a tenth of the statistics: no validation." if request.quick else ""
    versions = {machine.name: label(machine).split(" ", 1)[1] for machine in machines}
    sections = [_section(group, [o for o in outcomes if o.task.group.name == group.name]) for group in chosen]
    path = write_report(request.output, sections, setting(versions, minutes, note))
    failed = failure_lines(sections)
    lines = [*(f"FAIL {line}" for line in failed), f"{verdict(sections)} in {minutes:.1f} minutes; see {path}"]
    return "\n".join(lines), not failed


def _section(group: Group, outcomes: Sequence[Outcome]) -> Section:
    checks = [check for outcome in outcomes for check in outcome.findings.checks]
    # What does not depend on the engine comes from every task alike.
    tables = dict.fromkeys(outcome.findings.tables for outcome in outcomes if outcome.findings.tables)
    figures = {name: data for outcome in outcomes for name, data in outcome.findings.figures.items()}
    explain = {name: why for outcome in outcomes for name, why in outcome.findings.explain.items()}
    return Section(group.title, group.text, checks, "\n\n".join(tables), figures, explain)

"""``supercube bench campaign``: what a large data space costs, beside plain signac on the same disk in the same run.

``init.py`` and ``workflow.py`` run as a user runs them, each in a process of its own, start of Python included. Beside
them stands what signac alone takes in this process: for ``init.py`` to make the same jobs with their documents, for the
others to open the project, list the jobs, and ask each for its state point and for the files that conditions look at.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .dataspace import DOCUMENT, open_project
from .errors import EngineError, InputError
from .operations import EQUILIBRATED, EVAPORATED, FAILED, INITIAL, ORDER, PICTURE, SCATTERED
from .spaces import MAX_JOBS, expand
from .statepoint import SCHEMA_VERSION

MARKERS = (INITIAL, EQUILIBRATED, EVAPORATED, ORDER, SCATTERED, PICTURE, FAILED)
#: How many jobs are submitted.
SUBMITTED = 100
#: Seconds allowed on two cores and a local disk, for a number of jobs: init.py, status, submit, estimate.
TARGETS: dict[int, dict[str, float]] = {
    10_000: {"init": 30.0, "status": 5.0, "submit": 10.0, "estimate": 10.0},
    100_000: {"status": 60.0},
}
_LIGAND_LENGTHS = [0.1, 0.12, 0.15, 0.18, 0.2]
_RATES = [float(rate) for rate in range(5, 105, 5)]
#: Of the jobs that are not finished, one in so many has begun.
_BEGUN = 100


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        command: its name in ``TARGETS``.
        what: in words.
        seconds: wall-clock time of the command.
        plain: that of plain signac, None where there is no counterpart.
    """

    command: str
    what: str
    seconds: float
    plain: float | None


def space_of(jobs: int) -> dict[str, Any]:
    """A space of that many jobs: five ligand lengths, twenty drying rates, and replicates.

    Raises:
        InputError: no multiple of a hundred, or more than a space may have.
    """
    grid = len(_LIGAND_LENGTHS) * len(_RATES)
    if not 0 < jobs <= MAX_JOBS or jobs % grid:
        raise InputError(f"--jobs is {jobs}; expected a multiple of {grid}, from {grid} to {MAX_JOBS}.")
    job = {
        "n_cubes": 64,
        "ligand_length": _LIGAND_LENGTHS,
        "evaporation_rate": _RATES,
        "target_packing_fraction": 0.6,
        "replicate": list(range(jobs // grid)),
    }
    return {"description": "a bench", "jobs": [job]}


def campaign(jobs: int, checkout: Path, tell: Callable[[str], None]) -> list[Row]:
    """Make a data space of that many jobs in a temporary folder and time what users do with it.

    Args:
        jobs: a multiple of a hundred.
        checkout: folder with ``init.py``, ``workflow.py`` and ``project/templates``.
        tell: called with each line of the table as soon as it is known.

    Raises:
        InputError: a wrong number of jobs, or no such folder.
        EngineError: a command failed.
    """
    space = space_of(jobs)
    for name in ("init.py", "workflow.py", "project/templates"):
        if not (checkout / name).exists():
            raise InputError(f"{checkout / name} does not exist; expected --checkout DIR with the files of supercube.")
    rows: list[Row] = []

    def add(row: Row) -> None:
        rows.append(row)
        tell(line(row, jobs))

    tell(heading(jobs))
    with tempfile.TemporaryDirectory(prefix="supercube-bench-") as name:
        root = Path(name)
        _prepare(root, checkout, space)
        project = root / "project"
        plain = _seconds(lambda: _plain_init(root / "plain", space))
        shutil.rmtree(root / "plain")
        add(Row("init", "init.py", _run(root, "init.py", "space.yaml"), plain))
        add(Row("init", "init.py again", _run(root, "init.py", "space.yaml"), None))
        _look(add, root, "nothing has begun")
        _pretend_results(project)
        _look(add, root, "half is finished")
    return rows


def _look(add: Callable[[Row], None], root: Path, state: str) -> None:
    """Time everything that looks at all jobs."""
    commands = {
        "status": (root / "workflow.py", "status"),
        "submit": (root / "workflow.py", "submit", "--pretend", "-n", str(SUBMITTED)),
        "estimate": ("-m", "supercube", "estimate", "--project", "project"),
    }
    words = {"submit": f"submit --pretend -n {SUBMITTED}", "estimate": "supercube estimate"}
    for name, command in commands.items():
        seconds = _run(root, *command)
        # Right after it, so that a machine that is busy now and then is busy for both.
        plain = _seconds(lambda: _plain_look(root / "project"))
        add(Row(name, f"{words.get(name, name)}, {state}", seconds, plain))


def _prepare(root: Path, checkout: Path, space: dict[str, Any]) -> None:
    for name in ("init.py", "workflow.py"):
        shutil.copy(checkout / name, root)
    shutil.copytree(checkout / "project" / "templates", root / "project" / "templates")
    # A scheduler, so that there are scripts to render; nothing is handed to it.
    (root / "project" / "config.yaml").write_text("cluster: {scheduler: slurm}\n", encoding="utf-8")
    (root / "space.yaml").write_text(yaml.safe_dump(space), encoding="utf-8")


def _run(root: Path, *command: Any) -> float:
    """Seconds of a Python command, run in a folder.

    Raises:
        EngineError: it failed.
    """
    arguments = [sys.executable, *map(str, command)]
    began = time.perf_counter()
    done = subprocess.run(arguments, cwd=root, capture_output=True, text=True, check=False, env=_one_thread())
    seconds = time.perf_counter() - began
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["nothing was said"]
        raise EngineError(f"{' '.join(map(str, command))} failed with exit code {done.returncode}: {said[0]}")
    return seconds


def _one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _plain_init(directory: Path, space: dict[str, Any]) -> None:
    """The same jobs and documents with nothing but signac."""
    import signac

    project = signac.init_project(directory)
    for state_point, protocol in expand(space, "a bench"):
        job = project.open_job(state_point.to_dict())
        job.init()
        job.document.update({"protocol": protocol.to_dict(), "schema_version": SCHEMA_VERSION})
    project.update_cache()


def _plain_look(directory: Path) -> int:
    """Number of files found where conditions look."""
    import signac

    project = signac.get_project(directory)
    found = 0
    for job in project:
        if job.cached_statepoint["n_cubes"]:
            found += sum(job.isfile(marker) for marker in MARKERS)
    return found


def _pretend_results(directory: Path) -> None:
    """Half of the jobs as if finished, and a few of the others as if begun."""
    (directory / "phase_map.png").touch()  # whose age is compared with that of every result
    jobs = sorted(open_project(directory), key=lambda job: str(job.id))
    for number, job in enumerate(jobs):
        folder = Path(job.path)
        if number % 2 == 0:
            _mark(folder, MARKERS[:-1], step=40_000)
            document = json.loads((folder / DOCUMENT).read_bytes())
            document |= {"structure": "SC", "structure_fraction": 0.9, "engine": "lammps", "steps_per_second": 500.0}
            (folder / DOCUMENT).write_text(json.dumps(document), encoding="utf-8")
        elif number % (2 * _BEGUN) == 1:
            _mark(folder, (INITIAL, EQUILIBRATED), step=10_000)


def _mark(folder: Path, markers: Sequence[str], step: int) -> None:
    """Touch the files that conditions look at, and write the manifest of a run of 500 steps a second."""
    (folder / "checkpoint").mkdir()
    for marker in markers:
        (folder / marker).touch()
    record = {"device": "cpu", "wall_seconds": step / 500.0, "total_steps": 40_000}
    slots = [{"slot": "a.npz", "step": step, "sha256": "", "n": 64, "record": record}]
    manifest = {"identity": {"engine": "lammps"}, "slots": slots}
    (folder / "checkpoint" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


# --- telling ----------------------------------------------------------------------------------------------------------


def heading(jobs: int) -> str:
    """First line of the table."""
    return f"{f'{jobs:,} jobs':44s} {'seconds':>8s} {'signac':>8s} {'ratio':>6s} {'target':>7s}"


def line(row: Row, jobs: int) -> str:
    """A line of the table: seconds, those of plain signac, their ratio, and the seconds allowed."""
    target = TARGETS.get(jobs, {}).get(row.command, math.nan)
    plain = "-" if row.plain is None else f"{row.plain:.2f}"
    ratio = "-" if row.plain is None else f"{row.seconds / row.plain:.1f}"
    allowed = "-" if math.isnan(target) else f"< {target:.0f}"
    return f"{row.what:44s} {row.seconds:8.2f} {plain:>8s} {ratio:>6s} {allowed:>7s}"

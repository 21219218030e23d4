"""Parameter spaces: from a YAML file to state points, and from those to jobs of a signac project.

A space file::

    description: one line
    protocol: {initial_packing_fraction: 0.15, equilibration_time: 10, hold_time: 20}
    defaults: {ligand_length: 0.1}
    jobs:
      - {n_cubes: 64, evaporation_rate: [2.4, 80], target_packing_fraction: 0.6, replicate: [0, 1]}
      - {n_cubes: 64, protocol: {hold_time: 40}}

Every list value is expanded, all lists of one entry as a grid. ``protocol`` says how a run goes; it is recorded with
each job but is not part of its identity. :func:`expand` needs no disk; :func:`fill` writes only when everything is
valid.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .config import read_yaml
from .dataspace import read_document
from .errors import InputError
from .statepoint import LEAST_BODIES, SCHEMA_VERSION, ProtocolSettings, StatePoint, nearest_key

#: Turns the path of a user's GSD file, as written in the space, into ``file:SHA256``.
StoreFile = Callable[[str], str]

#: A larger space is a slip of the pen in a grid; signac would take minutes to hold it.
MAX_JOBS = 100_000

_SECTIONS = ("description", "protocol", "defaults", "jobs")


@dataclass(frozen=True)
class PlannedJob:
    """One job a space asks for, and the place in the file that asks for it."""

    where: str
    state_point: StatePoint
    protocol: ProtocolSettings


@dataclass(frozen=True)
class FillReport:
    """What :func:`fill` did.

    Attributes:
        name: name of the space.
        added: number of jobs that were made, or completed after an interrupted fill.
        present: number of jobs that were already there.
        workspace: the folder that holds them.
        problems: a sentence for each job that is there with a damaged document; they were left as they are.
    """

    name: str
    added: int
    present: int
    workspace: Path
    problems: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Number of different jobs in the space."""
        return self.added + self.present


# --- reading and expanding --------------------------------------------------------------------------------------------


def load_space(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a space file and check its sections; the jobs are checked by :func:`expand`.

    Raises:
        InputError: no such file, no YAML, nothing in it, or a section that is unknown, missing or of the wrong kind.
    """
    path = Path(path)
    found = read_yaml(path)
    if found is None:
        raise InputError(f"{path} is empty; expected a space with the sections {', '.join(_SECTIONS)}.")
    return _checked_sections(found, path.name)


def expand(
    mapping: object, where: str, store_file: StoreFile | None = None
) -> list[tuple[StatePoint, ProtocolSettings]]:
    """State points and protocols of a space, in the order of the file, each state point once.

    Args:
        mapping: content of a space file.
        where: its name, for errors.
        store_file: what to do with the path of a GSD file given as ``initial``; such paths are refused without it.

    Raises:
        InputError: anything that is wrong, with its place; or two protocols for one state point.
    """
    return [(job.state_point, job.protocol) for job in plan(mapping, where, store_file)]


def plan(mapping: object, where: str, store_file: StoreFile | None = None) -> list[PlannedJob]:
    """As :func:`expand`, with the place of each job."""
    jobs: dict[StatePoint, PlannedJob] = {}
    for job in _planned(_checked_sections(mapping, where), where, store_file):
        first = jobs.setdefault(job.state_point, job)
        if first.protocol != job.protocol:
            difference = _difference(first.protocol.to_dict(), job.protocol.to_dict())
            raise InputError(f"{job.where}: the same job as {first.where}, but {difference}; expected one protocol.")
    return list(jobs.values())


def _checked_sections(mapping: object, where: str) -> dict[str, Any]:
    if not isinstance(mapping, Mapping):
        raise InputError(f"{where}: found {_kind(mapping)}; expected a mapping with {', '.join(_SECTIONS)}.")
    _refuse_unknown(mapping, _SECTIONS, where)
    space = dict(mapping)
    if not isinstance(space.get("description", ""), str):
        raise InputError(f"{where}: description is {_kind(space['description'])}; expected one line of text.")
    for section in ("protocol", "defaults"):
        space[section] = _section(space.get(section), f"{where}, {section}")
    _refuse_unknown(space["protocol"], ProtocolSettings.model_fields, f"{where}, protocol")
    _refuse_unknown(space["defaults"], StatePoint.model_fields, f"{where}, defaults")
    jobs = space.get("jobs")
    if not isinstance(jobs, list) or not jobs:
        found = _kind(jobs) if "jobs" in space else "nothing"
        raise InputError(f"{where}: jobs is {found}; expected a list of at least one job.")
    return space


def _section(value: object, where: str) -> dict[str, Any]:
    # A section whose lines are all commented out reads as None, which is what its author means by empty.
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: found {_kind(value)}; expected a mapping of keys to values.")
    return dict(value)


def _refuse_unknown(mapping: Mapping[Any, Any], known: Any, where: str) -> None:
    for key in mapping:
        if key not in known:
            raise InputError(f"{where}: {key} is not a known key; {nearest_key(str(key), known)}")


def _planned(space: dict[str, Any], where: str, store_file: StoreFile | None) -> Iterator[PlannedJob]:
    n_jobs = 0
    for index, entry in enumerate(space["jobs"]):
        place = f"{where}, jobs[{index}]"
        keys = {**space["defaults"], **_section(entry, place)}
        if entry is None:
            raise InputError(f"{place}: found nothing; expected the keys of a job.")
        protocol = {**space["protocol"], **_section(keys.pop("protocol", None), f"{place}, protocol")}
        settings = ProtocolSettings.parse(protocol, f"{place}, protocol")
        _refuse_idle_pressures(settings, keys.get("pressure", 0.0), place)
        n_jobs += math.prod(len(value) for value in keys.values() if isinstance(value, list))
        if n_jobs > MAX_JOBS:
            raise InputError(f"{place}: the lists up to here expand to {n_jobs} jobs; expected at most {MAX_JOBS}.")
        for point_place, point in _grid(keys, place):
            if store_file is not None and _is_path(point.get("initial")):
                with _at(point_place):
                    point["initial"] = store_file(point["initial"])
            yield PlannedJob(point_place, StatePoint.parse(point, point_place), settings)


def _refuse_idle_pressures(settings: ProtocolSettings, pressures: object, place: str) -> None:
    """Refuse settings of a pressure ramp for jobs without pressure, which would silently not be used."""
    without = any(pressure == 0 for pressure in (pressures if isinstance(pressures, list) else [pressures]))
    default = ProtocolSettings()
    for key in ("initial_pressure", "ramp_time", "box"):
        if without and getattr(settings, key) != getattr(default, key):
            raise InputError(
                f"{place}, protocol: {key} is {getattr(settings, key)}, but there are jobs without pressure; expected "
                f"{getattr(default, key)} (or leave it out), or a pressure above 0 in every job."
            )


def _grid(keys: dict[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    axes = {key: value for key, value in keys.items() if isinstance(value, list)}
    for key, values in axes.items():
        if not values:
            raise InputError(f"{place}: {key} is an empty list, which makes no job; expected at least one value.")
    for point in itertools.product(*axes.values()):
        chosen = dict(zip(axes, point, strict=True))
        label = ", ".join(f"{key} {value}" for key, value in chosen.items())
        yield (f"{place} ({label})" if label else place), {**keys, **chosen}


def _is_path(initial: object) -> bool:
    return isinstance(initial, str) and initial.endswith(".gsd") and not initial.startswith("file:")


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: f"the text {str(value)[:40]!r}", type(None): "empty"}
    return names.get(type(value), str(value)[:40])


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return " and ".join(f"{key} is {one.get(key)} there and {other.get(key)} here" for key in keys)


@contextlib.contextmanager
def _at(where: str) -> Iterator[None]:
    """Put the place in the space before the message of a room that knows nothing of spaces."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


# --- filling a project ------------------------------------------------------------------------------------------------


def fill(project_directory: str | os.PathLike[str], space_path: str | os.PathLike[str]) -> FillReport:
    """Make the jobs of a space that are not there yet; nothing at all is written unless every job is valid.

    Safe to repeat: jobs that are there stay as they are, and what an interrupted call left half-made is completed.

    Args:
        project_directory: root of the signac project, made if it is not there.
        space_path: the space file; paths of GSD files in it are relative to it.

    Raises:
        InputError: an invalid space, or a job that is there with another protocol.
    """
    directory, space_path = Path(project_directory), Path(space_path)
    space = load_space(space_path)
    with tempfile.TemporaryDirectory(prefix="supercube-init-") as staging:
        jobs = plan(space, space_path.name, _store_in(Path(staging), space_path.parent))
        # The cheap check first: a cube that cannot be built takes the model seconds to refuse.
        _check_starts(jobs, Path(staging), directory / "files")
        _check_models(jobs)
        recorded, problems = _recorded(directory, jobs)
        _refuse_changes(jobs, recorded)
        _refuse_older(directory, jobs, recorded)
        try:
            project = _open_project(directory, create=True)
            # Files first: a job must never be there without the file it starts from.
            _store_staged(Path(staging), directory / "files")
            added = _make_jobs(project, [job for job in jobs if job.state_point not in problems], recorded)
        except OSError as error:
            raise InputError(f"{directory} cannot be written ({error}); run init.py again once it can.") from error
    present = len(jobs) - added
    return FillReport(space_path.stem, added, present, Path(project.workspace), tuple(problems.values()))


def _store_in(staging: Path, base: Path) -> StoreFile:
    from .protocol.initial import store_file

    # Cached: a grid of ten thousand jobs names the same file in each of them.
    return cache(lambda path: store_file(base / Path(path).expanduser(), staging))


def _store_staged(staging: Path, files: Path) -> None:
    from .protocol.initial import store_file

    for path in sorted(staging.iterdir()):
        if not (files / path.name).is_file():
            store_file(path, files)


def _check_models(jobs: list[PlannedJob]) -> None:
    """Refuse particles that cannot be built; each different set of particles is looked at once."""
    from .model.particles import check_model

    # What says how the run goes, and which repeat it is, changes nothing in the particles.
    run = {
        "evaporation_rate": 0.0,
        "target_packing_fraction": 0.0,
        "pressure": 0.0,
        "initial": "fluid",
        "expansion": 1.0,
        "replicate": 0,
    }
    checked: set[StatePoint] = set()
    # In this order equal cubes follow each other, so the model's cache of the last few cubes always serves.
    for job in sorted(jobs, key=lambda job: (job.state_point.ligand_length, job.state_point.roughness)):
        particles = job.state_point.model_copy(update=run)
        if particles not in checked:
            with _at(job.where):
                check_model(particles)
            checked.add(particles)


def _check_starts(jobs: list[PlannedJob], staging: Path, files: Path) -> None:
    """Refuse starts that cannot be made and drying that cannot be done; replicates share one look."""
    from .protocol.initial import check_initial

    staged = {path.stem for path in staging.iterdir()}
    checked: set[tuple[StatePoint, float]] = set()
    for job in jobs:
        if job.state_point.n_bodies < LEAST_BODIES:
            raise InputError(
                f"{job.where}: n_cubes and n_spheres make {job.state_point.n_bodies} particles; expected at least "
                f"{LEAST_BODIES}, one with its neighbour shell, so that order can be told."
            )
        start, fraction = job.state_point.model_copy(update={"replicate": 0}), job.protocol.initial_packing_fraction
        if (start, fraction) not in checked:
            is_staged = start.initial.removeprefix("file:") in staged
            with _at(job.where):
                check_initial(start, fraction, staging if is_staged else files)
            checked.add((start, fraction))


def _open_project(directory: Path, *, create: bool) -> Any:
    """The signac project in a folder; ``None`` if there is none and it shall not be made."""
    import signac
    from signac.errors import IncompatibleSchemaVersion

    try:
        return signac.get_project(directory, search=False)
    except LookupError:
        return signac.init_project(directory) if create else None
    except (RuntimeError, IncompatibleSchemaVersion) as error:
        raise InputError(f"{directory} holds a signac project that this version cannot open ({error}).") from error


def _recorded(
    directory: Path, jobs: list[PlannedJob]
) -> tuple[dict[StatePoint, dict[str, Any]], dict[StatePoint, str]]:
    """Documents of those jobs whose folder is there, and what is wrong with those that are damaged.

    A document is empty where a fill was interrupted, or where it is damaged.
    """
    project = _open_project(directory, create=False)
    if project is None or not Path(project.workspace).is_dir():
        return {}, {}
    # One listing instead of a question per job: network file systems of clusters are slow.
    there = {path.name for path in Path(project.workspace).iterdir()}
    documents: dict[StatePoint, dict[str, Any]] = {}
    problems: dict[StatePoint, str] = {}
    for planned in jobs:
        job = project.open_job(planned.state_point.to_dict())
        if job.id in there:
            documents[planned.state_point] = {}
            try:
                documents[planned.state_point] = read_document(Path(job.path))
            except InputError as error:  # the other jobs go on
                problems[planned.state_point] = str(error)
    return documents, problems


def _refuse_changes(jobs: list[PlannedJob], recorded: Mapping[StatePoint, dict[str, Any]]) -> None:
    for job in jobs:
        document = recorded.get(job.state_point, {})
        there, here = document.get("protocol"), job.protocol.to_dict()
        if isinstance(there, dict):
            there = ProtocolSettings().to_dict() | there  # keys that came with a later version
        if isinstance(there, dict) and "space_hold_time" in document:
            there = {**there, "hold_time": document["space_hold_time"]}  # `supercube continue` made it longer
        if there is not None and there != here:
            difference = _difference(there if isinstance(there, dict) else {}, here)
            raise InputError(
                f"{job.where}: this job is already there with another protocol ({difference}); "
                "nothing was added, for a recorded protocol is changed with `supercube continue`, not in the space."
            )
        version = document.get("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise InputError(
                f"{job.where}: this job is already there with schema version {version}; expected {SCHEMA_VERSION}, "
                "and nothing was added - older jobs become of this version with: supercube migrate"
            )


def _refuse_older(directory: Path, jobs: list[PlannedJob], recorded: Mapping[StatePoint, dict[str, Any]]) -> None:
    """Refuse to make jobs that are there under the ids of an earlier schema: they would be simulated twice."""
    from .migration import older_forms

    project = _open_project(directory, create=False)
    new = [job for job in jobs if job.state_point not in recorded]
    if project is None or not new or not Path(project.workspace).is_dir():
        return
    ids = {project.open_job(job.state_point.to_dict()).id: job for job in jobs}
    older = older_forms(project, ids)
    for id_ in older.keys() & ids.keys():
        raise InputError(
            f"{ids[id_].where}: this job is already there as {older[id_]}, with a state point of an earlier version; "
            "nothing was added - bring the data space to this version first: supercube migrate"
        )


def _make_jobs(project: Any, jobs: list[PlannedJob], recorded: Mapping[StatePoint, dict[str, Any]]) -> int:
    added = 0
    for planned in jobs:
        if "protocol" in recorded.get(planned.state_point, {}):
            continue
        job = project.open_job(planned.state_point.to_dict())
        # The folder without a protocol is what an interrupted fill leaves; its state point file may be cut short, and
        # since the id is the hash of the state point, writing it anew can only restore it.
        job.init(force=planned.state_point in recorded)
        job.document.update({"protocol": planned.protocol.to_dict(), "schema_version": SCHEMA_VERSION})
        added += 1
    if added:
        _update_cache(project)
    return added


def _update_cache(project: Any) -> None:
    """Let `workflow.py status` read one file instead of every state point."""
    import signac.errors

    # The cache is only speed: a damaged job of another space must not make this one fail.
    with contextlib.suppress(signac.errors.JobsCorruptedError):
        project.update_cache()

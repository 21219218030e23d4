"""Bringing the jobs of a data space to the present schema: ``supercube migrate``.

When a key joins the state point, jobs of before lack it, and their ids, which are hashes of the state point, are no
longer those that ``init.py`` makes. A migration gives each job the state point that says today what it meant then, and
moves its folder to the new id with everything in it.

Seeds derive from the state point (``StatePoint.seed``). Those of the start and of the first velocities are used once,
so what a job has simulated stays as it is; the noise of what is left takes another seed, so a job that had begun goes
on with the same statistics but not along the very trajectory that it would have followed. Filling version 0 up to
version 1 changes no seed, since the seed always took absent keys at these values.

A crash at any instant loses nothing, and the next call completes what was begun: ``migration.json`` in the job's folder
says what is being done, from before the folder is moved until everything else is in place.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .dataspace import DOCUMENT, JobRecord, is_ours, open_project, read_data_space, read_document
from .errors import InputError, LockedError
from .files import write_whole
from .statepoint import SCHEMA_VERSION, ProtocolSettings, StatePoint

#: What is being done to a folder, and where an interrupted call went on from.
JOURNAL = "migration.json"
_STATE_POINT = "signac_statepoint.json"

#: What the absence of a key means in a state point of version 0. Literals and not the defaults of ``StatePoint``, for
#: a default that changes later must not change what old jobs were.
_VERSION_0: dict[str, Any] = {
    "evaporation_rate": 0.0,
    "n_spheres": 0,
    "attraction": 0.0,
    "initial": "fluid",
    "expansion": 1.0,
    "geometry": "bulk",
    "target_packing_fraction": 0.0,
    "pressure": 0.0,
    "roughness": 0.02,
    "size_dispersity": 0.0,
    "replicate": 0,
}
#: The same for the recorded protocol, whose keys are no part of the id.
PROTOCOL_BEFORE: dict[str, Any] = {"initial_pressure": 0.0, "ramp_time": 0.0, "box": "auto"}


def _from_version_0(state_point: Mapping[str, Any]) -> dict[str, Any]:
    without_spheres = {"size_ratio": 1.0} if not state_point.get("n_spheres", 0) else {}
    return {**_VERSION_0, **without_spheres, **state_point}


#: For each version what makes a state point of it out of one of the version before. To add a key to the state point:
#: raise ``SCHEMA_VERSION`` and append a pure function that gives the key the value which its absence meant.
MIGRATIONS: dict[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {1: _from_version_0}


@dataclass(frozen=True)
class Step:
    """What is done to one job.

    Attributes:
        old, new: ids before and after; equal if only the document changes.
        state_point: the present state point, with every key.
        added: keys that the state point lacked, with their values.
    """

    old: str
    new: str
    state_point: dict[str, Any]
    added: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """What :func:`migrate` did, or would do.

    Attributes:
        moved: jobs that have another id now.
        completed: ids of those whose document alone was brought up to date.
        current: number of jobs with nothing to do.
        references: number of other jobs whose ``continued_from`` follows a moved job.
        problems: of jobs that were not migrated, by id: one sentence each.
    """

    moved: tuple[Step, ...]
    completed: tuple[str, ...]
    current: int
    references: int
    problems: dict[str, str]


# --- what a job is today ----------------------------------------------------------------------------------------------


def version_of(state_point: Mapping[str, Any], document: Mapping[str, Any]) -> int:
    """Version of a job's schema: as recorded; 0 if nothing is, or if keys of version 1 are missing.

    Raises:
        InputError: the record is no whole number, or newer than this program.
    """
    version = document.get("schema_version", 0)
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        raise InputError(f"schema_version is {version!r}; expected a whole number from 0 to {SCHEMA_VERSION}.")
    if version > SCHEMA_VERSION:
        raise InputError(
            f"schema_version is {version}, but this program knows versions up to {SCHEMA_VERSION}; expected a job of "
            "this version or an earlier one - update supercube."
        )
    return 0 if version <= 1 and not _VERSION_0.keys() <= state_point.keys() else version


def present_state_point(state_point: Mapping[str, Any], version: int) -> dict[str, Any]:
    """The state point of the present schema that says what this one of an earlier version meant.

    Args:
        state_point: keys and values of that version.
        version: see :func:`version_of`.

    Raises:
        InputError: what comes out is no valid state point.
    """
    for target in range(version + 1, SCHEMA_VERSION + 1):
        state_point = MIGRATIONS[target](state_point)
    return StatePoint.parse(state_point, "its state point").to_dict()


def older_forms(project: Any, known: Iterable[str]) -> dict[str, str]:
    """Jobs whose state point lacks keys: from the id that each would have today to the one it has.

    Args:
        project: the signac project.
        known: ids not to look at.
    """
    from signac.job import calc_id

    found = {}
    # One listing instead of a question per job, and state points from signac's cache.
    for name in {entry.name for entry in os.scandir(project.workspace)}.difference(known):
        try:
            state_point = dict(project.open_job(id=name).cached_statepoint)
            if is_ours(state_point) and state_point.keys() != StatePoint.model_fields.keys():
                found[calc_id(present_state_point(state_point, 0))] = name
        except (RuntimeError, LookupError, OSError, InputError):  # what cannot be read is nobody's older form
            continue
    return found


# --- planning ---------------------------------------------------------------------------------------------------------


def migrate(path: str | os.PathLike[str], *, dry_run: bool = False) -> Report:
    """Bring every job of a data space to the present schema.

    A job that is moved takes along everything in its folder; its document gets ``schema_version``, a complete
    ``protocol``, and its old id at the end of the list ``migrated_from``; ``continued_from`` of other jobs follows. A
    job that a process works on is left for the next call. What waits in a scheduler's queue under an old id has to be
    submitted again. Safe to repeat, also after a crash.

    Args:
        path: root of the signac project.
        dry_run: change nothing.

    Raises:
        InputError: there is no project, or its workspace is missing.
    """
    project = open_project(path)
    steps, current, problems = _plan(project)
    if dry_run:
        followed = _references(read_data_space(project).jobs, {step.old: step.new for step in steps})
        return _report(steps, current, len(followed), problems)
    done = []
    for step in steps:
        try:
            _carry_out(Path(project.workspace), step)
            done.append(step)
        except (InputError, LockedError, OSError) as error:
            problems[step.old] = _sentence(step.old, error)
    space = read_data_space(open_project(path))  # anew: the ids have changed
    followed = _references(space.jobs)
    for job, target in followed:
        try:
            _refer(job, target)
        except (InputError, LockedError, OSError) as error:
            problems[job.id] = _sentence(job.id, error)
    if done:
        _update_cache(path)
    return _report(done, current, len(followed), problems)


def _report(steps: list[Step], current: int, references: int, problems: dict[str, str]) -> Report:
    moved = tuple(step for step in steps if step.old != step.new)
    completed = tuple(step.new for step in steps if step.old == step.new)
    return Report(moved, completed, current, references, problems)


def _plan(project: Any) -> tuple[list[Step], int, dict[str, str]]:
    """What there is to do, how many jobs are up to date, and why others cannot be migrated."""
    space = read_data_space(project)
    workspace = Path(project.workspace)
    steps: list[Step] = []
    problems: dict[str, str] = {}
    for id_, problem in space.problems.items():
        try:
            interrupted = _interrupted(workspace / id_)
        except InputError as error:
            problems[id_] = str(error)
            continue
        if interrupted is None:
            problems[id_] = _why(workspace / id_, problem)
        else:
            steps.append(interrupted)
    current = 0
    for job in space.jobs:
        try:
            step = _interrupted(job.path) if job.has(JOURNAL) else _needed(job)
        except InputError as error:
            problems[job.id] = _sentence(job.id, error)
            continue
        current += step is None
        steps += [step] if step is not None else []
    there = {job.id for job in space.jobs if not job.has(JOURNAL)}.union(problems)
    return _without_collisions(steps, there, problems), current, problems


def _needed(job: JobRecord) -> Step | None:
    """What a job needs; None if it is as ``init.py`` makes it today, or half made with the id of today."""
    from signac.job import calc_id

    document = job.document
    state_point = present_state_point(job.state_point, version_of(job.state_point, document))
    new = calc_id(state_point)
    if new == job.id and ("protocol" not in document or _updates(document) == {}):
        return None
    _updates(document)  # refuses a wrong protocol before anything is touched
    added = {key: value for key, value in state_point.items() if key not in job.state_point}
    return Step(job.id, new, state_point, added)


def _updates(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the document of a job lacks.

    Raises:
        InputError: the recorded protocol is none.
    """
    wanted: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
    if "protocol" in document:
        recorded = document["protocol"]
        full = {**PROTOCOL_BEFORE, **recorded} if isinstance(recorded, Mapping) else recorded
        wanted["protocol"] = ProtocolSettings.parse(full, "its recorded protocol").to_dict()
    return {key: value for key, value in wanted.items() if document.get(key) != value}


def _interrupted(folder: Path) -> Step | None:
    """The step that an earlier call began in this folder, if any."""
    try:
        return Step(**json.loads((folder / JOURNAL).read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, OSError) as error:
        raise InputError(
            f"{folder / JOURNAL} is damaged ({error}); expected what supercube migrate wrote - restore the folder from "
            "a backup."
        ) from error


def _why(folder: Path, problem: str) -> str:
    """A better sentence for a job of this package that a newer version of it made."""
    try:
        document, state_point = read_document(folder), json.loads((folder / _STATE_POINT).read_bytes())
        if "protocol" not in document:
            return problem
        version_of(state_point, document)
    except InputError as error:
        return _sentence(folder.name, error)
    except (ValueError, OSError, AttributeError):
        return problem
    unknown = ", ".join(sorted(set(map(str, state_point)) - StatePoint.model_fields.keys()))
    if not unknown:
        return problem
    return (
        f"job {folder.name}: its state point has {unknown}, which no schema up to version {SCHEMA_VERSION} knows; "
        "it is left alone - was it made by another version of supercube?"
    )


def _without_collisions(steps: list[Step], there: set[str], problems: dict[str, str]) -> list[Step]:
    """The steps whose target is free; the others go to the problems."""
    kept: dict[str, Step] = {}
    for step in steps:
        other = kept[step.new].old if step.new in kept else step.new if step.new in there else None
        if other is None or step.old == step.new:
            kept[step.new] = step
        else:
            problems[step.old] = _taken(step.old, other)
    return list(kept.values())


def _taken(old: str, other: str) -> str:
    return (
        f"job {old} means the same as job {other}, which is there already; expected one job for one state point - move "
        "one of the two folders out of the workspace and run supercube migrate again."
    )


def _sentence(id_: str, error: Exception) -> str:
    text = str(error)
    return text if id_ in text.partition(";")[0] else f"job {id_}: {text}"


# --- doing ------------------------------------------------------------------------------------------------------------


def _carry_out(workspace: Path, step: Step) -> None:
    """Move and complete one job, from wherever an earlier call stopped.

    Raises:
        LockedError: a process runs the job.
        InputError: another job is at the target, or the document is damaged.
    """
    from .engines.checkpoint import LOCK, job_lock

    new = workspace / step.new
    here = new if (new / JOURNAL).exists() else workspace / step.old
    with job_lock(here):
        folder = _moved(here, new, step)
        try:
            _complete(folder, step)
        finally:
            if folder != here:  # the lock moved along, so nobody else can hold the job yet
                (folder / LOCK).unlink(missing_ok=True)


def _moved(here: Path, new: Path, step: Step) -> Path:
    """Move the folder to its new name, the journal in it, and return it."""
    if here == new:
        return new
    journal = {"old": step.old, "new": step.new, "state_point": step.state_point, "added": step.added}
    write_whole(here / JOURNAL, json.dumps(journal).encode(), durable=True)
    try:
        # An empty folder at the target, left by somebody who was interrupted, gives way.
        here.rename(new)
    except OSError as error:
        (here / JOURNAL).unlink()
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise InputError(_taken(step.old, step.new)) from error
        raise
    _sync(new.parent)
    return new


def _complete(folder: Path, step: Step) -> None:
    """Write the present state point and document; the journal goes last."""
    document = read_document(folder)
    document |= _updates(document)
    if step.old != step.new:
        write_whole(folder / _STATE_POINT, json.dumps(step.state_point).encode(), durable=True)
        history = document.setdefault("migrated_from", [])
        if step.old not in history:
            history.append(step.old)
    write_whole(folder / DOCUMENT, json.dumps(document).encode(), durable=True)
    (folder / JOURNAL).unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _references(jobs: Iterable[JobRecord], moved: Mapping[str, str] | None = None) -> list[tuple[JobRecord, str]]:
    """Jobs that were continued from one which has moved, each with that one's present id.

    Every job says in ``migrated_from`` what it was, so also references that an interrupted call left are found.
    """
    followed, names = [], dict(moved or {})
    for job in jobs:
        with contextlib.suppress(InputError):  # a damaged document was reported before
            names |= dict.fromkeys(job.document.get("migrated_from", ()), job.id)
            if "continued_from" in job.document:
                followed.append((job, str(job.document["continued_from"])))
    return [(job, names[origin]) for job, origin in followed if origin in names]


def _refer(job: JobRecord, target: str) -> None:
    from .engines.checkpoint import job_lock

    with job_lock(job.path):
        document = read_document(job.path) | {"continued_from": target}
        write_whole(job.path / DOCUMENT, json.dumps(document).encode(), durable=True)


def _update_cache(path: str | os.PathLike[str]) -> None:
    from signac.errors import JobsCorruptedError

    # The cache is only speed: a damaged job must not make the migration of the others fail.
    with contextlib.suppress(JobsCorruptedError):
        open_project(path).update_cache()


# --- telling ----------------------------------------------------------------------------------------------------------


def lines(report: Report, *, dry_run: bool = False, most: int = 20) -> list[str]:
    """What was done, a line a moved job (the first few) and one for all."""
    would = "would be " if dry_run else ""
    text = []
    for step in report.moved[:most]:
        added = ", ".join(f"{key} {value}" for key, value in step.added.items()) or "values in today's form"
        text.append(f"{step.old} -> {step.new}: {added}")
    if len(report.moved) > most:
        text.append(f"... and {len(report.moved) - most} more")
    text.append(
        f"schema {SCHEMA_VERSION}: {len(report.moved)} {would}moved, {len(report.completed)} {would}completed in "
        f"place, {report.references} reference(s) {would}updated, {report.current} up to date, "
        f"{len(report.problems)} left"
    )
    return text

"""Reading a data space whole: every job that can be read, and a sentence for each that cannot.

What looks at many jobs (tables, maps, notebooks, the dashboard, progress) reads them here, so that one damaged or
foreign job never hides the others, and so that ten thousand of them take a second: one listing of each folder, state
points from signac's cache, and documents read once, without signac's synchronised dictionaries.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .errors import InputError
from .statepoint import StatePoint

DOCUMENT = "signac_job_document.json"
#: A state point of ours has at least these; jobs of before a key was added lack only some of the others.
_ESSENTIAL = frozenset({"ligand_length", "n_cubes", "n_spheres", "initial", "replicate"})
_KNOWN = frozenset(StatePoint.model_fields)


@dataclass(frozen=True)
class JobRecord:
    """One job of a data space, as it is on disk.

    Attributes:
        id: signac's id.
        path: its folder.
        state_point: its keys and values.
        files: names of what lies in the folder.
        marks: names of what lies in ``checkpoint/``; empty if there is none.
    """

    id: str
    path: Path
    state_point: Mapping[str, Any]
    files: frozenset[str]
    marks: frozenset[str]

    def has(self, marker: str) -> bool:
        """Whether a file is there, given as in ``operations``: ``order.npz``, ``checkpoint/evaporated``."""
        return marker.removeprefix("checkpoint/") in (self.marks if marker.startswith("checkpoint/") else self.files)

    @cached_property
    def document(self) -> dict[str, Any]:
        """The job document, read once.

        Raises:
            InputError: it is damaged.
        """
        return read_document(self.path) if DOCUMENT in self.files else {}


@dataclass(frozen=True)
class DataSpace:
    """All jobs of a signac project.

    Attributes:
        path: root of the project.
        jobs: those that can be read, sorted by id.
        problems: of the others, by id: one sentence each.
    """

    path: Path
    jobs: tuple[JobRecord, ...]
    problems: dict[str, str]

    def with_documents(self) -> DataSpace:
        """The same, all documents read; jobs whose document is damaged go from ``jobs`` to ``problems``."""
        problems, readable = dict(self.problems), []
        for job in self.jobs:
            try:
                _ = job.document
            except InputError as error:
                problems[job.id] = str(error)
            else:
                readable.append(job)
        return DataSpace(self.path, tuple(readable), problems)


def read_data_space(path: str | os.PathLike[str] | Any, ids: Iterable[str] | None = None) -> DataSpace:
    """The jobs of a project; documents are read only when asked for.

    Args:
        path: root of the signac project, or the project itself.
        ids: only these jobs (default: all).

    Raises:
        InputError: there is no project, or its workspace is missing.
    """
    project = open_project(path)
    jobs, problems = [], {}
    with _signac_quiet():
        for id_ in (str(job.id) for job in project) if ids is None else ids:
            try:
                jobs.append(_record(_open_job(project, id_)))
            except InputError as error:
                problems[id_] = str(error)
    return DataSpace(Path(project.path), tuple(sorted(jobs, key=lambda record: record.id)), problems)


def open_project(path: str | os.PathLike[str] | Any) -> Any:
    """The signac project at a path, or the project that was given.

    Raises:
        InputError: there is none, this version of signac cannot open it, or its workspace is missing.
    """
    import signac
    from signac.errors import IncompatibleSchemaVersion

    given = path if isinstance(path, signac.Project) else None
    path = Path(given.path if given is not None else path)
    if not (path / ".signac").is_dir():
        raise InputError(f"{path} holds no data space; expected a signac project - fill it with: python init.py demo")
    if not (path / "workspace").is_dir():  # opening the project would make an empty one
        raise InputError(
            f"{path / 'workspace'} does not exist, though {path} is a signac project; restore the workspace (is its "
            "disk mounted?), or fill a new one with: python init.py demo"
        )
    try:
        return given if given is not None else signac.get_project(path, search=False)
    except (RuntimeError, IncompatibleSchemaVersion) as error:
        raise InputError(f"{path} holds a signac project that this version cannot open ({error}).") from error


@contextlib.contextmanager
def _signac_quiet() -> Iterator[None]:
    # signac logs what it raises; here that becomes the job's sentence.
    logger = logging.getLogger("signac")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _open_job(project: Any, id_: str) -> Any:
    try:
        return project.open_job(id=id_)
    except LookupError as error:
        raise InputError(f"job {id_} is not in {project.workspace}; expected the id of one of its folders.") from error


def _record(job: Any) -> JobRecord:
    from signac.errors import JobsCorruptedError

    path = Path(job.path)
    try:
        state_point = dict(job.cached_statepoint)
    except (JobsCorruptedError, KeyError, OSError) as error:
        raise InputError(
            f"job {job.id}: its state point cannot be read ({error}); restore {path / 'signac_statepoint.json'}, or "
            "move the folder out of the workspace."
        ) from error
    if not is_ours(state_point):
        raise InputError(
            f"job {job.id} is not of supercube: its state point {_strange(state_point)}; it is left alone."
        )
    try:
        files = frozenset(entry.name for entry in os.scandir(path))
        marks = (
            frozenset(entry.name for entry in os.scandir(path / "checkpoint")) if "checkpoint" in files else frozenset()
        )
    except OSError as error:
        raise InputError(f"job {job.id}: its folder cannot be read ({error}); look at the workspace's disk.") from error
    return JobRecord(str(job.id), path, state_point, files, marks)


def is_ours(state_point: Mapping[str, Any]) -> bool:
    """Whether a job is of this package, of this version or an earlier one: no key that no version ever had."""
    return _ESSENTIAL <= state_point.keys() <= _KNOWN


def _strange(state_point: Mapping[str, Any], most: int = 4) -> str:
    unknown = sorted(map(str, state_point.keys() - _KNOWN))
    keys = unknown or sorted(_ESSENTIAL - state_point.keys())
    shown = ", ".join(keys[:most]) + (" ..." if len(keys) > most else "")
    return f"has {shown}" if unknown else f"lacks {shown}"


def read_document(folder: Path) -> dict[str, Any]:
    """A job's document as a plain dictionary, {} if there is none, without making anything.

    Raises:
        InputError: it is damaged.
    """
    path = folder / DOCUMENT
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError(f"it holds {type(content).__name__}, not a mapping")
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise InputError(
            f"job {folder.name}: {path} is damaged ({error}); restore it from a backup, or delete the job's folder and "
            "run init.py again."
        ) from error
    return content


def problem_lines(problems: Mapping[str, str], most: int = 10) -> Iterator[str]:
    """Sentences for stderr: the first few, and how many more."""
    yield from list(problems.values())[:most]
    if len(problems) > most:
        yield f"... and {len(problems) - most} more jobs that cannot be read."

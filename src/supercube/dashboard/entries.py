"""One job as lists and pages show it: its title, its state, and where it stands among the others."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..dataspace import JobRecord
from ..errors import InputError
from ..operations import EQUILIBRATED, EVAPORATED, INITIAL, ORDER, PICTURE, SCATTERED, describe
from ..progress import JobProgress, job_progress
from ..statepoint import StatePoint
from .readable import percent

#: Every state a job can be in, in the order of summaries.
STATES = ("finished", "simulated", "running", "stopped", "waiting", "failed", "unreadable")


@dataclass(frozen=True)
class Entry:
    """One job.

    Attributes:
        id: signac's id.
        path: its folder.
        state_point: every key, those that came with a later version at their defaults.
        document: the job document; empty if it is damaged.
        steps: what has been done: name of each operation and whether it is complete.
        progress: stage, share of the steps done, and time left.
        problem: why the job, or its document, cannot be read; None if it can.
        describes: the job in words.
    """

    id: str
    path: Path
    state_point: Mapping[str, Any]
    document: Mapping[str, Any]
    steps: tuple[tuple[str, bool], ...]
    progress: JobProgress
    problem: str | None
    describes: str

    @property
    def state(self) -> str:
        """One of ``STATES``."""
        return "unreadable" if self.problem else self.progress.stage

    @property
    def structure(self) -> str | None:
        """Label of the structure found."""
        found = self.document.get("structure")
        return found if isinstance(found, str) else None

    @property
    def fraction(self) -> float | None:
        """Share of the particles with that label."""
        found = self.document.get("structure_fraction")
        return float(found) if isinstance(found, int | float) else None

    @property
    def drawn(self) -> bool:
        """Whether there is a picture of the structure."""
        return dict(self.steps)["drawn"]

    @property
    def error(self) -> str | None:
        """The sentence of the operation that failed last."""
        if self.state != "failed":
            return None
        return str(self.document.get("error") or "an operation failed, but left no reason; see the output of the run.")

    @property
    def title(self) -> str:
        """The job in words, with the structure found."""
        if self.structure is None:
            return self.describes
        share = f" {percent(self.fraction)}" if self.fraction is not None else ""
        return f"{self.describes} – {self.structure}{share}"

    @property
    def order(self) -> tuple[Any, ...]:
        """Key for sorting: cubes before mixtures, then along γ, λ, what drives, the start, and the repeat."""
        point = self.state_point
        driven = (point["pressure"], point["evaporation_rate"], point["target_packing_fraction"], point["attraction"])
        start = (str(point["initial"]), point["expansion"], point["n_spheres"], point["n_cubes"])
        return (
            point["n_spheres"] > 0,
            point["size_ratio"],
            point["ligand_length"],
            *driven,
            *start,
            point["replicate"],
            self.id,
        )


def read_entry(record: JobRecord) -> Entry:
    """The entry of a job on disk; a damaged document becomes its ``problem``.

    Raises:
        InputError: the state point is not one of this package's.
    """
    point = StatePoint.parse(dict(record.state_point), f"job {record.id}")
    problem, document = None, {}
    try:
        document = record.document
    except InputError as error:
        problem = str(error)
    return Entry(
        id=record.id,
        path=record.path,
        state_point=point.to_dict(),
        document=document,
        steps=_steps(record, point),
        progress=_progress(record),
        problem=problem,
        describes=_in_words(point),
    )


def refreshed(entry: Entry, record: JobRecord) -> Entry:
    """The entry of a job whose document and files are as before: locks and checkpoints change all the same."""
    return replace(entry, progress=_progress(record))


def with_replicates(entries: Iterable[Entry]) -> list[Entry]:
    """The same jobs; those that differ from another one in the replicate alone all say which one they are."""
    groups: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(tuple(value for key, value in entry.state_point.items() if key != "replicate"), []).append(
            entry
        )
    return [_numbered(entry) if len(group) > 1 else entry for group in groups.values() for entry in group]


def _numbered(entry: Entry) -> Entry:
    words = f", replicate {entry.state_point['replicate']}"
    return entry if entry.describes.endswith(words) else replace(entry, describes=entry.describes + words)


def _in_words(point: StatePoint) -> str:
    repeated = f", replicate {point.replicate}" if point.replicate else ""
    return describe(point) + repeated


def _steps(record: JobRecord, point: StatePoint) -> tuple[tuple[str, bool], ...]:
    driven = "dried" if point.evaporation_rate else "pressed" if point.pressure else "held"
    markers = {"built": INITIAL, "equilibrated": EQUILIBRATED, driven: EVAPORATED, "classified": ORDER}
    markers |= {"scattering": SCATTERED, "drawn": PICTURE}
    return tuple((name, record.has(marker)) for name, marker in markers.items())


def _progress(record: JobRecord) -> JobProgress:
    return job_progress(record, time.time())

"""Trajectory and log segments: one of each per execution, joined on reading.

Every execution writes new files, ``trajectory-0000.gsd`` and ``log-0000.csv``, then ``-0001`` ..., and never touches
older ones. An execution that continues from step s supersedes whatever earlier segments hold beyond s; the readers
here drop that.
"""

from __future__ import annotations

import csv
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration, from_frame, open_trajectory, to_frame
from ..errors import FileFormatError
from .base import Thermo

LOG_COLUMNS = (
    "step",
    "time",
    "temperature_translation",
    "temperature_rotation",
    "potential_energy",
    "pressure",
    "volume",
    "packing_fraction",
)


def _number(path: Path) -> int:
    match = re.fullmatch(r"(?:trajectory|log)-(\d+)\.(?:gsd|csv)", path.name)
    return int(match.group(1)) if match else -1


def segment_paths(folder: Path, kind: str) -> list[Path]:
    """Existing ``trajectory`` or ``log`` segments of a job, in order."""
    suffix = "gsd" if kind == "trajectory" else "csv"
    return sorted((p for p in folder.glob(f"{kind}-*.{suffix}") if _number(p) >= 0), key=_number)


class SegmentWriter:
    """The trajectory and log files of one execution.

    Args:
        folder: the job's folder.
    """

    def __init__(self, folder: Path) -> None:
        import gsd.hoomd

        used = [_number(p) for kind in ("trajectory", "log") for p in segment_paths(folder, kind)]
        self.number = max(used, default=-1) + 1
        self.trajectory_path = folder / f"trajectory-{self.number:04d}.gsd"
        self.log_path = folder / f"log-{self.number:04d}.csv"
        self._trajectory = gsd.hoomd.open(self.trajectory_path, mode="x")
        self._log = open(self.log_path, "x", newline="")  # noqa: SIM115 - open for the whole run, closed by close()
        self._rows = csv.writer(self._log)
        self._rows.writerow(LOG_COLUMNS)

    def frame(self, configuration: Configuration) -> None:
        """Append a frame; it is on disk when this returns, because a killed process loses unflushed frames."""
        self._trajectory.append(to_frame(configuration))
        self._trajectory.flush()

    def row(self, step: int, time: float, thermo: Thermo, body_volume: float) -> None:
        """Append a log row."""
        values = (
            thermo.temperature_translation,
            thermo.temperature_rotation,
            thermo.potential_energy,
            thermo.pressure,
            thermo.volume,
            body_volume / thermo.volume,
        )
        self._rows.writerow([step, f"{time:.10g}", *(f"{value:.10g}" for value in values)])

    def sync(self) -> dict[str, Any]:
        """Put everything on disk and say how much there is: what a checkpoint vouches for."""
        self._log.flush()
        os.fsync(self._log.fileno())
        return {
            "number": self.number,
            "frames": len(self._trajectory),
            "trajectory_bytes": self.trajectory_path.stat().st_size,
            "log_bytes": self.log_path.stat().st_size,
        }

    def close(self) -> None:
        """Close both files."""
        self._trajectory.close()
        self._log.close()


def read_trajectory(folder: Path) -> Iterator[Configuration]:
    """All frames of a job in order of step, each step once.

    A segment that cannot be opened is passed over with a warning: the frames of the others are still good.

    Raises:
        FileFormatError: the job has no readable segment.
    """
    readable = []
    for path in segment_paths(folder, "trajectory"):
        try:
            with open_trajectory(path) as trajectory:
                # Steps are one small chunk a frame; reading them alone leaves positions on disk.
                steps = [int(trajectory[i].configuration.step or 0) for i in range(len(trajectory))]
        except FileFormatError as error:
            warnings.warn(f"passed over a trajectory segment: {error}", RuntimeWarning, stacklevel=2)
            continue
        if steps:
            readable.append((path, steps))
    if not readable:
        raise FileFormatError(f"{folder} holds no readable trajectory segment; run the job first.")
    for index, (path, steps) in enumerate(readable):
        limit = min((later[1][0] for later in readable[index + 1 :]), default=None)
        with open_trajectory(path) as trajectory:
            for i, step in enumerate(steps):
                if limit is None or step < limit:
                    yield from_frame(trajectory[i], f"{path} frame {i}")


def read_log(folder: Path) -> dict[str, NDArray[np.float64]]:
    """The joined log: one array a column of ``LOG_COLUMNS``; superseded and half-written rows are dropped."""
    segments: list[list[list[float]]] = []
    for path in segment_paths(folder, "log"):
        with open(path, newline="") as handle:
            parsed = [_parse(row) for row in list(csv.reader(handle))[1:]]
        segments.append([row for row in parsed if row is not None])
    joined: list[list[float]] = []
    for index, rows in enumerate(segments):
        limit = min((later[0][0] for later in segments[index + 1 :] if later), default=np.inf)
        joined += [row for row in rows if row[0] < limit]
    table = np.array(joined, dtype=np.float64).reshape(-1, len(LOG_COLUMNS))
    return {name: table[:, k] for k, name in enumerate(LOG_COLUMNS)}


def _parse(row: list[str]) -> list[float] | None:
    # The last row of a killed run may be cut anywhere.
    try:
        values = [float(cell) for cell in row]
    except ValueError:
        return None
    return values if len(values) == len(LOG_COLUMNS) else None

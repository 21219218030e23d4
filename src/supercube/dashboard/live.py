"""The whole data space in memory, read again as it changes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..dataspace import DOCUMENT, JobRecord, read_data_space
from ..errors import InputError
from .entries import Entry, read_entry, refreshed, with_replicates

#: The space is read again when a page is asked for and the last reading is older than this, seconds, and than
#: ``_PATIENCE`` times what it took: a huge space on a slow disk must not be read all the time.
_FRESH = 2.0
_PATIENCE = 10.0


@dataclass(frozen=True)
class Snapshot:
    """All jobs at one moment.

    Attributes:
        entries: those that can be read, by id, in the order of lists.
        problems: of all others, by id: one sentence each.
    """

    entries: dict[str, Entry]
    problems: dict[str, str]

    def counts(self) -> Counter[str]:
        """Number of jobs in each state; those in ``problems`` are in none."""
        return Counter(entry.state for entry in self.entries.values())

    def structures(self) -> Counter[str]:
        """Number of jobs with each structure found, the most frequent first."""
        found = Counter(entry.structure for entry in self.entries.values() if entry.structure)
        return Counter(dict(found.most_common()))

    def expand(self, job_id: str) -> str | None:
        """The full id that begins so; None if there is none, or more than one."""
        if job_id in self.entries or job_id in self.problems:
            return job_id
        found = [one for one in (*self.entries, *self.problems) if job_id and one.startswith(job_id)]
        return found[0] if len(found) == 1 else None


class LiveSpace:
    """Reads a data space when asked, and not more often than is good for the disk.

    Args:
        project: a signac project.
    """

    def __init__(self, project: Any) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._due = 0.0
        self._snapshot = Snapshot({}, {})
        self._known: dict[str, tuple[object, Entry]] = {}

    def snapshot(self) -> Snapshot:
        """All jobs, at most some seconds old.

        Raises:
            InputError: the workspace is gone.
        """
        with self._lock:
            began = time.monotonic()
            if began >= self._due:
                self._snapshot = self._read()
                ended = time.monotonic()
                self._due = ended + max(_FRESH, _PATIENCE * (ended - began))
            return self._snapshot

    def entry(self, job_id: str) -> Entry | None:
        """One job as it is now; None if it cannot be read (``Snapshot.problems`` says why)."""
        try:
            (record,) = read_data_space(self._project, [job_id]).jobs
            entry = read_entry(record)
        except (InputError, LookupError, ValueError):
            return None
        # Whether a job has replicates only the others know.
        known = self._snapshot.entries.get(job_id)
        return replace(entry, describes=known.describes) if known else entry

    def _read(self) -> Snapshot:
        if not Path(self._project.workspace).is_dir():
            raise InputError(f"{self._project.workspace} is gone; restore the workspace (is its disk mounted?).")
        space = read_data_space(self._project)
        problems, known = dict(space.problems), {}
        for record in space.jobs:
            signature = _signature(record)
            old = self._known.get(record.id)
            try:
                # Documents take nine tenths of the time, and most do not change between two looks.
                entry = refreshed(old[1], record) if old and old[0] == signature else read_entry(record)
            except InputError as error:
                problems[record.id] = str(error)
            else:
                known[record.id] = (signature, entry)
        self._known = known
        entries = sorted(with_replicates(entry for _, entry in known.values()), key=lambda entry: entry.order)
        return Snapshot({entry.id: entry for entry in entries}, problems)


def _signature(record: JobRecord) -> object:
    """What is different when a job has changed."""
    if DOCUMENT not in record.files:
        return record.files, record.marks
    try:
        document = (record.path / DOCUMENT).stat()
    except OSError:  # gone since the folder was listed
        return None
    return record.files, record.marks, document.st_mtime_ns, document.st_size

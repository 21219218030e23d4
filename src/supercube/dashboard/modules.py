"""The cards of the pages, as modules of signac-dashboard.

Each card is a dictionary with ``name``, ``content`` (HTML), and ``width``: how many of twelve columns it wants on a
wide screen; what a row has left over is given to its cards.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import g, render_template, url_for
from signac_dashboard import Module

from ..engines.segments import segment_paths
from ..observe import palette
from ..operations import PICTURE, SCATTERED
from .documents import STATE_POINT, sections
from .entries import STATES, Entry
from .neighbours import neighbours
from .readable import percent, shown, size

Card = dict[str, Any]

#: Columns of a page.
COLUMNS = 12
_JOB, _PROJECT = "JobContext", "ProjectContext"
#: Values of a parameter that the navigator shows on either side of the job's own.
_AROUND = 4


def fill_rows(cards: list[Card]) -> None:
    """Widen the cards of rows that are not full, so that no gap stays beside them; a card without a width takes six."""
    row: list[Card] = []
    for card in [*cards, {"width": COLUMNS}]:
        if sum(one["width"] for one in row) + card.setdefault("width", COLUMNS // 2) > COLUMNS:
            taken = sum(one["width"] for one in row)
            for one in row:
                one["width"] = round(one["width"] * COLUMNS / taken)
            row = []
        row.append(card)


class _Cards(Module):
    """A module that renders one of this package's templates.

    Args:
        name: of its card.
        context: of signac-dashboard: jobs or project.
        width: of its card, in twelfths of the page.
    """

    _supported_contexts = frozenset({_JOB, _PROJECT})

    def __init__(self, name: str, context: str, template: str, width: int) -> None:
        super().__init__(name=name, context=context, template=f"cards/{template}")
        self.width = width

    def register(self, dashboard: Any) -> None:
        """Remember whose module this is."""
        self.dashboard = dashboard

    def card(self, **values: Any) -> Card:
        """The module's card, its template filled with these values."""
        return {"name": self.name, "content": render_template(self.template, **values), "width": self.width}


class Picture(_Cards):
    """A picture file of a job or of the project, if it is there."""

    def __init__(self, name: str, filename: str, context: str = _JOB, width: int = 6) -> None:
        super().__init__(name, context, "picture.html", width)
        self.filename = filename

    def get_cards(self, job_or_project: Any) -> Iterator[Card]:
        """The picture, with the day it was made."""
        path = Path(job_or_project.fn(self.filename))
        if path.is_file():
            job = {"jobid": job_or_project.id} if self.context == _JOB else {}
            made = time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime))
            address = url_for("get_file", filename=self.filename, **job)
            yield self.card(url=address, alt=self.name, made=made, large=self.width == COLUMNS)


class Result(_Cards):
    """What was found, in numbers."""

    def __init__(self) -> None:
        super().__init__("Result", _JOB, "result.html", 6)

    def get_cards(self, job: Any) -> Iterator[Card]:
        """Structure, fractions and the main numbers; nothing for a job without a result."""
        entry: Entry = g.entry
        lines = sections(entry.document).get("Result", [])
        if entry.structure is None or not lines:
            return
        notes = entry.document.get("notes")
        yield self.card(
            entry=entry,
            share=percent(entry.fraction) if entry.fraction is not None else "",
            parts=_parts(entry.document.get("fractions")),
            lines=[line for line in lines if line[0] not in ("structure", "share of particles")],
            notes=notes if isinstance(notes, list) else [],
            colour=palette.style(entry.structure).colour,
        )


def _parts(fractions: Any) -> list[dict[str, Any]]:
    """Labels that some particles carry, for a bar: the most frequent first."""
    if not isinstance(fractions, dict):
        return []
    some = {str(label): value for label, value in fractions.items() if isinstance(value, int | float) and value > 0}
    return [
        {"label": label, "share": percent(value), "value": value, "colour": palette.style(label).colour}
        for label, value in sorted(some.items(), key=lambda item: -item[1])
    ]


class LogCurve(_Cards):
    """Pressure, energy, temperature and packing fraction against time."""

    def __init__(self) -> None:
        super().__init__("Log", _JOB, "picture.html", 6)

    def get_cards(self, job: Any) -> Iterator[Card]:
        """The curves of all segments, drawn when the browser asks for them."""
        segments = segment_paths(Path(job.path), "log")
        if segments:
            last = max(path.stat().st_mtime for path in segments)
            made = f"last written {time.strftime('%Y-%m-%d %H:%M', time.localtime(last))}"
            yield self.card(url=url_for("log_curve", jobid=job.id), alt="log of the run", made=made)


class StatePointTable(_Cards):
    """The state point with units."""

    def __init__(self) -> None:
        super().__init__("State point", _JOB, "lines.html", 4)

    def get_cards(self, job: Any) -> Iterator[Card]:
        """Every key."""
        point = g.entry.state_point
        named = {key: STATE_POINT.get(key, (key.replace("_", " "), "")) for key in point}
        hidden = {"size_ratio"} if not point["n_spheres"] else set()
        lines = [(named[key][0], shown(point[key], named[key][1])) for key in point if key not in hidden]
        yield self.card(groups={"": lines})


class Document(_Cards):
    """The job document in sections, numbers rounded."""

    def __init__(self) -> None:
        super().__init__("Job document", _JOB, "lines.html", 8)

    def get_cards(self, job: Any) -> Iterator[Card]:
        """Everything that the result's card does not show."""
        groups = sections(g.entry.document)
        groups.pop("Result", None)
        if groups:
            raw = url_for("get_file", jobid=job.id, filename="signac_job_document.json")
            yield self.card(groups=groups, raw=raw)


class Navigator(_Cards):
    """Jobs that differ in one parameter only."""

    def __init__(self) -> None:
        super().__init__("Along each parameter", _JOB, "navigator.html", 12)

    def get_cards(self, job: Any) -> Iterator[Card]:
        """The values along each parameter, this job's in the middle; nothing for a job that stands alone."""
        along = neighbours(g.entry, g.snapshot.entries.values())
        axes = {axis: _window([one.id for _, one in values].index(job.id), values) for axis, values in along.items()}
        if axes:
            yield self.card(axes=axes, own=job.id)


def _window(at: int, values: list[tuple[str, Entry]]) -> list[tuple[str, Entry] | None]:
    """The values next to one's own, and the first and the last; None for a gap."""
    low, high = max(at - _AROUND, 0), min(at + _AROUND + 1, len(values))
    first: list[tuple[str, Entry] | None] = [values[0], None][: min(low, 2)]
    last: list[tuple[str, Entry] | None] = (
        [None, values[-1]][-min(len(values) - high, 2) :] if high < len(values) else []
    )
    return [*first, *values[low:high], *last]


class Files(_Cards):
    """What lies in the job's folder, to download."""

    def __init__(self) -> None:
        super().__init__("Files", _JOB, "files.html", 12)

    def get_cards(self, job: Any) -> Iterator[Card]:
        """Name and size of each file."""
        with os.scandir(job.path) as found:
            files = [(one.name, size(one.stat().st_size)) for one in found if one.is_file()]
        yield self.card(files=sorted(files), jobid=job.id, path=job.path)


class Summary(_Cards):
    """How many jobs are in which state, and which structures were found."""

    def __init__(self) -> None:
        super().__init__("Summary", _PROJECT, "summary.html", 12)

    def get_cards(self, project: Any) -> Iterator[Card]:
        """Counts, each leading to its jobs in the table."""
        snapshot = self.dashboard.live.snapshot()
        counts, found = snapshot.counts(), snapshot.structures()
        labels = [(label, found[label], palette.style(label).colour) for label in found]
        states = [(state, counts[state]) for state in STATES]
        yield self.card(total=counts.total(), states=states, labels=labels, left_out=len(snapshot.problems))


class Unreadable(_Cards):
    """Jobs that cannot be read or are of another program, with the reason."""

    def __init__(self) -> None:
        super().__init__("Cannot be read", _PROJECT, "unreadable.html", 12)

    def get_cards(self, project: Any) -> Iterator[Card]:
        """A sentence a job, those with a damaged document among them."""
        snapshot = self.dashboard.live.snapshot()
        damaged = {entry.id: entry.problem for entry in snapshot.entries.values() if entry.problem}
        problems = snapshot.problems | damaged
        if problems:
            yield self.card(problems=list(problems.items())[:10], more=max(0, len(problems) - 10))


class JobTable(_Cards):
    """All jobs, to filter and sort in the browser."""

    def __init__(self) -> None:
        super().__init__("All jobs", _PROJECT, "table.html", 12)

    def get_cards(self, project: Any) -> Iterator[Card]:
        """The frame of the table; the browser fetches and fills it."""
        if self.dashboard.live.snapshot().entries:
            yield self.card(source=url_for("jobs_json"), states=STATES)


def default_modules() -> list[Module]:
    """What the pages show, in this order."""
    return [
        Picture("Structure", PICTURE),
        Result(),
        Navigator(),
        Picture("Order", "order.png"),
        LogCurve(),
        Picture("Scattering", SCATTERED, width=12),
        StatePointTable(),
        Document(),
        Files(),
        Summary(),
        Unreadable(),
        Picture("Phase map", "phase_map.png", _PROJECT, width=COLUMNS),
        Picture("Stability map", "stability_map.png", _PROJECT, width=COLUMNS),
        JobTable(),
    ]

"""The table of all jobs: what its columns are, and a row a job, as plain values for the browser."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ..observe import palette
from .entries import Entry

#: Key, heading, and kind of each column: job, text, number, fixed (three decimals), label (a structure), state,
#: percent. Values are sent in full and rounded once, in the browser.
_COLUMNS = (
    ("job", "job", "job"),
    ("structure", "structure", "label"),
    ("fraction", "share", "percent"),
    ("state", "state", "state"),
    ("progress", "done", "percent"),
    ("n_cubes", "cubes", "number"),
    ("n_spheres", "spheres", "number"),
    ("size_ratio", "γ", "number"),
    ("ligand_length", "λ", "number"),
    ("evaporation_rate", "Pe", "number"),
    ("pressure", "P", "number"),
    ("attraction", "well", "number"),
    ("start", "start", "text"),
    ("replicate", "repl.", "number"),
    ("packing_fraction", "φ", "fixed"),
    ("cubatic_order", "cubatic", "fixed"),
)
_STRUCTURE = [key for key, *_ in _COLUMNS].index("structure")


#: Columns that are left out where they would hold nothing but zeros and dashes.
_OPTIONAL = {"n_cubes", "n_spheres", "size_ratio", "evaporation_rate", "pressure", "attraction", "replicate"}


def table(entries: Iterable[Entry]) -> dict[str, Any]:
    """Columns (key, heading, kind), a row a job with values in the same order, and colours of the structures."""
    rows = [_row(entry) for entry in entries]
    kept = [i for i, (key, *_) in enumerate(_COLUMNS) if key not in _OPTIONAL or any(row[i] for row in rows)]
    labels = sorted({row[_STRUCTURE] for row in rows if row[_STRUCTURE]})
    return {
        "columns": [dict(zip(("key", "heading", "kind"), _COLUMNS[i], strict=True)) for i in kept],
        "rows": [[row[i] for i in kept] for row in rows],
        "colours": {label: palette.style(label).colour for label in labels},
    }


def _row(entry: Entry) -> list[Any]:
    point, document = entry.state_point, entry.document
    return [
        entry.id,
        entry.structure,
        _finite(entry.fraction),
        entry.state,
        _finite(entry.progress.done) or None,
        point["n_cubes"],
        point["n_spheres"],
        point["size_ratio"] if point["n_spheres"] else None,
        point["ligand_length"],
        point["evaporation_rate"],
        point["pressure"],
        point["attraction"],
        _start(point["initial"], point["expansion"]),
        point["replicate"],
        _finite(document.get("packing_fraction")),
        _finite(document.get("cubatic_order")),
    ]


def _start(initial: str, expansion: float) -> str:
    start = "file" if initial.startswith("file:") else initial
    return f"{start} × {expansion:g}" if expansion != 1 else start


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None

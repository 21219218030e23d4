"""``supercube classify`` and ``render``: frames of a file in, the answer as plain types and as text out."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .configuration import Configuration, read_frames, read_gsd
from .errors import InputError
from .order import Order, classify

#: What comes first in the answer; the rest of ``Order.document`` follows.
KEYS = ("structure", "fractions", "n_cubes", "n_spheres", "lattice_constant", "cubatic_order")
#: Most grains that the text shows; the JSON has more.
MOST_GRAINS = 10
#: Errors below this share of the value are rounding, not measurement.
EXACT = 1e-7


def slice_of(text: str, where: str) -> slice:
    """The slice that ``START:STOP:STEP`` means in Python; any part may be empty, the last one missing.

    Raises:
        InputError: something else; the message begins with ``where``.
    """
    if not re.fullmatch(r"\s*([+-]?\d+)?\s*:\s*([+-]?\d+)?\s*(:\s*([+-]?\d+)?\s*)?", text):
        raise InputError(
            f"{where} is {text!r}; expected START:STOP or START:STOP:STEP in whole numbers, such as 100:200:10 or -20:."
        )
    return slice(*(int(part) if part.strip() else None for part in text.split(":")))


def read(path: Path, frame: int | None = None, part: slice | None = None) -> list[Configuration]:
    """The chosen frames of a GSD file: a part of it, or one frame (the last if none is named).

    Raises:
        FileFormatError: as :func:`read_gsd`.
        InputError: as :func:`read_frames`.
    """
    return [read_gsd(path, -1 if frame is None else frame)] if part is None else read_frames(path, part)


def classified(frames: Sequence[Configuration], path: Path) -> Order:
    """Order of the frames of a file.

    Raises:
        InputError: as :func:`classify`, beginning with the name of the file.
    """
    try:
        return classify(frames)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def save_labels(path: Path, order: Order) -> None:
    """Write one label a particle as a numpy file."""
    with open(path, "wb") as handle:  # np.save would add .npy to a name without it
        np.save(handle, order.labels)


def classification_answer(order: Order) -> dict[str, Any]:
    """Everything but the labels, as plain types: ``KEYS`` first."""
    document = order.document()
    return {key: document[key] for key in KEYS} | document


def classification_text(answer: dict[str, Any]) -> str:
    """The answer as a paper reports it, one line each; what does not apply is left out."""
    lines = [f"{head:18}{text}" for head, text in (*_whole(answer), *_cell(answer), *_quality(answer)) if text]
    if answer["n_grains"] > 1:
        lines += _grain_table(answer)
    if len(answer["sublattices"]) > 1:
        lines += _sublattice_table(answer)
    return "\n".join([*lines, *(f"{'note':18}{note}" for note in answer["notes"])])


#: Heading and text of a line; no text, no line.
_Line = tuple[str, str]


def _whole(answer: dict[str, Any]) -> list[_Line]:
    return [
        ("structure", f"{answer['structure']} ({100 * answer['structure_fraction']:.1f} %)"),
        ("fractions", ", ".join(f"{name} {share:.3f}" for name, share in answer["fractions"].items() if share > 0)),
        ("particles", f"{answer['n_cubes']} cubes, {answer['n_spheres']} spheres"),
        ("frames", f"{answer['frames']}, averaged; labels of the last" if answer["frames"] > 1 else ""),
        ("grains", str(answer["n_grains"]) if answer["n_grains"] else ""),
    ]


def _cell(answer: dict[str, Any]) -> list[_Line]:
    edges, angles = answer["cell_lengths"], answer["cell_angles_deg"]
    unit = " (in the input's unit of length)"
    return [
        ("lattice constant", _measured(answer["lattice_constant"], answer["lattice_constant_sem"], unit)),
        ("c/a", _measured(answer["c_over_a"], answer["c_over_a_sem"])),
        ("cell edges", "" if edges is None else " x ".join(f"{edge:#.5g}" for edge in edges)),
        ("cell angles", "" if angles is None else ", ".join(f"{angle:.1f}°" for angle in angles)),
    ]


def _quality(answer: dict[str, Any]) -> list[_Line]:
    spread, coherence = answer["o_site_angle_spread_deg"], answer["orientation_coherence"]
    fwhm = _angle(answer["orientation_fwhm_deg"], answer["orientation_fwhm_sem"])
    o_site = _angle(answer["o_site_angle_deg"], answer["o_site_angle_sem"])
    return [
        ("displacement rms", _number(answer["displacement_rms"], ".4f") + " a" if answer["displacement_rms"] else ""),
        ("vacant sites", _share(answer["vacancy_fraction"], answer["vacancy_fraction_sem"])),
        ("substituted sites", _share(answer["substituted_fraction"])),
        ("cubatic order", _number(answer["cubatic_order"], ".3f")),
        ("orientation FWHM", fwhm),
        ("coherence", _number(coherence, ".3f")),
        ("O-site angle", o_site and o_site + ("" if spread is None else f", standard deviation {spread:.1f} deg")),
        ("Lindemann ratio", _by_species(answer["lindemann"], "{:.3f}")),
        ("mobile particles", _share(answer["mobile_fraction"])),
        (
            "molten",
            _by_species(
                {kind: "yes" if hot else "no" for kind, hot in answer["molten"].items() if hot is not None}, "{}"
            ),
        ),
    ]


def _by_species(values: dict[str, Any] | None, pattern: str) -> str:
    known = {kind: value for kind, value in (values or {}).items() if value is not None}
    return ", ".join(f"{kind}s {pattern.format(value)}" for kind, value in known.items())


def _grain_table(answer: dict[str, Any]) -> list[str]:
    """The largest grains; orientations are in the JSON."""
    rows = [["", "structure", "particles", "share", "lattice constant", "misorientation"]]
    for number, grain in enumerate(answer["grains"][:MOST_GRAINS], start=1):
        angle = grain["misorientation_deg"]
        a = _measured(grain["lattice_constant"], grain["lattice_constant_sem"])
        turned = "reference" if number == 1 else "-" if angle is None else f"{angle:.1f} deg"
        rows.append(
            [f"grain {number}", grain["structure"], str(grain["particles"]), _share(grain["fraction"]), a, turned]
        )
    more = answer["n_grains"] - len(rows) + 1
    return [*_table(rows), *([f"  and {more} smaller grains"] if more else [])]


def _sublattice_table(answer: dict[str, Any]) -> list[str]:
    """Sites of the structure; columns that hold nothing are left out."""
    rows = [["", "species", "particles", "per cell", "Lindemann", "FWHM/deg", "coherence"]]
    for site in answer["sublattices"]:
        numbers = (site["lindemann"], ".3f"), (site["orientation_fwhm_deg"], ".1f"), (site["coherence"], ".3f")
        cells = [_number(value, pattern) for value, pattern in numbers]
        counts = site["species"], str(site["particles"]), str(site["multiplicity"])
        rows.append([f"site {site['site']}", *counts, *cells])
    kept = [k for k in range(len(rows[0])) if any(row[k] for row in rows[1:])]
    return _table([[row[k] for k in kept] for row in rows])


def _table(rows: list[list[str]]) -> list[str]:
    """Lines of a table under the column of the headings; the first cell of a row is its heading."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = []
    for head, *cells in rows:
        body = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths[1:], strict=True))
        lines.append(f"  {head:16}{body}".rstrip())
    return lines


def _number(value: float | None, pattern: str) -> str:
    return "" if value is None else format(value, pattern)


def _share(value: float | None, error: float | None = None) -> str:
    """Percent."""
    if value is None:
        return ""
    return _measured(100 * value, 100 * error, " %") if error else f"{100 * value:.1f} %"


def _angle(value: float | None, error: float | None) -> str:
    """Degrees; a hundredth is less than any error that matters."""
    if value is None:
        return ""
    return f"{value:.2f}{'' if error is None else f' ± {error:.2f}'} deg"


def _measured(value: float | None, error: float | None, unit: str = "") -> str:
    """A number with its standard error, both to two digits of the error; five digits where there is none.

    Very large and very small numbers share a power of ten: (2.4983 ± 0.0012)e9.
    """
    if value is None:
        return ""
    if error is None or not error > EXACT * abs(value):
        return f"{value:#.5g}{unit}"
    power = math.floor(math.log10(max(abs(value), error)))
    scale = 0 if -4 < power < 5 else power
    digits = max(1 - math.floor(math.log10(error)) + scale, 0)
    text = f"{value / 10.0**scale:.{digits}f} ± {error / 10.0**scale:.{digits}f}"
    return (f"({text})e{scale}" if scale else text) + unit

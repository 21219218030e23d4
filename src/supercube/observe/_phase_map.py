"""The phase map of a study: the figure and the table.

Mixtures stand against size ratio and ligand length, in a panel of their own for each pressure they were held at and
one for those that dried or kept their volume; runs of one species, whose size ratio means nothing, against drying speed
or pressure. Jobs at the same place are pushed apart, with a thin line to where they belong. Replicates have one text
together, and a text that is not plainly beside its own markers a line to them (see :mod:`._labels`).
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import write_whole
from . import palette
from ._figure import new_figure, save_png
from ._labels import Markers, place_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]
Rows = Sequence[Mapping[str, Any]]

#: First columns of the phase map's table, in this order; other keys of the rows follow in alphabetical order.
PHASE_MAP_COLUMNS = (
    "size_ratio",
    "ligand_length",
    "evaporation_rate",
    "pressure",
    "n_cubes",
    "n_spheres",
    "initial",
    "expansion",
    "structure",
    "structure_fraction",
)
#: With more texts than this, or twice as many rows, the phase map codes the start by the marker's edge only; text would
#: cover the markers.
MOST_ANNOTATED = 24
#: With more values than this an axis has the ticks of matplotlib, else those that occur, at least ``TICKS_APART`` of
#: the axis from each other.
MOST_TICKS, TICKS_APART = 8, 0.07
#: Marker diameter in points at structure fraction 1, for few and for many rows; it shrinks to ``SMALLEST_MARKER`` at 0.
LARGEST_MARKER, CROWDED_MARKER, SMALLEST_MARKER = 14.0, 8.0, 0.4
#: Colour of the edge of what started from a file.
FILE_EDGE = "#A0A0A0"
#: Least room beside the values on the axes of size ratio and ligand length.
LEAST_ROOM = 0.01


def plot_phase_map(rows: Rows, path: str | os.PathLike[str], *, title: str | None = None) -> None:
    """Which structure formed where.

    Marker shape and colour are the structure, its size the fraction of particles in it, a thick dark edge a start from
    a crystal, a thick pale one a start from a file. Up to ``MOST_ANNOTATED`` points also say in text where they started
    and how fast they dried, or at which pressure they were held, and how many replicates gave the structure; a text
    for which there is no room where it would be understood is left out, and the caption counts it.

    Args:
        rows: mappings with the keys ``PHASE_MAP_COLUMNS``; ``structure`` and ``structure_fraction`` are None for a job
            that has no result.
        path: PNG file to write (overwritten).
        title: a line of text above the figure.

    Raises:
        InputError: no rows, a key is missing, or a number is NaN, infinite or out of range.
    """
    _check_rows(rows)
    parts = _parts(rows)
    figure, axes = _empty_panels([_is_mixture(part[0]) for part in parts])
    panels = list(zip(axes, parts, strict=True))
    texts = sum(len(set(_point_keys(part))) for part in parts)
    crowded = texts > MOST_ANNOTATED or len(rows) > 2 * MOST_ANNOTATED
    mixtures = [row for row in rows if _is_mixture(row)]
    anchors = [_set_axes(ax, part, mixtures, crowded=crowded) for ax, part in panels]
    legend_height = _legend(figure, rows)
    if title is not None:
        figure.suptitle(title)
    figure.tight_layout(rect=(0, legend_height, 1, 1))
    # Only now do the panels have their final size in pixels, in which markers are pushed apart.
    drawn = [
        _draw_panel(figure, ax, part, where, crowded=crowded) for (ax, part), where in zip(panels, anchors, strict=True)
    ]
    _caption(figure, rows, left_out=sum(drawn))
    save_png(figure, path)


def _parts(rows: Rows) -> list[Rows]:
    """The rows of each panel: mixtures that dried, mixtures at each pressure, one species that dried, and pressed."""
    parts: dict[tuple[bool, float], list[Mapping[str, Any]]] = {}
    for row in rows:
        pressure, single = float(row["pressure"]), not _is_mixture(row)
        parts.setdefault((single, float(pressure > 0) if single else pressure), []).append(row)
    # Replicates are neighbours on the ring around their place.
    return [sorted(parts[key], key=_start_and_drive) for key in sorted(parts)]


def _empty_panels(mixtures: Sequence[bool]) -> tuple[Figure, list[Axes]]:
    """One row of up to two panels, mixtures wider; more of them on a grid of equal ones."""
    if len(mixtures) <= 2:
        figure = new_figure(7.2 if len(mixtures) == 1 else 10.8, 6.2, dpi=150)
        widths = [1.7 if mixture else 1.0 for mixture in mixtures]
        return figure, list(figure.subplots(1, len(widths), squeeze=False, gridspec_kw={"width_ratios": widths})[0])
    columns = 2 if len(mixtures) == 4 else 3
    lines = -(-len(mixtures) // columns)
    figure = new_figure(4.5 * columns, 4.0 * lines + 1.2, dpi=150)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for ax in grid[len(mixtures) :]:
        ax.remove()
    return figure, list(grid[: len(mixtures)])


def _is_mixture(row: Mapping[str, Any]) -> bool:
    return bool(row["n_cubes"] and row["n_spheres"])


def _check_rows(rows: Rows) -> None:
    if len(rows) == 0:
        raise InputError("There are no rows for the phase map; run and classify at least one job first.")
    for number, row in enumerate(rows):
        missing = [key for key in PHASE_MAP_COLUMNS if key not in row]
        if missing:
            raise InputError(f"Row {number} of the phase map lacks {', '.join(missing)}.")
        for key, value in row.items():
            if isinstance(value, float | np.floating) and not np.isfinite(value):
                raise InputError(f"Row {number} of the phase map has {key} = {value}; missing numbers must be None.")
        fraction = row["structure_fraction"]
        if fraction is not None and not 0.0 <= fraction <= 1.0:
            raise InputError(f"Row {number} of the phase map has structure_fraction = {fraction}; expected 0 to 1.")
        for key in ("evaporation_rate", "pressure"):
            if row[key] < 0:
                raise InputError(f"Row {number} of the phase map has a negative {key}, {row[key]}; expected 0 or more.")


def _draw_panel(figure: Figure, ax: Axes, rows: Rows, anchors: FloatArray, *, crowded: bool) -> int:
    """Markers, and texts unless it is crowded; the number of texts that found no place."""
    points = figure.dpi / 72
    largest = CROWDED_MARKER if crowded else LARGEST_MARKER
    sizes = np.array([_marker_size(row, largest) for row in rows])
    homes = ax.transData.transform(anchors)
    inside = ax.bbox.get_points() + np.array([[1], [-1]]) * largest * points * 0.6
    places = spread(homes, (sizes / 2 + 1.5) * points, inside)
    shown = ax.transData.inverted().transform(places)
    for anchor, home, place, point in zip(anchors, homes, places, shown, strict=True):
        if np.linalg.norm(place - home) > 2 * points:
            ax.plot(*zip(anchor, point, strict=True), color="#999999", linewidth=0.7, zorder=1)
            ax.plot(*anchor, marker=".", color="#666666", markersize=3, zorder=1)
    keys = _point_keys(rows)
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    for row, point, size, key in zip(rows, shown, sizes, keys, strict=True):
        (mark,) = ax.plot(*point, linestyle="none", zorder=3, **_marker(row, size))
        mark.set_gid(f"marker:{numbers[key]}")
    if crowded:
        return 0
    owners = np.array([numbers[key] for key in keys])
    ways = np.concatenate(
        [home + np.linspace(0, 1, 9)[:, None] * (p - home) for home, p in zip(homes, places, strict=True)]
    )
    frame = ax.bbox.get_points() + np.array([[3.0], [-3.0]]) * points
    markers = Markers(places, sizes / 2 * points, owners, ways, frame, points)
    return _annotate(figure, ax, rows, homes, markers)


def _set_axes(ax: Axes, rows: Rows, mixtures: Rows, *, crowded: bool) -> FloatArray:
    """Axes of one panel; the (N, 2) data coordinates of its rows. All panels of mixtures have the same limits."""
    mixture, pressed = _is_mixture(rows[0]), bool(rows[0]["pressure"])
    x_key = "size_ratio" if mixture else "pressure" if pressed else "evaporation_rate"
    anchors = _coordinates(rows, x_key)
    limits = _coordinates(mixtures, x_key) if mixture else anchors
    share = 0.1 if crowded else 0.25  # annotations need more room
    ax.set_ylabel(r"ligand length $\lambda$  (cube edges)")
    ax.set_ylim(*_padded(limits[:, 1], LEAST_ROOM, share))
    _mark_values(ax, "y", limits[:, 1])
    species = {"cubes only" if row["n_cubes"] else "spheres only" for row in rows}
    title = "cubes and spheres" if mixture else " or ".join(sorted(species))
    if mixture:
        ax.set_xlabel(r"size ratio $\gamma$ = cube edge / sphere diameter")
        ax.set_xlim(*_padded(limits[:, 0], LEAST_ROOM, 1.5 * share))
        _mark_values(ax, "x", limits[:, 0])
        title += f", {_driving(rows[0])} kT/e$^3$" if pressed else ""
    elif pressed:
        _set_pressure_axis(ax, anchors[:, 0], share)
    else:
        _set_peclet_axis(ax, anchors[:, 0], share)
    ax.set_title(title, fontsize=10)
    ax.grid(color="#E4E4E4", linewidth=0.6)
    ax.set_axisbelow(True)
    return anchors


def _coordinates(rows: Rows, x_key: str) -> FloatArray:
    return np.array([[float(row[x_key]), float(row["ligand_length"])] for row in rows])


def _mark_values(ax: Axes, name: str, values: FloatArray) -> None:
    """Ticks of an axis at the values that occur, if they are few; those that are too close to another are left out."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    axis = ax.xaxis if name == "x" else ax.yaxis
    ticks = np.unique(values)
    if len(ticks) <= MOST_TICKS:
        scale = axis.get_transform().transform
        low, high = scale(np.array(axis.get_view_interval()))
        where = (scale(ticks) - low) / (high - low)
        kept = [0]
        for k in range(1, len(ticks)):
            if where[k] - where[kept[-1]] >= TICKS_APART:
                kept.append(k)
        axis.set_ticks(ticks[kept])
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _set_pressure_axis(ax: Axes, pressures: FloatArray, share: float) -> None:
    from matplotlib.ticker import FuncFormatter

    ax.set_xlabel("pressure P  (kT/e$^3$)")
    ax.set_xscale("log")
    # At least a factor 1.5 on either side.
    ax.set_xlim(*(10.0**limit for limit in _padded(np.log10(pressures), np.log10(1.5), share)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _mark_values(ax, "x", pressures)


def _set_peclet_axis(ax: Axes, rates: FloatArray, share: float) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    ax.set_xlabel("Péclet number of drying Pe")
    positive = rates[rates > 0]
    # Linear from 0 to the smallest rate's decade, so that "no drying" has a place beside the logarithm.
    linear = 10.0 ** np.floor(np.log10(positive.min())) if len(positive) else 1.0
    ax.set_xscale("symlog", linthresh=linear, linscale=0.5)
    scale = ax.xaxis.get_transform()
    limits = _padded(scale.transform(rates), 0.3 * float(linear), share)
    ax.set_xlim(*scale.inverted().transform(np.array(limits)))
    if len(positive):
        decades = 10.0 ** np.arange(np.log10(linear), np.log10(positive.max()) + 1e-9)
        ax.set_xticks([*([0.0] if (rates == 0).any() else []), *decades])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    _mark_values(ax, "x", rates)


def _padded(values: FloatArray, least: float, share: float) -> tuple[float, float]:
    """Limits around the values with room for markers and text: ``share`` of the range, at least ``least``."""
    pad = max(least, share * float(np.ptp(values)))
    return float(values.min()) - pad, float(values.max()) + pad


def _marker_size(row: Mapping[str, Any], largest: float) -> float:
    fraction = row["structure_fraction"]
    share = SMALLEST_MARKER if fraction is None else SMALLEST_MARKER + (1 - SMALLEST_MARKER) * float(fraction)
    return largest * share


def _marker(row: Mapping[str, Any], size: float) -> dict[str, Any]:
    if row["structure"] is None:
        return {"marker": "x", "markersize": size, "markeredgecolor": "#444444", "markeredgewidth": 1.3}
    look = palette.style(row["structure"])
    return {
        "marker": look.marker,
        "markersize": size * look.scale,
        "markerfacecolor": look.colour,
        **_edge(start_of(row), size),
    }


def _edge(start: str, size: float) -> dict[str, Any]:
    if start == "fluid":
        return {"markeredgecolor": "#666666", "markeredgewidth": 0.5}
    return {"markeredgecolor": "black" if start == "crystal" else FILE_EDGE, "markeredgewidth": 0.6 + size / 10}


def start_of(row: Mapping[str, Any]) -> str:
    """``fluid``, ``crystal`` or ``file``: what a configuration of somebody's file is, nobody knows."""
    initial = str(row["initial"])
    return "fluid" if initial == "fluid" else "file" if initial.startswith("file:") else "crystal"


def _start_and_drive(row: Mapping[str, Any]) -> tuple[str, float, float]:
    return str(row["initial"]), float(row["pressure"]), float(row["evaporation_rate"])


def _point_keys(rows: Rows) -> list[tuple[Any, ...]]:
    """What the rows of one text have in common: the place on the map, the start, and what drives."""
    return [
        (float(row["size_ratio"]) if _is_mixture(row) else None, float(row["ligand_length"]), *_start_and_drive(row))
        for row in rows
    ]


def spread(homes: FloatArray, radii: FloatArray, inside: FloatArray) -> FloatArray:
    """Places for discs that do not overlap, each near its home. Deterministic.

    Args:
        homes: (N, 2) where they belong, in pixels.
        radii: (N,) in pixels.
        inside: (2, 2) lower left and upper right corner of the allowed rectangle.

    Returns:
        (N, 2); a disc that overlaps with none, and has its home to itself, stays exactly there.
    """
    from scipy.spatial import cKDTree

    places = homes + _fans(homes, radii)
    for _ in range(400):
        pairs = cKDTree(places).query_pairs(2 * float(radii.max()), output_type="ndarray")
        apart = places[pairs[:, 1]] - places[pairs[:, 0]]
        distance = np.maximum(np.linalg.norm(apart, axis=1), 1e-9)
        overlap = radii[pairs].sum(axis=1) - distance
        touching = overlap > 0.01
        if not touching.any():
            break
        push = (0.5 * overlap / distance)[touching, None] * apart[touching]
        np.add.at(places, pairs[touching, 0], -push)
        np.add.at(places, pairs[touching, 1], push)
        places = np.clip(places, inside[0], inside[1])
    return np.asarray(places, dtype=np.float64)


def _fans(homes: FloatArray, radii: FloatArray) -> FloatArray:
    """(N, 2) offsets that put discs of one home on a ring around it, so that the home itself stays visible."""
    offsets = np.zeros_like(homes)
    _, group, counts = np.unique(np.round(homes, 3), axis=0, return_inverse=True, return_counts=True)
    for g in np.flatnonzero(counts > 1):
        members = np.flatnonzero(group.ravel() == g)
        radius = max(1.3 * float(radii[members].max()), float(radii[members].sum()) / np.pi)
        angle = np.pi / 2 - 2 * np.pi * np.arange(len(members)) / len(members)
        offsets[members] = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return offsets


def _annotate(figure: Figure, ax: Axes, rows: Rows, homes: FloatArray, markers: Markers) -> int:
    """A short text for each point of the study, with lines to its markers where needed; the number without a place."""
    from matplotlib.text import Text

    renderer: Any = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # Agg's canvas has it
    texts, extents, shared = [], [], []
    margin = 1.5 * markers.point  # so that no line touches a letter
    for number in range(int(markers.owners.max()) + 1):
        own = markers.owners == number
        note = _note([row for row, mine in zip(rows, own, strict=True) if mine])
        text = ax.text(0, 0, note, fontsize=8, transform=None, color="#222222", zorder=4, linespacing=1.05)
        box = Text.get_window_extent(text, renderer)
        texts.append(text)
        extents.append((box.width + 2 * margin, box.height + 2 * margin))
        # Others of the same place stand on the same ring.
        apart = np.linalg.norm(homes[~own][:, None] - homes[own][None], axis=-1)
        shared.append(bool((apart < 1.0).any()))
    found = place_labels(np.array(extents), markers, shared)
    for number, (text, placed) in enumerate(zip(texts, found, strict=True)):
        text.set_gid(f"text:{number}")
        if placed is None:
            text.remove()
            continue
        text.set_position((float(placed.box[0, 0]) + margin, float(placed.box[0, 1]) + margin))
        text.set_verticalalignment("bottom")
        for line in placed.lines:
            ax.plot(
                *ax.transData.inverted().transform(line).T,
                color="#222222",
                linewidth=0.6,
                zorder=2,
                gid=f"line:{number}",
            )
    return sum(placed is None for placed in found)


def _note(rows: Rows) -> str:
    """Where the replicates of one point started, what drove them, and how many ended in what."""
    initial = str(rows[0]["initial"])
    named = {"fluid": "fluid", "crystal": palette.style(initial).name, "file": f"file {initial[5:9]}"}
    return f"from {named[start_of(rows[0])]}, {_driving(rows[0])}\n{_result(rows)}"


def _result(rows: Rows) -> str:
    found = [row for row in rows if row["structure"] is not None]
    if not found:
        return "no result"
    counts = Counter(str(row["structure"]) for row in found)
    label, number = min(counts.items(), key=lambda item: (-item[1], palette.legend_order({*counts}).index(item[0])))
    shares = [100 * row["structure_fraction"] for row in found if row["structure_fraction"] is not None]
    if len(rows) == 1:
        return f"{shares[0]:.0f} %" if shares else palette.style(label).name
    text = f"{number} of {len(rows)} {palette.style(label).name}"
    if number < len(rows) or not shares:
        return text
    low, high = f"{min(shares):.0f}", f"{max(shares):.0f}"
    return f"{text}, {low} %" if low == high else f"{text}, {low} to {high} %"


def _driving(row: Mapping[str, Any]) -> str:
    if row["pressure"]:
        return f"P = {row['pressure']:g}"
    return f"Pe {row['evaporation_rate']:g}" if row["evaporation_rate"] else "no drying"


def _legend(figure: Figure, rows: Rows) -> float:
    """Legend below the panels; how much of the figure's height it takes."""
    handles = _legend_handles(rows)
    columns = min(len(handles), 4 if figure.get_figwidth() < 8 else 7)
    lines = -(-len(handles) // columns)
    inch = 1 / figure.get_figheight()
    figure.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 0.28 * inch), ncols=columns, frameon=False)
    return (0.46 + 0.22 * lines) * inch


def _caption(figure: Figure, rows: Rows, left_out: int) -> None:
    """How much there is, in a line at the bottom."""
    done = sum(row["structure"] is not None for row in rows)
    parts = [f"{done} of {len(rows)} jobs have a result"]
    for symbol, own in (
        ("Pe", [float(row["evaporation_rate"]) for row in rows if not row["pressure"]]),
        ("P", [float(row["pressure"]) for row in rows if row["pressure"]]),
    ):
        if own:
            parts.append(f"{symbol} {min(own):g}" + (f" to {max(own):g}" if max(own) > min(own) else ""))
    text = "; ".join(parts) + "."
    if len(rows) > 1:
        text += " Jobs that would overlap are pushed apart; a line leads to the true place."
    if left_out:
        text += f"\n{left_out} texts found no room; the table beside this map has all jobs."
    words: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 7.5, "color": "#555555", "style": "italic"}
    figure.text(0.5, 0.03 / figure.get_figheight(), text, **words)


def _legend_handles(rows: Rows) -> list[Any]:
    from matplotlib.lines import Line2D

    def entry(text: str, marker: str, size: float = 9.0, colour: str = "white", *, start: str = "fluid") -> Line2D:
        look: dict[str, Any] = {"markersize": size, "markerfacecolor": colour, **_edge(start, size)}
        return Line2D([], [], linestyle="none", marker=marker, label=text, **look)

    structures = palette.legend_order({row["structure"] for row in rows if row["structure"] is not None})
    looks = [palette.style(label) for label in structures]
    handles = [entry(look.name, look.marker, 9.0 * look.scale, look.colour) for look in looks]
    if any(row["structure"] is None for row in rows):
        handles.append(Line2D([], [], linestyle="none", label="no result", **_marker({"structure": None}, 7.0)))
    starts = {start_of(row) for row in rows}
    handles += [entry(f"from {s}", "o", start=s) for s in ("fluid", "crystal", "file") if s in starts]
    for share in (1.0, 0.5):
        size = 9.0 * (SMALLEST_MARKER + (1 - SMALLEST_MARKER) * share)
        handles.append(entry(f"{100 * share:.0f} % of particles", "o", size, "#AAAAAA"))
    return handles


def write_phase_map_csv(rows: Rows, path: str | os.PathLike[str]) -> None:
    """Write the phase map's table: one line a row, in the order given.

    The columns are ``PHASE_MAP_COLUMNS``, then any other keys in alphabetical order. None is an empty cell; numbers
    are written in full precision.

    Raises:
        InputError: as :func:`plot_phase_map`.
    """
    _check_rows(rows)
    extra = sorted({key for row in rows for key in row} - set(PHASE_MAP_COLUMNS))
    text = StringIO()
    writer = csv.DictWriter(text, [*PHASE_MAP_COLUMNS, *extra], restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: value.item() if isinstance(value, np.generic) else value for key, value in row.items()})
    write_whole(path, text.getvalue().encode())

"""What formed in simulations over size ratio and ligand length, with packing theory behind it and the experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..crystals.diagram import Diagram
from ..errors import InputError
from ..model.nanocrystals import Experiment, experiments
from . import palette
from ._figure import new_figure
from ._packing_map import DOTS, Bar, experiment_bars
from ._phase_map import FILE_EDGE, spread, start_of
from ._regions import partition

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]

#: What the rows hold.
PACKING_JOBS_COLUMNS = ("size_ratio", "ligand_length", "pressure", "initial", "structure", "structure_fraction")
#: Inches of a panel, and most of them in a line.
PANEL, HEIGHT, MOST_IN_LINE = 5.0, 4.1, 3
#: Columns of the legend below so many panels.
_LEGEND = {1: 3, 2: 6, 3: 8}
#: Marker diameter in points if all particles have the structure, and the share of it that the smallest has.
LARGEST, SMALLEST = 10.0, 0.4
INK, LINES = "#222222", "#777777"
#: How far areas of the theory are moved towards white.
FADED = 0.45


def packing_jobs_figure(rows: Rows, packing: Diagram, bars_of: Sequence[Experiment] | None = None) -> Figure:
    """One panel for runs that dried or kept their volume, and one for each pressure.

    Marker shape and colour are the structure found, its size the share of particles in it, a dark edge a start from a
    crystal, a grey one a start from a file. Jobs at one place are pushed apart. Lines are experiments: shells of 0.8,
    1.0, 1.2 and 1.5 nm on both species at their dots.

    Args:
        rows: finished jobs of cubes and spheres, mappings with ``PACKING_JOBS_COLUMNS``; none draws the theory alone.
        packing: least volume of hard shapes; its axes are those of the figure.
        bars_of: experiments; those of the package if left out.

    Raises:
        InputError: a key is missing, or a row has no structure.
    """
    _check(rows)
    bars = experiment_bars(experiments() if bars_of is None else bars_of)
    pressures = sorted({float(row["pressure"]) for row in rows}) or [0.0]
    handles = _handles(rows, packing, bars)
    columns = _LEGEND[min(len(pressures), MOST_IN_LINE)]
    figure, axes = _panels(len(pressures), -(-len(handles) // columns))
    for ax, pressure in zip(axes, pressures, strict=True):
        here = [row for row in rows if row["pressure"] == pressure]
        _draw_theory(ax, packing)
        _draw_bars(ax, bars)
        ax.set_xlim(packing.size_ratios[0], packing.size_ratios[-1])
        ax.set_ylim(packing.ligand_lengths[0], packing.ligand_lengths[-1])
        ax.set_title(f"P = {pressure:g} kT/e³" if pressure else "dried, or at constant volume", fontsize=11)
        ax.set_xlabel(r"size ratio $\gamma$ = cube edge / sphere diameter")
        _draw_jobs(figure, ax, here)
    for ax in axes[::MOST_IN_LINE]:
        ax.set_ylabel(r"ligand length $\lambda$ = shell / cube edge")
    figure.legend(handles=handles, loc="lower center", ncols=columns, frameon=False, fontsize=8.5)
    return figure


def _check(rows: Rows) -> None:
    for number, row in enumerate(rows):
        missing = [key for key in PACKING_JOBS_COLUMNS if key not in row]
        if missing:
            raise InputError(f"row {number} of the map lacks {', '.join(missing)}.")
        if not isinstance(row["structure"], str):
            raise InputError(f"row {number} of the map has structure {row['structure']}; expected finished jobs only.")


def _panels(number: int, legend_lines: int) -> tuple[Figure, list[Axes]]:
    columns = min(number, MOST_IN_LINE)
    lines = -(-number // columns)
    width = PANEL * columns + 1.2
    below = 0.62 + 0.21 * legend_lines
    height = HEIGHT * lines + below
    figure = new_figure(width, height, dpi=110)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    figure.subplots_adjust(
        left=0.75 / width, right=1 - 0.15 / width, top=1 - 0.35 / height, bottom=(below + 0.1) / height,
        hspace=0.32, wspace=0.16,
    )  # fmt: skip
    for ax in grid[number:]:
        ax.remove()
    return figure, list(grid[:number])


def _draw_theory(ax: Axes, packing: Diagram) -> None:
    import matplotlib as mpl
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    areas = partition(packing.size_ratios, packing.ligand_lengths, packing.labels, packing.runners_up, packing.margins)
    for label in np.unique(packing.labels).tolist():
        loops = areas.outline(label)
        area = Path.make_compound_path(*(Path(np.vstack([loop, loop[:1]]), closed=True) for loop in loops))
        look = palette.fill(label)
        with mpl.rc_context({"hatch.linewidth": 0.5}):
            patch = PathPatch(area, facecolor=palette.tint(look.colour, FADED), hatch=look.hatch, linewidth=0)
            patch.set_edgecolor(palette.tint(look.hatch_colour, 0.55))
        patch.set_gid(f"theory:{label}")
        ax.add_patch(patch)
        ax.add_patch(PathPatch(area, facecolor="none", edgecolor=LINES, linewidth=0.9, zorder=1.1))


def _draw_bars(ax: Axes, bars: Sequence[Bar]) -> None:
    for number, bar in enumerate(bars):
        look = palette.style(bar.structure)
        curve = (bar.size_ratios, bar.ligand_lengths)
        ax.plot(*curve, color="white", linewidth=3.6, zorder=2)
        line = ax.plot(*curve, color=palette.shade(look.colour, 0.4), linewidth=1.6, linestyle=look.dashes, zorder=2.1)
        line[0].set_gid(f"experiment:{number}")
        at = np.isin(bar.shells, DOTS)
        style: dict[str, Any] = {"marker": look.marker, "markersize": 5.0 * look.scale, "linestyle": "none"}
        ax.plot(bar.size_ratios[at], bar.ligand_lengths[at], color=look.colour, mec=INK, mew=0.7, zorder=2.2, **style)


def _draw_jobs(figure: Figure, ax: Axes, rows: Rows) -> None:
    if not rows:
        return
    points = figure.dpi / 72
    anchors = np.array([[float(row["size_ratio"]), float(row["ligand_length"])] for row in rows])
    sizes = np.array([LARGEST * (SMALLEST + (1 - SMALLEST) * float(row["structure_fraction"])) for row in rows])
    homes = ax.transData.transform(anchors)
    inside = ax.bbox.get_points() + np.array([[1], [-1]]) * LARGEST * points * 0.6
    places = spread(homes, (sizes / 2 + 1.2) * points, inside)
    shown = ax.transData.inverted().transform(places)
    for row, anchor, home, place, point, size in zip(rows, anchors, homes, places, shown, sizes, strict=True):
        if np.linalg.norm(place - home) > 2 * points:
            ax.plot(*zip(anchor, point, strict=True), color=INK, linewidth=0.6, zorder=3)
            ax.plot(*anchor, marker=".", color=INK, markersize=3, zorder=3)
        look = palette.style(row["structure"])
        ax.plot(
            *point, linestyle="none", marker=look.marker, markersize=size * look.scale, markerfacecolor=look.colour,
            zorder=4, **_edge(start_of(row)),
        )  # fmt: skip
        ax.lines[-1].set_gid(f"job:{row['structure']}")


def _edge(start: str) -> dict[str, Any]:
    if start == "fluid":
        return {"markeredgecolor": "white", "markeredgewidth": 0.8}
    return {"markeredgecolor": "black" if start == "crystal" else FILE_EDGE, "markeredgewidth": 1.3}


def _handles(rows: Rows, packing: Diagram, bars: Sequence[Bar]) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    for label in palette.legend_order({str(row["structure"]) for row in rows}):
        look = palette.style(label)
        style: dict[str, Any] = {"marker": look.marker, "markersize": 8 * look.scale, "markerfacecolor": look.colour}
        handles.append(Line2D([], [], linestyle="none", label=f"found: {look.name}", **style, **_edge("fluid")))
    starts = {start_of(row) for row in rows}
    for start, text in (("fluid", "from the fluid"), ("crystal", "from a crystal"), ("file", "from a file")):
        if start not in starts:
            continue
        look_of: dict[str, Any] = {"marker": "o", "markersize": 8, "markerfacecolor": "#AAAAAA"}
        handles.append(Line2D([], [], linestyle="none", label=text, **look_of, **_edge(start)))
    for label in np.unique(packing.labels).tolist():
        look_at = palette.fill(label)
        area: dict[str, Any] = {"facecolor": palette.tint(look_at.colour, FADED), "edgecolor": LINES, "linewidth": 0.9}
        handles.append(Patch(label=f"theory: {look_at.name}", **area))
    for structure in dict.fromkeys(bar.structure for bar in bars):
        look = palette.style(structure)
        line: dict[str, Any] = {"color": palette.shade(look.colour, 0.4), "linestyle": look.dashes, "linewidth": 1.6}
        dot: dict[str, Any] = {"marker": look.marker, "markerfacecolor": look.colour, "markeredgecolor": INK}
        handles.append(Line2D([], [], label=f"experiment: {look.name}", markersize=5, **line, **dot))
    return handles

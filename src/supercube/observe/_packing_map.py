"""The infinite-pressure phase map over size ratio and ligand length, with the experiments on it.

Areas carry their phases as text inside, colour and hatch only repeat it: the map reads in grey print and for
colour-blind readers. An experiment is a bar along the shell thickness, which moves both axes at once.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..crystals.diagram import Diagram
from ..errors import InputError
from ..model.ligands import Quantity
from ..model.nanocrystals import MEASURED_RANGE, Experiment, Nanocrystal, effective_sizes, experiments
from . import palette
from ._figure import new_figure, save_png
from ._places import Raster
from ._regions import Partition, partition

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

FloatArray = NDArray[np.float64]

#: Below this margin (volume of the runner-up over that of the winner, less 1) a winner counts as barely ahead.
SMALL_MARGIN = 0.01
#: Shells with a dot on the bar of an experiment, nm.
DOTS = (MEASURED_RANGE[0], 1.0, 1.2, MEASURED_RANGE[1])
#: Font sizes in points that the text of an area may have, the first that fits; text with a line to its area.
AREA_SIZES, LEADER_SIZE = (13.0, 10.5, 8.5), 9.0
AXIS, SMALL, TINY = 11.5, 8.5, 7.0
INK = "#222222"
BLEACHED_DASHES = (0.0, (4.0, 2.5))
#: Characters in a line of the note below the map.
LINE = 130


@dataclass(frozen=True)
class Bar:
    """Where one experiment can be on the map.

    Attributes:
        cube: material and core edge, nm.
        sphere: material and core diameter, nm.
        structure: what formed.
        shells: (K,) thickness of the shell on both species, nm.
        size_ratios: (K,) gamma.
        ligand_lengths: (K,) lambda.
    """

    cube: tuple[str, float]
    sphere: tuple[str, float]
    structure: str
    shells: FloatArray
    size_ratios: FloatArray
    ligand_lengths: FloatArray


def shell_curve(cube_edge: float, sphere_diameter: float, shells: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Formulas gamma = (c + 2 t)/(s + 2 t), lambda = t/(c + 2 t) with the same shell t on both species.

    Args:
        cube_edge: of the core, c in nm.
        sphere_diameter: of the core, s in nm.
        shells: (K,) t in nm.

    Returns:
        (K,) gamma and (K,) lambda, exact for exact cores.

    Raises:
        InputError: sizes that no nanocrystal has (:class:`~supercube.model.nanocrystals.Nanocrystal`).
    """
    found = []
    for shell in shells.tolist():
        cube = Nanocrystal(shape="cube", core=Quantity(cube_edge), shell=Quantity(shell))
        sphere = Nanocrystal(shape="sphere", core=Quantity(sphere_diameter), shell=Quantity(shell))
        sizes = effective_sizes(cube, sphere, "measured")
        found.append(
            (sizes.cube.size.value / sizes.sphere.size.value if sizes.sphere else np.nan, sizes.ligand_length.value)
        )
    gammas, lams = np.array(found, dtype=np.float64).reshape(-1, 2).T
    return gammas, lams


def _has_spheres(row: Experiment) -> bool:
    return row.partner_shape == "sphere"


def experiment_bars(rows: Sequence[Experiment]) -> list[Bar]:
    """The bars of the experiments with cubes and spheres of one stated size each, and a structure."""
    shells = np.union1d(np.linspace(*MEASURED_RANGE, 29), DOTS)
    bars = []
    for row in rows:
        if not (_has_spheres(row) and row.cube_edge and row.partner_size and row.structure):
            continue
        smallest, largest = row.partner_size
        if smallest == largest:
            curve = shell_curve(row.cube_edge, smallest, shells)
            bars.append(Bar((row.cube, row.cube_edge), (row.partner, smallest), row.structure, shells, *curve))
    return bars


def plot_packing_map(
    diagram: Diagram,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    structures: Sequence[str] = (),
    computed: tuple[int, int] | None = None,
) -> None:
    """Which phases fill the least volume over size ratio and ligand length, with the experiments.

    Args:
        diagram: the winners on a grid of at least 2 x 2.
        path: PNG file to write (overwritten).
        title: a line of text above the figure.
        structures: those that competed, for the note below; the winners and runners-up if left out.
        computed: numbers of size ratios and ligand lengths that were computed, where the diagram is interpolated.

    Raises:
        InputError: fewer than two size ratios or ligand lengths, or a margin that is no number.
    """
    save_png(packing_map_figure(diagram, title=title, structures=structures, computed=computed), path)


def packing_map_figure(
    diagram: Diagram,
    *,
    title: str | None = None,
    structures: Sequence[str] = (),
    computed: tuple[int, int] | None = None,
) -> Figure:
    """The figure of :func:`plot_packing_map`, not yet written."""
    _check(diagram)
    rows = experiments()
    bars = experiment_bars(rows)
    shown = [bar for bar in bars if _visible(bar, diagram).any()]
    note = _note(diagram, structures, computed) + _experiments_note(rows, bars, shown)
    figure = new_figure(7.0, 5.6, dpi=150)
    figure.text(0.02, 0.012, "\n".join(note), va="bottom", fontsize=TINY, color="#444444", linespacing=1.3)
    below = 0.047 + 0.0245 * len(note)
    figure.subplots_adjust(left=0.105, right=0.965, top=0.975 if title is None else 0.93, bottom=below + 0.118)
    if title is not None:
        figure.suptitle(title, fontsize=AXIS, y=0.985)
    ax = figure.subplots()
    _set_axes(ax, diagram)
    areas = partition(diagram.size_ratios, diagram.ligand_lengths, diagram.labels, diagram.runners_up, diagram.margins)
    outlines = {label: areas.outline(label) for label in np.unique(diagram.labels).tolist()}
    _draw_areas(ax, outlines)
    _draw_margins(ax, areas)
    pixels = {label: [ax.transData.transform(loop) for loop in loops] for label, loops in outlines.items()}
    raster = Raster(ax.bbox.get_points(), pixels)
    _draw_bars(figure, ax, raster, shown, diagram)
    _name_areas(figure, ax, raster)
    _key(figure, diagram, shown, below)
    return figure


def _set_axes(ax: Axes, diagram: Diagram) -> None:
    ax.set_xlim(diagram.size_ratios[0], diagram.size_ratios[-1])
    ax.set_ylim(diagram.ligand_lengths[0], diagram.ligand_lengths[-1])
    ax.set_xlabel(r"size ratio $\gamma$ = cube edge / sphere diameter (cores with shells)", fontsize=AXIS)
    ax.set_ylabel(r"ligand length $\lambda$ = shell / cube edge", fontsize=AXIS)
    ax.tick_params(labelsize=AXIS - 1)


def _check(diagram: Diagram) -> None:
    rows, columns = diagram.labels.shape
    if min(rows, columns) < 2:
        raise InputError(
            f"the phase map has {columns} size ratios and {rows} ligand lengths; expected at least two of each."
        )
    if not np.isfinite(diagram.margins).all():
        raise InputError("the phase map holds margins that are no finite numbers; expected V of the runner-up / V - 1.")


def _draw_areas(ax: Axes, outlines: dict[str, list[FloatArray]]) -> None:
    import matplotlib as mpl
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    for label, loops in outlines.items():
        look = palette.fill(label)
        area = Path.make_compound_path(*(Path(np.vstack([loop, loop[:1]]), closed=True) for loop in loops))
        # The hatch takes its colour from the edge, so the boundary is drawn by a second patch.
        with mpl.rc_context({"hatch.linewidth": 0.6}):
            patch = PathPatch(area, facecolor=look.colour, edgecolor=look.hatch_colour, hatch=look.hatch, linewidth=0)
        patch.set_gid(f"area:{label}")
        ax.add_patch(patch)
        ax.add_patch(PathPatch(area, facecolor="none", edgecolor=INK, linewidth=1.1, joinstyle="round", zorder=2.2))


def _draw_margins(ax: Axes, areas: Partition) -> None:
    """Bleach where the winner is barely ahead, within a thin dashed line."""
    from matplotlib.tri import Triangulation

    if not (areas.margins < SMALL_MARGIN).any():
        return
    where = Triangulation(areas.points[:, 0], areas.points[:, 1], areas.triangles)
    ax.tricontourf(where, areas.margins, levels=[-1.0, SMALL_MARGIN], colors=["white"], alpha=0.55, zorder=1.5)
    if areas.margins.max() > SMALL_MARGIN:
        ax.tricontour(
            where,
            areas.margins,
            levels=[SMALL_MARGIN],
            colors=[INK],
            linewidths=0.6,
            linestyles=[BLEACHED_DASHES],
            zorder=1.6,
        )


def _visible(bar: Bar, diagram: Diagram) -> NDArray[np.bool_]:
    def within(values: FloatArray, axis: FloatArray) -> NDArray[np.bool_]:
        return np.asarray((values >= axis[0]) & (values <= axis[-1]))

    return within(bar.size_ratios, diagram.size_ratios) & within(bar.ligand_lengths, diagram.ligand_lengths)


def _draw_bars(figure: Figure, ax: Axes, raster: Raster, bars: list[Bar], diagram: Diagram) -> None:
    """The experiments; text on the side where no other bar is."""
    for number, bar in enumerate(bars):
        look = palette.style(bar.structure)
        curve = (bar.size_ratios, bar.ligand_lengths)
        ax.plot(*curve, color="white", linewidth=4.0, zorder=4)
        colour = palette.shade(look.colour, 0.4)
        line = ax.plot(*curve, color=colour, linewidth=1.8, linestyle=look.dashes, zorder=5)[0]
        line.set_gid(f"experiment:{number}")
        dots = np.isin(bar.shells, DOTS)
        ax.plot(bar.size_ratios[dots], bar.ligand_lengths[dots], linestyle="none", zorder=6, **_marker(look, 6.0))
        raster.take_line(ax.transData.transform(np.stack(curve, axis=1)), 12)
    order = sorted(bars, key=lambda bar: float(bar.size_ratios[0]))
    if order:
        _name_dots(figure, ax, raster, order[-1], diagram)
    for place, bar in enumerate(order):
        _name_bar(figure, ax, raster, bar, -1 if place < len(order) / 2 else 1, diagram)


def _marker(look: palette.Style, size: float) -> dict[str, Any]:
    return {
        "marker": look.marker,
        "markersize": size * look.scale,
        "markerfacecolor": look.colour,
        "markeredgecolor": "black",
        "markeredgewidth": 0.9,
    }


def _name_dots(figure: Figure, ax: Axes, raster: Raster, bar: Bar, diagram: Diagram) -> None:
    """The shells beside the dots of the last bar, on its right."""
    for index in np.flatnonzero(np.isin(bar.shells, DOTS) & _visible(bar, diagram)):
        text = ax.annotate(
            f"{bar.shells[index]:.1f} nm",
            (bar.size_ratios[index], bar.ligand_lengths[index]),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=INK,
            zorder=6,
            path_effects=_halo("white"),
        )
        raster.take_box(_box(figure, text))


def _name_bar(figure: Figure, ax: Axes, raster: Raster, bar: Bar, side: int, diagram: Diagram) -> None:
    middle = np.flatnonzero(_visible(bar, diagram))
    at = middle[0]
    point = ax.transData.transform([bar.size_ratios[at], bar.ligand_lengths[at]])
    found = palette.style(bar.structure).name
    parts = (f"{_chemical(material)} {size:g} nm" for material, size in (bar.cube, bar.sphere))
    text = ax.text(
        0,
        0,
        " + ".join(parts) + f":\n{found} found",
        transform=None,
        fontsize=LEADER_SIZE,
        ha="center",
        va="center",
        color="black",
        zorder=7,
        linespacing=1.25,
        bbox={"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": INK, "linewidth": 0.7},
    )
    _lead(figure, ax, raster, text, point, prefer=(side, 0), pad=8.0)


def _chemical(formula: str) -> str:
    return re.sub(r"(\d+)", r"$_{\1}$", formula)


def _halo(colour: str) -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2.5, foreground=colour)]


def _box(figure: Figure, text: Text) -> FloatArray:
    renderer: Any = figure.canvas.get_renderer()  # type: ignore[attr-defined]  # Agg's canvas has it
    return np.asarray(text.get_window_extent(renderer).get_points())


def _lead(
    figure: Figure, ax: Axes, raster: Raster, text: Text, point: FloatArray, prefer: tuple[int, int], pad: float
) -> None:
    """Move text to a free place near a point, with a thin line to it; in the middle of the map if none is free."""
    extent = np.ptp(_box(figure, text), axis=0) + 2 * pad
    near = raster.near(point, extent + 8, prefer)
    middle = ax.bbox.get_points().mean(axis=0) if near is None else near
    text.set_position((float(middle[0]), float(middle[1])))
    box = np.array([middle - extent / 2, middle + extent / 2])
    end = np.clip(point, box[0], box[1])
    ax.plot(*zip(end, point, strict=True), transform=None, color=INK, linewidth=0.8, zorder=3.9)
    raster.take_box(box)
    raster.take_line(np.array([end, point]), 4)


def _name_areas(figure: Figure, ax: Axes, raster: Raster) -> None:
    """Each area's phases inside its largest part, beside it if they do not fit; in other parts where they fit.

    An area that is smaller than the raster of two pixels has no name.
    """
    small = []
    for label in raster.labels:
        for number, part in enumerate(raster.parts(label)):
            if not _name_inside(figure, ax, raster, label, part) and number == 0:
                small.append((label, part))
    for label, part in small:
        look = palette.fill(label)
        bbox = {"boxstyle": "round,pad=0.25", "facecolor": look.colour, "edgecolor": INK, "linewidth": 0.7}
        style: dict[str, Any] = {"fontsize": LEADER_SIZE, "ha": "center", "va": "center", "bbox": bbox}
        text = ax.text(0, 0, look.name, transform=None, zorder=7, **style)
        point = raster.widest(part)
        ax.plot(*point, transform=None, marker="o", markersize=3, color=INK, zorder=3.9)
        _lead(figure, ax, raster, text, point, prefer=(0, 0), pad=6.0)


def _name_inside(figure: Figure, ax: Axes, raster: Raster, label: str, part: NDArray[np.bool_]) -> bool:
    look = palette.fill(label)
    lines = look.name.replace(" + ", " +\n")
    for size in AREA_SIZES:
        for words, angle in ((look.name, 0), (lines, 0), (look.name, 90)):
            text = ax.text(
                0,
                0,
                words,
                transform=None,
                fontsize=size,
                ha="center",
                va="center",
                rotation=angle,
                zorder=3,
                linespacing=1.05,
                bbox={"boxstyle": "round,pad=0.15", "facecolor": look.colour, "edgecolor": "none", "alpha": 0.85},
            )
            middle = raster.inside(part, np.ptp(_box(figure, text), axis=0) + 4)
            if middle is not None:
                text.set_position((float(middle[0]), float(middle[1])))
                raster.take_box(_box(figure, text))
                return True
            text.remove()
    return False


def _key(figure: Figure, diagram: Diagram, bars: list[Bar], height: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    if len(np.unique(diagram.labels)) > 1 or (diagram.margins < SMALL_MARGIN).any():
        text = f"bleached: runner-up needs < {100 * SMALL_MARGIN:g} % more volume"
        handles.append(Patch(facecolor="white", edgecolor=INK, linewidth=0.7, linestyle=BLEACHED_DASHES, label=text))
    if bars:
        text = f"experiment, shells of {MEASURED_RANGE[0]:g} to {MEASURED_RANGE[1]:g} nm"
        look: dict[str, Any] = {"marker": "o", "markersize": 5, "markerfacecolor": "white", "markeredgewidth": 0.9}
        handles.append(Line2D([], [], color=INK, linewidth=1.4, label=text, **look))
    if handles:
        place: dict[str, Any] = {"loc": "center", "bbox_to_anchor": (0.53, height), "ncols": len(handles)}
        figure.legend(handles=handles, frameon=False, fontsize=SMALL, handlelength=2.6, columnspacing=2.0, **place)


def _note(diagram: Diagram, structures: Sequence[str], computed: tuple[int, int] | None) -> list[str]:
    """What the map assumes, in lines."""
    found = np.unique(np.concatenate([diagram.labels.ravel(), diagram.runners_up.ravel()])).tolist()
    pool = set(structures) or {name for label in found for name in label.split(" + ")}
    names = ", ".join(_plain(palette.style(name).name) for name in palette.legend_order(pool))
    columns, rows = computed or diagram.labels.shape[::-1]
    ratio = f"{diagram.stoichiometry:g} cube{'' if diagram.stoichiometry == 1 else 's'}"
    text = (
        f"Least volume of hard effective shapes at infinite pressure, {ratio} per sphere, "
        f"{'among' if structures else 'winners and runners-up:'} {names}; boundaries interpolated on a grid of "
        f"{columns} x {rows}."
    )
    return textwrap.wrap(text, LINE)


def _experiments_note(rows: Sequence[Experiment], bars: list[Bar], shown: list[Bar]) -> list[str]:
    """Which experiments are not on the map and why, in lines."""
    unsized = sum(map(_has_spheres, rows)) - len(bars)
    others = len(rows) - len(bars) - unsized
    text = f"Experiments: {len(shown)} of {len(rows)} placed, nothing fitted; "
    if len(bars) > len(shown):
        text += f"{len(bars) - len(shown)} lie outside the map; "
    text += f"{unsized} state no single size of the spheres; {others} have other shapes, one species or three."
    return textwrap.wrap(text, LINE)


def _plain(name: str) -> str:
    """Mathtext subscripts as characters, whose number is the length of the line."""
    digits = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
    return re.sub(r"\$_\{?(\d+)\}?\$", lambda match: match[1].translate(digits), name)

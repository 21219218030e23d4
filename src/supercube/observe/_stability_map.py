"""The stability map: which crystals win at finite pressure, over the packing theory's lines and the experiments."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..crystals.diagram import Diagram
from ..errors import InputError
from ..files import write_whole
from ..model.nanocrystals import Experiment, experiments
from . import palette
from ._figure import new_figure
from ._packing_map import DOTS, Bar, experiment_bars
from ._regions import partition

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]

INK, LINES, THEORY = "#222222", "#9A9A9A", "#6A6A6A"
AXIS, SMALL, TINY = 11.0, 8.0, 7.0
#: Diameter of a point and of the dot in it, points of type.
POINT, DOT = 15.0, 5.5
#: Colours in the file.
PALETTE = 128
#: How far the areas of the packing theory are moved towards white.
FADED = 0.72
#: Up to so many points are named where a competitor takes no part; more are counted.
NAMED = 3
#: Width of a panel and height of the figure without its notes, inches.
PANEL, HEIGHT = 5.0, 4.6


class Answer(Protocol):
    """What is read of a verdict (:class:`supercube.stability.phases.Verdict`)."""

    @property
    def winner(self) -> str:
        """Label, empty if nothing can be said."""

    @property
    def runner_up(self) -> str:
        """Label, empty if there is none."""

    @property
    def margin(self) -> float:
        """In kT."""

    @property
    def error(self) -> float:
        """Standard error of the margin."""

    @property
    def undecided(self) -> bool:
        """Whether the margin may be chance."""


class Point(Protocol):
    """What is read of a point (:class:`supercube.stability.phases.StabilityPoint`)."""

    @property
    def size_ratio(self) -> float:
        """Gamma."""

    @property
    def ligand_length(self) -> float:
        """Lambda."""

    @property
    def pressure(self) -> float:
        """In kT/e^3."""

    @property
    def attraction(self) -> float:
        """In kT."""

    @property
    def stoichiometry(self) -> float:
        """Cubes per sphere."""

    @property
    def absent(self) -> Sequence[str]:
        """Sentences on competitors that were not run or did not survive."""

    @property
    def by_enthalpy(self) -> Answer:
        """Winner at least H."""

    @property
    def by_gibbs(self) -> Answer:
        """Winner at least G."""


def plot_stability_map(
    points: Sequence[Point],
    path: str | os.PathLike[str],
    packing: Diagram | None = None,
    rows: Sequence[Experiment] | None = None,
) -> None:
    """Which crystals win over size ratio and ligand length, one panel for each pressure and attraction.

    A point has the colour of the winner by Gibbs free energy, or half that and half the runner-up's while it is
    undecided; below it stands the margin and its error in kT for one sphere and its cubes. A dot shows the
    winner by enthalpy alone where it is another one; a point without entropies is a ring of that winner's colour,
    thin while undecided. A star stands where a competitor was not run or did not survive; the text below says which.

    Args:
        points: of the map.
        path: PNG file to write (overwritten).
        packing: the infinite-pressure map to draw behind the points; none if left out.
        rows: experiments to draw as bars along the shell thickness; those of the package if left out.

    Raises:
        InputError: there are no points.
    """
    from PIL import Image

    figure = stability_map_figure(points, packing, rows)
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=figure.dpi)
    # Few colours, so a palette of them is a third of the size and looks the same.
    small = BytesIO()
    Image.open(picture).convert("RGB").quantize(PALETTE, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    write_whole(path, small.getvalue())


def stability_map_figure(
    points: Sequence[Point], packing: Diagram | None = None, rows: Sequence[Experiment] | None = None
) -> Figure:
    """The figure of :func:`plot_stability_map`, not yet written."""
    if not points:
        raise InputError("the stability map has no points; expected at least one with crystals of both species.")
    bars = experiment_bars(experiments() if rows is None else rows)
    panels = sorted({(point.attraction, point.pressure) for point in points})
    note = textwrap.wrap(_note(points, packing), int(78 * len(panels) + 8))
    figure = new_figure(PANEL * len(panels) + 0.4, HEIGHT + 0.14 * len(note), dpi=110)
    height = figure.get_figheight()
    base = (0.1 + 0.14 * len(note)) / height
    figure.text(0.02, 0.05 / height, "\n".join(note), va="bottom", fontsize=TINY, color="#444444", linespacing=1.3)
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    width = PANEL * len(panels) + 0.4
    figure.subplots_adjust(0.7 / width, base + 0.95 / height, 1 - 0.12 / width, 1 - 0.32 / height, wspace=0.06)
    limits = axis_limits(points, bars)
    font = _font(points, limits[0])
    for ax, (attraction, pressure) in zip(axes, panels, strict=True):
        here = [point for point in points if (point.attraction, point.pressure) == (attraction, pressure)]
        _draw_theory(ax, packing)
        _draw_bars(ax, bars)
        _draw_points(ax, here, font)
        ax.set(xlim=limits[0], ylim=limits[1])
        ax.set_title(
            f"P = {pressure:g} kT/e³" + (f", attraction {attraction:g} kT" if attraction else ""), fontsize=AXIS
        )
        ax.set_xlabel(r"size ratio $\gamma$ = cube edge / sphere diameter", fontsize=AXIS)
        ax.tick_params(labelsize=AXIS - 1.5)
    axes[0].set_ylabel(r"ligand length $\lambda$ = shell / cube edge", fontsize=AXIS)
    _key(figure, points, packing, bars, base + 0.2 / height)
    return figure


def axis_limits(points: Sequence[Point], bars: Sequence[Bar]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ranges of both axes: the points and the whole bars of the experiments, with some room."""
    found = []
    for name in ("size_ratio", "ligand_length"):
        values = [getattr(point, name) for point in points]
        ends = [float(end) for bar in bars for end in getattr(bar, f"{name}s")[[0, -1]]]
        low, high = min(values + ends), max(values + ends)
        room = 0.09 * (high - low) or 0.02
        found.append((low - room, high + room))
    return found[0], found[1]


def _draw_theory(ax: Axes, packing: Diagram | None) -> None:
    """Faded areas of the packing theory with their outlines."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if packing is None:
        return
    areas = partition(packing.size_ratios, packing.ligand_lengths, packing.labels, packing.runners_up, packing.margins)
    for label in np.unique(packing.labels).tolist():
        loops = areas.outline(label)
        area = Path.make_compound_path(*(Path(np.vstack([loop, loop[:1]]), closed=True) for loop in loops))
        colour = palette.tint(palette.fill(label).colour, FADED)
        patch = PathPatch(area, facecolor=colour, edgecolor=LINES, linewidth=1.0, linestyle="--", zorder=0.5)
        patch.set_gid(f"theory:{label}")
        ax.add_patch(patch)


def _draw_bars(ax: Axes, bars: Sequence[Bar]) -> None:
    for number, bar in enumerate(bars):
        look = palette.style(bar.structure)
        curve = (bar.size_ratios, bar.ligand_lengths)
        ax.plot(*curve, color="white", linewidth=3.6, zorder=2)
        line = ax.plot(*curve, color=palette.shade(look.colour, 0.4), linewidth=1.6, linestyle=look.dashes, zorder=2.1)[
            0
        ]
        line.set_gid(f"experiment:{number}")
        at = np.isin(bar.shells, DOTS)
        style: dict[str, Any] = {"marker": look.marker, "markersize": 5.0 * look.scale, "linestyle": "none"}
        ax.plot(
            bar.size_ratios[at], bar.ligand_lengths[at], color=look.colour, mec="black", mew=0.7, zorder=2.2, **style
        )


def _colour(label: str) -> str:
    """Of the first structure of both species in a label; of separation, a grey that stands out from its area."""
    mixed = [name for name in label.split(" + ") if palette.style(name).hatch]
    return palette.style(mixed[0]).colour if mixed else "#8C8C8C"


def _differ(point: Point) -> bool:
    """Whether both answers are known and name other phases."""
    known = bool(point.by_gibbs.winner and point.by_enthalpy.winner)
    return known and point.by_gibbs.winner != point.by_enthalpy.winner


def _draw_points(ax: Axes, points: Sequence[Point], font: float) -> None:
    for point in points:
        place = ([point.size_ratio], [point.ligand_length])
        gibbs, enthalpy = point.by_gibbs, point.by_enthalpy
        shown = _shown(point)
        style: dict[str, Any] = {"marker": "o", "linestyle": "none", "markersize": POINT, "zorder": 3}
        if not shown.winner:
            ax.plot(*place, color="none", mec=INK, mew=0.8, **style)
        elif not gibbs.winner:
            width = 1.0 if shown.undecided else 2.6
            ax.plot(*place, color="white", mec=_colour(shown.winner), mew=width, **style)
        elif shown.undecided:
            other = _colour(shown.runner_up) if shown.runner_up else "white"
            half: dict[str, Any] = {"fillstyle": "left", "markerfacecoloralt": other}
            ax.plot(*place, color=_colour(shown.winner), mec=INK, mew=0.8, **style, **half)
        else:
            ax.plot(*place, color=_colour(shown.winner), mec=INK, mew=0.8, **style)
        if _differ(point):
            ax.plot(
                *place,
                color=_colour(enthalpy.winner),
                mec="white",
                mew=0.7,
                **style | {"markersize": DOT, "zorder": 3.1},
            )
        ax.lines[-1].set_gid(f"point:{point.size_ratio:g}:{point.ligand_length:g}")
        _write_margin(ax, point, _words(point), font)


def _shown(point: Point) -> Answer:
    return point.by_gibbs if point.by_gibbs.winner else point.by_enthalpy


def _words(point: Point) -> str:
    """Margin and error, to a tenth of kT while they are small, and a star if a competitor takes no part."""
    shown, star = _shown(point), "*" if point.absent else ""
    if not shown.winner:
        return "?" + star
    if not math.isfinite(shown.margin):
        return "alone" + star
    digits = 1 if shown.margin < 20 or shown.error < 1 else 0
    return f"{shown.margin:.{digits}f}±{shown.error:.{digits}f}{star}"


def _font(points: Sequence[Point], limits: tuple[float, float]) -> float:
    """Size at which the widest text (a character is 0.65 of the size) fits between two points of a row."""
    columns = np.unique([point.size_ratio for point in points])
    gap = float(np.diff(columns).min(initial=np.inf)) / (limits[1] - limits[0]) * (PANEL - 0.5) * 72
    widest = max(len(_words(point)) for point in points)
    return min(SMALL, max(4.5, gap / (widest * 0.65)))


def _write_margin(ax: Axes, point: Point, words: str, font: float) -> None:
    from matplotlib.patheffects import withStroke

    ax.annotate(
        words,
        (point.size_ratio, point.ligand_length),
        xytext=(0, -0.5 * POINT - 2),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=font,
        color=INK,
        zorder=3.2,
        path_effects=[withStroke(linewidth=2.2, foreground="white")],
    )


def _key(figure: Figure, points: Sequence[Point], packing: Diagram | None, bars: Sequence[Bar], height: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    answers = [answer for point in points for answer in (point.by_gibbs, point.by_enthalpy)]
    labels = sorted({label for answer in answers for label in (answer.winner, answer.runner_up) if label})
    look: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 8, "mec": INK, "mew": 0.7}
    handles: list[Any] = [
        Line2D([], [], color=_colour(label), label=palette.fill(label).name, **look) for label in labels
    ]
    if any(point.by_gibbs.winner and point.by_gibbs.undecided for point in points):
        half = Line2D([], [], color=INK, fillstyle="left", markerfacecoloralt="white", label="undecided", **look)
        handles.append(half)
    if any(_differ(point) for point in points):
        handles.append(Line2D([], [], color=INK, label="dot: by enthalpy", **look | {"markersize": 4, "mec": "white"}))
    for label in np.unique(packing.labels).tolist() if packing is not None else []:
        colour = palette.tint(palette.fill(label).colour, FADED)
        handles.append(
            Patch(facecolor=colour, edgecolor=LINES, linestyle="--", label=f"theory: {palette.fill(label).name}")
        )
    for structure in sorted({bar.structure for bar in bars}):
        style = palette.style(structure)
        line: dict[str, Any] = {"color": palette.shade(style.colour, 0.4), "linestyle": style.dashes, "linewidth": 1.6}
        marker: dict[str, Any] = {"marker": style.marker, "markersize": 5, "mfc": style.colour, "mec": "black"}
        handles.append(Line2D([], [], label=f"experiment: {style.name}", **line, **marker))
    columns = max(3, min(len(handles), int(figure.get_figwidth() / 1.7)))
    figure.legend(
        handles=handles,
        loc="center",
        bbox_to_anchor=(0.5, height),
        ncols=columns,
        frameon=False,
        fontsize=SMALL,
        handlelength=2.0,
        columnspacing=1.4,
    )


def _note(points: Sequence[Point], packing: Diagram | None) -> str:
    ratio = points[0].stoichiometry
    text = (
        f"Molecular dynamics of pure crystals, {ratio:g} cube{'' if ratio == 1 else 's'} per sphere by the lever rule. "
        "Point: least Gibbs free energy, enthalpy and quasi-harmonic entropy, with its lead over the runner-up in kT "
        "for one sphere and its cubes."
    )
    if any(not point.by_gibbs.winner for point in points):
        text += " Ring: enthalpy alone, thin while undecided."
    text += _absent(points)
    return text + (" Areas: least volume of hard shapes at infinite pressure." if packing is not None else "")


def _absent(points: Sequence[Point]) -> str:
    """Which competitors take no part, and where: places while they are few, else how many."""
    places: dict[str, list[Point]] = {}
    for point in points:
        for sentence in point.absent:
            places.setdefault(sentence, []).append(point)
    if not places:
        return ""
    parts = []
    for sentence, here in places.items():
        at = [f"γ {p.size_ratio:g} λ {p.ligand_length:g} P {p.pressure:g}" for p in here]
        parts.append(f"{sentence} ({', '.join(at) if len(at) <= NAMED else f'{len(at)} points'})")
    return f" Star: {'; '.join(parts)}."

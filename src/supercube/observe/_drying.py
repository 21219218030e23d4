"""Order against drying speed, with the spread of independent repeats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from . import palette
from ._figure import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]

#: What the rows hold.
DRYING_COLUMNS = (
    "series", "evaporation_rate", "n", "cubatic_order", "cubatic_order_sem", "crystal", "crystal_share",
    "crystal_share_sem",
)  # fmt: skip
#: Colours of series: not those of structures, ordered from dark to light, apart for colour-blind readers.
_COLOURS, _LIGHTEST = "viridis", 0.82
_MARKERS = "osD^vPh<>X"
#: Factor by which neighbouring series are moved apart on the logarithmic axis, so that their error bars do not cover.
_APART = 1.05
INK = "#222222"


def drying_figure(points: Rows, singles: Rows = ()) -> Figure:
    """Cubatic order, and the share of particles in the crystal that formed, against the Péclet number of drying.

    Points are means over independent repeats with their standard errors; small pale dots are the repeats. The number of
    repeats stands above each point; a point of a single one is hollow, for its error is not known.

    Args:
        points: mappings with ``DRYING_COLUMNS``: the name of the series, Pe > 0, the number of repeats, means and
            standard errors (NaN where there is none), and the label of the crystal (None if nothing ordered).
        singles: the repeats, with ``series``, ``evaporation_rate``, ``cubatic_order`` and ``crystal_share``.

    Raises:
        InputError: no points, a key is missing, or a Péclet number that is not positive.
    """
    _check(points)
    names = list(dict.fromkeys(str(row["series"]) for row in points))
    figure = new_figure(7.6, 6.2 + 0.2 * len(names), dpi=110)
    figure.set_layout_engine("constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    styles = _styles(names)
    for name in names:
        own = sorted((row for row in points if row["series"] == name), key=lambda row: float(row["evaporation_rate"]))
        repeats = [row for row in singles if row["series"] == name]
        _draw(upper, own, repeats, "cubatic_order", styles[name])
        _draw(lower, own, repeats, "crystal_share", styles[name])
        _write_numbers(upper, own, "cubatic_order", styles[name]["shift"])
    upper.set(ylabel="cubatic order", ylim=(-0.05, 1.12))
    lower.set(ylabel="share of particles in the crystal", ylim=(-0.05, 1.05), xlabel="Péclet number of drying Pe")
    _set_axis(lower, [float(row["evaporation_rate"]) for row in points])
    for ax in (upper, lower):
        ax.grid(color="#DDDDDD", linewidth=0.6)
        ax.set_axisbelow(True)
    figure.legend(handles=_handles(points, names, styles), loc="outside lower center", frameon=False, fontsize=9)
    return figure


def _check(points: Rows) -> None:
    if len(points) == 0:
        raise InputError("there is no point to draw against Pe; expected at least one finished job with drying.")
    for number, row in enumerate(points):
        missing = [key for key in DRYING_COLUMNS if key not in row]
        if missing:
            raise InputError(f"row {number} of the drying points lacks {', '.join(missing)}.")
        if not (math.isfinite(row["evaporation_rate"]) and row["evaporation_rate"] > 0):
            raise InputError(
                f"row {number} of the drying points has Pe = {row['evaporation_rate']}; expected more than 0."
            )


def _styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    import matplotlib as mpl

    shades = mpl.colormaps[_COLOURS](np.linspace(0.0, _LIGHTEST, len(names)))
    middle = (len(names) - 1) / 2
    return {
        name: {"colour": tuple(shade), "marker": _MARKERS[k % len(_MARKERS)], "shift": _APART ** (k - middle)}
        for k, (name, shade) in enumerate(zip(names, shades, strict=True))
    }


def _draw(ax: Axes, own: Rows, repeats: Rows, key: str, look: dict[str, Any]) -> None:
    several = [
        row for row in repeats if any(p["evaporation_rate"] == row["evaporation_rate"] and p["n"] > 1 for p in own)
    ]
    ax.plot(
        [row["evaporation_rate"] * look["shift"] for row in several], [row[key] for row in several],
        linestyle="none", marker="o", markersize=3.5, color=look["colour"], alpha=0.35, markeredgewidth=0, zorder=2,
    )  # fmt: skip
    x = np.array([row["evaporation_rate"] for row in own], dtype=np.float64) * look["shift"]
    mean, error = (np.array([row[name] for row in own], dtype=np.float64) for name in (key, f"{key}_sem"))
    ax.plot(x, mean, color=look["colour"], linewidth=1.2, zorder=2.5)
    known = np.isfinite(error)
    ax.errorbar(
        x[known], mean[known], error[known], linestyle="none", color=look["colour"], capsize=3, elinewidth=1.2, zorder=3
    )
    for filled in (True, False):
        here = known == filled
        face = look["colour"] if filled else "white"
        style: dict[str, Any] = {"marker": look["marker"], "markersize": 6.5, "markeredgewidth": 1.4}
        style |= {"markeredgecolor": look["colour"], "markerfacecolor": face}
        ax.plot(x[here], mean[here], linestyle="none", zorder=3.5, **style)


def _write_numbers(ax: Axes, own: Rows, key: str, shift: float) -> None:
    from matplotlib.patheffects import withStroke

    for row in own:
        if not math.isfinite(row[key]):
            continue
        error = row[f"{key}_sem"]
        ax.annotate(
            f"{row['n']}",
            (row["evaporation_rate"] * shift, row[key] + (error if math.isfinite(error) else 0.0)),
            xytext=(0, 6), textcoords="offset points", ha="center", fontsize=7.5, color=INK, zorder=4,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip


def _set_axis(ax: Axes, rates: Sequence[float]) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    ax.set_xscale("log")
    low, high = min(rates), max(rates)
    # At least a decade, so that a study of one speed has an axis that can be read.
    room = max(1.6, math.sqrt(10.0 / (high / low)) if high / low < 10 else 1.6)
    ax.set_xlim(low / room, high * room)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ticks = sorted(set(rates))
    if len(ticks) <= 8:
        ax.set_xticks(ticks)
    ax.xaxis.set_minor_formatter(NullFormatter())


def _handles(points: Rows, names: Sequence[str], styles: Mapping[str, dict[str, Any]]) -> list[Any]:
    from matplotlib.lines import Line2D

    handles: list[Any] = []
    for name in names:
        crystals = palette.legend_order(
            {str(row["crystal"]) for row in points if row["series"] == name and row["crystal"]}
        )
        found = "crystal: " + ", ".join(palette.style(label).name for label in crystals) if crystals else "no crystal"
        look = styles[name]
        style: dict[str, Any] = {"color": look["colour"], "marker": look["marker"], "markersize": 6.5}
        handles.append(Line2D([], [], label=f"{name}; {found}", **style))
    single = any(row["n"] == 1 for row in points)
    note = "number: independent repeats; bar: standard error of their mean" + ("; hollow: one run" if single else "")
    handles.append(Line2D([], [], linestyle="none", label=note))
    return handles

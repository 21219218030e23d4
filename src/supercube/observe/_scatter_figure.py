"""The picture of a scattering answer: S(q) and I(q) with the reflections marked, and the pattern along a zone axis."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import palette
from ._figure import new_figure, save_png
from .scattering import Pattern, Powder, Reflection, Scattering

FloatArray = NDArray[np.float64]

#: Decades of the pattern below its strongest spot, of I(q) and of S(q) below their largest values.
PATTERN_DECADES, INTENSITY_DECADES, ORDER_DECADES = 4.0, 6.0, 4.0
#: Inches: width and height of the figure, and of a label of a reflection along the axis.
SIZE = (10.6, 5.2)
LABEL_WIDTH = 0.15
#: Width of the curves' axes, as a share of the figure's.
CURVES = (0.065, 0.465)
#: Least radius of the beam stop in widths of a spot, where the forward beam is a thousandth.
STOP = 1.6
#: Reflections weaker than this, over the strongest one, carry no label.
FAINT = 1e-5
_INK, _GREY = "#222222", "#888888"


def plot_scattering(
    found: Scattering, path: str | os.PathLike[str], *, unit: str = "e", scale: float = 1.0, title: str | None = None
) -> None:
    """Draw curves and pattern.

    Args:
        found: in the unit of the positions.
        path: PNG file to write (overwritten).
        unit: name of the unit of length of the axes.
        scale: how many of it are one unit of the positions.
        title: a line of text above the figure.
    """
    figure = new_figure(*SIZE, dpi=110)
    left, width = CURVES
    top = figure.add_axes((left, 0.47, width, 0.31 if found.reflections else 0.4))
    low = figure.add_axes((left, 0.11, width, 0.34), sharex=top)
    side = 0.335
    plane = figure.add_axes((0.598, 0.11, side, side * SIZE[0] / SIZE[1]))
    bar = figure.add_axes((0.598 + side + 0.01, 0.11, 0.011, side * SIZE[0] / SIZE[1]))
    colour = palette.shade(palette.style(found.structure).colour, 0.15)
    _draw_order(top, found.powder, scale, bool(found.reflections))
    _draw_intensity(low, found.powder, scale)
    low.set_xlabel(f"$q$  (1/{unit})")
    low.set_xlim(0, found.powder.q[-1] / scale)
    top.tick_params(labelbottom=False)
    if found.reflections:
        _mark(top, low, found.reflections, scale, colour)
    else:
        _mark_maximum(top, found, scale, unit)
    _draw_pattern(plane, bar, found.pattern, scale, unit)
    name = palette.style(found.structure).name
    figure.text(left, 0.955, name if title is None else f"{name}:  {title}", ha="left", va="center", fontsize=10)
    figure.align_ylabels([top, low])
    save_png(figure, path)


def _draw_order(ax: Any, powder: Powder, scale: float, crystal: bool) -> None:
    q = powder.q / scale
    both = np.isfinite(powder.s_cube).any() and np.isfinite(powder.s_sphere).any()
    if both:
        for name, values in (("cube", powder.s_cube), ("sphere", powder.s_sphere)):
            ax.plot(q, values, color=palette.species_colour(name), linewidth=1.1, label=f"{name}s alone")
    ax.plot(q, powder.s, color=_INK, linewidth=1.6, label="all centres" if both else None)
    ax.axhline(1.0, color=_GREY, linewidth=0.6, linestyle=":")
    top = float(np.nanmax([powder.s, powder.s_cube, powder.s_sphere]))
    if crystal:
        ax.set_yscale("log")
        ax.set_ylim(top * 10**-ORDER_DECADES, 3 * top)
    else:
        ax.set_ylim(0, 1.15 * top)
    ax.set_ylabel("$S(q)$")
    if both:
        ax.legend(loc="lower right", frameon=True, framealpha=0.85, edgecolor="none", fontsize=7.5, ncols=3)


def _draw_intensity(ax: Any, powder: Powder, scale: float) -> None:
    q = powder.q / scale
    ax.plot(q, powder.form, color=_GREY, linewidth=1.2, linestyle=(0.0, (4.0, 2.0)), label="$P(q)$, form factor")
    ax.plot(q, powder.intensity, color=_INK, linewidth=1.6, label="$I(q)$")
    top = float(max(powder.intensity.max(), powder.form.max()))
    ax.set_yscale("log")
    ax.set_ylim(max(top * 10**-INTENSITY_DECADES, 0.2 * float(powder.form.min())), 3 * top)
    ax.set_ylabel("$I(q)$")
    ax.legend(loc="upper right", frameon=True, framealpha=0.85, edgecolor="none", fontsize=7.5)
    # The width of a line, drawn where the legend is not.
    right, height = 0.03, 0.08
    ax.annotate(
        "",
        xy=(q[-1] * right, height),
        xytext=(q[-1] * right + powder.resolution / scale, height),
        xycoords=("data", "axes fraction"),
        textcoords=("data", "axes fraction"),
        arrowprops={"arrowstyle": "|-|, widthA=0.25, widthB=0.25", "color": _GREY, "shrinkA": 0, "shrinkB": 0},
    )
    ax.text(
        q[-1] * (right + 0.015) + powder.resolution / scale,
        height,
        "resolution",
        transform=ax.get_xaxis_transform(),
        fontsize=7.5,
        color=_GREY,
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8},
    )


def _mark(top: Any, low: Any, reflections: Sequence[Reflection], scale: float, colour: str) -> None:
    """Lines at all reflections, and above them the indices, as many as fit, the strongest first."""
    from matplotlib.transforms import blended_transform_factory

    q, names, strengths = _lines(reflections)
    for ax in (top, low):
        for place in q / scale:
            ax.axvline(place, color=palette.tint(colour, 0.55), linewidth=0.6, zorder=0)
    span = CURVES[1] * SIZE[0]
    first, last = top.get_xlim()
    fits = int(span / LABEL_WIDTH)
    chosen = np.sort(np.argsort(-strengths, kind="stable")[:fits])
    chosen = chosen[strengths[chosen] > FAINT * strengths.max()]
    wanted = (q[chosen] / scale - first) / (last - first) * span
    places = spread_out(wanted, LABEL_WIDTH, 0.0, span) / span * (last - first) + first
    across = blended_transform_factory(top.transData, top.transAxes)
    for k, place in zip(chosen.tolist(), places.tolist(), strict=True):
        at = float(q[k]) / scale
        top.plot([at, at, place, place], [1.0, 1.03, 1.13, 1.16], transform=across, color=colour, lw=0.6, clip_on=False)
        top.text(
            place, 1.18, names[k], transform=across, rotation=90, ha="center", va="bottom", fontsize=7.5, color=colour
        )


def _lines(reflections: Sequence[Reflection]) -> tuple[FloatArray, list[str], FloatArray]:
    """Places, names and strengths of the lines; families at one q, such as 511 and 333, are one line."""
    q: list[float] = []
    names: list[str] = []
    strengths: list[float] = []
    for one in reflections:
        strength = one.multiplicity * one.i_predicted / one.q**2
        if q and abs(one.q / q[-1] - 1) < 1e-6:
            names[-1] += f", {_indices(one.hkl)}"
            strengths[-1] += strength
        else:
            q.append(one.q)
            names.append(_indices(one.hkl))
            strengths.append(strength)
    return np.array(q), names, np.array(strengths)


def _indices(hkl: Sequence[int]) -> str:
    """Such as 110; indices beyond 9 need spaces, and a minus is a bar."""
    gap = " " if max(abs(index) for index in hkl) > 9 else ""
    return gap.join(str(index) if index >= 0 else rf"$\bar{{{-index}}}$" for index in hkl)


def spread_out(wanted: FloatArray, gap: float, low: float, high: float) -> FloatArray:
    """Places in the same order, at least ``gap`` apart and within low..high, with the least squares of the moves.

    Formula: y_k = x_k + k gap must not decrease, so the moves are those of an isotonic regression.

    Args:
        wanted: (n,) increasing.
        gap: least distance; smaller where n of them do not fit.
        low: least place.
        high: largest place.
    """
    from scipy.optimize import isotonic_regression

    if not len(wanted):
        return wanted
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1))
    steps = gap * np.arange(len(wanted))
    placed = np.asarray(isotonic_regression(wanted - steps).x)
    return np.asarray(np.clip(placed, low, high - steps[-1]) + steps)


def _mark_maximum(ax: Any, found: Scattering, scale: float, unit: str) -> None:
    q = found.maximum.q / scale
    ax.axvline(q, color=_GREY, linewidth=0.8, zorder=0)
    text = rf"$q^* = {q:.3g}$/{unit},  $2\pi/q^* = {found.maximum.spacing * scale:.3g}$ {unit}"
    ax.text(q, 1.04, text, transform=ax.get_xaxis_transform(), fontsize=8, color=_INK, ha="left", va="bottom")


def _draw_pattern(ax: Any, bar: Any, pattern: Pattern, scale: float, unit: str) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Circle

    edge = float(pattern.q[-1]) / scale
    stop = beam_stop(pattern)
    image = ax.imshow(
        _decades(pattern, stop),
        origin="lower",
        extent=(-edge, edge, -edge, edge),
        # Few colours, which nobody tells apart, make the file a third of the size.
        cmap=colormaps["magma"].resampled(48),
        vmin=-PATTERN_DECADES,
        vmax=0.0,
        interpolation="bilinear",
        interpolation_stage="data",
    )
    ax.add_patch(Circle((0, 0), stop / scale, facecolor="#9A9A9A", edgecolor="none"))
    _name_spots(ax, pattern, stop, scale)
    _label_pattern(ax, pattern, edge, unit)
    colours = ax.figure.colorbar(image, cax=bar, ticks=np.arange(-PATTERN_DECADES, 1))
    colours.set_label(r"$\log_{10}$ of intensity over the strongest outside the beam stop", fontsize=8)
    bar.tick_params(labelsize=8)


def _label_pattern(ax: Any, pattern: Pattern, edge: float, unit: str) -> None:
    from matplotlib.ticker import MaxNLocator

    of = palette.style(pattern.crystal).name if pattern.crystal else "the box"
    ax.set_title(f"zone axis [{_indices(pattern.zone)}] of {of}", fontsize=9)
    ax.set(xlabel=f"$q_x$  (1/{unit})", ylabel=f"$q_y$  (1/{unit})", xlim=(-edge, edge), ylim=(-edge, edge))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(6, symmetric=True))


def beam_stop(pattern: Pattern) -> float:
    """Radius at which the forward beam is a tenth of the strongest spot, or of what is far from it without spots.

    Formula: the beam is exp(-4 ln 2 (q/w)^2) with w the width of a spot. At least ``STOP`` w at most twice that, and
    short of the near half of the first spot.
    """
    width, least = pattern.resolution, STOP * pattern.resolution
    far = pattern.intensity[np.hypot(*np.meshgrid(pattern.q, pattern.q)) > 2 * least].max(initial=0.0)
    spots = [(np.hypot(x, y), _at_spot(pattern, x, y)) for _, x, y in pattern.spots]
    strongest = max((strength for _, strength in spots), default=float(far))
    if not strongest > 0:
        return least
    radius = width * float(np.sqrt(max(np.log(10 / strongest), 0.0) / (4 * np.log(2))))
    nearest = min((float(place) for place, _ in spots), default=np.inf)
    return max(least, min(radius, 2 * least, nearest - width / 2))


def _at_spot(pattern: Pattern, x: float, y: float) -> float:
    """Intensity of the nearest pixel."""
    row, column = (int(np.argmin(np.abs(pattern.q - value))) for value in (y, x))
    return float(pattern.intensity[row, column])


def _strongest(pattern: Pattern, stop: float) -> float:
    """The largest intensity that is seen; a window that is all beam stop shows none."""
    seen = np.hypot(*np.meshgrid(pattern.q, pattern.q)) > stop
    return float(pattern.intensity[seen].max(initial=1e-300))


def _decades(pattern: Pattern, stop: float) -> FloatArray:
    """(P, P) log10 of the intensity over the largest outside the stop, which is 0, down to ``-PATTERN_DECADES``."""
    over = pattern.intensity / _strongest(pattern, stop)
    return np.asarray(np.log10(np.maximum(over, 10.0**-PATTERN_DECADES)))


def _name_spots(ax: Any, pattern: Pattern, stop: float, scale: float) -> None:
    """A cross where G is, and its indices beside it: the maximum of a spot lies further in."""
    from matplotlib.patheffects import withStroke

    edge = float(pattern.q[-1])
    for text, (x, y) in _spot_labels(pattern, stop):
        place = (x / scale, y / scale)
        ax.plot(*place, "+", color="white", ms=5, mew=1.0, path_effects=[withStroke(linewidth=2.0, foreground="black")])
        left = x > 0.8 * edge
        ax.annotate(
            text,
            place,
            xytext=(-3.5 if left else 3.5, 2.5),
            textcoords="offset points",
            color="white",
            fontsize=7.5,
            ha="right" if left else "left",
            va="bottom",
            path_effects=[withStroke(linewidth=1.4, foreground="black")],
        )


def _spot_labels(pattern: Pattern, stop: float) -> list[tuple[str, tuple[float, float]]]:
    """Names of the innermost spots of one half of the pattern, those that are in the picture's range."""
    edge = float(pattern.q[-1])
    room = 0.16 * edge
    least = _strongest(pattern, stop) * 10.0 ** -(PATTERN_DECADES - 1)
    kept: list[tuple[str, tuple[float, float]]] = []
    for hkl, x, y in sorted(pattern.spots, key=lambda spot: (round(np.hypot(spot[1], spot[2]), 6), -spot[1])):
        upper = y > 1e-6 * edge or (abs(y) <= 1e-6 * edge and x > 0)
        inside = abs(x) < 0.92 * edge and y < 0.9 * edge
        clear = all(np.hypot(x - a, y - b) > room for _, (a, b) in kept)
        seen = np.hypot(x, y) > stop and _at_spot(pattern, x, y) > least
        if upper and inside and seen and clear and len(kept) < 6:
            kept.append((_indices(hkl), (x, y)))
    return kept

"""Figures of a run (order against time) and of a study (which structure where), and the study's table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from . import palette
from ._figure import new_figure, save_png
from ._phase_map import PHASE_MAP_COLUMNS, plot_phase_map, write_phase_map_csv

__all__ = ["PHASE_MAP_COLUMNS", "plot_order", "plot_phase_map", "write_phase_map_csv"]

FloatArray = NDArray[np.float64]

#: A label is drawn if its fraction is ever above this.
SMALLEST_FRACTION = 0.01
#: The box counts as shrinking while the packing fraction is this far (of its whole change) from its largest value.
DRYING_DONE = 1e-3
TIME_LABEL = "time $t$  ($e^2/D_0$)"
PACKING_LABEL = r"packing fraction $\phi$"


def plot_order(series: Mapping[str, NDArray[Any]], path: str | os.PathLike[str], *, title: str | None = None) -> None:
    """Order of a run against time and, while it dries or is compressed, against packing fraction.

    Args:
        series: ``time`` (F,) in e^2/D0, ``packing_fraction`` (F,), ``cubatic_order`` (F,; NaN where there are no
            cubes), and for each label ``fraction_LABEL`` (F,).
        path: PNG file to write (overwritten).
        title: a line of text above the figure.

    Raises:
        InputError: a key is missing, lengths differ, no frames, or NaNs elsewhere than in ``cubatic_order``.
    """
    data = _checked_series(series)
    drying = _drying(data["packing_fraction"])
    columns = 1 if drying is None else 2
    figure = new_figure(7.2 if drying is None else 10.4, 6.6, dpi=150)
    axes = figure.subplots(3, columns, sharex="col", squeeze=False, gridspec_kw={"height_ratios": [1.5, 1, 1]})
    figure.subplots_adjust(
        left=0.11 if drying is None else 0.075,
        right=0.8 if drying is None else 0.985,
        top=0.93,
        bottom=0.085,
        hspace=0.09,
        wspace=0.2,
    )
    _draw_order(axes[:, 0], data, data["time"], slice(None))
    axes[2, 0].plot(data["time"], data["packing_fraction"], **_line("#222222", "-", len(data["time"])))
    axes[2, 0].set(ylabel=PACKING_LABEL, xlabel=TIME_LABEL)
    handles, names = axes[0, 0].get_legend_handles_labels()
    if drying is None:
        axes[0, 0].legend(handles, names, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    else:
        _draw_order(axes[:, 1], data, data["packing_fraction"], drying)
        axes[1, 1].tick_params(labelbottom=True)
        axes[1, 1].set_xlabel(PACKING_LABEL + " (while it rises)")
        axes[2, 1].axis("off")
        axes[2, 1].legend(handles, names, loc="lower center", ncols=3, frameon=False)
    if title is not None:
        figure.suptitle(title, y=0.985)
    figure.align_ylabels()
    save_png(figure, path)


def _checked_series(series: Mapping[str, NDArray[Any]]) -> dict[str, FloatArray]:
    missing = {"time", "packing_fraction", "cubatic_order"} - set(series)
    if missing or not any(key.startswith("fraction_") for key in series):
        lacking = ", ".join(sorted(missing)) or "any fraction_LABEL"
        raise InputError(f"The order series lack {lacking}; they hold {', '.join(sorted(series)) or 'nothing'}.")
    data = {key: np.asarray(value, dtype=np.float64) for key, value in series.items() if _is_drawn(key)}
    shapes = {key: value.shape for key, value in data.items()}
    if len(set(shapes.values())) > 1 or len(shapes["time"]) != 1 or shapes["time"][0] == 0:
        raise InputError(f"The order series must be one-dimensional, of one length, and not empty; they have {shapes}.")
    bad = [key for key, value in data.items() if key != "cubatic_order" and not np.isfinite(value).all()]
    if bad or np.isinf(data["cubatic_order"]).any():
        raise InputError(f"The order series {', '.join(bad or ['cubatic_order'])} hold NaN or infinite values.")
    return data


def _is_drawn(key: str) -> bool:
    return key in {"time", "packing_fraction", "cubatic_order"} or key.startswith("fraction_")


def _drying(packing: FloatArray) -> slice | None:
    """Frames up to the end of drying; None if the packing fraction hardly changes."""
    rise = float(packing.max() - packing[0])
    if rise < 0.005:
        return None
    return slice(0, int(np.argmax(packing >= packing.max() - DRYING_DONE * rise)) + 1)


def _draw_order(axes: Any, data: dict[str, FloatArray], x: FloatArray, frames: slice) -> None:
    x = x[frames]
    fractions = {key.removeprefix("fraction_"): value for key, value in data.items() if key.startswith("fraction_")}
    for label in palette.legend_order(set(fractions)):
        if fractions[label].max() > SMALLEST_FRACTION:
            look = palette.style(label)
            axes[0].plot(x, fractions[label][frames], label=look.name, **_line(look.colour, look.dashes, len(x)))
    axes[0].set(ylabel="fraction of particles", ylim=(-0.03, 1.03))
    cubatic = data["cubatic_order"][frames]
    axes[1].plot(x, cubatic, **_line("#222222", "-", len(x)))
    if np.isnan(cubatic).all():
        axes[1].text(0.5, 0.5, "no cubes", transform=axes[1].transAxes, ha="center", va="center", color="#777777")
    axes[1].set(ylabel="cubatic order", ylim=(min(-0.03, float(np.nanmin([0.0, *cubatic])) * 1.05), 1.03))
    for ax in axes:
        ax.grid(color="#DDDDDD", linewidth=0.6)
        ax.set_axisbelow(True)


def _line(colour: str, dashes: Any, points: int) -> dict[str, Any]:
    # A lone frame, or a few, would be invisible as a line.
    return {
        "color": colour,
        "linestyle": dashes,
        "linewidth": 2.0,
        "marker": "o" if points < 8 else None,
        "markersize": 4,
    }

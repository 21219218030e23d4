"""The log of a run as a picture, drawn from what is there, also while the run goes on."""

from __future__ import annotations

import threading
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engines.segments import read_log, segment_paths
from ..errors import SupercubeError
from ..observe._figure import new_figure

FloatArray = NDArray[np.float64]
#: More rows than this are drawn as means over equal runs of them, with the range of each run behind.
MOST_POINTS = 400
#: matplotlib's text layout is not made for threads.
_DRAWING = threading.Lock()


def log_svg(folder: Path, n_bodies: int) -> bytes:
    """Pressure, potential energy per particle, temperatures and packing fraction against time, as SVG.

    A log that is missing, empty or unreadable gives a picture that says so. Drawn again when a segment has changed.

    Args:
        folder: the job's folder.
        n_bodies: cubes and spheres together.
    """
    # A run of one segment or ten has one or ten files; each changes in size as it grows.
    marks = tuple((path.name, stat.st_mtime_ns, stat.st_size) for path, stat in _segments(folder))
    with _DRAWING:
        return _drawn(folder, n_bodies, marks)


def _segments(folder: Path) -> list[tuple[Path, Any]]:
    try:
        return [(path, path.stat()) for path in segment_paths(folder, "log")]
    except OSError:  # a segment went away meanwhile
        return []


@lru_cache(maxsize=64)
def _drawn(folder: Path, n_bodies: int, _marks: tuple[object, ...]) -> bytes:
    try:
        log = read_log(folder)
    except (SupercubeError, OSError, ValueError) as error:
        return _sentence(f"The log cannot be read: {error}")
    if not len(log["step"]):
        return _sentence("The log has no rows yet.")
    return _svg(_figure(log, n_bodies))


def _figure(log: dict[str, FloatArray], n_bodies: int) -> Any:
    figure = new_figure(7.6, 4.8)
    axes = figure.subplots(2, 2, sharex=True)
    figure.subplots_adjust(left=0.085, right=0.985, top=0.97, bottom=0.1, hspace=0.16, wspace=0.24)
    time = log["time"]
    _curve(axes[0, 0], time, log["pressure"], "#0072B2")
    axes[0, 0].set_ylabel("pressure  ($kT/e^3$)")
    _curve(axes[0, 1], time, log["potential_energy"] / n_bodies, "#009E73")
    axes[0, 1].set_ylabel("energy / particle  ($kT$)")
    _curve(axes[1, 0], time, log["temperature_translation"], "#D55E00", "translation")
    _curve(axes[1, 0], time, log["temperature_rotation"], "#CC79A7", "rotation")
    axes[1, 0].axhline(1.0, color="#777777", linewidth=0.8, linestyle="--")
    axes[1, 0].set_ylabel("temperature  ($T$)")
    axes[1, 0].legend(loc="lower right", bbox_to_anchor=(1.02, 1.0), frameon=False, ncols=2, fontsize=8, borderpad=0)
    _curve(axes[1, 1], time, log["packing_fraction"], "#222222")
    axes[1, 1].set_ylabel(r"packing fraction $\phi$")
    for ax in axes.flat:
        ax.grid(color="#DDDDDD", linewidth=0.6)
        ax.set_axisbelow(True)
    for ax in axes[1]:
        ax.set_xlabel("time $t$  ($e^2/D_0$)")
    figure.align_ylabels()
    return figure


def _curve(ax: Any, time: FloatArray, values: FloatArray, colour: str, label: str | None = None) -> None:
    # An engine that blew up logs infinities; they are left out, and the curve has a gap there.
    values = np.where(np.isfinite(values), values, np.nan)
    marker = "o" if len(time) < 8 else None
    look: dict[str, Any] = {"color": colour, "label": label, "marker": marker, "markersize": 3, "linewidth": 1.2}
    if len(time) <= MOST_POINTS:
        ax.plot(time, values, **look)
        return
    starts = np.linspace(0, len(time), MOST_POINTS, endpoint=False).astype(int)
    counts = np.diff([*starts, len(time)])
    middle = np.add.reduceat(time, starts) / counts
    lowest, highest = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
    ax.fill_between(middle, lowest, highest, color=colour, alpha=0.25, linewidth=0)
    ax.plot(middle, np.add.reduceat(values, starts) / counts, **look)


def _sentence(text: str) -> bytes:
    figure = new_figure(7.6, 1.2)
    figure.text(0.5, 0.5, text.replace("$", r"\$"), ha="center", va="center", color="#777777", wrap=True)
    return _svg(figure)


def _svg(figure: Any) -> bytes:
    buffer = BytesIO()
    # Without a date, equal logs make equal pictures.
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()

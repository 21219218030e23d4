"""Which points of a study exist, and how far they are: a heat map of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from . import palette
from ._figure import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colour of a cell whose jobs all have a result, and of the words for those that failed.
DONE, FAILED = palette.STYLES["SC"].colour, "#B03A00"
#: Up to this many columns and rows the cells hold numbers; beyond, they would not be legible.
MOST_WRITTEN = 24
#: Inches of a cell with numbers, of one without, and the most that all cells together take.
CELL, SMALL_CELL, MOST_INCHES = 0.78, 0.16, 10.0


def coverage_figure(
    x: Sequence[Any],
    y: Sequence[Any],
    states: Sequence[str],
    *,
    x_label: str = "",
    y_label: str = "",
) -> Figure:
    """How many jobs there are at each point, and which share of them has a result.

    The values of both axes stand side by side at equal distances, whatever lies between them. A cell says how many jobs
    have a result, of how many, and below that how many failed; a point without any job is left white.

    Args:
        x: (N,) numbers or texts of the horizontal axis, one a job.
        y: (N,) of the vertical axis.
        states: (N,) ``classified``, ``failed`` or anything else.
        x_label: name of the horizontal axis.
        y_label: name of the vertical axis.

    Raises:
        InputError: no jobs, or lengths that differ.
    """
    if not len(x) == len(y) == len(states) or len(x) == 0:
        raise InputError(
            f"the coverage has {len(x)} x, {len(y)} y and {len(states)} states; expected one of each a job, and a job."
        )
    columns, column = np.unique(np.asarray(x), return_inverse=True)
    rows, row = np.unique(np.asarray(y), return_inverse=True)
    shape = (len(rows), len(columns))
    total, classified, failed = (_count(row, column, shape, mask) for mask in _masks(states))
    written = max(shape) <= MOST_WRITTEN
    figure, ax = _empty(shape, written)
    image = _draw(ax, total, classified)
    if written:
        _write(ax, total, classified, failed)
    _set_axes(ax, columns, rows, written)
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    bar = figure.colorbar(image, ax=ax, fraction=0.05, pad=0.03, aspect=14, format=lambda share, _: f"{share:.0%}")
    bar.set_label("jobs with a result")
    ax.set_title(_sentence(total, classified, failed), fontsize=9, color="#444444", loc="left")
    return figure


def _masks(states: Sequence[str]) -> tuple[NDArray[np.bool_], ...]:
    names = np.asarray(states, dtype=str)
    return np.ones(len(names), dtype=bool), names == "classified", names == "failed"


def _count(
    row: NDArray[np.intp], column: NDArray[np.intp], shape: tuple[int, int], mask: NDArray[np.bool_]
) -> NDArray[np.int64]:
    cells = np.zeros(shape, dtype=np.int64)
    np.add.at(cells, (row.ravel()[mask], column.ravel()[mask]), 1)
    return cells


def _empty(shape: tuple[int, int], written: bool) -> tuple[Figure, Axes]:
    cell = CELL if written else SMALL_CELL
    height, width = (float(np.clip(cell * n, 1.4, MOST_INCHES)) for n in shape)
    figure = new_figure(max(width + 2.2, 5.0), height + 1.3, dpi=110)
    figure.set_layout_engine("constrained")
    return figure, figure.subplots()


def _draw(ax: Axes, total: NDArray[np.int64], classified: NDArray[np.int64]) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    # The palest shade still differs from the white of a point without jobs.
    shades = LinearSegmentedColormap.from_list("classified", [palette.tint(DONE, 0.93), palette.tint(DONE, 0.15)])
    share = np.ma.masked_where(total == 0, classified / np.maximum(total, 1))
    edges = [np.arange(n + 1) - 0.5 for n in total.shape[::-1]]
    return ax.pcolormesh(*edges, share, cmap=shades, vmin=0, vmax=1, edgecolors="white", linewidth=1.0)


def _write(ax: Axes, total: NDArray[np.int64], classified: NDArray[np.int64], failed: NDArray[np.int64]) -> None:
    for row, column in np.argwhere(total > 0).tolist():
        jobs, done, lost = (int(cells[row, column]) for cells in (total, classified, failed))
        dark = done / jobs > 0.6
        lift = 0.13 if lost else 0.0
        ax.text(
            column, row + lift, f"{done}/{jobs}", ha="center", va="center", color="white" if dark else "#222222"
        ).set_gid(f"cell:{row}:{column}")
        if lost:
            style: dict[str, Any] = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"}
            words: dict[str, Any] = {"fontsize": 7.5, "color": FAILED, "weight": "bold", "bbox": style}
            ax.text(column, row - 0.22, f"{lost} failed", ha="center", va="center", **words)


def _set_axes(ax: Axes, columns: NDArray[Any], rows: NDArray[Any], written: bool) -> None:
    for axis, values in ((ax.xaxis, columns), (ax.yaxis, rows)):
        every = 1 if written else -(-len(values) // 12)
        texts = [_tick(value) for value in values.tolist()]
        axis.set_ticks(np.arange(len(values))[::every], texts[::every])
    if max((len(_tick(value)) for value in columns.tolist()), default=0) > 8:
        ax.tick_params(axis="x", labelrotation=30)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _tick(value: Any) -> str:
    if isinstance(value, int | float):
        return f"{value:g}"
    text = str(value)
    if text.startswith("file:"):
        return f"file {text[5:9]}"
    return palette.style(text).name if text in palette.STYLES else text


def _sentence(total: NDArray[np.int64], classified: NDArray[np.int64], failed: NDArray[np.int64]) -> str:
    parts = [f"{classified.sum()} of {total.sum()} jobs have a result"]
    parts += [f"{failed.sum()} failed"] if failed.sum() else []
    return ", ".join(parts)

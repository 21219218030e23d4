"""A matplotlib figure without pyplot's global state, and writing one whole or not at all."""

from __future__ import annotations

import os
from io import BytesIO
from typing import TYPE_CHECKING

from ..files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float, dpi: int = 100) -> Figure:
    """An empty white figure that is drawn by Agg (no display), of ``width`` x ``height`` inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save_png(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as PNG through a temporary file, so that a killed process leaves no half picture."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi)
    write_whole(path, buffer.getvalue())

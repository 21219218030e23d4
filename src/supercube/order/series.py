"""Order over a run: one number per frame for ``order.npz``."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration
from .checks import check
from .cubatic import cubatic_order
from .recognise import recognise
from .references import LABELS


def order_series(frames: Iterable[Configuration]) -> dict[str, NDArray[np.generic]]:
    """Step, share of each label and cubatic order of every frame, each frame on its own.

    The last row may differ from ``classify(frames).fractions``, which is of the mean positions over several frames:
    those err less than a single frame, and particles that hop are disordered.

    Args:
        frames: any number of configurations, read one by one (a generator keeps memory small).

    Returns:
        Arrays of one length: ``step`` (int64), ``fraction_<label>`` for every label (float64, they sum to 1) and
        ``cubatic_order`` (float64, NaN in frames without cubes or of unknown orientations).

    Raises:
        InputError: as :func:`classify`.
    """
    steps: list[int] = []
    rows: list[list[float]] = []
    for frame in frames:
        check(frame)
        fractions = recognise([frame]).fractions()
        cubes = frame.orientations[frame.is_species("cube")]
        cubatic = cubatic_order(cubes, replicates=1) if frame.oriented else None
        steps.append(frame.step)
        rows.append([*(fractions[label] for label in LABELS), np.nan if cubatic is None else cubatic])
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(LABELS) + 1)
    series: dict[str, NDArray[np.generic]] = {"step": np.array(steps, dtype=np.int64)}
    names = [*(f"fraction_{label}" for label in LABELS), "cubatic_order"]
    series.update({name: table[:, column] for column, name in enumerate(names)})
    return series

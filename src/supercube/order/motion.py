"""Mean positions over frames and how far each particle strays from its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration, box_matrix, wrap
from ..errors import InputError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Motion:
    """Averages over frames.

    Attributes:
        mean: the last frame, with mean positions.
        squared: (N,) mean squared displacement from the mean position, sum/(frames - 1), in length^2.
        largest: (N,) largest distance from the mean position, in lengths.
        frames: how many there were.
    """

    mean: Configuration
    squared: FloatArray
    largest: FloatArray
    frames: int


def average(frames: Sequence[Configuration]) -> Motion:
    """Mean positions and fluctuations in the box of the last frame.

    Steps between frames are taken from unwrapped fractional coordinates, so that compression of the box is no
    motion; the common drift is taken off; what remains is reduced to the nearest image, so that files without
    image counts give the same answer as long as no particle moves half a box between frames.

    Args:
        frames: in order of time, the same particles in each.

    Raises:
        InputError: the frames do not hold the same particles.
    """
    last = frames[-1]
    kinds = [np.array(f.species)[f.typeid] for f in frames]
    for number, (frame, kind) in enumerate(zip(frames, kinds, strict=True)):
        if len(frame) != len(last) or not np.array_equal(kind, kinds[-1]):
            raise InputError(
                f"Frame {number} of {len(frames)} holds other particles ({len(frame)}) than the last frame "
                f"({len(last)}); expected frames of one run."
            )
    if len(frames) == 1:
        return Motion(mean=last, squared=np.zeros(len(last)), largest=np.zeros(len(last)), frames=1)
    fractional = np.array([f.unwrapped @ np.linalg.inv(box_matrix(f.box)).T for f in frames])
    steps = np.diff(fractional, axis=0)
    steps -= np.median(steps, axis=1, keepdims=True)
    steps -= np.floor(steps + 0.5)
    # The median of steps that miss image counts is off by a fraction of their scatter; the mean of what is left is not.
    steps -= steps.mean(axis=1, keepdims=True)
    # Positions relative to the last frame, which the labels are about.
    path = np.concatenate([-np.cumsum(steps[::-1], axis=0)[::-1], np.zeros((1, len(last), 3))])
    matrix = box_matrix(last.box)
    centre = path.mean(axis=0)
    stray = (path - centre) @ matrix.T
    squares = (stray**2).sum(axis=-1)
    positions, images = wrap((fractional[-1] + centre) @ matrix.T, last.box)
    return Motion(
        mean=last.with_(positions=positions, images=images),
        squared=squares.sum(axis=0) / (len(frames) - 1),
        largest=np.sqrt(squares.max(axis=0)),
        frames=len(frames),
    )

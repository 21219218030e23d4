"""Standard errors from spatial blocks: neighbours' deviations are correlated, those of distant parts hardly."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Blocks of each group: two along each box vector, the fewest that cut every direction, hence the largest.
BLOCKS = 8


def block_of(fractional: FloatArray, group: IntArray) -> IntArray:
    """(n,) block 0..7 of each particle within its group, of equal numbers: cut at the median of x, of y, of z in turn.

    Args:
        fractional: (n, 3) coordinates along the box vectors.
        group: (n,) numbers from 0.
    """
    key = group.astype(np.int64)
    for axis in range(3):
        order = np.lexsort((fractional[:, axis], key))
        sizes = np.bincount(key)
        rank = np.empty(len(key), dtype=np.int64)
        rank[order] = np.arange(len(key)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        key = 2 * key + (2 * rank >= sizes[key]).astype(np.int64)
    return np.asarray(key % BLOCKS)


def summed(values: FloatArray, key: IntArray, count: int) -> FloatArray:
    """(count, ...) sums of the rows of each key."""
    flat = values.reshape(len(values), math.prod(values.shape[1:]))
    sums = [np.bincount(key, column, minlength=count) for column in flat.T]
    return np.asarray(np.stack(sums, axis=-1), dtype=np.float64).reshape(count, *values.shape[1:])


def jackknife(blocks: FloatArray, estimate: Callable[[FloatArray], FloatArray]) -> FloatArray | None:
    """Standard error of what is estimated from sums over blocks, by leaving out one block at a time.

    Formula: sqrt((B - 1)/B sum_b (e_b - mean e)^2) with the estimate e_b without block b.

    Args:
        blocks: (B, ...) sums; empty blocks are zero.
        estimate: (m, ...) sums -> (m, ...) estimates; NaN where there is none.

    Returns:
        None with fewer than two blocks that hold anything, or where leaving one out leaves no estimate.
    """
    held = blocks[np.abs(blocks).reshape(len(blocks), -1).sum(axis=1) > 0]
    if len(held) < 2:
        return None
    without = estimate(held.sum(axis=0) - held)
    if not np.isfinite(without).all():
        return None
    scatter = ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    return np.asarray(np.sqrt((len(held) - 1) / len(held) * scatter))


def ratio(blocks: FloatArray) -> tuple[float | None, float | None]:
    """Sum of the first column over that of the second, of (B, 2) block sums, with its standard error."""
    total = blocks.sum(axis=0)
    if not total[1] > 0:
        return None, None
    error = jackknife(blocks, _quotient)
    return float(total[0] / total[1]), None if error is None else float(error)


def _quotient(sums: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])

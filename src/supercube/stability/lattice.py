"""The translations of a perfect crystal in its periodic box, and the wave vectors that belong to them.

Found from the configuration alone, so that no one has to say which structure it is or how its cells are counted; the
cell is then the primitive one, and the blocks of the covariance are as small as they can be.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration, box_matrix
from ..errors import InputError
from ..order.symmetry import disorientation, matrices

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.intp]

#: Fractions of a box edge and degrees within which two places, or two orientations, are one: a GSD file keeps seven
#: digits, and bodies of a crystal are at least a few hundredths of a box edge apart.
_SAME_PLACE, _SAME_TURN = 1e-4, 0.1


@dataclass(frozen=True)
class Lattice:
    """A crystal as B orbits of T bodies each, which translations of the crystal carry into each other.

    Attributes:
        orbits: (B, T) rows of the bodies; column t is the body of column 0 moved by translation t.
        is_cube: (B,) whether the orbit has orientations.
        wave_vectors: (K, 3) integers n: the wave vector is n_1 b_1 + n_2 b_2 + n_3 b_3 with the reciprocal vectors of
            the box. One of each pair +-k; (0, 0, 0) comes first.
        phases: (K, T) complex exp(-i k.t), in the order of the columns of ``orbits``.
        is_real: (K,) whether k and -k are the same, so that the amplitudes are real.
    """

    orbits: IndexArray
    is_cube: NDArray[np.bool_]
    wave_vectors: NDArray[np.int64]
    phases: NDArray[np.complex128]
    is_real: NDArray[np.bool_]

    @property
    def n_translations(self) -> int:
        """Number of primitive cells in the box."""
        return int(self.orbits.shape[1])


def lattice_of(crystal: Configuration) -> Lattice:
    """The lattice of a perfect crystal, such as a crystal start.

    Args:
        crystal: perfect but for rounding; cubes count up to the 24 rotations of a cube.

    Raises:
        InputError: the translations found make no group, so this is no perfect crystal.
    """
    fractional = _fractional(crystal)
    images, shifts = _translations(crystal, fractional)
    rows, left = [], np.ones(len(crystal), dtype=bool)
    while left.any():
        orbit = images[:, np.argmax(left)]
        rows.append(orbit)
        left[orbit] = False
    orbits = np.array(rows)
    if not np.array_equal(np.sort(orbits, axis=None), np.arange(len(crystal))):
        raise InputError(
            f"the initial configuration of {len(crystal)} bodies is no perfect crystal (its {len(shifts)} translations "
            "make no group); expected the crystal start of the run."
        )
    waves, phases, is_real = _wave_vectors(shifts)
    return Lattice(orbits, crystal.is_species("cube")[orbits[:, 0]], waves, phases, is_real)


def _fractional(crystal: Configuration) -> FloatArray:
    fractional = crystal.positions @ np.linalg.inv(box_matrix(crystal.box)).T
    return np.asarray(fractional % 1.0 % 1.0)  # the second for -1e-17, which becomes 1.0


def _translations(crystal: Configuration, fractional: FloatArray) -> tuple[IndexArray, FloatArray]:
    """(T, N) rows of the images of all bodies and (T, 3) fractional shifts, for every translation of the crystal."""
    from scipy.spatial import cKDTree

    tree = cKDTree(fractional, boxsize=1.0)
    frames = matrices(crystal.orientations)
    is_cube = crystal.is_species("cube")
    rarest = np.argmin(np.bincount(crystal.typeid, minlength=len(crystal.species))[crystal.typeid])
    images, shifts = [], []
    for other in np.flatnonzero(crystal.typeid == crystal.typeid[rarest]):
        shift = fractional[other] - fractional[rarest]
        distance, image = tree.query((fractional + shift) % 1.0 % 1.0)
        if distance.max() > _SAME_PLACE or (crystal.typeid[image] != crystal.typeid).any():
            continue
        turned = disorientation(frames[is_cube], frames[image[is_cube]])
        if turned.max(initial=0.0) < _SAME_TURN:
            images.append(image)
            shifts.append(shift % 1.0)
    return np.array(images), np.array(shifts)


def _wave_vectors(shifts: FloatArray) -> tuple[NDArray[np.int64], NDArray[np.complex128], NDArray[np.bool_]]:
    """Every function exp(-i k.t) of the translations that differs from the others, one of each +-k."""
    digits = 4
    values = [np.unique(np.round(column % 1.0, digits) % 1.0) for column in shifts.T]
    triples = np.array(list(itertools.product(*(range(len(axis)) for axis in values))))
    # Shifts are multiples of one part in len(axis), so rounding to them takes the noise of the file away.
    counts = np.array([len(axis) for axis in values])
    exact = np.round(shifts * counts) / counts
    turns = triples @ exact.T

    def key(cycles: FloatArray) -> NDArray[np.float64]:
        return np.asarray(np.round(cycles % 1.0, 6) % 1.0)

    _, first = np.unique(key(turns), axis=0, return_index=True)
    first = np.sort(first)
    if len(first) != len(shifts):
        raise InputError(
            f"{len(shifts)} translations have {len(first)} wave vectors; expected as many, of a perfect crystal."
        )
    forward, back = key(turns[first]), key(-turns[first])
    numbers = {row.tobytes(): number for number, row in enumerate(forward)}
    partner = np.array([numbers[row.tobytes()] for row in back])
    kept = np.arange(len(first)) <= partner
    is_real = partner == np.arange(len(first))
    return triples[first][kept], np.exp(-2j * np.pi * turns[first][kept]), is_real[kept]

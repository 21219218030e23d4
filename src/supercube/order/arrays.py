"""The classifier for arrays: boxes, positions and orientations of any program, without a file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..configuration import GSD_SPECIES, Configuration, FloatArray, IntArray, box_matrix, wrap
from ..errors import InputError
from .classify import Order, classify
from .cubatic import REPLICATES

#: Elements of a box matrix below the diagonal may be this large, relative to its largest: single precision.
UPPER = 1e-6
#: Positions may lie this many boxes outside: images are counted in 32 bits.
FARTHEST = 2**31 - 1
#: What bodies without a known orientation get.
IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])


def classify_arrays(
    box: ArrayLike,
    positions: ArrayLike,
    orientations: ArrayLike | None = None,
    species: str | Sequence[str] | NDArray[np.str_] = "cube",
    *,
    replicates: int = REPLICATES,
) -> Order:
    """Crystal structure of every particle and of the whole, from arrays.

    Args:
        box: periodic box about the origin, in the unit of the positions: (3,) Lx, Ly, Lz; (6,) Lx, Ly, Lz, xy, xz, yz
            as in HOOMD-blue; or (3, 3) with the lattice vectors as columns, upper triangular, as
            ``freud.box.Box.to_matrix`` gives it.
        positions: (N, 3), or (F, N, 3) of several frames in order of time, which are averaged. They may lie outside
            the box. A particle may not move half a box between frames, unless the positions are unwrapped.
        orientations: (N, 4), or (F, N, 4), quaternions, scalar first, which turn body axes into space axes; None if
            they are unknown. Those of spheres mean nothing.
        species: ``cube`` or ``sphere`` of each of the N particles, or one word for all.
        replicates: annealing runs for the cubatic order.

    Returns:
        As :func:`classify`; without orientations of cubes, positions alone decide, what depends on orientations is
        None, and the notes say so.

    Raises:
        InputError: an array of another shape, or one of the reasons of :func:`classify`.
    """
    sides = _box(box)
    places = _frames("positions", positions, 3)
    is_cube = _is_cube(species, places.shape[1])
    turns = None
    if orientations is not None:
        turns = _frames("orientations", orientations, 4)
        if turns.shape[:2] != places.shape[:2]:
            raise InputError(
                f"orientations has the shape {np.shape(orientations)} beside positions of the shape "
                f"{np.shape(positions)}; expected one quaternion (w, x, y, z) for each position."
            )
    known = turns is not None or not is_cube.any()
    frames = [
        Configuration(
            box=sides,
            positions=wrapped,
            orientations=np.where(is_cube[:, None], IDENTITY if turns is None else turns[k], IDENTITY),
            species=GSD_SPECIES,
            typeid=np.where(is_cube, 0, 1),
            images=images,
            oriented=known,
        )
        for k, (wrapped, images) in enumerate(_wrapped(place, sides) for place in places)
    ]
    return classify(frames, replicates)


def _wrapped(positions: FloatArray, sides: FloatArray) -> tuple[FloatArray, IntArray]:
    """Positions in the box and their images; NaNs and infinities stay, for the classifier to refuse."""
    finite = np.isfinite(positions)
    inside = np.where(finite, positions, 0.0)
    far = np.flatnonzero((np.abs(inside @ np.linalg.inv(box_matrix(sides)).T) > FARTHEST).any(axis=1))
    if len(far):
        raise InputError(
            f"positions: {len(far)} particles (first: {far[0]}) lie more than {FARTHEST:.1g} boxes outside; expected "
            "positions and a box in the same unit."
        )
    wrapped, images = wrap(inside, sides)
    return np.where(finite, wrapped, positions), images


def _numbers(name: str, values: ArrayLike) -> FloatArray:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not an array of numbers; expected numbers, in rows of one length.") from error


def _frames(name: str, values: ArrayLike, width: int) -> FloatArray:
    """(F, N, width) array; one frame may come without its axis."""
    array = _numbers(name, values)
    if array.ndim not in (2, 3) or array.shape[-1] != width:
        raise InputError(f"{name} has the shape {array.shape}; expected (N, {width}), or (F, N, {width}) for F frames.")
    return array if array.ndim == 3 else array[None]


def _box(box: ArrayLike) -> FloatArray:
    """(6,) Lx, Ly, Lz, xy, xz, yz."""
    array = _numbers("box", box)
    if array.shape not in {(3,), (6,), (3, 3)}:
        raise InputError(
            f"box has the shape {array.shape}; expected (3,) Lx Ly Lz, (6,) with the tilts xy xz yz, or (3, 3) with "
            "the lattice vectors as columns."
        )
    if array.shape == (3, 3):
        array = _of_matrix(array)
    sides = np.zeros(6)
    sides[: len(array)] = array
    if not np.all(np.isfinite(sides)) or np.any(sides[:3] <= 0):
        raise InputError(
            f"box is {array.tolist()}; expected three positive lengths and finite tilts, a three-dimensional box."
        )
    return sides


def _of_matrix(matrix: FloatArray) -> FloatArray:
    """(6,) box of lattice vectors in columns."""
    if not np.all(np.isfinite(matrix)):
        raise InputError(f"box is {matrix.tolist()}; expected finite lattice vectors as columns.")
    below = np.abs(np.tril(matrix, -1)).max()
    if below > UPPER * np.abs(matrix).max():
        transposed = np.abs(np.triu(matrix, 1)).max() <= UPPER * np.abs(matrix).max()
        raise InputError(
            f"box is the matrix {matrix.tolist()}, which is not upper triangular; expected lattice vectors as columns "
            "with the first along x and the second in the xy plane - "
            + ("give its transpose." if transposed else "turn positions, orientations and box together.")
        )
    lengths = np.diag(matrix)
    if np.any(lengths <= 0):
        raise InputError(
            f"box is a matrix with the diagonal {lengths.tolist()}; expected positive lengths: a right-handed box in "
            "three dimensions, its vectors along +x, +y and +z."
        )
    (_, xy, xz), (_, _, yz), _ = matrix
    return np.array([*lengths, xy / lengths[1], xz / lengths[2], yz / lengths[2]])


def _is_cube(species: str | Sequence[str] | NDArray[np.str_], n: int) -> NDArray[np.bool_]:
    names = np.array([species] * n if isinstance(species, str) else species)
    if names.shape != (n,):
        raise InputError(
            f"species has the shape {names.shape} for {n} positions; expected one word for each, or one for all."
        )
    foreign = sorted({str(name) for name in np.unique(names)} - set(GSD_SPECIES))
    if foreign:
        raise InputError(f"species holds {', '.join(foreign[:5])}; expected cube and/or sphere.")
    return np.asarray(names == "cube")

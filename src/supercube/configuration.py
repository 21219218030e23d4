"""Configuration: box, positions, orientations and species of all bodies - the one currency between rooms.

Bodies only: a cube is one row here, however many beads an engine builds it from. The GSD reader and writer live here
because the file is nothing but a Configuration on disk.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import FileFormatError, InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]

#: The species a GSD file may hold; ``Configuration`` itself names species freely.
GSD_SPECIES = ("cube", "sphere")
#: Name of the orientations in a GSD file.
_ORIENTATIONS = "particles/orientation"
#: Coordinates are single precision in GSD, so a wrapped particle may lie this fraction of a box length outside.
BOX_TOLERANCE = 1e-5
#: What of a box may change, and how many numbers that are: one strain, three lengths, lengths and tilts.
BOX_FREEDOMS = {"isotropic": 1, "lengths": 3, "all": 6}


def box_matrix(box: ArrayLike) -> FloatArray:
    """Lattice vectors of a box as the columns of a (3, 3) matrix.

    Formula (HOOMD-blue convention): a = (Lx, 0, 0), b = (xy Ly, Ly, 0), c = (xz Lz, yz Lz, Lz).

    Args:
        box: (6,) Lx, Ly, Lz in lengths and the dimensionless tilts xy, xz, yz.
    """
    lx, ly, lz, xy, xz, yz = np.asarray(box, dtype=np.float64)
    return np.array([[lx, xy * ly, xz * lz], [0.0, ly, yz * lz], [0.0, 0.0, lz]])


def wrap(positions: FloatArray, box: ArrayLike) -> tuple[FloatArray, IntArray]:
    """Positions inside the box centred on the origin, and the image counts that were taken off.

    Args:
        positions: (N, 3) in lengths.
        box: (6,) as in :func:`box_matrix`.

    Returns:
        (N, 3) wrapped positions and (N, 3) int32 images with ``positions = wrapped + images @ matrix.T``.
    """
    matrix = box_matrix(box)
    fractional = positions @ np.linalg.inv(matrix).T
    images = np.floor(fractional + 0.5)
    return positions - images @ matrix.T, images.astype(np.int32)


@dataclass(frozen=True)
class Configuration:
    """State of all bodies at one instant; arrays are not to be changed in place.

    Attributes:
        box: (6,) float64: Lx, Ly, Lz, xy, xz, yz; periodic in all directions.
        positions: (N, 3) float64, wrapped into the box, in cube edges.
        orientations: (N, 4) float64 unit quaternions, scalar first; they turn body axes into space axes.
        species: names of the species, in the order that ``typeid`` counts them.
        typeid: (N,) int32 index into ``species``.
        images: (N, 3) int32: how often each body crossed the box, so that it can be unwrapped; zeros if left out.
        shapes: one GSD type-shape dictionary a species ({} where unknown); it is what OVITO and our renderer draw.
        step: absolute time step.
        oriented: False if nothing is known about how the cubes are turned; ``orientations`` then hold a default.
    """

    box: FloatArray
    positions: FloatArray
    orientations: FloatArray
    species: tuple[str, ...]
    typeid: IntArray
    images: IntArray = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int32))
    shapes: tuple[dict[str, Any], ...] = ()
    step: int = 0
    oriented: bool = True

    def __post_init__(self) -> None:
        """Convert to the documented dtypes and check the shapes."""
        positions = np.array(self.positions, dtype=np.float64).reshape(-1, 3)
        n = len(positions)
        images = self.images if np.size(self.images) else np.zeros((n, 3))
        arrays: dict[str, NDArray[Any]] = {
            "box": np.array(self.box, dtype=np.float64),
            "positions": positions,
            "orientations": np.array(self.orientations, dtype=np.float64).reshape(-1, 4),
            "typeid": np.array(self.typeid, dtype=np.int32),
            "images": np.array(images, dtype=np.int32).reshape(-1, 3),
        }
        for name, array in arrays.items():
            if len(array) != (6 if name == "box" else n):
                raise InputError(f"Configuration: {name} has {len(array)} rows for {n} positions.")
            object.__setattr__(self, name, array)
        if not self.shapes:
            object.__setattr__(self, "shapes", tuple({} for _ in self.species))

    def __len__(self) -> int:
        """Number of bodies."""
        return len(self.positions)

    @property
    def volume(self) -> float:
        """Volume of the box, Lx Ly Lz."""
        return float(np.prod(self.box[:3]))

    @property
    def unwrapped(self) -> FloatArray:
        """(N, 3) positions with the box crossings added back."""
        return self.positions + self.images @ box_matrix(self.box).T

    def is_species(self, name: str) -> NDArray[np.bool_]:
        """(N,) mask of the bodies of one species; all False if the species is not there."""
        if name not in self.species:
            return np.zeros(len(self), dtype=bool)
        return np.asarray(self.typeid == self.species.index(name))

    def count(self, name: str) -> int:
        """Number of bodies of one species."""
        return int(self.is_species(name).sum())

    def minimum_image(self, vectors: FloatArray) -> FloatArray:
        """Vectors (..., 3) reduced to the box cell around the origin (the nearest image in boxes of small tilt)."""
        return wrap(vectors.reshape(-1, 3), self.box)[0].reshape(vectors.shape)

    def with_(self, **changes: Any) -> Configuration:
        """A copy with some attributes replaced."""
        return replace(self, **changes)


def in_mean_box(frames: Sequence[Configuration]) -> list[Configuration]:
    """Frames of one run moved into the mean of their boxes, centres scaled with the box and bodies as they are."""
    box = np.mean([frame.box for frame in frames], axis=0)
    if all(np.array_equal(frame.box, box) for frame in frames):
        return list(frames)
    matrix = box_matrix(box)
    return [
        frame.with_(box=box, positions=frame.positions @ np.linalg.inv(box_matrix(frame.box)).T @ matrix.T)
        for frame in frames
    ]


def cube_shape(rounding: float, edge: float = 1.0) -> dict[str, Any]:
    """GSD type shape of a cube of total edge ``edge`` whose edges are rounded with radius ``rounding``."""
    h = edge / 2 - rounding
    vertices = [[x, y, z] for x in (-h, h) for y in (-h, h) for z in (-h, h)]
    return {"type": "ConvexPolyhedron", "rounding_radius": rounding, "vertices": vertices}


def sphere_shape(diameter: float) -> dict[str, Any]:
    """GSD type shape of a sphere."""
    return {"type": "Sphere", "diameter": diameter}


def to_frame(configuration: Configuration) -> Any:
    """The ``gsd.hoomd.Frame`` of a configuration (bodies only, orientations, images, type shapes)."""
    import gsd.hoomd

    frame = gsd.hoomd.Frame()
    frame.configuration.step = configuration.step
    frame.configuration.box = configuration.box.astype(np.float32)
    frame.particles.N = len(configuration)
    frame.particles.position = _inside_float32(configuration)
    frame.particles.orientation = configuration.orientations.astype(np.float32)
    frame.particles.types = list(configuration.species)
    frame.particles.typeid = configuration.typeid.astype(np.uint32)
    frame.particles.image = configuration.images
    frame.particles.type_shapes = [dict(shape) for shape in configuration.shapes]
    return frame


def _inside_float32(configuration: Configuration) -> NDArray[np.float32]:
    # Rounding to single precision may push a body at the face to just outside; pull it back so that every
    # reader, HOOMD-blue included, finds it inside.
    matrix = box_matrix(configuration.box)
    fractional = configuration.positions @ np.linalg.inv(matrix).T
    limit = 0.5 * (1.0 - 2.0**-22)
    return np.asarray(np.clip(fractional, -limit, limit) @ matrix.T, dtype=np.float32)


def write_gsd(path: str | os.PathLike[str], configuration: Configuration) -> None:
    """Write one configuration as a GSD file, whole or not at all (temporary file, fsync, rename)."""
    import gsd.hoomd

    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    frame = to_frame(configuration)
    with gsd.hoomd.open(temporary, mode="w") as trajectory:
        # gsd leaves out what equals its default, and an aligned crystal would be read as one of unknown orientations.
        if configuration.oriented and np.array_equiv(frame.particles.orientation, [1.0, 0.0, 0.0, 0.0]):
            trajectory.file.write_chunk(_ORIENTATIONS, frame.particles.orientation)
        trajectory.append(frame)
    with open(temporary, "rb") as handle:
        os.fsync(handle.fileno())
    temporary.replace(path)


def read_gsd(path: str | os.PathLike[str], frame: int = -1) -> Configuration:
    """Read and check one frame of a GSD file.

    Args:
        path: the file.
        frame: index of the frame, negative ones counted from the end.

    Returns:
        The configuration; it is not ``oriented`` if it holds cubes and no frame of the file has orientations (a writer
        that leaves out what equals the default makes such a file of cubes that all lie along the box).

    Raises:
        FileFormatError: the file is missing, empty, truncated, or holds what this package cannot use; the message
            says what was found, what was expected, and where.
    """
    with open_trajectory(path) as trajectory:
        n_frames = _count(trajectory, path)
        if not -n_frames <= frame < n_frames:
            raise FileFormatError(f"{path} has {n_frames} frames; frame {frame} does not exist.")
        return _read(trajectory, path, frame % n_frames)


def read_frames(path: str | os.PathLike[str], part: slice) -> list[Configuration]:
    """Read and check some frames of a GSD file, and no others.

    Args:
        path: the file.
        part: which frames, as of a Python list: ends beyond the file are cut, negative ones counted from its end.

    Returns:
        At least one configuration, each as :func:`read_gsd` gives it.

    Raises:
        FileFormatError: as :func:`read_gsd`.
        InputError: the step is 0, or no frame is in this part of the file.
    """
    shown = ":".join("" if end is None else str(end) for end in (part.start, part.stop, part.step))
    if part.step == 0:
        raise InputError(f"The frames {shown} have a step of 0; expected another whole number, such as 1.")
    with open_trajectory(path) as trajectory:
        n_frames = _count(trajectory, path)
        chosen = range(n_frames)[part]
        if not chosen:
            raise InputError(f"{path} has {n_frames} frames, of which {shown} takes none; expected some of them.")
        return [_read(trajectory, path, index) for index in chosen]


def _count(trajectory: Any, path: str | os.PathLike[str]) -> int:
    n_frames = len(trajectory)
    if n_frames == 0:
        raise FileFormatError(f"{path} holds no frame; expected a GSD file with at least one.")
    return n_frames


def _read(trajectory: Any, path: str | os.PathLike[str], index: int) -> Configuration:
    try:
        raw = trajectory[index]
        oriented = _ORIENTATIONS in trajectory.file.find_matching_chunk_names(_ORIENTATIONS)
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        raise FileFormatError(f"{path}: frame {index} cannot be read ({error}); is the file truncated?") from error
    found = from_frame(raw, f"{path} frame {index}")
    return found if oriented else found.with_(oriented=found.count("cube") == 0)


def open_trajectory(path: str | os.PathLike[str]) -> Any:
    """Open a GSD file for reading, as a ``gsd.hoomd.HOOMDTrajectory``.

    Raises:
        FileFormatError: the file is missing, empty, truncated, or no GSD file.
    """
    import gsd.hoomd

    path = Path(path)
    if path.is_dir():
        raise FileFormatError(f"{path} is a folder; expected a GSD file.")
    if not path.is_file():
        raise FileFormatError(f"{path} does not exist; expected a GSD file.")
    if path.stat().st_size == 0:
        raise FileFormatError(f"{path} is empty (0 bytes); expected a GSD file.")
    try:
        return gsd.hoomd.open(path, mode="r")
    except (RuntimeError, OSError, ValueError) as error:
        raise FileFormatError(f"{path} is not a whole GSD file ({error}); it may be truncated.") from error


def from_frame(frame: Any, where: str) -> Configuration:
    """Check a ``gsd.hoomd.Frame`` and turn it into a configuration in double precision.

    Raises:
        FileFormatError: no particles, a flat box, other particle types, NaNs, cubes with zero quaternions, or particles
            outside the box by more than ``BOX_TOLERANCE`` of its lengths (nearer ones are wrapped).
    """
    particles, box = frame.particles, np.array(frame.configuration.box, dtype=np.float64)
    if not particles.N:
        raise FileFormatError(f"{where} holds no particles; expected cubes and/or spheres.")
    if frame.configuration.dimensions == 2:
        raise FileFormatError(f"{where} is two-dimensional; expected a three-dimensional periodic box.")
    if not np.all(np.isfinite(box)) or np.any(box[:3] <= 0):
        raise FileFormatError(f"{where} has the box {box.tolist()}; expected a three-dimensional periodic box.")
    typeid = np.array(particles.typeid, dtype=np.int32)
    types = list(particles.types)
    bad = np.flatnonzero(typeid >= len(types))
    if len(bad):
        raise FileFormatError(f"{where}: {_first(bad)} have a type number beyond the {len(types)} listed types.")
    foreign = sorted({types[i] for i in np.unique(typeid)} - set(GSD_SPECIES))
    if foreign:
        raise FileFormatError(f"{where} holds particles of type {', '.join(foreign)}; expected cube and/or sphere.")
    positions = _checked_positions(np.array(particles.position, dtype=np.float64), box, where)
    is_sphere = np.array([name == "sphere" for name in types])[typeid]
    orientations = _checked_orientations(np.array(particles.orientation, dtype=np.float64), is_sphere, where)
    wrapped, shift = wrap(positions, box)
    kept = [name for name in GSD_SPECIES if name in types]
    shapes = particles.type_shapes or []
    return Configuration(
        box=box,
        positions=wrapped,
        orientations=orientations,
        species=tuple(kept),
        typeid=np.array([kept.index(types[i]) if types[i] in kept else -1 for i in range(len(types))])[typeid],
        images=np.array(particles.image, dtype=np.int32) + shift,
        shapes=tuple(dict(shapes[types.index(n)]) if types.index(n) < len(shapes) else {} for n in kept),
        step=int(frame.configuration.step or 0),
    )


def _checked_positions(positions: FloatArray, box: FloatArray, where: str) -> FloatArray:
    bad = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if len(bad):
        raise FileFormatError(f"{where}: {_first(bad)} have NaN or infinite positions; expected finite numbers.")
    fractional = positions @ np.linalg.inv(box_matrix(box)).T
    bad = np.flatnonzero((np.abs(fractional) > 0.5 + BOX_TOLERANCE).any(axis=1))
    if len(bad):
        worst = float(np.abs(fractional).max() - 0.5)
        raise FileFormatError(
            f"{where}: {_first(bad)} lie outside the box by up to {worst:.2g} of its length; "
            f"expected at most {BOX_TOLERANCE:g} (wrap the positions first)."
        )
    return positions


def _checked_orientations(orientations: FloatArray, is_sphere: NDArray[np.bool_], where: str) -> FloatArray:
    norms = np.linalg.norm(orientations, axis=1)
    bad = ~np.isfinite(norms) | (norms < 1e-3)
    if (bad & ~is_sphere).any():
        raise FileFormatError(
            f"{where}: {_first(np.flatnonzero(bad & ~is_sphere))} have no valid orientation; expected unit quaternions "
            "(w, x, y, z)."
        )
    # Some programs write zeros for spheres, which have no orientation; any will do.
    return np.where(bad[:, None], [1.0, 0.0, 0.0, 0.0], orientations / np.where(bad, 1.0, norms)[:, None])


def _first(indices: NDArray[np.intp], most: int = 5) -> str:
    shown = ", ".join(str(i) for i in indices[:most])
    return f"{len(indices)} particle(s) ({shown}{', ...' if len(indices) > most else ''})"

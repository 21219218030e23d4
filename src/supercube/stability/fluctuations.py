"""What the bodies of a crystal do around their mean places: displacements and small rotations, frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration, box_matrix
from ..errors import InputError
from ..order.symmetry import CUBE_GROUP, matrices, nearest_rotation

FloatArray = NDArray[np.float64]

#: Share of the distance to the nearest body of its species beyond which a body has left its site: the half-way plane.
HOP = 0.5
#: The same for the mean place: half-way to the half-way plane. Mean places of crystals err by a few hundredths. A body
#: that rests beyond it is noted, and so is one whose mean place moves by as much from one half of the run to the other.
BETWEEN = 0.25
#: Largest rms displacement of any body over that distance. Crystals of hard bodies melt at about 0.13 to 0.17.
LOOSE = 0.25
#: Largest rms rotation of any cube, degrees: a cube that turns freely about one axis has 45/sqrt(3) = 26.
TURNING = 20.0
#: A body is split between two places if, along its widest direction, fewer than this share of frames lie within half a
#: standard deviation of the mean (a Gaussian has 0.38, a uniform one 0.29); some are by chance, so more than the second
#: share of all bodies have to be.
EMPTY, SPLIT = 0.05, 0.02


@dataclass(frozen=True)
class Fluctuations:
    """Deviations from the mean over F frames.

    Attributes:
        displacements: (F, N, 3) in cube edges along the axes of space, without the mean of all bodies, in the order of
            the crystal's sites.
        rotations: (F, N, 3) rotation vectors in radians along the axes of space; zero for spheres.
        centres: (N, 3) mean places less the places in the perfect crystal, in cube edges, without their mean.
        distances: (N,) to the nearest body of the same species in the perfect crystal with the mean box.
        volume: of the mean box.
    """

    displacements: FloatArray
    rotations: FloatArray
    centres: FloatArray
    distances: FloatArray
    volume: float

    def refusal(self) -> str:
        """Why a Gaussian about the mean places says nothing here; empty if it does."""
        squares = (self.displacements**2).sum(axis=2)
        far = np.sqrt(squares.max(axis=0)) > HOP * self.distances
        if far.any():
            return f"{far.sum()} of {len(far)} bodies leave their places for a neighbouring one"
        ratio = float((np.sqrt(squares.mean(axis=0)) / self.distances).max())
        if ratio > LOOSE:
            return f"the rms displacement of a body is {ratio:.2f} neighbour distances; expected up to {LOOSE:g}"
        split = _split(self.displacements)
        if split > SPLIT:
            return f"{100 * split:.0f} % of the bodies move between two places and are hardly ever at their mean"
        angle = float(np.degrees(np.sqrt((self.rotations**2).sum(axis=2).mean(axis=0).max())))
        if angle > TURNING:
            return f"the rms rotation of a cube is {angle:.0f} degrees; expected up to {TURNING:g}"
        return ""

    def note(self) -> str:
        """What makes a Gaussian doubtful but not meaningless; empty if nothing does.

        Rows of a crystal may rest a fraction of a cell along. Their covariance then differs from row to row, but its
        blocks of one wave vector still bound the entropy from above: det C <= product of the determinants of its
        diagonal blocks (Fischer), in any basis.
        """
        notes = []
        away = np.linalg.norm(self.centres, axis=1) > BETWEEN * self.distances
        if away.any():
            notes.append(
                f"{away.sum()} of {len(away)} bodies rest away from the sites of the perfect crystal; the entropy is "
                "an upper bound for this arrangement, and other ones are not counted"
            )
        moved = self._drift() > BETWEEN * self.distances
        if moved.any():
            notes.append(
                f"{moved.sum()} of {len(moved)} bodies move slowly during the hold; a longer one raises the entropy"
            )
        turning = (self.rotations**2).sum(axis=(0, 2)) > 0
        share = _split(self.rotations[:, turning])
        if share > SPLIT:
            notes.append(
                f"{100 * share:.0f} % of the cubes turn between two orientations; the Gaussian covers what lies "
                "between, so the entropy is too large"
            )
        return "; ".join(notes)

    def _drift(self) -> FloatArray:
        """(N,) distance between the mean places in both halves of the frames."""
        first, second = np.array_split(self.displacements, 2)
        return np.asarray(np.linalg.norm(second.mean(axis=0) - first.mean(axis=0), axis=1))


def fluctuations(frames: Sequence[Configuration], crystal: Configuration) -> Fluctuations:
    """Deviations of all bodies from their means.

    Displacements are differences of fractional coordinates times the mean box, so that the box's own changes do not
    enter. Bodies are followed through the periodic boundaries by the nearest image from frame to frame, after the
    common drift is taken off, so no body may move half a box between two frames.

    Args:
        frames: at least two of one run at equilibrium, in order of time.
        crystal: the perfect crystal it began as, with the same bodies in the same order.

    Raises:
        InputError: fewer than two frames, or other bodies than in the crystal.
    """
    if len(frames) < 2:
        raise InputError(f"{len(frames)} frame tells nothing about fluctuations; expected at least two.")
    kinds = [np.array(frame.species)[frame.typeid] for frame in (crystal, *frames)]
    if any(not np.array_equal(kind, kinds[0]) for kind in kinds):
        raise InputError("the frames hold other bodies than the initial configuration; expected frames of its run.")
    boxes = np.array([box_matrix(frame.box) for frame in frames])
    matrix = boxes.mean(axis=0)
    fractional = np.array([f.unwrapped @ np.linalg.inv(box).T for f, box in zip(frames, boxes, strict=True)])
    ideal = crystal.positions @ np.linalg.inv(box_matrix(crystal.box)).T
    steps = np.diff(fractional, axis=0)
    # As in order.motion: median first, because a missing image count would spoil the mean.
    steps -= np.median(steps, axis=1, keepdims=True)
    steps -= np.floor(steps + 0.5)
    steps -= steps.mean(axis=1, keepdims=True)
    path = np.concatenate([np.zeros((1, *ideal.shape)), np.cumsum(steps, axis=0)])
    centre = path.mean(axis=0)
    bodies, offset = _on_sites(fractional[0] + centre, ideal, crystal.typeid)
    return Fluctuations(
        displacements=((path - centre) @ matrix.T)[:, bodies],
        rotations=_rotations(frames, crystal.is_species("cube"))[:, bodies],
        centres=(offset - offset.mean(axis=0)) @ matrix.T,
        distances=_distances(ideal, crystal.typeid, matrix),
        volume=float(np.linalg.det(matrix)),
    )


def _on_sites(places: FloatArray, ideal: FloatArray, typeid: NDArray[np.int32]) -> tuple[NDArray[np.intp], FloatArray]:
    """The body on each site of the crystal, and how far its mean place is from it, in fractions of the box.

    Bodies of one species are alike, so a row that slid on by whole cells before the frames began left a crystal. Where
    the nearest sites are not one for each body, every body keeps the site it began on.
    """
    from scipy.spatial import cKDTree

    own = np.arange(len(ideal))
    offset = places - ideal
    offset -= offset[0]
    offset -= np.floor(offset + 0.5)
    # Most bodies are where they began; they tell where the crystal as a whole is.
    offset -= np.median(offset, axis=0)
    site = cKDTree(ideal % 1.0 % 1.0, boxsize=1.0).query((ideal + offset) % 1.0 % 1.0)[1]
    if len(np.unique(site)) < len(site) or (typeid[site] != typeid).any():
        return own, offset
    bodies = np.argsort(site)
    apart = ideal[bodies] + offset[bodies] - ideal
    return bodies, apart - np.floor(apart + 0.5)


def _split(vectors: FloatArray) -> float:
    """Share of the bodies that avoid their mean, from (F, N, 3) deviations; 0 without bodies."""
    if not vectors.shape[1]:
        return 0.0
    covariance = np.einsum("fni,fnj->nij", vectors, vectors) / len(vectors)
    values, axes = np.linalg.eigh(covariance)
    along = np.einsum("fni,ni->fn", vectors, axes[:, :, -1])
    near = (np.abs(along) < 0.5 * np.sqrt(values[:, -1])).mean(axis=0)
    return float((near < EMPTY).mean())


def _rotations(frames: Sequence[Configuration], is_cube: NDArray[np.bool_]) -> FloatArray:
    """(F, N, 3) rotation vectors from each cube's mean orientation, modulo the 24 rotations of a cube."""
    from scipy.spatial.transform import Rotation

    found = np.zeros((len(frames), len(is_cube), 3))
    if not is_cube.any():
        return found
    turned = matrices(np.array([frame.orientations[is_cube] for frame in frames]))
    mean = turned[0]
    for _ in range(2):  # the first mean may be taken about a frame that is far out
        relative = np.swapaxes(mean, 1, 2) @ turned
        nearest = np.einsum("fnjk,gkj->fng", relative, CUBE_GROUP).argmax(axis=2)
        turned = turned @ CUBE_GROUP[nearest]
        mean = nearest_rotation(turned.mean(axis=0))
    # Turned in space after the mean orientation, so that equivalent cubes share axes whichever way they are labelled.
    apart = turned @ np.swapaxes(mean, 1, 2)
    found[:, is_cube] = Rotation.from_matrix(apart.reshape(-1, 3, 3)).as_rotvec().reshape(len(frames), -1, 3)
    return found


def _distances(ideal: FloatArray, typeid: NDArray[np.int32], matrix: FloatArray) -> FloatArray:
    """(N,) to the nearest body of the same species, images included; the shortest box edge if there is none."""
    found = np.full(len(ideal), np.linalg.norm(matrix, axis=0).min())
    for kind in np.unique(typeid):
        rows = np.flatnonzero(typeid == kind)
        for row in rows:
            apart = ideal[rows[rows != row]] - ideal[row]
            lengths = np.linalg.norm((apart - np.floor(apart + 0.5)) @ matrix.T, axis=1)
            found[row] = min(found[row], lengths.min(initial=np.inf))
    return found

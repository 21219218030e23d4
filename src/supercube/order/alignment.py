"""How the cubes of a crystal are turned: spread within sublattices, relation to the lattice, angles on O sites.

A *sublattice* is what translations make of a site: cubes of one grain, on equivalent sites that no rotation has to map
onto each other. Equivalent sites that differ by a rotation of the crystal (the two B of AlB2, the three O of ABO3, the
six of an octahedron) may hold cubes whose orientations that rotation does not relate: a cube on its corner is not
itself after a turn of 60 degrees about c. So each has a mean orientation of its own, found from its cubes, none of
which is taken to lie along the crystal axes. Cubes of two senses (turned by +x and by -x) within one sublattice count
as spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..configuration import box_matrix
from .agreement import rows_of
from .blocks import BLOCKS, block_of, ratio, summed
from .grains import Grains, sublattices
from .recognise import Recognition
from .references import Template, templates
from .regions import Regions
from .symmetry import disorientation, mean_frames, twist

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: FWHM of a normal distribution over its standard deviation.
FWHM = 2 * math.sqrt(2 * math.log(2))
#: Spread per axis (degrees) above which cubes are as good as random: half of the mean square of random ones, whose
#: rms angle to any cube is 42.3 degrees, 24.4 per axis.
NO_DIRECTION = 24.4 / math.sqrt(2)
#: Shares of O site angles are reported in bins of this many degrees.
BINS = np.arange(0.0, 50.0, 5.0)


@dataclass(frozen=True)
class Spread:
    """Orientation of some cubes: FWHM per axis in degrees with its standard error, and coherence; None if unknown."""

    fwhm_deg: float | None = None
    fwhm_sem: float | None = None
    coherence: float | None = None


@dataclass(frozen=True)
class SiteAngle:
    """Angle of O cubes about their B-O axis, folded to 0..45 degrees; all None without any."""

    mean_deg: float | None = None
    sem: float | None = None
    spread_deg: float | None = None
    histogram: list[float] | None = None


@dataclass(frozen=True)
class Alignment:
    """Sums over the cubes of a crystal.

    Attributes:
        kind: (n,) template of each cube.
        squares: (n,) squared angle from the sublattice's mean, degrees^2.
        freedom: (n,) components that it is the sum of, less the share of those that the mean has used up.
        order: (n,) cubatic order of the cubes of its sublattice relative to their own neighbours' axes.
        block: (n,) spatial block for standard errors.
        angles: (m,) O site angles, degrees.
        angle_block: (m,) their spatial blocks.
    """

    kind: IntArray
    squares: FloatArray
    freedom: FloatArray
    order: FloatArray
    block: IntArray
    angles: FloatArray
    angle_block: IntArray

    def spread(self, kind: int | None = None) -> Spread:
        """Of all cubes, or of those of one template.

        Formulas: FWHM = 2 sqrt(2 ln 2) sqrt(sum of squared angles / sum of degrees of freedom), hence the full width
        of a normal distribution of the angle about any one axis. That is what the arc of one reflection in electron
        diffraction shows along its ring, if a normal distribution is fitted to it: 9.6 +- 1.4 degrees (physics.md,
        check 8). Each cube's smallest angle has three components, less those of the mean; on sites with a spin axis
        (O of ABO3) the tilt of that axis away from the crystal's has two. The mean is that of the grain, so that
        bending of the crystal counts. None above NO_DIRECTION. The error is a jackknife over 8 blocks.

        Coherence is the cubatic order P of the cubes' axes seen from their own particle's crystal axes, for each
        sublattice, averaged over cubes: 1 if all cubes of a sublattice are turned alike to the lattice about them, and
        ~1.5/sqrt(n) for n random cubes per sublattice. A bent crystal, whose cubes turn with its lattice, is coherent;
        cubes aligned with each other across grains are not. Spread of s per axis (radians) leaves 1 - (1 - exp(-10
        s^2))^2; aligned axes with a random spin about them leave 0.58.
        """
        rows = np.arange(len(self.kind)) if kind is None else np.flatnonzero(self.kind == kind)
        if not len(rows):
            return Spread()
        coherence = float(self.order[rows].mean())
        sums = summed(np.stack([self.squares[rows], self.freedom[rows]], axis=1), self.block[rows], BLOCKS)
        square, error = ratio(sums)
        if square is None or square > NO_DIRECTION**2:
            return Spread(coherence=coherence)
        width = float(np.sqrt(square))
        # d sqrt(x) = dx / (2 sqrt(x)).
        sem = None if error is None else FWHM * error / (2 * width) if width > 0 else 0.0
        return Spread(FWHM * width, sem, coherence)

    def site_angle(self) -> SiteAngle:
        """Mean, its jackknife error, standard deviation and shares in bins of 5 degrees of the O cubes' angles.

        Folding to 0..45 biases both ends: with a spread s, angles of 45 have a mean of 45 - 0.8 s and a standard
        deviation of 0.6 s, and the same at 0; more than 2 s from either end nothing is biased.
        """
        if not len(self.angles):
            return SiteAngle()
        sums = np.stack([self.angles, np.ones(len(self.angles))], axis=1)
        mean, error = ratio(summed(sums, self.angle_block, BLOCKS))
        shares = np.histogram(self.angles, BINS)[0] / len(self.angles)
        return SiteAngle(mean, error, float(self.angles.std()), [float(share) for share in shares])


def alignment_of(recognition: Recognition, grains: Grains, frames: FloatArray, member: BoolArray) -> Alignment:
    """Of the cubes of some particles, in the grains of their crystal; empty if their axes are unknown.

    Args:
        recognition: of the configuration.
        grains: their grains.
        frames: (G, 3, 3) crystal axes of the grains.
        member: (N,) the particles, all of one structure.
    """
    chosen = member & recognition.is_cube & (grains.number >= 0)
    cubes = recognition.cubes
    if cubes is None or not chosen.any():
        none, zero = np.zeros(0), np.zeros(0, dtype=np.int64)
        return Alignment(zero, none, none, none, zero, none, zero)
    sites = rows_of(recognition.regions, chosen)
    parts = [_site(recognition.regions, grains, frames, cubes, site, rows) for site, rows in sites]
    rows, kind, key, grain, own, tilt, angle = (np.concatenate(part) for part in zip(*parts, strict=True))
    _, which = np.unique(key, return_inverse=True)
    count = int(which.max()) + 1
    mean, _ = mean_frames(grain, which, count)
    _, order = mean_frames(own, which, count)
    sizes = np.bincount(which)[which]
    spun = np.isfinite(tilt)
    last = recognition.motion.mean
    fractional = last.positions[rows] @ np.linalg.inv(box_matrix(last.box)).T
    block = block_of(fractional - np.round(fractional), np.zeros(len(rows), dtype=np.int64))
    return Alignment(
        kind=kind,
        squares=np.where(spun, tilt, disorientation(grain, mean[which])) ** 2,
        freedom=np.where(spun, 2.0, 3.0 * (sizes - 1) / sizes),
        order=order[which],
        block=block,
        angles=angle[spun],
        angle_block=block[spun],
    )


def _site(
    found: Regions, grains: Grains, frames: FloatArray, cubes: FloatArray, site: Template, rows: IntArray
) -> Sequence[NDArray[np.generic]]:
    """Of cubes on one kind of site: rows, templates, sublattices, axes seen from the grain and from it; tilt, angle."""
    turn = grains.turn[rows]
    g = site.group[turn]
    crystal = frames[grains.number[rows]]
    sublattice = sublattices(site.kind)[turn]
    key = (grains.number[rows] * len(templates()) + site.kind) * len(site.group) + sublattice
    grain = np.swapaxes(crystal, 1, 2) @ cubes[rows]
    own = g @ (np.swapaxes(found.pose.frame[rows], 1, 2) @ cubes[rows])
    tilt = angle = np.full(len(rows), np.nan)
    if site.spin_axis is not None:
        axes = crystal @ g
        cosine = np.abs(np.swapaxes(axes, 1, 2)[:, site.spin_axis, None, :] @ cubes[rows]).max(axis=(1, 2))
        tilt = np.degrees(np.arccos(np.minimum(cosine, 1.0)))
        angle = twist(cubes[rows], axes, np.full(len(rows), site.spin_axis))
    return rows, np.full(len(rows), site.kind), key, grain, own, tilt, angle

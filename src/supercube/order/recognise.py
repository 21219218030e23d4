"""Which crystal each particle belongs to: growth of regions, and the gates that a particle passes to stay in one.

Each particle's neighbourhood is fitted with the sites of the reference crystals (:mod:`.references`, :mod:`.matching`),
from seeds outwards (:mod:`.regions`). A particle then passes four gates, per site:

1. *shape*: every coordination shell is filled as far as the template needs, few strangers are between the places, the
   particle itself sits on its site, and (SC only) the cube lies along the fitted crystal axes;
2. *rest*: over the frames it stays near its own mean position;
3. *stiffness*: the rms displacement of the cubes, and of the spheres, from their fitted places, averaged over the
   neighbourhood, is below a Lindemann ratio: momentary positions of a molten sublattice fail here;
4. *agreement*: enough of the neighbours it found (``limits``: half, in crystals of spheres more) are candidates for the
   sites that the template puts there, with the same crystal axes, or are in the same stacking (:mod:`.close_packed`).

Fewer than ``agreement.LEAST`` particles that agree with each other are no crystal.

Only ratios of lengths enter, so scaling all coordinates changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from ..configuration import Configuration
from .agreement import LEAST, agreeing, connected, rows_of
from .close_packed import stacked
from .limits import LIMITS, Limits
from .matching import PARAMETERS
from .motion import Motion, average
from .neighbours import Surroundings, neighbours_by_species
from .references import CUBE, LABELS, LOOSE, SPHERE, templates
from .regions import Regions, grown
from .symmetry import matrices

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: A particle whose rms distance from its mean position is above this, in nearest-neighbour distances, left its place:
#: the softest crystal's limit. Candidates for ABO3 and NaCl must stay below their own limits (:mod:`.references`).
LINDEMANN = LOOSE
#: A particle that is ever this far from its mean position, in nearest-neighbour distances, hopped. One that spends the
#: share f of the frames at the next place, one distance d away, reaches max(f, 1 - f) d and has an rms of
#: sqrt(f (1 - f)) d: above 0.46 d, hence over LINDEMANN, whenever it stays below 0.7 d. Vibrations reach 0.26
#: (ABO3), and in SC at the limit of LINDEMANN 0.7 is 4.5 standard deviations.
HOP = 0.7
#: Probability that a particle vibrating at the Lindemann limit is taken for mobile because of few frames.
MOBILE_FALSE_ALARM = 0.01


@dataclass(frozen=True)
class Recognition:
    """Which particle belongs to what, and what was found on the way.

    Attributes:
        motion: over the frames; ``motion.mean`` is the configuration that was fitted.
        is_cube: (N,).
        cubes: (N, 3, 3) axes of the cubes as columns (those of the spheres mean nothing), None if unknown.
        near: neighbours of each species (cubes, spheres).
        mobile: (N,) particles that left their places over the frames.
        regions: template, pose and neighbours of every particle that belongs to a crystal.
        agree: (N, T) neighbours on the sites of their places, with the same crystal axes.
        component: (N,) number of the connected crystallite of each particle that belongs to a crystal.
    """

    motion: Motion
    is_cube: BoolArray
    cubes: FloatArray | None
    near: Surroundings
    mobile: BoolArray
    regions: Regions
    agree: BoolArray
    component: IntArray

    @property
    def unit(self) -> float:
        """Length that the neighbours' vectors and the regions' scales are in units of."""
        return self.near.unit

    @cached_property
    def labels(self) -> NDArray[np.str_]:
        """(N,) label of each particle."""
        return np.array([t.label for t in templates()] + [LABELS[-1]])[self.regions.kind]

    def fractions(self) -> dict[str, float]:
        """Share of all particles under each label."""
        counts = np.bincount(self.regions.kind + 1, minlength=len(templates()) + 1).tolist()
        result = dict.fromkeys(LABELS, 0)
        for label, count in zip((LABELS[-1], *(t.label for t in templates())), counts, strict=True):
            result[label] += count
        return {label: count / len(self.regions.kind) for label, count in result.items()}


def recognise(frames: Sequence[Configuration], limits: Limits = LIMITS) -> Recognition:
    """Crystal of every particle of checked frames.

    Args:
        frames: of one run in order of time; where the last is not ``oriented``, no crystal asks for orientations.
        limits: between crystal and disorder.
    """
    motion = average(frames)
    last = motion.mean
    is_cube = last.is_species("cube")
    cubes = None
    if last.oriented:
        cubes = matrices(last.orientations / np.linalg.norm(last.orientations, axis=1, keepdims=True))
    near = neighbours_by_species(last.positions, last.box, is_cube)
    mobile = _mobile(motion, near)
    regions = grown(near, is_cube, ~mobile, cubes, partial(_kept, motion, mobile, near.unit, limits), limits)
    agree = agreeing(regions)
    component = connected(regions, agree)
    size = np.bincount(component[regions.kind >= 0], minlength=component.max() + 1)
    small = np.flatnonzero((regions.kind >= 0) & (size[component] < LEAST))
    regions.drop(small)
    agree[small] = False
    return Recognition(motion, is_cube, cubes, near, mobile, regions, agree, component)


def _mobile(motion: Motion, near: Surroundings) -> BoolArray:
    """(N,) particles that strayed: rms above LINDEMANN or largest distance above HOP, in neighbour distances.

    The neighbour distance is that of the two nearest particles around the mean position, on average.
    """
    if motion.frames == 1:
        return np.zeros(len(motion.squared), dtype=bool)
    distance = near.unit * np.sqrt(near.nearest(2)[1]).mean(axis=1)
    strayed = motion.squared > LINDEMANN**2 * _allowance(motion.frames) * distance**2
    return np.asarray(strayed | (motion.largest > HOP * distance), dtype=bool)


def _allowance(frames: int) -> float:
    """Factor on a mean square of few frames that all but MOBILE_FALSE_ALARM of the particles at the limit pass.

    Formula: chi2 quantile over its degrees of freedom, 3 (frames - 1).
    """
    freedom = 3 * (frames - 1)
    # The chi-square quantile without scipy.stats, whose import alone takes 40 MB.
    return 2.0 * float(gammaincinv(freedom / 2.0, 1.0 - MOBILE_FALSE_ALARM)) / freedom


def _kept(motion: Motion, mobile: BoolArray, unit: float, limits: Limits, found: Regions) -> BoolArray:
    """(N,) particles that pass the gates of rest, stiffness and agreement."""
    kind = found.kind
    if motion.frames > 1:
        limit = np.array([t.lindemann * t.nearest for t in templates()])[kind] * found.pose.scale * unit
        limit *= limits.stiffness
        kind = np.where(motion.squared < _allowance(motion.frames) * limit**2, kind, -1)
    kind = np.where(_stiff(replace(found, kind=kind), motion, mobile, unit, limits.stiffness), kind, -1)
    found = replace(found, kind=kind)
    support = (agreeing(found) | stacked(found)).sum(axis=1)
    pure = np.array([t.species == SPHERE and (t.neighbour_species == SPHERE).all() for t in templates()])
    least = np.where(pure[kind], limits.spheres, limits.agreement) * (found.neighbour >= 0).sum(axis=1)
    return np.asarray((kind >= 0) & (support >= np.maximum(least, 1)))


def _stiff(found: Regions, motion: Motion, mobile: BoolArray, unit: float, factor: float) -> BoolArray:
    """(N,) whether the rms displacement around each particle is below ``factor lindemann``, for each species.

    Formula: sum over the particle and its neighbours on their places of their fits' squared residuals, corrected for
    the fitted parameters by 3 M/(3 M - 7) with M particles, plus the squared fluctuations over the frames; divided by
    the number of residuals. One fit scatters by ~15 %, the neighbourhood by ~5 %.
    """
    n = len(mobile)
    sums, counts = _squares(found, motion, mobile, unit)
    result = np.zeros(n, dtype=bool)
    for site, rows in rows_of(found):
        neighbour = found.neighbour[rows, : len(site.vectors)]
        used = (neighbour >= 0) & (found.kind[neighbour] == site.neighbour_kind)
        near = np.where(used, neighbour, n)
        total = sums[rows] + sums[near].sum(axis=1)
        number = counts[rows] + counts[near].sum(axis=1)
        result[rows] = (total <= (factor * site.lindemann) ** 2 * number).all(axis=1)
    return result


def _squares(found: Regions, motion: Motion, mobile: BoolArray, unit: float) -> tuple[FloatArray, FloatArray]:
    """(N + 1, 2) sums of squares of each particle's fit over its places with cubes and with spheres, and how many.

    The last row is nobody's.
    """
    n = len(mobile)
    sums, counts = np.zeros((n + 1, 2)), np.zeros((n + 1, 2))
    for site, rows in rows_of(found):
        neighbour = found.neighbour[rows, : len(site.vectors)]
        filled = neighbour >= 0
        m = filled.sum(axis=1) + 1
        # Mobile particles are out already; a single hopper must not weigh on all who stay.
        calm = filled & ~mobile[neighbour]
        correction = 3 * m / np.maximum(3 * m - PARAMETERS, 1)
        length = (site.nearest * unit * found.pose.scale[rows]) ** 2
        moved = motion.squared[neighbour] / length[:, None] if motion.frames > 1 else 0.0
        squares = np.where(calm, found.squared[rows, : len(site.vectors)] * correction[:, None] + moved, 0.0)
        for species in (CUBE, SPHERE):
            columns = site.neighbour_species == species
            sums[rows, species] = squares[:, columns].sum(axis=1)
            counts[rows, species] = calm[:, columns].sum(axis=1)
        sums[rows, site.species] += found.own[rows] * correction + motion.squared[rows] / length
        counts[rows, site.species] += 1
    return sums, counts

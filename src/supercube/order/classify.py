"""Which crystal each particle belongs to: SC, NaCl, ABO3 or disordered.

Each particle's neighbourhood is fitted with every site of every reference crystal (:mod:`.references`,
:mod:`.matching`). A particle then passes four gates, per site:

1. *shape*: every coordination shell is filled as far as the template needs, the particle itself sits on its site, and
   (SC only) the cube lies along the fitted crystal axes;
2. *rest*: over the frames it stays near its own mean position;
3. *stiffness*: the rms displacement of the cubes, and of the spheres, from their fitted places, averaged over the
   neighbourhood, is below a Lindemann ratio: momentary positions of a molten sublattice fail here;
4. *agreement*: at least half of the neighbours it found are candidates for the sites that the template puts there,
   with the same crystal axes.

Only ratios of lengths enter, so scaling all coordinates changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from ..configuration import Configuration
from ..errors import InputError
from ..statepoint import LEAST_BODIES
from .cubatic import REPLICATES, cubatic_order
from .matching import PARAMETERS, Match, match
from .motion import Motion, average
from .neighbours import Neighbours, neighbours_by_species
from .references import CUBE, LABELS, LOOSE, SPHERE, Template, templates
from .symmetry import disorientation, matrices, mean_frame, twist

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
#: Largest angle of an SC cube to the fitted crystal axes, in degrees. Hard cubes at volume fraction 0.55 vibrate by 7
#: degrees about each axis (FWHM 17; experiment: 9.6), so this is 3.6 sigma; of cubes at random 12 % pass.
SC_TILT = 26.0
#: Largest angle between the crystal axes of neighbours, in degrees: fits to 14-26 particles at the Lindemann limit
#: scatter by 2-4 degrees; larger angles are grain boundaries.
GRAIN = 12.0
#: Least share of the neighbours found that must agree; below one half, the other side has the majority.
AGREEMENT = 0.5
#: Least share of all particles that makes a label the structure of the whole.
MAJORITY = 0.5
#: Fewer particles than this are no crystal.
MINIMUM = LEAST_BODIES
#: Spread per axis (degrees) above which cube axes are as good as random, where it would be 24.
NO_DIRECTION = 17.0


@dataclass(frozen=True, eq=False)
class Order:
    """What :func:`classify` found.

    Attributes:
        labels: (N,) str, one of ``LABELS`` for each particle.
        structure: the label that at least half of ALL particles carry, else ``disordered``.
        structure_fraction: share of all particles under that label.
        fractions: label -> share of all particles; all labels are there and the sum is 1.
        n_cubes: number of cubes.
        n_spheres: number of spheres.
        cubatic_order: of all cubes (:func:`cubatic_order`), None without cubes.
        lattice_constant: conventional cubic a of ``structure``, mean over its particles of the scale fitted to their
            neighbours, in the unit of the positions; None if disordered.
        orientation_fwhm_deg: 2 sqrt(2 ln 2) times the rms angle, per axis of rotation, of the structure's cubes to
            the mean crystal axes (O cubes of ABO3: the tilt of their B-O axis only); None if disordered or if the
            cubes point anywhere.
        o_site_angle_deg: mean angle by which O cubes of ABO3 are turned about their B-O axis, folded to 0..45, None
            for other structures. Folding biases it: a mean of 45 is seen as 45 - 0.8 times the rms spread.
        mobile_fraction: share of particles that left their places over the frames; None for a single frame.
    """

    labels: NDArray[np.str_]
    structure: str
    structure_fraction: float
    fractions: dict[str, float]
    n_cubes: int
    n_spheres: int
    cubatic_order: float | None
    lattice_constant: float | None
    orientation_fwhm_deg: float | None
    o_site_angle_deg: float | None
    mobile_fraction: float | None

    def document(self) -> dict[str, Any]:
        """Everything but ``labels``, as plain Python types for JSON."""
        return {name: value for name, value in vars(self).items() if name != "labels"}


@dataclass(frozen=True)
class _Assignment:
    """Template numbers (-1: none) with the local lattice constant and crystal axes of each particle."""

    kind: IntArray
    scale: FloatArray
    frame: FloatArray


def classify(frames: Configuration | Sequence[Configuration], replicates: int = REPLICATES) -> Order:
    """Crystal structure of every particle and of the whole, from positions and orientations alone.

    With several frames the mean positions are classified, the orientations are those of the last frame, and particles
    that stray too far from their mean positions, or hop, are disordered. Ten or more frames that span at least a few
    vibrations tell a vibrating from a mobile particle.

    Args:
        frames: one configuration, or several of one run in order of time.
        replicates: annealing runs for the cubatic order.

    Raises:
        InputError: no frame, fewer than 7 particles, NaNs, all particles on one point, a species other than
            ``cube`` and ``sphere``, or frames that hold different particles.
    """
    sequence = [frames] if isinstance(frames, Configuration) else list(frames)
    if not sequence:
        raise InputError("No frame to classify; expected at least one configuration.")
    for frame in sequence:
        _check(frame)
    motion = average(sequence)
    last = motion.mean
    is_cube = last.is_species("cube")
    quaternions = last.orientations / np.linalg.norm(last.orientations, axis=1, keepdims=True)
    cubes = matrices(quaternions)
    neighbours = neighbours_by_species(last.positions, last.box, is_cube)
    mobile = _mobile(motion, neighbours)
    assignment = _assign(motion, neighbours, is_cube, cubes, mobile)
    names = np.array([t.label for t in templates()] + ["disordered"])
    labels = names[assignment.kind]  # kind -1 is the last name
    fractions = {label: float(np.mean(labels == label)) for label in LABELS}
    structure = max(LABELS[:-1], key=lambda label: fractions[label])
    if fractions[structure] < MAJORITY:
        structure = "disordered"
    member = (labels == structure) & (structure != "disordered")
    return Order(
        labels=labels,
        structure=structure,
        structure_fraction=fractions[structure],
        fractions=fractions,
        n_cubes=int(is_cube.sum()),
        n_spheres=int((~is_cube).sum()),
        cubatic_order=cubatic_order(quaternions[is_cube], replicates),
        lattice_constant=float(assignment.scale[member].mean()) if member.any() else None,
        orientation_fwhm_deg=_fwhm(assignment, member, is_cube, cubes),
        o_site_angle_deg=_o_site_angle(assignment, member, cubes),
        mobile_fraction=float(mobile.mean()) if motion.frames > 1 else None,
    )


def _check(frame: Configuration) -> None:
    n = len(frame)
    foreign = sorted({frame.species[t] for t in np.unique(frame.typeid)} - {"cube", "sphere"})
    if foreign:
        raise InputError(f"The configuration holds {', '.join(foreign)}; expected cube and/or sphere.")
    if n < MINIMUM:
        raise InputError(f"The configuration holds {n} particles; expected at least {MINIMUM}, one neighbour shell.")
    if not np.all(np.isfinite(frame.box)) or np.any(frame.box[:3] <= 0):
        raise InputError(f"The configuration has the box {frame.box.tolist()}; expected positive lengths.")
    bad = np.flatnonzero(~np.isfinite(frame.positions).all(axis=1))
    if len(bad):
        raise InputError(f"{len(bad)} particles (first: {bad[0]}) have NaN or infinite positions; expected numbers.")
    norms = np.linalg.norm(frame.orientations, axis=1)
    bad = np.flatnonzero(~np.isfinite(norms) | (norms < 1e-3))
    if len(bad):
        raise InputError(
            f"{len(bad)} particles (first: {bad[0]}) have NaN or zero orientations; expected quaternions (w, x, y, z)."
        )
    spread = np.abs(frame.minimum_image(frame.positions - frame.positions[0])).max()
    if spread < 1e-9 * frame.box[:3].max():
        raise InputError(f"All {n} particles lie on one point; expected {n} different positions.")


def _mobile(motion: Motion, neighbours: Sequence[Neighbours]) -> BoolArray:
    """(N,) particles that strayed: rms above LINDEMANN or largest distance above HOP, in neighbour distances.

    The neighbour distance is that of the two nearest particles around the mean position, on average.
    """
    if motion.frames == 1:
        return np.zeros(len(motion.squared), dtype=bool)
    distances = np.concatenate([np.linalg.norm(near.vectors[:, :2], axis=-1) for near in neighbours], axis=1)
    distance = np.sort(distances, axis=1)[:, :2].mean(axis=1)
    strayed = motion.squared > LINDEMANN**2 * _allowance(motion.frames) * distance**2
    return np.asarray(strayed | (motion.largest > HOP * distance), dtype=bool)


def _allowance(frames: int) -> float:
    """Factor on a mean square of few frames that all but MOBILE_FALSE_ALARM of the particles at the limit pass.

    Formula: chi2 quantile over its degrees of freedom, 3 (frames - 1).
    """
    freedom = 3 * (frames - 1)
    # The chi-square quantile without scipy.stats, whose import alone takes 40 MB.
    return 2.0 * float(gammaincinv(freedom / 2.0, 1.0 - MOBILE_FALSE_ALARM)) / freedom


def _assign(
    motion: Motion, neighbours: Sequence[Neighbours], is_cube: BoolArray, cubes: FloatArray, mobile: BoolArray
) -> _Assignment:
    """The template each particle belongs to, by the four gates of this module; the best fit if several pass."""
    sites = templates()
    matches = []
    candidate = np.zeros((len(sites), len(is_cube)), dtype=bool)
    for k, site in enumerate(sites):
        matches.append(match(site, neighbours, (is_cube == (site.species == CUBE)) & ~mobile))
        candidate[k] = matches[k].fits
        if motion.frames > 1:
            limit = site.lindemann * site.nearest * matches[k].scale
            candidate[k] &= motion.squared < _allowance(motion.frames) * limit**2
        if site.aligned:
            candidate[k] &= disorientation(matches[k].frame, cubes) < SC_TILT
        if site.empty:
            others = np.linalg.norm(neighbours[SPHERE if site.species == CUBE else CUBE].vectors, axis=-1)
            candidate[k] &= (others < site.empty * matches[k].scale[:, None]).sum(axis=1) < 4
    candidate &= _stiff(sites, matches, candidate, motion, mobile)
    candidate &= _agreement(sites, matches, candidate) >= AGREEMENT
    quality = np.where(candidate, [m.quality for m in matches], -1.0)
    kind = np.where(candidate.any(axis=0), quality.argmax(axis=0), -1)
    rows = np.arange(len(is_cube))
    return _Assignment(
        kind=kind,
        scale=np.array([m.scale for m in matches])[kind, rows],
        frame=np.array([m.frame for m in matches])[kind, rows],
    )


def _stiff(
    sites: Sequence[Template], matches: Sequence[Match], candidate: BoolArray, motion: Motion, mobile: BoolArray
) -> BoolArray:
    """(sites, N) whether the rms displacement around each candidate is below ``lindemann``, for each species.

    Formula: sum over the particle and its candidate neighbours of their fits' squared residuals, corrected for the
    fitted parameters by 3 M/(3 M - 7) with M particles, plus the squared fluctuations over the frames; divided by the
    number of residuals. One fit scatters by ~15 %, the neighbourhood by ~5 %.
    """
    # Per site, species and particle: sum of squares and how many.
    sums = np.zeros((len(sites), 2, len(mobile)))
    counts = np.zeros_like(sums)
    for k, (site, found) in enumerate(zip(sites, matches, strict=True)):
        filled = found.neighbour >= 0
        m = filled.sum(axis=1) + 1
        # Mobile particles are out already; a single hopper must not weigh on all who stay.
        calm = filled & ~mobile[found.neighbour]
        correction = 3 * m / np.maximum(3 * m - PARAMETERS, 1)
        unit = np.where(found.scale > 0, site.nearest * found.scale, 1.0) ** 2
        moved = np.where(filled, motion.squared[found.neighbour], 0.0) / unit[:, None]
        squares = np.where(calm, found.squared * correction[:, None] + moved, 0.0)
        for species in (CUBE, SPHERE):
            columns = site.neighbour_species == species
            sums[k, species] = squares[:, columns].sum(axis=1)
            counts[k, species] = calm[:, columns].sum(axis=1)
        sums[k, site.species] += found.own * correction + motion.squared / unit
        counts[k, site.species] += 1
    result = np.zeros_like(candidate)
    for k, (site, found) in enumerate(zip(sites, matches, strict=True)):
        used = (found.neighbour >= 0) & candidate[site.neighbour_kind[None, :], found.neighbour]
        near = np.where(used, found.neighbour, 0)
        total = sums[k] + np.where(used, sums[site.neighbour_kind, :, near].transpose(2, 0, 1), 0.0).sum(axis=-1)
        number = counts[k] + np.where(used, counts[site.neighbour_kind, :, near].transpose(2, 0, 1), 0.0).sum(axis=-1)
        result[k] = (total <= site.lindemann**2 * number).all(axis=0)
    return result


def _agreement(sites: Sequence[Template], matches: Sequence[Match], candidate: BoolArray) -> FloatArray:
    """(sites, N) share of the neighbours found that are candidates for their places, with the same crystal axes."""
    share = np.zeros(candidate.shape)
    frames = np.array([m.frame for m in matches])
    for k, (site, found) in enumerate(zip(sites, matches, strict=True)):
        rows = np.flatnonzero(candidate[k])
        if not len(rows):
            continue
        filled = found.neighbour[rows] >= 0
        near = np.where(filled, found.neighbour[rows], 0)
        kinds = np.broadcast_to(site.neighbour_kind, near.shape)
        agree = filled & candidate[kinds, near]
        # Angles only where they are needed: they are the dearest part.
        i, t = np.nonzero(agree)
        angle = disorientation(frames[k, rows[i]], frames[kinds[i, t], near[i, t]])
        agree[i, t] = angle < GRAIN
        share[k, rows] = agree.sum(axis=1) / filled.sum(axis=1)
    return share


def _fwhm(assignment: _Assignment, member: BoolArray, is_cube: BoolArray, cubes: FloatArray) -> float | None:
    """2 sqrt(2 ln 2) times the rms rotation of the cubes per axis about the mean crystal axes, in degrees."""
    if not (member & is_cube).any():
        return None
    axes = mean_frame(assignment.frame[member])
    squares, components = 0.0, 0
    for site in templates():
        rows = np.flatnonzero(member & (assignment.kind == site.kind) & is_cube)
        if not len(rows):
            continue
        if site.spin_axis is None:
            squares += float((disorientation(cubes[rows], axes) ** 2).sum())
            components += 3 * len(rows)
        else:
            # Which of the mean axes is this particle's own spin axis; then the cube axis nearest to it.
            own = assignment.frame[rows][:, :, site.spin_axis]
            axis = axes.T[np.abs(own @ axes).argmax(axis=1)]
            cosine = np.abs(np.einsum("nia,ni->na", cubes[rows], axis)).max(axis=1)
            squares += float((np.degrees(np.arccos(np.clip(cosine, 0.0, 1.0))) ** 2).sum())
            components += 2 * len(rows)
    spread = np.sqrt(squares / components)
    return float(2 * np.sqrt(2 * np.log(2)) * spread) if spread < NO_DIRECTION else None


def _o_site_angle(assignment: _Assignment, member: BoolArray, cubes: FloatArray) -> float | None:
    angles = []
    for site in templates():
        rows = np.flatnonzero(member & (assignment.kind == site.kind))
        if site.spin_axis is not None and len(rows):
            axis = np.full(len(rows), site.spin_axis)
            angles.append(twist(cubes[rows], assignment.frame[rows], axis))
    return float(np.concatenate(angles).mean()) if angles else None

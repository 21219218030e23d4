"""The answer about a configuration: which crystal it is, how much of it, and how good.

:mod:`.recognise` labels the particles; here the labels become one answer for the whole, and numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration
from ..errors import InputError
from ..statepoint import LEAST_BODIES
from .cubatic import REPLICATES, cubatic_order
from .recognise import recognise
from .references import LABELS, templates
from .regions import Regions
from .symmetry import disorientation, mean_frame, twist

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

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


def classify(
    frames: Configuration | Sequence[Configuration], replicates: int = REPLICATES, oriented: bool = True
) -> Order:
    """Crystal structure of every particle and of the whole, from positions and orientations alone.

    With several frames the mean positions are classified, the orientations are those of the last frame, and particles
    that stray too far from their mean positions, or hop, are disordered. Ten or more frames that span at least a few
    vibrations tell a vibrating from a mobile particle.

    Args:
        frames: one configuration, or several of one run in order of time.
        replicates: annealing runs for the cubatic order.
        oriented: False if nothing is known about the orientations of the cubes: positions alone decide then, and what
            depends on orientations is None.

    Raises:
        InputError: no frame, fewer than 7 particles, NaNs, all particles on one point, a species other than
            ``cube`` and ``sphere``, or frames that hold different particles.
    """
    sequence = [frames] if isinstance(frames, Configuration) else list(frames)
    if not sequence:
        raise InputError("No frame to classify; expected at least one configuration.")
    for frame in sequence:
        _check(frame)
    found = recognise(sequence, oriented)
    labels, is_cube, last = found.labels, found.is_cube, found.motion.mean
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
        cubatic_order=cubatic_order(last.orientations[is_cube], replicates) if oriented else None,
        lattice_constant=float(found.regions.pose.scale[member].mean() * found.unit) if member.any() else None,
        orientation_fwhm_deg=_fwhm(found.regions, member, is_cube, found.cubes),
        o_site_angle_deg=_o_site_angle(found.regions, member, found.cubes),
        mobile_fraction=float(found.mobile.mean()) if found.motion.frames > 1 else None,
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


def _fwhm(assignment: Regions, member: BoolArray, is_cube: BoolArray, cubes: FloatArray | None) -> float | None:
    """2 sqrt(2 ln 2) times the rms rotation of the cubes per axis about the mean crystal axes, in degrees."""
    if cubes is None or not (member & is_cube).any():
        return None
    axes = mean_frame(assignment.pose.frame[member])
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
            own = assignment.pose.frame[rows][:, :, site.spin_axis]
            axis = axes.T[np.abs(own @ axes).argmax(axis=1)]
            cosine = np.abs(np.einsum("nia,ni->na", cubes[rows], axis)).max(axis=1)
            squares += float((np.degrees(np.arccos(np.clip(cosine, 0.0, 1.0))) ** 2).sum())
            components += 2 * len(rows)
    spread = np.sqrt(squares / components)
    return float(2 * np.sqrt(2 * np.log(2)) * spread) if spread < NO_DIRECTION else None


def _o_site_angle(assignment: Regions, member: BoolArray, cubes: FloatArray | None) -> float | None:
    if cubes is None:
        return None
    angles = []
    for site in templates():
        rows = np.flatnonzero(member & (assignment.kind == site.kind))
        if site.spin_axis is not None and len(rows):
            axis = np.full(len(rows), site.spin_axis)
            angles.append(twist(cubes[rows], assignment.pose.frame[rows], axis))
    return float(np.concatenate(angles).mean()) if angles else None

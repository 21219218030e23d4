"""How far particles stray from their places over some frames, and which species has left its sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .recognise import Recognition
from .references import CUBE, SPHERE, STIFF, templates

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: Share of mobile particles above which a species has left its sites. Fewer may be hops into vacancies: hard cubes at
#: coexistence have 6.4 % (physics.md, check 5), each good for some hops over the frames.
MOBILE = 0.25


@dataclass(frozen=True)
class Rattling:
    """What particles do over the frames of a recognition.

    Attributes:
        squared: (N,) mean squared distance from the mean position, in squared lengths.
        distance: (N,) to the nearest neighbours.
        mobile: (N,) particles that left their places.
    """

    squared: FloatArray
    distance: FloatArray
    mobile: BoolArray

    def ratio(self, rows: IntArray | BoolArray) -> float | None:
        """Lindemann ratio of some particles: sqrt(mean squared displacement) over their mean neighbour distance.

        None without particles, or if none of them has a neighbour as far as is looked.
        """
        known = self.distance[rows][np.isfinite(self.distance[rows])]
        return float(np.sqrt(self.squared[rows].mean()) / known.mean()) if len(known) else None


def rattling_of(recognition: Recognition) -> Rattling | None:
    """None for a single frame, which does not tell.

    The neighbour distance of a particle is the mean of the two nearest around its mean position: 0.5 a for the cubes
    of ABO3, 0.707 a for its spheres.
    """
    motion = recognition.motion
    if motion.frames == 1:
        return None
    distance = recognition.unit * np.sqrt(recognition.near.nearest(2)[1].astype(float)).mean(axis=1)
    return Rattling(motion.squared, distance, recognition.mobile)


def molten(rattling: Rattling, of_species: BoolArray, species: int, structure: str) -> bool | None:
    """Whether a species has left its sites over the frames; None if there is none of it.

    Rule: more than MOBILE of its particles are mobile (``recognise``: rms above 0.27, or ever beyond 0.7 neighbour
    distances), or those that are not have a Lindemann ratio above the limit of the structure (:mod:`.references`; the
    largest of the species' sites), above STIFF = 0.17 where there is no structure. Mobile ones are left out of that
    ratio, since a few that travel far would decide it.

    Cubes and spheres in ABO3 that vibrates at its worst have 0.126 and 0.079 and stay; at gamma 0.41, where
    the cubes melt, 0.26 and 0.065 (physics.md, check 6). Frames that span less than a few hops show a fluid standing.
    """
    rows = np.flatnonzero(of_species)
    if not len(rows):
        return None
    limits = [site.lindemann for site in templates() if site.label == structure and site.species == species]
    standing = rattling.ratio(rows[~rattling.mobile[rows]])
    beyond = standing is not None and standing > max(limits, default=STIFF)
    return bool(rattling.mobile[rows].mean() > MOBILE or beyond)


def by_species(
    rattling: Rattling | None, is_cube: BoolArray, structure: str
) -> tuple[dict[str, float | None], dict[str, bool | None]]:
    """Lindemann ratio and ``molten`` of each species; None of what there is none of, and of all for a single frame."""
    kinds = {"cube": (CUBE, is_cube), "sphere": (SPHERE, ~is_cube)}
    if rattling is None:
        return dict.fromkeys(kinds), dict.fromkeys(kinds)
    return (
        {name: rattling.ratio(rows) for name, (_, rows) in kinds.items()},
        {name: molten(rattling, rows, species, structure) for name, (species, rows) in kinds.items()},
    )

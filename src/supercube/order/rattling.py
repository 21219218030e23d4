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
#: Nearest particles that are asked whether a crystal encloses a particle: the first shell of CsCl, and more than the
#: first of SC and NaCl.
ENCLOSING = 8


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


def concerned(recognition: Recognition, structure: str) -> BoolArray:
    """(N,) particles that tell how a structure moves: those that belong to it, and those that it encloses.

    At least half of the ENCLOSING nearest particles of any species belong to it around an enclosed one, such as a cube
    that hops between the standing spheres; so a fluid beside the crystal does not count, but for one layer. All
    particles without a structure.
    """
    if structure == "disordered":
        return np.ones(len(recognition.labels), dtype=bool)
    member = recognition.labels == structure
    near = recognition.near.nearest(ENCLOSING)[0]
    around = (member[near] & (near >= 0)).sum(axis=1)
    return np.asarray(member | (2 * around >= ENCLOSING))


def molten(rattling: Rattling, rows: IntArray, species: int, structure: str) -> bool | None:
    """Whether particles of a species have left their sites over the frames; None if there are none.

    Rule: more than MOBILE of them are mobile (``recognise``: rms above 0.27, or ever beyond 0.7 neighbour distances),
    or those that are not have a Lindemann ratio above the limit of the structure (:mod:`.references`; the largest of
    the species' sites), above STIFF = 0.17 where there is no structure. Mobile ones are left out of that ratio, since a
    few that travel far would decide it.

    Cubes and spheres in ABO3 that vibrates at its worst have 0.126 and 0.079 and stay; at gamma 0.41, where
    the cubes melt, 0.26 and 0.065 (physics.md, check 6). Frames that span less than a few hops show a fluid standing.
    """
    if not len(rows):
        return None
    limits = [site.lindemann for site in templates() if site.label == structure and site.species == species]
    standing = rattling.ratio(rows[~rattling.mobile[rows]])
    beyond = standing is not None and standing > max(limits, default=STIFF)
    return bool(rattling.mobile[rows].mean() > MOBILE or beyond)


def by_species(recognition: Recognition, structure: str) -> tuple[dict[str, float | None], dict[str, bool | None]]:
    """Lindemann ratio and ``molten`` of each species, of the ``concerned`` particles.

    None of a species that these do not hold, and of all for a single frame.
    """
    rattling, kinds = rattling_of(recognition), {"cube": CUBE, "sphere": SPHERE}
    if rattling is None:
        return dict.fromkeys(kinds), dict.fromkeys(kinds)
    chosen = concerned(recognition, structure)
    of_species = np.where(recognition.is_cube, CUBE, SPHERE)
    rows = {name: np.flatnonzero(chosen & (of_species == species)) for name, species in kinds.items()}
    return (
        {name: rattling.ratio(rows[name]) for name in kinds},
        {name: molten(rattling, rows[name], species, structure) for name, species in kinds.items()},
    )

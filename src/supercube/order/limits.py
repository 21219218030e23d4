"""The limits between crystal and disorder, in one place.

They were set by measurement: ``supercube bench limits`` moves each of them alone and prints which share of the
particles of crystals is lost, and which share of the particles of fluids, glasses and molten sublattices is taken for a
crystal. The table and the choice are in ``docs/order.md``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a particle has to fulfil to belong to a crystal.

    Attributes:
        begin: least share of the places of each coordination shell that are filled where a region begins.
        grow: the same where a region grows. A cube on the edge of an SC crystallite has 5 of its 12 second neighbours;
            one on a corner has 3 of 6 and 3 of 12 and is lost.
        strangers: most particles between the places of a template, over the number of places; beyond it, the crystal
            is another one.
        stiffness: factor on the Lindemann ratios of the reference crystals (:mod:`.references`).
        agreement: least share of the neighbours that belong to the same crystal with the same axes; below one half,
            the other side has the majority.
        spheres: the same in crystals of spheres alone, whose random packings have much local order by chance, and where
            layers of other stackings count as well.
    """

    begin: float = 0.6
    grow: float = 0.4
    strangers: float = 0.35
    stiffness: float = 1.0
    agreement: float = 0.5
    spheres: float = 0.6


LIMITS = Limits()

"""Who sits how far from whom in a perfect crystal: the reference that recognition of order compares with."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .closest import crystals_at
from .library import Sizes, structure

FloatArray = NDArray[np.float64]

#: Distances that differ by less than this, in lattice constants, belong to one shell.
_SAME = 1e-6


@dataclass(frozen=True)
class Shell:
    """Neighbours at one distance, on one kind of site.

    Attributes:
        site: name of the site that they sit on.
        species: of the neighbours.
        distance: in lattice constants a.
        vectors: (n, 3) to them in a, in the cell's Cartesian axes (a along x, c along z).
    """

    site: str
    species: str
    distance: float
    vectors: FloatArray

    def __len__(self) -> int:
        """Coordination number."""
        return len(self.vectors)


def neighbour_shells(
    name: str, parameters: Mapping[str, float] | None = None, reach: float = 1.0
) -> tuple[tuple[Shell, ...], ...]:
    """The shells around every particle of the conventional cell, nearest first.

    Args:
        name: a structure of the library.
        parameters: values of the free parameters that move sites (c/a, coordinates); angles only turn cubes.
        reach: farthest distance, in lattice constants.

    Returns:
        one tuple of shells a site, in the order of ``structure(name).sites``.

    Raises:
        InputError: unknown structure, or a free parameter that moves sites has no value.
    """
    entry = structure(name)
    angles = {parameter.name: parameter.low for parameter in entry.parameters if parameter.name.endswith("_deg")}
    values = angles | dict(parameters or {})
    missing = [parameter.name for parameter in entry.parameters if parameter.name not in values]
    if missing:
        raise InputError(f"the distances in {name} depend on {' and '.join(missing)}; expected a value.")
    crystal = crystals_at(entry, Sizes(1.0, 0.0), values)  # sizes do not move sites
    lattice, positions = crystal.lattice[0], crystal.positions[0]
    # Heights of the cell are the inverse lengths of the columns of the inverse; sites lie up to one cell apart.
    most = [math.ceil(reach * np.linalg.norm(column)) + 1 for column in np.linalg.inv(lattice).T]
    images = np.array(list(itertools.product(*(range(-n, n + 1) for n in most)))) @ lattice
    apart = positions[None, :] - positions[:, None]
    return tuple(
        _shells([(site.name, site.species) for site in entry.sites], apart[i][:, None] + images, reach)
        for i in range(len(positions))
    )


def _shells(kinds: list[tuple[str, str]], vectors: FloatArray, reach: float) -> tuple[Shell, ...]:
    """Shells of one particle from the (n, images, 3) vectors to every image of every site."""
    shells = []
    for kind in dict.fromkeys(kinds):
        around = vectors[[k for k, other in enumerate(kinds) if other == kind]].reshape(-1, 3)
        lengths = np.linalg.norm(around, axis=1)
        order = np.argsort(lengths, kind="stable")
        order = order[(lengths[order] > _SAME) & (lengths[order] < reach + _SAME)]
        ends = np.flatnonzero(np.diff(lengths[order], append=np.inf) > _SAME) + 1
        for rows in np.split(order, ends[:-1]) if len(order) else []:
            shells.append(Shell(*kind, float(lengths[rows].mean()), around[rows]))
    return tuple(sorted(shells, key=lambda shell: shell.distance))

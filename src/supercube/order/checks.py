"""What a configuration has to be before its order can be told."""

from __future__ import annotations

import numpy as np

from ..configuration import GSD_SPECIES, Configuration
from ..errors import InputError
from ..statepoint import LEAST_BODIES

#: Particles nearer to each other than this, in box lengths, lie on one point: files hold coordinates in single
#: precision, whose rounding is 6e-8 of the coordinate.
ONE_POINT = 1e-7
#: Quaternions shorter than this are no rotation; longer ones are normalised.
NO_ROTATION = 1e-3


def check(frame: Configuration) -> None:
    """Refuse a configuration whose order cannot be told.

    Args:
        frame: the configuration; orientations are looked at if it is ``oriented``.

    Raises:
        InputError: a species other than ``cube`` and ``sphere``, fewer than 7 particles, a box without volume, NaNs,
            zero quaternions, or all particles on one point.
    """
    n = len(frame)
    beyond = np.flatnonzero((frame.typeid < 0) | (frame.typeid >= len(frame.species)))
    if len(beyond):
        raise InputError(
            f"{len(beyond)} particles (first: {beyond[0]}) have a typeid beyond the {len(frame.species)} species of "
            f"the configuration; expected 0 to {len(frame.species) - 1}."
        )
    foreign = sorted({frame.species[t] for t in np.unique(frame.typeid)} - set(GSD_SPECIES))
    if foreign:
        raise InputError(f"The configuration holds {', '.join(foreign)}; expected cube and/or sphere.")
    if n < LEAST_BODIES:
        raise InputError(
            f"The configuration holds {n} particles; expected at least {LEAST_BODIES}, one neighbour shell."
        )
    if not np.all(np.isfinite(frame.box)) or np.any(frame.box[:3] <= 0):
        raise InputError(
            f"The configuration has the box {frame.box.tolist()}; expected three positive lengths and finite tilts."
        )
    _check_places(frame)
    if frame.oriented:
        _check_orientations(frame)


def _check_places(frame: Configuration) -> None:
    n = len(frame)
    bad = np.flatnonzero(~np.isfinite(frame.positions).all(axis=1))
    if len(bad):
        raise InputError(f"{len(bad)} particles (first: {bad[0]}) have NaN or infinite positions; expected numbers.")
    spread = np.abs(frame.minimum_image(frame.positions - frame.positions[0])).max()
    if spread < ONE_POINT * frame.box[:3].max():
        raise InputError(f"All {n} particles lie on one point; expected {n} different positions.")


def _check_orientations(frame: Configuration) -> None:
    norms = np.linalg.norm(frame.orientations, axis=1)
    bad = np.flatnonzero(~np.isfinite(norms) | (norms < NO_ROTATION))
    if len(bad):
        raise InputError(
            f"{len(bad)} particles (first: {bad[0]}) have NaN or zero orientations; expected quaternions (w, x, y, z)."
        )

"""Energy and virial of a configuration straight from the formula, fast enough for a log row.

U = sum over pairs of beads of different bodies of U(r - Delta);  W = sum of F.R with R between the centres of mass.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ..configuration import Configuration
from .interactions import wca_energy, wca_force
from .particles import Model

FloatArray = NDArray[np.float64]


def energy_and_virial(model: Model, configuration: Configuration) -> tuple[float, float]:
    """U and W in kT of a configuration in a rectangular box.

    Args:
        model: its species must be those of the configuration.
        configuration: positions wrapped into a box without tilts whose edges exceed twice the longest range.
    """
    beads, levers, radii, owner = _beads(model, configuration)
    lengths = configuration.box[:3]
    inside = np.mod(beads + lengths / 2, lengths)
    kinds = [np.flatnonzero(radii == radius) for radius in np.unique(radii)]
    trees = [cKDTree(inside[kind], boxsize=lengths) for kind in kinds]
    energy = virial = 0.0
    for a, first in enumerate(kinds):
        for b in range(a, len(kinds)):
            second = kinds[b]
            reach = model.cutoff(float(radii[first[0]]), float(radii[second[0]]))
            found = trees[a].sparse_distance_matrix(trees[b], reach, output_type="ndarray")
            i, j = first[found["i"]], second[found["j"]]
            keep = (owner[i] < owner[j]) if a == b else (owner[i] != owner[j])
            i, j = i[keep], j[keep]
            vector = beads[j] - beads[i]
            vector -= np.round(vector / lengths) * lengths
            r = np.linalg.norm(vector, axis=1)
            s = r - (radii[i] + radii[j] - model.sigma)
            centres = vector - levers[j] + levers[i]
            energy += float(wca_energy(s, model.sigma).sum())
            virial += float((wca_force(s, model.sigma) / r * (vector * centres).sum(axis=1)).sum())
    return energy, virial


def _beads(model: Model, configuration: Configuration) -> tuple[FloatArray, FloatArray, FloatArray, NDArray[np.intp]]:
    """Positions, levers (bead minus centre), radii and body of every interacting bead."""
    beads, levers, radii, owner = [], [], [], []
    for body in model.bodies:
        rows = np.flatnonzero(configuration.is_species(body.name))
        turns = Rotation.from_quat(configuration.orientations[rows], scalar_first=True).as_matrix()
        acting = body.radii > 0
        lever = np.einsum("nij,bj->nbi", turns, body.positions[acting])
        beads.append((configuration.positions[rows, None] + lever).reshape(-1, 3))
        levers.append(lever.reshape(-1, 3))
        radii.append(np.tile(body.radii[acting], len(rows)))
        owner.append(np.repeat(rows, int(acting.sum())))
    return np.concatenate(beads), np.concatenate(levers), np.concatenate(radii), np.concatenate(owner)

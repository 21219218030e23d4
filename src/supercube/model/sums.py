"""Energy, virial, forces and torques of a configuration straight from the formula, fast enough for a log row.

U = sum over pairs of beads of different bodies of U(r - Delta);  W_ab = sum of F_a R_b with R between the centres of
mass; the virial is its trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ..configuration import Configuration, box_matrix
from .interactions import wca_energy, wca_force, well_energy, well_force
from .particles import Model

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.intp]


@dataclass(frozen=True)
class Sums:
    """What the formula gives for one configuration.

    Attributes:
        energy: U, kT.
        virial: W = trace of W_ab, kT.
        forces: (N, 3) on each body, kT/e.
        torques: (N, 3) about each centre of mass, in the space frame, kT.
        virial_tensor: (3, 3) W_ab = -dU/de_ab on straining positions and box by R_a -> R_a + e_ab R_b with the bodies
            rigid and not turned, kT; symmetric only where no body feels a torque. NaN from who does not compute it.
    """

    energy: float
    virial: float
    forces: FloatArray
    torques: FloatArray
    virial_tensor: FloatArray = field(default_factory=lambda: np.full((3, 3), np.nan))


def evaluate(model: Model, configuration: Configuration) -> Sums:
    """Sum the formula over all pairs of beads, in any periodic box, images of a body itself included.

    Args:
        model: its species must be those of the configuration.
        configuration: bodies and box; positions need not be wrapped.
    """
    beads, levers, radii, owner = place_beads(model, configuration)
    found = pairs(model, configuration.box, beads, radii, owner)
    return sum_over(model, configuration, found, levers, radii, owner)


def sum_over(
    model: Model,
    configuration: Configuration,
    found: Iterable[tuple[IndexArray, IndexArray, FloatArray]],
    levers: FloatArray,
    radii: FloatArray,
    owner: IndexArray,
) -> Sums:
    """The sums over given pairs of beads; those out of range count nothing.

    Args:
        model: as for :func:`evaluate`.
        configuration: its number of bodies and their species count, not its positions.
        found: pairs as of :func:`pairs`, in one piece or several.
        levers: (n, 3) of the beads, as of :func:`place_beads`; so are radii and owner.
        radii: (n,) of the beads.
        owner: (n,) body of each bead.
    """
    n = len(configuration)
    spheres = np.zeros(n, dtype=np.intp)
    for body in model.bodies:
        spheres[configuration.is_species(body.name)] = not body.is_rigid
    energy, virial, on_bead = 0.0, np.zeros((3, 3)), np.zeros((len(owner), 3))
    for i, j, vector in found:
        r = np.linalg.norm(vector, axis=1)
        s = r - (radii[i] + radii[j] - model.sigma)
        strength, push = wca_energy(s, model.sigma), wca_force(s, model.sigma)
        if model.attracts:
            depth = model.depth(radii[i], radii[j], spheres[owner[i]] + spheres[owner[j]])
            strength, push = strength + depth * well_energy(s, model.sigma), push + depth * well_force(s, model.sigma)
        on_j = (push / r)[:, None] * vector
        energy += float(strength.sum())
        virial += on_j.T @ vector
        for axis in range(3):
            on_bead[:, axis] += np.bincount(j, on_j[:, axis], len(owner)) - np.bincount(i, on_j[:, axis], len(owner))
    virial -= on_bead.T @ levers  # from between beads to between centres of mass
    turning = np.cross(levers, on_bead)
    force, torque = np.zeros((n, 3)), np.zeros((n, 3))
    for axis in range(3):
        force[:, axis] = np.bincount(owner, on_bead[:, axis], n)
        torque[:, axis] = np.bincount(owner, turning[:, axis], n)
    return Sums(energy, float(np.trace(virial)), force, torque, virial)


def pairs(
    model: Model, box: FloatArray, beads: FloatArray, radii: FloatArray, owner: IndexArray
) -> Iterator[tuple[IndexArray, IndexArray, FloatArray]]:
    """Pairs in range as (i, j, x_j - x_i), each once; a body meets its own images but not itself."""
    matrix = box_matrix(box)
    inverse: FloatArray = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    cells = np.floor(beads @ inverse.T + 0.5)
    inside = beads - cells @ matrix.T
    heights = 1.0 / np.linalg.norm(inverse, axis=1)
    longest = model.cutoff(float(radii.max()), float(radii.max()))
    ghosts, origin, image = _with_images(inside, matrix, inverse, np.full(3, longest) / heights)
    distinct = np.unique(radii)
    kinds = [np.flatnonzero(radii == radius) for radius in distinct]
    of_kind = [np.flatnonzero(radii[origin] == radius) for radius in distinct]
    trees = [cKDTree(ghosts[rows]) for rows in of_kind]
    for a, first in enumerate(kinds):
        tree = cKDTree(inside[first])
        for b in range(a, len(kinds)):
            reach = model.cutoff(float(distinct[a]), float(distinct[b]))
            found = tree.sparse_distance_matrix(trees[b], reach, output_type="ndarray")
            i, k = first[found["i"]], of_kind[b][found["j"]]
            j = origin[k]
            own = owner[i] == owner[j]
            # Within one kind, (i, j) and (j, i) of the opposite image are the same pair.
            others = np.flatnonzero(~own & (i < j) if a == b else ~own)
            itself = np.flatnonzero(own)
            if len(itself):
                # Unwrapped image of j seen from i, relative to the body's own unwrapped position.
                shift = image[k[itself]] + cells[i[itself]] - cells[j[itself]]
                away = (shift != 0).any(axis=1)
                itself = itself[away & (_first_of_two(i[itself], j[itself], shift) | (a != b))]
            keep = np.concatenate([others, itself])
            i, j, k = i[keep], j[keep], k[keep]
            yield i, j, ghosts[k] - inside[i]


def _first_of_two(i: IndexArray, j: IndexArray, shift: FloatArray) -> NDArray[np.bool_]:
    code = shift @ np.array([1e6, 1e3, 1.0])
    first: NDArray[np.bool_] = (i < j) | ((i == j) & (code > 0))
    return first


def _with_images(
    points: FloatArray, matrix: FloatArray, inverse: FloatArray, margin: FloatArray
) -> tuple[FloatArray, IndexArray, FloatArray]:
    """The points and those of their periodic images that lie within ``margin`` (of each box vector) of the cell."""
    fractional = points @ inverse.T
    # For each axis and shift along it, the points that stay near the cell.
    near = [
        {n: np.abs(fractional[:, axis] + n) <= 0.5 + margin[axis] + 1e-9 for n in range(-most, most + 1)}
        for axis, most in enumerate(np.ceil(margin).astype(int))
    ]
    found, owners, images = [], [], []
    for x, in_x in near[0].items():
        for y, in_y in near[1].items():
            for z, in_z in near[2].items():
                rows = np.flatnonzero(in_x & in_y & in_z)
                cell = np.array([x, y, z], dtype=np.float64)
                found.append(points[rows] + matrix @ cell)
                owners.append(rows)
                images.append(np.tile(cell, (len(rows), 1)))
    return np.concatenate(found), np.concatenate(owners), np.concatenate(images)


def place_beads(model: Model, configuration: Configuration) -> tuple[FloatArray, FloatArray, FloatArray, IndexArray]:
    """Every interacting bead: positions, levers (bead minus centre of mass), radii, and the body it belongs to."""
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

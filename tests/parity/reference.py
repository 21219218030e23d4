"""Energy, forces and torques of a configuration: the formulas of physics.md written out, slowly, sharing no code.

Nothing of ``model/sums.py`` or ``model/interactions.py`` is used: its own potential, rotation and image loop, so that a
mistake there cannot hide here.
"""

import itertools
from dataclasses import dataclass

import numpy as np

#: Ranges over sigma: end of the steric part and bottom of the well; end of the well; and the width of the well.
R_WCA, R_WELL, WIDTH = 2.0 ** (1.0 / 6.0), 2.5, 0.25
IMAGES = tuple(itertools.product((-1, 0, 1), repeat=3))


@dataclass(frozen=True)
class Reference:
    """Sums over all pairs of beads, and what differences are to be measured by.

    Attributes:
        energy: kT.
        forces, torques: (N, 3) about the centres, in the space frame.
        energy_scale: sum of the absolute energies of all bead pairs; unlike the energy it cannot cancel to zero.
        force_scale: the largest force of a single bead pair; a lever is about one cube edge, so for torques too.
    """

    energy: float
    forces: np.ndarray
    torques: np.ndarray
    energy_scale: float
    force_scale: float


def pair_energy_and_push(s, sigma, depth):
    """U and -dU/ds of bead pairs at the surface coordinate s = r - (R_i + R_j - sigma).

    Steric: U = 4 [(sigma/s)^12 - (sigma/s)^6] + 1 up to 2^(1/6) sigma.
    Well: U = -depth {exp[-(s - s0)^2/(2 t^2)] - exp[-(s1 - s0)^2/(2 t^2)]} up to s1, with s0 = 2^(1/6) sigma.
    """
    x = sigma / s
    touching = s < R_WCA * sigma
    energy = np.where(touching, 4 * (x**12 - x**6) + 1, 0.0)
    push = np.where(touching, (48 * x**12 - 24 * x**6) / s, 0.0)
    center, end, width = R_WCA * sigma, R_WELL * sigma, WIDTH * sigma
    bell, rim = np.exp(-((s - center) ** 2) / (2 * width**2)), np.exp(-((end - center) ** 2) / (2 * width**2))
    attracts = s < end
    energy = energy - np.where(attracts, depth * (bell - rim), 0.0)
    push = push - np.where(attracts, depth * bell * (s - center) / width**2, 0.0)
    return energy, push


def rotate(quaternion, vectors):
    """q v q* for a unit quaternion (w, u): v + 2 w (u x v) + 2 u x (u x v)."""
    w, u = quaternion[0], quaternion[1:]
    cross = np.cross(u, vectors)
    return vectors + 2 * w * cross + 2 * np.cross(u, cross)


def lattice(box):
    """Box vectors as rows: (Lx, 0, 0), (xy Ly, Ly, 0), (xz Lz, yz Lz, Lz)."""
    lx, ly, lz, xy, xz, yz = box
    return np.array([[lx, 0.0, 0.0], [xy * ly, ly, 0.0], [xz * lz, yz * lz, lz]])


def evaluate(model, configuration):
    """Sum over pairs of bodies and explicit images, each pair once; positions must lie in the box."""
    n = len(configuration)
    bodies = [model.body(configuration.species[k]) for k in configuration.typeid]
    levers = [rotate(q, b.positions[b.radii > 0]) for q, b in zip(configuration.orientations, bodies, strict=True)]
    radii = [body.radii[body.radii > 0] for body in bodies]
    # How far a body's forces can reach from its centre, counted from half way to the other's surface.
    reach = [np.max(np.linalg.norm(x, axis=1) + r) for x, r in zip(levers, radii, strict=True)]
    forces, torques = np.zeros((n, 3)), np.zeros((n, 3))
    energy, energy_scale, force_scale = 0.0, 0.0, 0.0
    shifts = np.array(IMAGES) @ lattice(configuration.box)
    for i, j in itertools.combinations(range(n), 2):
        apart = configuration.positions[j] + shifts - configuration.positions[i]
        near = np.linalg.norm(apart, axis=1) < reach[i] + reach[j] + (R_WELL - 1) * model.sigma
        for vector in apart[near]:
            pairs = vector + levers[j][None] - levers[i][:, None]
            well = model.wells[(not bodies[i].is_rigid) + (not bodies[j].is_rigid)]
            terms, on_j = _bead_pairs(model, well, pairs, radii[i][:, None], radii[j][None])
            energy, energy_scale = energy + terms.sum(), energy_scale + np.abs(terms).sum()
            force_scale = max(force_scale, np.linalg.norm(on_j, axis=-1).max())
            forces[j] += on_j.sum(axis=(0, 1))
            forces[i] -= on_j.sum(axis=(0, 1))
            torques[j] += np.cross(levers[j][None], on_j).sum(axis=(0, 1))
            torques[i] -= np.cross(levers[i][:, None], on_j).sum(axis=(0, 1))
    return Reference(float(energy), forces, torques, float(energy_scale), float(force_scale))


def _bead_pairs(model, well, vectors, radii_i, radii_j):
    """Energies (n, m) and forces on the second beads (n, m, 3)."""
    r = np.linalg.norm(vectors, axis=-1)
    # Derjaguin: w for two beads of radius sigma/2, and in proportion to R_i R_j / (R_i + R_j) for others.
    depth = well * radii_i * radii_j / (radii_i + radii_j) / (model.sigma / 4)
    energy, push = pair_energy_and_push(r - (radii_i + radii_j - model.sigma), model.sigma, depth)
    return energy, (push / r)[..., None] * vectors

"""Crystals, fluids and glasses for the tests of the order room; built here, so that no other room is trusted."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from supercube.configuration import Configuration, wrap

CELLS = {
    "SC": [("cube", (0, 0, 0))],
    "NaCl": [
        *(("sphere", p) for p in ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))),
        *(("cube", p) for p in ((0.5, 0, 0), (0.5, 0.5, 0.5), (0, 0, 0.5), (0, 0.5, 0))),
    ],
    "ABO3": [
        ("sphere", (0, 0, 0)),
        ("cube", (0.5, 0.5, 0.5)),
        ("cube", (0.5, 0.5, 0)),
        ("cube", (0.5, 0, 0.5)),
        ("cube", (0, 0.5, 0.5)),
    ],
    "CsCl": [("sphere", (0, 0, 0)), ("cube", (0.5, 0.5, 0.5))],
    "fcc": [("sphere", p) for p in ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))],
    "sc spheres": [("sphere", (0, 0, 0))],
    "fcc cubes": [("cube", p) for p in ((0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0))],
    "bcc cubes": [("cube", p) for p in ((0, 0, 0), (0.5, 0.5, 0.5))],
}


def quaternions(rotation: Rotation) -> np.ndarray:
    """(n, 4), scalar first."""
    return np.roll(np.atleast_2d(rotation.as_quat()), 1, axis=1)


def turned(orientations: np.ndarray, rotation: Rotation) -> np.ndarray:
    """Orientations after ``rotation``, which acts in space."""
    return quaternions(rotation * Rotation.from_quat(np.roll(orientations, -1, axis=1)))


def crystal(name, cells=3, a=1.0, rms_cube=0.0, rms_sphere=0.0, tilt=0.0, o_angle=45.0, seed=0, tilts=(0, 0, 0)):
    """A perfect or thermal crystal.

    ``rms_*`` are rms lengths of the displacement vector over a, ``tilt`` degrees about each axis, ``tilts`` the box's
    xy, xz, yz (times the number of cells they must be whole, to shear the box along lattice vectors).
    """
    rng = np.random.default_rng(seed)
    count = np.array([cells] * 3 if np.isscalar(cells) else cells)
    i, j, k = (np.arange(c) for c in count)
    origins = np.stack(np.meshgrid(i, j, k, indexing="ij"), axis=-1).reshape(-1, 3)
    basis = np.array([p for _, p in CELLS[name]], dtype=float)
    positions = a * (origins[:, None] + basis[None]).reshape(-1, 3)
    typeid = np.tile([0 if s == "cube" else 1 for s, _ in CELLS[name]], len(origins))
    n = len(positions)
    orientations = np.tile([1.0, 0, 0, 0], (n, 1))
    if name == "ABO3":
        for site, axis in ((2, 2), (3, 1), (4, 0)):  # B-O axis of each face centre
            spin = Rotation.from_rotvec(np.radians(o_angle) * np.eye(3)[axis])
            orientations[site::5] = quaternions(spin)
    rms = np.where(typeid == 0, rms_cube, rms_sphere)[:, None]
    positions = positions + a * rms / np.sqrt(3) * rng.normal(size=(n, 3))
    orientations = turned(orientations, Rotation.from_rotvec(np.radians(tilt) * rng.normal(size=(n, 3))))
    return configuration(positions, orientations, typeid, np.array([*(a * count), *tilts], dtype=float))


def configuration(positions, orientations, typeid, box) -> Configuration:
    wrapped, images = wrap(np.asarray(positions, dtype=float), box)
    return Configuration(
        box=box, positions=wrapped, orientations=orientations, species=("cube", "sphere"), typeid=typeid, images=images
    )


def moved(c: Configuration, displacement: np.ndarray) -> Configuration:
    """Displaced bodies, with images counted."""
    wrapped, shift = wrap(c.positions + displacement, c.box)
    return c.with_(positions=wrapped, images=c.images + shift)


def only(c: Configuration, keep: np.ndarray) -> Configuration:
    return c.with_(
        positions=c.positions[keep],
        orientations=c.orientations[keep],
        typeid=c.typeid[keep],
        images=c.images[keep],
    )


def random_fluid(n_cubes, n_spheres, density=0.5, least=0.6, seed=0) -> Configuration:
    """Random sequential placement without centres nearer than ``least``; random orientations."""
    rng = np.random.default_rng(seed)
    n = n_cubes + n_spheres
    length = (n / density) ** (1 / 3)
    box = np.array([length] * 3 + [0.0] * 3)
    points = np.empty((0, 3))
    while len(points) < n:
        new = rng.uniform(-length / 2, length / 2, 3)
        d = points - new
        d -= length * np.round(d / length)
        if not len(points) or (d**2).sum(1).min() > least**2:
            points = np.vstack([points, new])
    orientations = quaternions(Rotation.random(n, random_state=rng.integers(2**31)))
    return configuration(points, orientations, np.repeat([0, 1], [n_cubes, n_spheres]), box)


def relaxed_packing(n_cubes, n_spheres, seed=0, steps=150) -> Configuration:
    """A soft-sphere jammed packing (steepest descent from random), at the density where spheres jam (0.64)."""
    rng = np.random.default_rng(seed)
    n = n_cubes + n_spheres
    length = (n * np.pi / 6 / 0.64) ** (1 / 3)
    x = rng.uniform(0, length, (n, 3))
    for _ in range(steps):
        d = x[:, None] - x[None]
        d -= length * np.round(d / length)
        r = np.linalg.norm(d, axis=-1) + np.eye(n) * 9
        overlap = np.maximum(1 - r, 0)
        x = x + 0.3 * ((overlap / r)[..., None] * d).sum(axis=1)
    orientations = quaternions(Rotation.random(n, random_state=rng.integers(2**31)))
    box = np.array([length] * 3 + [0.0] * 3)
    typeid = np.zeros(n, dtype=int)
    typeid[rng.permutation(n)[:n_spheres]] = 1
    return configuration(x, orientations, typeid, box)

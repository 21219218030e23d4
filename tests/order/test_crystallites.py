"""Small and mixed crystals: what surrounds a crystal, and how little of it there is, must not give it another name."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from supercube.configuration import Configuration, box_matrix, wrap
from supercube.order import LABELS, classify
from supercube.order.samples import crystal_sample, entry_of, generator, random_lattice

CRYSTALS = LABELS[:-1]
#: Of a face-centred cell.
FACES = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def labels(configuration: Configuration) -> np.ndarray:
    return classify(configuration, replicates=1).labels


def cells(*count: int) -> np.ndarray:
    return np.array(list(itertools.product(*map(range, count))), dtype=float)


def aligned(positions: np.ndarray, is_cube: np.ndarray, edges: tuple[float, float, float]) -> Configuration:
    """All cubes along the axes of an orthorhombic box."""
    box = np.array([*edges, 0.0, 0.0, 0.0])
    orientations = np.tile([1.0, 0.0, 0.0, 0.0], (len(positions), 1))
    wrapped = wrap(positions, box)[0]
    return Configuration(box, wrapped, orientations, ("cube", "sphere"), np.where(is_cube, 0, 1))


def cluster(name: str, size: int, noise: float, seed: int) -> tuple[Configuration, np.ndarray]:
    """The ``size`` particles of a crystal nearest to a point, alone; and which of them have most of both shells."""
    rng = generator("crystallite", name, seed)
    lattice = random_lattice(entry_of(name), rng)
    images = np.array(list(itertools.product((-1, 0, 1), repeat=3))) @ box_matrix(lattice.box).T
    positions = (lattice.positions + images[:, None]).reshape(-1, 3)
    centre = 0.3 * lattice.nearest * rng.normal(size=3)
    order = np.argsort(np.linalg.norm(positions - centre, axis=1), kind="stable")
    inside, places = order[:size] % len(lattice.positions), positions[order]
    is_cube = lattice.is_cube[order % len(lattice.positions)]
    apart = np.linalg.norm(places[:size, None] - places, axis=-1)
    whole = np.ones(size, dtype=bool)
    for column, species in enumerate((is_cube, ~is_cube)):
        shell = species & (apart > 0) & (apart < 1.15 * lattice.first[inside, column][:, None])
        whole &= (2 * shell[:, :size].sum(axis=1) > shell.sum(axis=1)) | ~shell.any(axis=1)
    found = places[:size] + noise * lattice.nearest * rng.normal(size=(size, 3))
    edge = 12 * np.abs(found - found.mean(axis=0)).max()
    c = aligned(found - found.mean(axis=0), is_cube[:size], (edge, edge, edge))
    return c.with_(orientations=lattice.quaternions[inside]), whole


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", CRYSTALS)
def test_crystallite_of_120(name, seed):
    c, whole = cluster(name, 120, 0.03, seed)
    assert whole.sum() > 20
    found = labels(c)
    assert (found == name)[whole].mean() > 0.8
    assert set(found) <= {name, "disordered"}


@pytest.mark.parametrize("name", CRYSTALS)
def test_small_crystallites_are_never_another_crystal(name):
    for size in (15, 30, 60):
        c, _ = cluster(name, size, 0.01, seed=0)
        assert set(labels(c)) <= {name, "disordered"}


@pytest.mark.parametrize("name", ["SC", "NaCl", "ABO3", "CsCl", "bcc"])
def test_crystallite_of_30_is_seen(name):
    # Its middle has all of its neighbours, though those have little more than half of theirs.
    c, whole = cluster(name, 30, 0.01, seed=0)
    assert whole.sum() >= 3
    assert (labels(c) == name)[whole].mean() > 0.5


@pytest.mark.parametrize("layers", [6, 24, 48])
def test_large_spheres_beside_many_small_cubes(layers):
    # However many cubes there are, and so however small the mean distance in the box, the spheres are fcc.
    a, per_edge, gap = 4.8, 16, 1.2
    spheres = a * (cells(4, 4, 3)[:, None] + FACES).reshape(-1, 3)
    cubes = gap * cells(per_edge, per_edge, layers) + [0, 0, 3 * a]
    is_cube = np.arange(len(spheres) + len(cubes)) >= len(spheres)
    edge = 4 * a
    found = labels(aligned(np.vstack([spheres, cubes]), is_cube, (edge, edge, 3 * a + gap * layers)))
    assert (found[is_cube] == "SC").mean() > 0.6
    # The outer planes have as many strangers as neighbours.
    middle = ~is_cube & (np.abs(np.vstack([spheres, cubes])[:, 2] - 1.25 * a) < 0.3 * a)
    assert (found[middle] == "fcc").mean() > 0.9


def test_twin_planes_are_hcp():
    stacking = "ABCABCACBACB"
    plane = np.array([[0.0, 0.0], [0.5, np.sqrt(0.75)]]) + (cells(6, 3) * [1, np.sqrt(3)])[:, None]
    plane, height = plane.reshape(-1, 2), np.sqrt(2 / 3)
    shift = np.array([0.5, np.sqrt(1 / 12)])
    layers = [
        np.column_stack([plane + "ABC".index(letter) * shift, np.full(len(plane), z * height)])
        for z, letter in enumerate(stacking)
    ]
    positions = np.vstack(layers)
    positions = positions + 0.01 * generator("twin").normal(size=positions.shape)
    c = aligned(positions, np.zeros(len(positions), dtype=bool), (6, 3 * np.sqrt(3), 12 * height))
    found = labels(c).reshape(len(stacking), -1)
    for z in range(len(stacking)):
        name = "hcp" if stacking[z - 1] == stacking[(z + 1) % len(stacking)] else "fcc"
        assert (found[z] == name).all()


def body_centred(ratio: float, mixed: bool) -> np.ndarray:
    """Labels of a body-centred tetragonal crystal, of spheres or with cubes in the corners."""
    positions = ((cells(5, 5, 5)[:, None] + [[0, 0, 0], [0.5, 0.5, 0.5]]) * [1, 1, ratio]).reshape(-1, 3)
    positions = positions + 0.015 * generator("Bain").normal(size=positions.shape)
    return labels(aligned(positions, mixed & (np.arange(250) % 2 == 0), (5, 5, 5 * ratio)))


@pytest.mark.parametrize(("ratio", "name"), [(1.0, "bcc"), (1.06, "bcc"), (1.34, "fcc"), (np.sqrt(2), "fcc")])
def test_ends_of_the_path_from_bcc_to_fcc(ratio, name):
    assert (body_centred(ratio, mixed=False) == name).all()


@pytest.mark.parametrize(("ratio", "name"), [(0.707, "CsCl"), (0.74, "CsCl"), (0.85, "CuAu"), (1.0, "CuAu")])
def test_ends_of_the_path_from_cscl_to_cuau(ratio, name):
    assert (body_centred(ratio * np.sqrt(2), mixed=True) == name).all()


@pytest.mark.parametrize("seed", range(2))
def test_sample_is_not_its_own_sublattice(seed):
    # CaB6 is ABO6 without the spheres in the middle of the octahedra.
    sample = crystal_sample("ABO6", 0.06, seed)
    assert not (labels(sample.configuration) == "CaB6").any()

"""Grains beside grains, two crystals in one box, crystals inside a fluid, and solids that are nearly crystals."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from order_samples import crystal, quaternions
from scipy.spatial.transform import Rotation

from supercube.configuration import Configuration, wrap
from supercube.crystals.closest import all_pairs, crystals_at, touching_edges
from supercube.crystals.library import Sizes
from supercube.order import LABELS, classify
from supercube.order.grains import misorientation
from supercube.order.packings import pairs_within, relaxed
from supercube.order.references import VALUES, rotations
from supercube.order.samples import entry_of, generator, random_quaternions
from supercube.order.symmetry import matrices

CRYSTALS = LABELS[:-1]
NOISE = 0.025
UNTURNED = np.array([1.0, 0.0, 0.0, 0.0])


@dataclass(frozen=True)
class Solid:
    """A crystal's cell: lattice vectors as rows, sites, the cubes' axes, least distance of each pair of species."""

    name: str
    a: float
    cell: np.ndarray
    inside: np.ndarray
    is_cube: np.ndarray
    axes: np.ndarray
    contact: np.ndarray
    group: np.ndarray

    @property
    def nearest(self) -> float:
        return float(self.contact.min())

    @property
    def density(self) -> float:
        return len(self.inside) / abs(float(np.linalg.det(self.cell)))

    def ball(self, radius: float) -> tuple[np.ndarray, np.ndarray]:
        """Positions around a corner of the cell, and the numbers of their sites."""
        count = int(radius * np.linalg.norm(np.linalg.inv(self.cell), axis=0).max()) + 2
        corners = np.array(list(itertools.product(range(-count, count + 1), repeat=3))) @ self.cell
        places = (corners[:, None] + self.inside).reshape(-1, 3)
        keep = np.linalg.norm(places, axis=1) < radius
        return places[keep], np.tile(np.arange(len(self.inside)), len(corners))[keep]

    def turned(self, site: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        """Orientations of the particles on some sites of the turned crystal."""
        found = quaternions(Rotation.from_matrix(rotation @ self.axes[site]))
        return np.where(self.is_cube[site][:, None], found, UNTURNED)


def solid(name: str, gamma: float = 0.45) -> Solid:
    entry = entry_of(name)
    entry = entry.arranged(sorted(entry.arrangements)[0]) if entry.arrangements else entry
    values = {p.name: VALUES.get(name, {}).get(p.name, p.low) for p in entry.parameters}
    found = crystals_at(entry, Sizes(1 / gamma, 0.1), values)
    a = 1.03 * float(touching_edges(found, all_pairs(len(entry.sites), 1)).max())
    cell, inside = a * found.lattice[0], a * found.positions[0]
    is_cube = np.array([site.species == "cube" for site in entry.sites])
    images = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3))) @ cell
    apart = np.linalg.norm(inside[None, :, None] + images - inside[:, None, None], axis=-1)
    shortest = np.where(apart < 1e-9, np.inf, apart).min(axis=2)
    kinds = (is_cube, ~is_cube)
    contact = np.array([[shortest[np.ix_(i, j)].min(initial=np.inf) for j in kinds] for i in kinds])
    return Solid(name, a, cell, inside, is_cube, found.rotations[0], contact, rotations(entry.system))


@dataclass(frozen=True)
class Polycrystal:
    """Voronoi grains: which one each particle is from, how far it is from the boundary, and the grains' axes."""

    configuration: Configuration
    solids: list[Solid]
    grain: np.ndarray
    depth: np.ndarray
    frames: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        return np.array([s.name for s in self.solids])[self.grain]

    def inner(self, lattice_constants: float) -> np.ndarray:
        """Particles farther than this from a boundary."""
        return self.depth > lattice_constants * np.array([s.a for s in self.solids])[self.grain]

    def errors(self, grains: list[dict]) -> list[float]:
        """Degrees from each true grain to the found one of its structure that is nearest."""
        result = []
        for one, frame in zip(self.solids, self.frames, strict=True):
            found = [matrices(np.array(g["orientation"])) for g in grains if g["structure"] == one.name]
            result.append(min((misorientation(frame, other, one.group) for other in found), default=np.inf))
        return result


def polycrystal(solids: list[Solid], total: int, seed: int, frames: np.ndarray | None = None) -> Polycrystal:
    """One grain for each solid in a cubic periodic box; of particles that overlap at a boundary one is left out."""
    rng = generator("polycrystal", seed)
    edge = (total / np.mean([s.density for s in solids])) ** (1 / 3)
    frames = Rotation.random(len(solids), random_state=seed).as_matrix() if frames is None else frames
    # Sites of a body- or face-centred lattice: equal grains.
    seats = (
        np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
        if len(solids) == 2
        else 0.5 * np.array([*np.ones((3, 3)) - np.eye(3), [0, 0, 0]])
    )
    images = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    parts = []
    for number, (one, seat, frame) in enumerate(zip(solids, seats, frames, strict=True)):
        places, site = one.ball(0.9 * edge)
        places = (places + one.a * rng.random(3)) @ frame.T
        others = edge * ((seats[:, None] + images).reshape(-1, 3) - seat)
        others = others[np.linalg.norm(others, axis=1) > 1e-9]
        length = np.linalg.norm(others, axis=1)
        depth = (length / 2 - places @ (others / length[:, None]).T).min(axis=1)
        keep = depth > 0
        places = places[keep] + edge * seat + NOISE * one.nearest * rng.normal(size=(int(keep.sum()), 3))
        grain = np.full(len(places), number)
        parts.append((places, one.turned(site[keep], frame), one.is_cube[site[keep]], grain, depth[keep]))
    places, turns, cube, grain, depth = (np.concatenate(column) for column in zip(*parts, strict=True))
    box = np.array([edge, edge, edge, 0, 0, 0])
    keep = _apart(places, box, cube, depth, np.minimum.reduce([s.contact for s in solids]))
    rows = rng.permutation(np.flatnonzero(keep))
    c = mixture(places[rows], turns[rows], cube[rows], box)
    return Polycrystal(c, solids, grain[rows], depth[rows], frames)


def _apart(places: np.ndarray, box: np.ndarray, cube: np.ndarray, depth: np.ndarray, contact: np.ndarray) -> np.ndarray:
    """Particles that stay if of each pair nearer than 0.85 of the shortest distance the outer one goes."""
    contact = np.where(np.isfinite(contact), contact, contact.min())
    pairs = pairs_within(places, box, float(contact.max()))
    kind = np.where(cube, 0, 1)
    pairs = pairs.take(pairs.distances < 0.85 * contact[kind[pairs.first], kind[pairs.second]])
    keep = np.ones(len(places), dtype=bool)
    for i, j in zip(pairs.first, pairs.second, strict=True):
        if keep[i] and keep[j]:
            keep[i if depth[i] < depth[j] else j] = False
    return keep


def mixture(places: np.ndarray, turns: np.ndarray, cube: np.ndarray, box: np.ndarray) -> Configuration:
    return Configuration(box, wrap(places, box)[0], turns, ("cube", "sphere"), np.where(cube, 0, 1))


def wrong_labels(found: np.ndarray, truth: np.ndarray) -> Counter[str]:
    return Counter(found[(found != truth) & (found != "disordered")].tolist())


# --- grains of one structure ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CRYSTALS)
def test_two_grains(name):
    p = polycrystal([solid(name)] * 2, 900, seed=1)
    assert misorientation(*p.frames, p.solids[0].group) > 45
    order = classify(p.configuration, replicates=1)
    assert p.inner(0.75).sum() > 200
    assert (order.labels == name)[p.inner(0.75)].mean() > 0.99
    assert (order.labels == name).mean() > 0.65
    assert set(order.labels) <= {name, "disordered"}
    assert order.n_grains == 2
    assert max(p.errors(order.grains)) < 0.5
    sizes = np.bincount(p.grain)
    assert all(0.7 * sizes.min() < grain["particles"] < 1.1 * sizes.max() for grain in order.grains)
    true = misorientation(*p.frames, p.solids[0].group)
    assert order.grains[1]["misorientation_deg"] == pytest.approx(true, abs=1.0)


@pytest.mark.parametrize("name", ["SC", "NaCl", "ABO3", "AlB2", "fcc"])
def test_four_grains(name):
    p = polycrystal([solid(name)] * 4, 1400, seed=8)
    pairs = itertools.combinations(p.frames, 2)
    assert min(misorientation(*pair, p.solids[0].group) for pair in pairs) > 34
    order = classify(p.configuration, replicates=1)
    assert p.inner(0.75).sum() > 200
    assert (order.labels == name)[p.inner(0.75)].mean() > 0.99
    assert order.n_grains == 4
    assert max(p.errors(order.grains)) < 0.5


@pytest.mark.parametrize("name", ["SC", "CsCl", "fcc", "bcc"])
@pytest.mark.parametrize(("angle", "grains"), [(5.0, 1), (22.0, 2)])
def test_boundaries_by_their_angle(name, angle, grains):
    """Some particle in a boundary is turned by half of its angle; it must not join the two sides."""
    base = Rotation.random(random_state=3)
    tilt = Rotation.from_rotvec(np.radians(angle) * np.array([0.36, 0.48, 0.8]))
    p = polycrystal([solid(name)] * 2, 900, seed=3, frames=np.array([base.as_matrix(), (base * tilt).as_matrix()]))
    assert misorientation(*p.frames, p.solids[0].group) == pytest.approx(angle)
    order = classify(p.configuration, replicates=1)
    assert (order.labels == name)[p.inner(0.75)].mean() > 0.99
    large = [grain for grain in order.grains if grain["particles"] > 100]
    assert len(large) == grains
    # Particles in the boundary lean to the other side: of 90 pairs of such grains 0.14 degrees on average, 0.5 at most.
    assert max(p.errors(large)) < (0.6 if grains == 2 else angle)


# --- two structures in one box ----------------------------------------------------------------------------------------

#: Sizes at which the grains of both have an inside: of 450 SC cubes' volume there are 40 spheres of gamma 0.45.
MIXED = [
    ("NaCl", "SC", 0.6),
    ("ABO3", "NaCl", 0.45),
    ("ABO3", "SC", 0.45),
    ("fcc", "SC", 0.8),
    ("CsCl", "ABO3", 0.45),
    ("AlB2", "fcc", 0.45),
    ("bcc", "fcc", 0.45),
    ("hcp", "fcc", 0.45),
]


@pytest.mark.parametrize(("first", "second", "gamma"), MIXED)
def test_two_structures_in_one_box(first, second, gamma):
    p = polycrystal([solid(first, gamma), solid(second, gamma)], 1100, seed=1)
    order = classify(p.configuration, replicates=1)
    for name in (first, second):
        scored = p.inner(0.75) & (p.truth == name)
        assert scored.sum() > 40
        assert (order.labels == name)[scored].mean() > 0.98
    # Only of the neighbour's kind, only at the boundary, and few.
    wrong = wrong_labels(order.labels, p.truth)
    assert set(wrong) <= {first, second}
    assert sum(wrong.values()) < 0.01 * len(p.truth)
    assert not wrong_labels(order.labels[p.inner(0.5)], p.truth[p.inner(0.5)])
    assert {grain["structure"] for grain in order.grains[:2]} == {first, second}
    assert max(p.errors(order.grains)) < 0.7


# --- crystallites in a fluid ------------------------------------------------------------------------------------------


def embedded(name: str, size: int, seed: int, total: int = 600) -> tuple[Configuration, np.ndarray, float]:
    """A crystallite in a relaxed fluid of its composition at 0.8 of its density; who is fluid, and its radius."""
    one, rng = solid(name), generator("embedded", name, size, seed)
    frame = Rotation.random(random_state=seed).as_matrix()
    places, site = one.ball(2.5 * (size / one.density) ** (1 / 3))
    places = (places + 0.3 * one.nearest * rng.normal(size=3)) @ frame.T
    nearest = np.argsort(np.linalg.norm(places, axis=1))[:size]
    places, site = places[nearest], site[nearest]
    radius = float(np.linalg.norm(places, axis=1).max())
    n = total - size
    edge = ((size + n / 0.8) / one.density) ** (1 / 3)
    points = edge * (rng.random((4 * n, 3)) - 0.5)
    points = points[np.linalg.norm(points, axis=1) > radius + 0.3 * one.nearest][:n]
    cube = np.concatenate([one.is_cube[site], rng.permutation(np.resize(one.is_cube, n))])
    free = np.arange(total) >= size
    diameters = np.where(cube, 1.2, 1 / 0.45)
    filled = np.pi / 6 * float((diameters[free] ** 3).sum()) / (edge**3 - 4 / 3 * np.pi * radius**3)
    box = np.array([edge, edge, edge, 0, 0, 0])
    start = np.concatenate([places, points])
    found, _ = relaxed(start, box, diameters * min(1.0, (0.56 / filled) ** (1 / 3)), free, rounds=8)
    found = found + NOISE * one.nearest * rng.normal(size=found.shape)
    turns = np.where(cube[free][:, None], random_quaternions(n, rng), UNTURNED)
    return mixture(found, np.concatenate([one.turned(site, frame), turns]), cube, box), free, radius


@pytest.mark.parametrize("name", CRYSTALS)
def test_crystallite_of_120_in_its_fluid(name):
    c, free, radius = embedded(name, 120, seed=0)
    found = classify(c, replicates=1).labels
    distance = np.linalg.norm(c.positions, axis=1)
    assert set(found) <= {name, "disordered"}
    assert (found == name)[~free & (distance < 0.6 * radius)].mean() == 1.0
    assert (found == name)[~free].mean() > 0.6
    # Of the fluid only who sits beside the crystallite, and few of them.
    false = free & (found == name)
    assert (distance[false] < radius + solid(name).nearest).all()
    assert false.sum() <= 18


@pytest.mark.parametrize("name", ["SC", "NaCl", "CsCl", "bcc", "hcp", "hexagonal"])
def test_crystallite_of_30_in_its_fluid(name):
    shares, false = [], []
    for seed in range(3):
        c, free, _ = embedded(name, 30, seed, total=300)
        found = classify(c, replicates=1).labels
        assert set(found) <= {name, "disordered"}
        shares.append((found == name)[~free].mean())
        false.append(int((found == name)[free].sum()))
    assert np.mean(shares) > 0.5
    assert max(false) <= 8


# --- nearly crystals --------------------------------------------------------------------------------------------------


def stacked(stacking: str, vacuum: float = 0.0) -> Configuration:
    """Close-packed planes of 36 spheres in the order of the letters, with noise of 2 %."""
    corners = np.array(list(itertools.product(range(6), range(3)))) * [1, np.sqrt(3)]
    plane = (corners[:, None] + [[0, 0], [0.5, np.sqrt(0.75)]]).reshape(-1, 2)
    shift, height = np.array([0.5, np.sqrt(1 / 12)]), np.sqrt(2 / 3)
    layers = [
        np.column_stack([plane + "ABC".index(letter) * shift, np.full(len(plane), k * height)])
        for k, letter in enumerate(stacking)
    ]
    places = np.concatenate(layers)
    places = places + 0.02 * generator("stacked", stacking).normal(size=places.shape)
    box = np.array([6, 3 * np.sqrt(3), len(stacking) * height + vacuum, 0, 0, 0])
    return mixture(places, np.tile(UNTURNED, (len(places), 1)), np.zeros(len(places), dtype=bool), box)


def surroundings(stacking: str) -> np.ndarray:
    """Of each plane: hcp between two equal planes, else fcc."""
    n = len(stacking)
    return np.array(["hcp" if stacking[k - 1] == stacking[(k + 1) % n] else "fcc" for k in range(n)])


@pytest.mark.parametrize(
    ("stacking", "hexagonal_planes"),
    [
        ("ABCABCABCABC", 0),
        ("ABCABABCABC", 2),  # an intrinsic fault: a plane is missing
        ("ABABABABABAB", 12),
        ("ABCABCABABABABABABC", 10),
    ],
)
def test_planes_are_labelled_one_by_one(stacking, hexagonal_planes):
    expected = surroundings(stacking)
    assert (expected == "hcp").sum() == hexagonal_planes
    found = classify(stacked(stacking), replicates=1).labels.reshape(len(stacking), -1)
    assert (found == expected[:, None]).mean(axis=1).min() > 0.9


def test_the_plane_inside_an_extrinsic_fault_is_solid():
    """A plane too many: an fcc plane between two hcp ones. Whatever it is called, it has all of its neighbours."""
    stacking = "ABCABC" + "B" + "ABCABC"
    expected = surroundings(stacking)
    assert "".join(label[0] for label in expected) == "fffffhfhfffff"
    found = classify(stacked(stacking), replicates=1).labels
    assert (found != "disordered").all()


@pytest.mark.parametrize(("share", "kept"), [(0.1, 0.98), (0.2, 0.9)])
def test_cubes_exchanged_with_spheres(share, kept):
    c = crystal("ABO3", 5, a=2.0, rms_cube=0.03, rms_sphere=0.03, tilt=3.0)
    cubes = generator("solution").permutation(np.flatnonzero(c.is_species("cube")))
    exchanged = np.isin(np.arange(len(c)), cubes[: round(share * len(cubes))])
    order = classify(c.with_(typeid=np.where(exchanged, 1, c.typeid)), replicates=1)
    assert exchanged.sum() == share * 500
    assert set(order.labels) == {"ABO3", "disordered"}
    assert (order.labels == "ABO3")[~exchanged].mean() > kept
    assert not (order.labels == "ABO3")[exchanged].any()
    assert order.substituted_fraction == pytest.approx(exchanged.mean(), abs=0.015)
    assert order.vacancy_fraction == pytest.approx(0.0, abs=0.005)


def test_an_alloy_on_the_lattice_of_cscl_is_not_nacl():
    # Eight neighbours at 0.87 a have no place in NaCl, whatever the species are.
    c = crystal("CsCl", 6, a=2.0, rms_cube=0.03, rms_sphere=0.03, tilt=3.0)
    cubes = generator("alloy").permutation(np.flatnonzero(c.is_species("cube")))
    exchanged = np.isin(np.arange(len(c)), cubes[: round(0.4 * len(cubes))])
    found = classify(c.with_(typeid=np.where(exchanged, 1, c.typeid)), replicates=1).labels
    assert (found == "CsCl").mean() > 0.5
    assert "NaCl" not in found


def test_hot_nacl_whose_cubes_rattle_and_turn():
    """rms of 0.1 a; of a single frame nearly all, of the mean over 15 frames all."""
    rng = generator("rattling")
    rest = crystal("NaCl", 4, a=2.0)
    rms = np.where(rest.is_species("cube"), 0.1, 0.04)[:, None] * 2.0 / np.sqrt(3)
    frames = []
    for _ in range(15):
        places, images = wrap(rest.positions + rms * rng.normal(size=(len(rest), 3)), rest.box)
        frames.append(rest.with_(positions=places, images=images, orientations=random_quaternions(len(rest), rng)))
    assert (classify(frames[0], replicates=1).labels == "NaCl").mean() > 0.85
    order = classify(frames, replicates=1)
    assert order.structure_fraction == 1.0
    assert order.molten == {"cube": False, "sphere": False}
    assert order.lindemann["cube"] == pytest.approx(0.2, abs=0.015)


@pytest.mark.parametrize(("angle", "alternating"), [(0.0, False), (20.0, False), (45.0, False), (20.0, True)])
def test_abo3_with_turned_o_cubes(angle, alternating):
    c = crystal("ABO3", 4, a=2.0, rms_cube=0.04, rms_sphere=0.04)
    sign = (-1.0) ** np.indices((4, 4, 4)).sum(axis=0).ravel() if alternating else np.ones(64)
    turns = c.orientations.copy()
    for site, axis in ((2, 2), (3, 1), (4, 0)):
        turns[site::5] = quaternions(Rotation.from_rotvec(np.radians(angle) * sign[:, None] * np.eye(3)[axis]))
    order = classify(c.with_(orientations=turns), replicates=1)
    assert order.structure_fraction == 1.0
    assert order.o_site_angle_deg == pytest.approx(angle, abs=1.5)


def sheared(cell: np.ndarray, noise: float, cubes: int = 7) -> Configuration:
    """A crystal of cubes on the lattice whose vectors are the columns of an upper triangle; the cubes stay along x."""
    rng = generator("sheared", int(1000 * noise))
    places = np.indices((cubes, cubes, cubes)).reshape(3, -1).T @ cell.T
    places = places + noise * rng.normal(size=places.shape)
    turns = quaternions(Rotation.from_rotvec(np.radians(3.0) * rng.normal(size=places.shape)))
    tilts = [cell[0, 1] / cell[1, 1], cell[0, 2] / cell[2, 2], cell[1, 2] / cell[2, 2]]
    return mixture(places, turns, np.ones(len(places), dtype=bool), np.array([*(cubes * np.diag(cell)), *tilts]))


def rhombic(angle: float) -> np.ndarray:
    """Two edges of length 1 under 90 degrees less ``angle``."""
    turn = np.radians(angle)
    return np.array([[1, np.sin(turn), 0], [0, np.cos(turn), 0], [0, 0, 1]])


@pytest.mark.parametrize("noise", [0.02, 0.06])
@pytest.mark.parametrize("angle", [5.0, 10.0, 15.0])
def test_rhombic_cubes_are_sc(angle, noise):
    order = classify(sheared(rhombic(angle), noise), replicates=1)
    assert order.structure_fraction == 1.0
    assert order.structure == "SC"
    assert order.cell_angles_deg == pytest.approx([90, 90, 90 - angle], abs=1.0)


@pytest.mark.parametrize("noise", [0.02, 0.06])
@pytest.mark.parametrize("ratio", [0.9, 1.1])
def test_tetragonal_cubes_are_sc(ratio, noise):
    order = classify(sheared(np.diag([1, 1, ratio]), noise), replicates=1)
    assert order.structure_fraction == 1.0
    assert order.structure == "SC"
    assert sorted(order.cell_lengths) == pytest.approx(sorted([1, 1, ratio]), abs=0.015)


def test_where_sheared_sc_ends():
    # Planes of triangles, and the rhombohedron of 60 degrees that is fcc.
    assert (classify(sheared(rhombic(30.0), 0.02), replicates=1).labels == "SC").mean() < 0.5
    cosine = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    assert (classify(sheared(np.linalg.cholesky(cosine).T, 0.02), replicates=1).labels != "SC").all()


@pytest.mark.parametrize(("slip", "least", "most"), [(0.0, 0.025, 0.035), (0.2, 0.06, 0.1), (0.5, 0.1, 0.15)])
def test_columns_that_slide(slip, least, most):
    """Columns of cubes shifted along themselves, each by its own part of an edge, are SC by name, but show how bad.

    Cubes that were dried fast are as far from their sites as columns shifted at random (0.13 a), so that no limit tells
    them apart.
    """
    rng = generator("columns")
    count = 8
    sites = np.indices((count, count, count)).reshape(3, -1).T
    places = sites + 0.03 * rng.normal(size=sites.shape)
    places[:, 2] += rng.uniform(-slip, slip, (count, count))[sites[:, 0], sites[:, 1]]
    turns = np.tile(UNTURNED, (len(places), 1))
    found = classify(mixture(places, turns, np.ones(len(places), dtype=bool), np.array([8.0] * 3 + [0.0] * 3)), 1)
    assert found.fractions["SC"] > 0.8
    assert least < found.displacement_rms < most


@pytest.mark.parametrize("stacking", ["ABAC" * 3, "ABCABCACBACB"])
def test_layers_of_another_stacking_are_asked_for_again(stacking):
    """A layer beside a region of the other kind is taken by it first; its poor fit is doubted."""
    found = classify(stacked(stacking), replicates=1).labels.reshape(len(stacking), -1)
    assert (found == surroundings(stacking)[:, None]).all()

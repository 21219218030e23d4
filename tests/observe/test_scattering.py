"""Scattering against closed formulas, plain sums, Debye's sum and the lattice sums of perfect crystals."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.spatial.transform import Rotation

from supercube.configuration import Configuration, box_matrix, wrap
from supercube.crystals.build import build_crystal
from supercube.crystals.phases import BINARY
from supercube.errors import InputError
from supercube.observe import _scatter_amplitudes, plot_scattering
from supercube.observe._scatter_amplitudes import grid_sum, nodes_needed
from supercube.observe._scatter_figure import _draw_pattern, _indices, _lines, spread_out
from supercube.observe.scattering import (
    Cores,
    Powder,
    cube_amplitude,
    cube_average,
    debye,
    families,
    family_name,
    lattice_of,
    main_maximum,
    plain_sum,
    reflections,
    scatter,
    shortest_vector,
    spectrum,
    sphere_amplitude,
)
from supercube.order import classify
from supercube.order.samples import Defects, crystal_sample

CORES = Cores(cube=0.8, sphere=1.9, cube_contrast=1.0, sphere_contrast=1.3)
#: Numbers of cubes and spheres that fill a box, by structure.
COUNTS = {
    "SC": (64, 0),
    "NaCl": (32, 32),
    "ABO3": (108, 27),
    "AlB2": (48, 24),
    "CsCl": (64, 64),
    "CaB6": (162, 27),
    "ABO6": (189, 27),
    "ReO3": (27, 81),
    "MgZn2": (64, 32),
    "fcc": (0, 108),
    "bcc": (0, 128),
    "hcp": (0, 96),
    "hexagonal": (0, 64),
}


def bodies(cubes, spheres, seed=0, box=(6.0, 7.0, 8.0, 0.3, -0.2, 0.1)):
    """Bodies anywhere in a triclinic box, turned anyhow."""
    rng = np.random.default_rng(seed)
    n = cubes + spheres
    return Configuration(
        box=np.array(box),
        positions=rng.uniform(-0.5, 0.5, (n, 3)) @ box_matrix(box).T,
        orientations=Rotation.random(n, random_state=rng).as_quat()[:, [3, 0, 1, 2]],
        species=("cube", "sphere"),
        typeid=np.repeat([0, 1], [cubes, spheres]),
    )


def crystal(name, cells=None, **changes):
    cubes, spheres = cells or COUNTS[name]
    return build_crystal(name, cubes, spheres, 0.45 if cubes and spheres else 1.0, 0.1, **changes)


def few_cells():
    """ABO3 in a box of 2 x 2 x 2 cells, whose spots are half as wide as they are apart."""
    whole = crystal("ABO3")
    a = whole.box[0] / 3
    places = (whole.positions + a / 8) % (3 * a)
    mine = (places < 2 * a).all(axis=1)
    box = np.array([2 * a, 2 * a, 2 * a, 0.0, 0.0, 0.0])
    return whole.with_(
        box=box,
        positions=wrap(places[mine], box)[0],
        orientations=whole.orientations[mine],
        typeid=whole.typeid[mine],
        images=np.zeros((int(mine.sum()), 3)),
    )


def scattered(configuration, **options):
    return scatter([configuration], classify(configuration).document(), CORES, **options)


def turned(configuration, rotation, edge=40.0):
    """The bodies of a box as a free cluster in a larger box, turned as a whole."""
    own = Rotation.from_quat(configuration.orientations[:, [1, 2, 3, 0]])
    return configuration.with_(
        box=np.array([edge, edge, edge, 0.0, 0.0, 0.0]),
        positions=rotation.apply(configuration.positions),
        orientations=(rotation * own).as_quat()[:, [3, 0, 1, 2]],
        images=np.zeros_like(configuration.images),
    )


# --- form factors -----------------------------------------------------------------------------------------------------


def test_amplitude_of_a_sphere_is_its_integral():
    diameter, q = 1.7, np.array([0.0, 1e-4, 0.3, 2.0, 9.0])
    x, w = np.polynomial.legendre.leggauss(60)
    r = (x + 1) / 2 * diameter / 2
    # 3/R^3 times the integral of r^2 sin(qr)/(qr)
    integral = np.sinc(np.outer(q, r) / np.pi) @ (w * r**2) * 0.5 * 3 / (diameter / 2) ** 2
    np.testing.assert_allclose(sphere_amplitude(q, diameter), integral, atol=1e-12)


def test_amplitude_of_a_cube_is_its_integral_along_each_axis():
    edge, q = 0.8, np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [1.0, -4.0, 9.0]])
    x, w = np.polynomial.legendre.leggauss(40)
    integral = (np.cos(q[..., None] * x * edge / 2) @ w / 2).prod(axis=-1)
    np.testing.assert_allclose(cube_amplitude(q, edge), integral, atol=1e-14)


def test_average_over_directions_begins_with_the_radius_of_gyration():
    edge, q = 0.8, np.array([0.02, 0.05])
    mean, square = cube_average(q, edge)
    # Guinier: Rg^2 = c^2/4, so F^2 = 1 - q^2 c^2/12 and F = 1 - q^2 c^2/24; the next term is below 1e-7.
    np.testing.assert_allclose(square, 1 - (q * edge) ** 2 / 12, atol=1e-7)
    np.testing.assert_allclose(mean, 1 - (q * edge) ** 2 / 24, atol=1e-7)
    rng = np.random.default_rng(3)
    directions = rng.normal(size=(100_000, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    sample = cube_amplitude(12.0 * directions, edge) ** 2
    assert cube_average(np.array([12.0]), edge)[1][0] == pytest.approx(sample.mean(), abs=5 * sample.std() / 316)


@pytest.mark.parametrize("reach", [0.5, 4.0, 9.0])
def test_as_few_points_as_stand_for_a_cube(reach):
    m, k = nodes_needed(reach), np.linspace(0, reach, 77)
    errors = []
    for number in (m, m - 1):
        x, w = np.polynomial.legendre.leggauss(number)
        errors.append(np.abs(np.cos(np.outer(k, x)) @ w / 2 - np.sinc(k / np.pi)).max())
    assert errors[0] < _scatter_amplitudes.CUBE_ERROR / 2 < errors[1]


# --- sums -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("installed", [True, False])
def test_the_grid_is_the_plain_sum_in_a_triclinic_box(installed, monkeypatch):
    monkeypatch.setattr(_scatter_amplitudes, "has_finufft", lambda: installed)
    if installed:
        pytest.importorskip("finufft")
    configuration = bodies(7, 9)
    basis, half = 2 * np.pi * np.linalg.inv(box_matrix(configuration.box)).T, (4, 5, 6)
    weights = np.linspace(0.5, 1.0, 16)
    q_max = 6.0
    found = grid_sum(configuration, CORES, basis, half, weights, q_max).reshape(3, -1)
    indices = np.array(list(itertools.product(*(range(-h, h + 1) for h in half))))
    q = indices @ basis.T
    near = np.linalg.norm(q, axis=1) <= q_max
    one_by_one = sum(
        weight
        * plain_sum(
            Configuration(
                configuration.box,
                configuration.positions[[k]],
                configuration.orientations[[k]],
                configuration.species,
                configuration.typeid[[k]],
            ),
            CORES,
            q[near],
        )
        for k, weight in enumerate(weights)
    )
    # Points that stand for a cube are wrong by 1e-5 of its amplitude, the nonuniform FFT by 1e-7.
    largest = CORES.forward(configuration).sum()
    np.testing.assert_allclose(found[:2, near], one_by_one[:2], atol=1e-5)
    np.testing.assert_allclose(found[2, near], one_by_one[2], atol=2e-5 * largest)
    assert np.abs(one_by_one[2]).max() > 0.2 * largest


def test_single_precision_is_good_enough(monkeypatch):
    configuration, q_max = bodies(30, 30, seed=5), 6.0
    double = spectrum([configuration], CORES, q_max)
    monkeypatch.setattr(_scatter_amplitudes, "MOST_DOUBLE", 10)
    single = spectrum([configuration], CORES, q_max)
    near, forward = double.q < q_max, CORES.forward(configuration).sum() ** 2
    assert single.scattered.max() == pytest.approx(forward, rel=1e-4)
    np.testing.assert_allclose(single.scattered[near], double.scattered[near], atol=1e-4 * forward)


def directions_mean(configuration, q):
    """Mean of |A|^2 over 40 x 80 directions, exact for waves of up to 79 oscillations."""
    x, w = np.polynomial.legendre.leggauss(40)
    angle = np.arange(80) * 2 * np.pi / 80
    flat = np.sqrt(1 - x**2)
    unit = np.stack([np.outer(flat, np.cos(angle)), np.outer(flat, np.sin(angle)), np.outer(x, np.ones(80))], axis=-1)
    weights = np.repeat(w / 160, 80)
    return [np.abs(plain_sum(configuration, CORES, value * unit.reshape(-1, 3))[2]) ** 2 @ weights for value in q]


def test_debye_of_two_spheres_is_the_formula():
    q, r = np.array([0.0, 0.7, 3.1]), 2.5
    amplitude = np.vstack([np.full(3, 2.0), np.full(3, 3.0)])
    positions = np.array([[0.0, 0.0, 0.0], [0.0, r, 0.0]])
    expected = 4 + 9 + 2 * 6 * np.array([1.0, *(np.sin(q[1:] * r) / (q[1:] * r))])
    np.testing.assert_allclose(debye(positions, amplitude, q), expected, rtol=1e-14)


def test_spheres_scatter_as_debye_says():
    configuration, q = bodies(0, 14, seed=2, box=(5.0, 5.0, 5.0, 0, 0, 0)), np.array([0.3, 1.5, 4.0])
    amplitude = np.tile(CORES.sphere_forward * sphere_amplitude(q, CORES.sphere), (14, 1))
    np.testing.assert_allclose(directions_mean(configuration, q), debye(configuration.positions, amplitude, q), 1e-9)


def test_turned_cubes_scatter_as_debye_says_of_their_points():
    configuration, q = bodies(3, 2, seed=4, box=(4.0, 4.0, 4.0, 0, 0, 0)), np.array([0.3, 1.5, 4.0])
    x, w = np.polynomial.legendre.leggauss(6)
    nodes = np.array(list(itertools.product(x, repeat=3))) * CORES.cube / 2
    amounts = CORES.cube_forward * np.array([a * b * c / 8 for a, b, c in itertools.product(w, repeat=3)])
    cubes = configuration.orientations[:3, [1, 2, 3, 0]]
    points = [
        place + Rotation.from_quat(turn).apply(nodes)
        for place, turn in zip(configuration.positions[:3], cubes, strict=True)
    ]
    sphere = CORES.sphere_forward * sphere_amplitude(q, CORES.sphere)
    amplitude = np.concatenate([np.tile(np.tile(amounts, 3)[:, None], (1, 3)), np.tile(sphere, (2, 1))])
    expected = debye(np.concatenate([*points, configuration.positions[3:]]), amplitude, q)
    np.testing.assert_allclose(directions_mean(configuration, q), expected, rtol=1e-7)


def test_the_powder_curve_of_a_cluster_is_debye_s_sum():
    box = (24.0, 26.0, 28.0, 0.1, 0.2, -0.1)
    configuration = bodies(0, 12, seed=6).with_(box=np.array(box))
    configuration = configuration.with_(positions=wrap(configuration.positions * 0.4, np.array(box))[0])
    order = classify(configuration).document()
    found = scatter([configuration], order, CORES, q_max=3.0, resolution=0.1).powder
    q = found.q[found.q > 1.0]
    amplitude = np.tile(CORES.sphere_forward * sphere_amplitude(q, CORES.sphere), (12, 1))
    expected = debye(configuration.positions, amplitude, q) / (12 * CORES.sphere_forward**2)
    # 700 and more vectors in a resolution; the cluster's intensity is correlated over about 2 pi / 4, some ten of them,
    # and varies by its own size: sqrt(10/700) = 12 % of it at most.
    assert np.abs(found.intensity[found.q > 1.0] / expected - 1).max() < 0.12
    assert np.abs(np.mean(found.intensity[found.q > 1.0] / expected) - 1) < 0.02


def test_bodies_without_correlation_scatter_as_single_ones():
    frames = [bodies(40, 60, seed=seed) for seed in range(20)]
    # So small that the form factor has no dip, which the resolution would fill.
    cores = Cores(cube=0.3, sphere=0.4)
    found = scatter(frames, classify(frames[0]).document(), cores, q_max=9.0).powder
    above = found.q > 4.0
    # S of one vector is distributed exponentially; vectors q and -q are one. Some 90 of them in a resolution at q = 4.
    error = 5 / np.sqrt(20 * 90)
    for curve in (found.s, found.s_cube, found.s_sphere, found.intensity / found.form):
        np.testing.assert_allclose(curve[above], 1.0, atol=error)


def test_cubes_of_unknown_orientations_scatter_as_if_turned_at_random():
    unknown, q_max, frames = bodies(12, 5, seed=9, box=(4.0, 4.5, 5.0, 0.1, 0, 0)).with_(oriented=False), 7.0, 400
    expected = spectrum([unknown], CORES, q_max)
    rng = np.random.default_rng(4)
    turned_anew = [
        unknown.with_(oriented=True, orientations=Rotation.random(17, random_state=rng).as_quat()[:, [3, 0, 1, 2]])
        for _ in range(frames)
    ]
    q, known = expected.basis, [np.array(n) for n in ((1, 0, 0), (2, 1, 0), (1, -2, 3), (4, 0, -1), (0, 0, 5))]
    for index in known:
        samples = [np.abs(plain_sum(one, CORES, (q @ index)[None])[2, 0]) ** 2 for one in turned_anew]
        found = expected.scattered[tuple(index + np.array(expected.half))]
        assert found == pytest.approx(np.mean(samples), abs=4 * np.std(samples) / np.sqrt(frames))
    far = expected.q > 6.5
    # The plain sum with the mean amplitude, and the diffuse part beside it, is what the grid has.
    vectors = np.array(list(itertools.product(*(range(-h, h + 1) for h in expected.half)))) @ q.T
    coherent = np.abs(plain_sum(unknown, CORES, vectors)[2]).reshape(far.shape) ** 2
    mean, square = cube_average(expected.q[far], CORES.cube)
    diffuse = 12 * CORES.cube_forward**2 * (square - mean**2)
    np.testing.assert_allclose(expected.scattered[far], coherent[far] + diffuse, atol=1e-6 * 17**2)
    assert diffuse.min() > 5e-4


def test_a_crystal_of_unknown_orientations_has_its_reflections_and_no_other_s():
    known = crystal("SC", cells=(216, 0))
    unknown = known.with_(oriented=False)
    one, other = scattered(known), scattered(unknown)
    np.testing.assert_allclose(other.powder.s, one.powder.s, rtol=1e-9)
    for row in other.reflections:
        mean, square = (float(value[0]) for value in cube_average(np.array([row.q]), CORES.cube))
        assert row.i_predicted == pytest.approx(mean**2, abs=1e-7)
        assert row.i_measured == pytest.approx(mean**2 + (square - mean**2) / 216, abs=1e-6)
    # Weak spots are near a zero of <F>, which changes by 0.004 over half a pixel: 2 x 0.012 x 0.004 = 1e-4.
    check_spots(other, absolute=1.2e-4)
    assert other.reflections[1].i_predicted < 0.8 * one.reflections[1].i_predicted


# --- perfect crystals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COUNTS)
def test_reflections_of_a_perfect_crystal_are_where_and_as_strong_as_its_sites_say(name):
    assert set(COUNTS) <= set(BINARY)
    found = scattered(crystal(name))
    assert found.structure == name
    assert found.lattice.indices is not None
    assert len(found.reflections) >= 4
    for one in found.reflections:
        assert one.s_measured == pytest.approx(one.s_predicted, abs=1e-6)
        # Cubes as points: 1e-5 of the amplitude at q = 0.
        assert np.sqrt(one.i_measured) == pytest.approx(np.sqrt(one.i_predicted), abs=2e-5)


@pytest.mark.parametrize("name", COUNTS)
def test_no_vector_of_the_box_scatters_but_the_reflections(name):
    configuration = crystal(name)
    found = scattered(configuration)
    all_vectors = spectrum([configuration], CORES, found.powder.q[-1])
    longest = found.reflections[-1].q
    inside = (all_vectors.q > 0) & (all_vectors.q < longest * (1 + 1e-9))
    number = (all_vectors.scattered[inside] > 1e-8 * CORES.forward(configuration).sum() ** 2).sum()
    seen = [one.multiplicity for one in found.reflections if one.i_predicted > 1e-8]
    assert number == sum(seen)


#: Which reflections may be there at all, from the textbook conditions of centrings and glide planes.
CONDITIONS = {
    "SC": lambda h, k, m: True,
    "fcc": lambda h, k, m: h % 2 == k % 2 == m % 2,
    "NaCl": lambda h, k, m: h % 2 == k % 2 == m % 2,
    "bcc": lambda h, k, m: (h + k + m) % 2 == 0,
    "hcp": lambda h, k, m: (h + 2 * k) % 3 != 0 or m % 2 == 0,
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_systematic_absences(name):
    names = {one.hkl for one in scattered(crystal(name)).reflections}
    longest = max(max(hkl) for hkl in names)
    system = "hexagonal" if name == "hcp" else "cubic"
    every = {family_name(hkl, system) for hkl in itertools.product(range(longest + 1), repeat=3) if any(hkl)}
    absent = {hkl for hkl in every if not CONDITIONS[name](*hkl)}
    assert not names & absent
    assert absent or name == "SC"
    nearest = sorted(every - absent, key=lambda hkl: sum(i * i for i in hkl))[:3]
    assert name == "hcp" or set(nearest) <= names


def test_rock_salt_of_equal_scatterers_is_simple_cubic_with_half_the_edge():
    found = {one.hkl: one for one in scattered(crystal("NaCl")).reflections}
    for hkl, one in found.items():
        assert one.s_measured == pytest.approx(0.0 if hkl[0] % 2 else 1.0, abs=1e-6)
        space = np.array(hkl) * one.q / np.linalg.norm(hkl)
        sphere = CORES.sphere_forward * sphere_amplitude(np.array(one.q), CORES.sphere)
        cube = CORES.cube_forward * cube_amplitude(space, CORES.cube)
        difference = (sphere + (-1) ** hkl[0] * cube) / (CORES.sphere_forward + CORES.cube_forward)
        assert one.i_measured == pytest.approx(float(difference) ** 2, abs=1e-6)
    assert found[1, 1, 1].i_measured > 1e-3


def test_perovskite_has_the_structure_factors_of_the_textbook():
    # |A + B (-1)^(h+k+l) + O [(-1)^(k+l) + (-1)^(h+l) + (-1)^(h+k)]|^2 of five equal scatterers.
    for one in scattered(crystal("ABO3")).reflections:
        h, k, m = one.hkl
        expected = 1 + (-1) ** (h + k + m) + (-1) ** (k + m) + (-1) ** (h + m) + (-1) ** (h + k)
        assert one.s_measured == pytest.approx(expected**2 / 25, abs=1e-6)
        assert one.d == pytest.approx(2 * np.pi / one.q)


@pytest.mark.parametrize("name", ["NaCl", "ABO3", "hcp"])
def test_a_crystal_in_any_triclinic_box(name):
    none = Defects()
    found = scattered(crystal_sample(name, 0.0, 3, none).configuration)
    assert found.structure == name
    for one in found.reflections:
        assert one.s_measured == pytest.approx(one.s_predicted, abs=1e-5)
        assert np.sqrt(one.i_measured) == pytest.approx(np.sqrt(one.i_predicted), abs=2e-4)


@pytest.mark.parametrize(("system", "count"), [("cubic", 48), ("tetragonal", 16), ("hexagonal", 24)])
def test_a_family_is_what_the_symmetry_of_the_system_makes_equal(system, count):
    cell = np.diag([1.0, 1.0, 1.0 if system == "cubic" else 1.3])
    if system == "hexagonal":
        cell[:, 1] = -0.5, np.sqrt(0.75), 0.0
    hkl = np.array(list(itertools.product(range(-4, 5), repeat=3)))
    sizes = np.linalg.norm(hkl @ np.linalg.inv(cell), axis=1)
    mine = [k for k, vector in enumerate(hkl) if family_name(vector, system) == (3, 2, 1)]
    if system == "hexagonal":  # 3 + 2 = 5 is beyond the range
        mine = [k for k, vector in enumerate(hkl) if family_name(vector, system) == (3, 1, 2)]
        assert [-4, 1, 2] in hkl[mine].tolist()
    assert len(mine) == count
    assert np.ptp(sizes[mine]) < 1e-12


def test_families_are_whole_and_within_reach():
    configuration = crystal("SC", cells=(216, 0))
    box = configuration.box * np.array([1.15, 1.0, 0.9, 1, 1, 1])
    strain = box_matrix(box) @ np.linalg.inv(box_matrix(configuration.box))
    moved = configuration.with_(box=box, positions=configuration.positions @ strain.T)
    lattice = lattice_of(classify(moved).document(), moved)
    found = {one.hkl: one for one in families(lattice, moved, CORES, 9.5)}
    # (110) has members with 1/0.9 and 1/1: 9.39, and (111) and (200) longer ones than 9.5.
    assert set(found) == {(1, 0, 0), (1, 1, 0)}
    assert [len(one.members) for one in found.values()] == [6, 12]
    assert {one.hkl for one in families(lattice, moved, CORES, 9.2)} == {(1, 0, 0)}


def test_a_strained_crystal_has_split_lines():
    configuration = crystal("SC", cells=(216, 0))
    box = np.array([6.2, 6.0, 5.9, 0.06, 0.0, 0.0])
    strain = box_matrix(box) @ np.linalg.inv(box_matrix(configuration.box))
    found = scattered(configuration.with_(box=box, positions=configuration.positions @ strain.T))
    first = found.reflections[0]
    reciprocal = 2 * np.pi * np.linalg.inv(box_matrix(box) / 6).T
    lengths = np.linalg.norm(reciprocal, axis=0)
    assert (first.hkl, first.multiplicity) == ((1, 0, 0), 6)
    assert first.s_measured == pytest.approx(1.0, abs=1e-6)
    assert (first.q, first.q_spread) == pytest.approx((lengths.mean(), lengths.std()), rel=1e-9)


def sheared(angle, name="SC", cells=None):
    """A crystal whose classifier says that its cell is sheared, and what the classifier said."""
    configuration = crystal(name, cells=cells)
    order = classify(configuration).document()
    return configuration, order | {"cell_angles_deg": [90.0 + angle, 90.0, 90.0]}


def test_a_crystal_that_lies_between_the_vectors_of_the_box_does_not_fill_it():
    # Half the shear on each axis, 4 tan(13.5 deg/2) = 0.47: (110) is then between two vectors, and SC has no absences.
    configuration, order = sheared(13.5)
    found = scatter([configuration], order, CORES)
    assert lattice_of(order | {"cell_angles_deg": [90.0] * 3}, configuration).indices is not None
    assert found.lattice.indices is None
    for one in found.reflections:
        assert np.isfinite(one.s_measured)
        assert one.s_measured != 0.0


def test_halves_are_right_where_the_centring_forbids_what_is_between():
    cubic = crystal("bcc", cells=(0, 54))
    a = cubic.box[0] / 3
    # Primitive vectors of bcc, three times, turned so that the first is along x and the second in the xy plane.
    edges = 3 * a / 2 * np.array([[-1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, -1.0]]).T
    rotation, upper = np.linalg.qr(edges)
    signs = np.sign(np.diag(upper))
    upper, rotation = upper * signs[:, None], rotation * signs
    lengths = np.diag(upper)
    box = np.array([*lengths, upper[0, 1] / lengths[1], upper[0, 2] / lengths[2], upper[1, 2] / lengths[2]])
    places = np.array(list(itertools.product(range(3), repeat=3))) @ (upper / 3).T
    configuration = Configuration(box, wrap(places, box)[0], np.tile([1.0, 0, 0, 0], (27, 1)), ("sphere",), [0] * 27)
    found = scatter([configuration], classify(configuration).document(), CORES)
    assert found.structure == "bcc"
    assert np.abs(found.lattice.indices % 1 - 0.5).min() < 1e-9
    for one in found.reflections:
        assert one.s_measured == pytest.approx(1.0, abs=1e-5)


def test_a_reflection_without_a_vector_of_the_box_is_missing_not_0():
    configuration = crystal("SC")
    lattice = replace(lattice_of(classify(configuration).document(), configuration), indices=np.diag([3.5, 3.5, 3.5]))
    known = families(lattice, configuration, CORES, 9.5)
    found = reflections(spectrum([configuration], CORES, 12.0), lattice, known, configuration, CORES)
    by_name = {one.hkl: one for one in found}
    assert np.isnan(by_name[1, 0, 0].s_measured)
    assert np.isnan(by_name[1, 0, 0].i_measured)


def test_rattling_weakens_reflections_by_the_debye_waller_factor():
    configuration, sigma = crystal("ABO3", cells=(864, 216)), 0.05
    rng = np.random.default_rng(8)
    frames = []
    for _ in range(4):
        moved = configuration.positions + rng.normal(0, sigma, configuration.positions.shape)
        frames.append(configuration.with_(positions=wrap(moved, configuration.box)[0]))
    found = scatter(frames, classify(frames).document(), CORES, q_max=8.0)
    assert len(found.reflections) >= 6
    for one in found.reflections:
        factor = np.exp(-((one.q * sigma) ** 2))
        # The amplitude has a random part of sqrt[(1 - factor)/N], over 4 frames and the members of a family.
        error = 4 * np.sqrt((1 - factor) / 1080 / (4 * one.multiplicity / 2))
        assert np.sqrt(one.s_measured) == pytest.approx(np.sqrt(one.s_predicted * factor), abs=error + 1 / 1080)


def test_a_turned_cluster_has_the_same_reflections():
    piece = turned(crystal("SC", cells=(512, 0)), Rotation.identity(), edge=16.0)
    rotation = Rotation.from_rotvec([0.2, -0.15, 0.3])
    straight, askew = scattered(piece, q_max=13.0), scattered(turned(piece, rotation, edge=16.0), q_max=13.0)
    assert straight.structure == askew.structure == "SC"
    assert straight.lattice.indices is None  # the axes are those of the box, but most of it is empty
    assert askew.lattice.indices is None
    for one, other in zip(straight.reflections[:3], askew.reflections[:3], strict=True):
        # [sin(x)/x]^2 along three axes has 0.73 within a sphere up to its first zeros, less some background.
        assert one.hkl == other.hkl
        assert 0.6 < other.s_measured < 0.78
        assert other.s_measured == pytest.approx(one.s_measured, rel=0.06)


def test_an_even_background_is_no_reflection():
    piece = turned(crystal("SC", cells=(512, 0)), Rotation.from_rotvec([0.2, -0.15, 0.3]), edge=12.0)
    lattice = lattice_of(classify(piece).document(), piece)
    known = families(lattice, piece, CORES, 9.0)
    found = spectrum([piece], CORES, 13.0)
    level = 0.01 * len(piece) ** 2
    lifted = replace(found, all=found.all + level)
    for one, other in zip(*(reflections(f, lattice, known, piece, CORES) for f in (found, lifted)), strict=True):
        assert other.s_measured == pytest.approx(one.s_measured, abs=1e-9)


# --- curves, maximum and pattern --------------------------------------------------------------------------------------


def test_a_line_is_as_wide_as_the_resolution():
    found = scattered(crystal("SC", cells=(1000, 0)), resolution=0.5, q_max=9.5).powder
    q, weight = found.q, found.s * found.q**2  # of a line; the number of vectors grows with q^2
    near = (q > 5) & (q < 7.2)
    mean = np.average(q[near], weights=weight[near])
    width = np.sqrt(np.average((q[near] - mean) ** 2, weights=weight[near])) * 2.3548
    assert mean == pytest.approx(2 * np.pi, abs=0.02)  # vectors of the box are not quite even in q
    assert width == pytest.approx(0.5, rel=0.05)
    # Its area is that of 6 vectors with S = N: the integral of S(q) 4 pi q^2 V / (2 pi)^3.
    area = weight[near].sum() * (q[1] - q[0]) * 4 * np.pi * 1000 / (2 * np.pi) ** 3
    assert area == pytest.approx(6 * 1000, rel=0.05)


def test_the_forward_beam_is_left_out():
    # N at q = 0 would be 20 in the first row of so blurred a curve; the nearest line is five deviations away.
    found = scattered(crystal("SC", cells=(216, 0)), resolution=2.0)
    assert found.powder.s[0] < 0.01
    assert found.powder.s.max() > 1


def test_the_resolution_follows_the_box_and_the_crystal():
    crystalline, fluid = scattered(crystal("SC")), scattered(bodies(30, 30))
    assert crystalline.powder.spacing == pytest.approx(2 * np.pi / 4)
    assert crystalline.powder.resolution == pytest.approx(0.5 * 0.8859 * 2 * np.pi / 4)
    assert fluid.powder.resolution == pytest.approx(0.8859 * 2 * np.pi / 336 ** (1 / 3))
    assert not fluid.reflections
    assert fluid.lattice is None


def test_the_maximum_lies_between_the_points_of_the_curve():
    q = np.linspace(1, 9, 41)
    s = 2.5 * np.exp(-((q - 5.07) ** 2) / 2)
    flat = np.ones(41)
    found = main_maximum(Powder(q, s, s, s, flat, flat, 0.5, 0.5, 10))
    assert (found.q, found.s, found.spacing) == pytest.approx((5.07, 2.5, 2 * np.pi / 5.07), rel=1e-9)


def check_spots(found, absolute=2e-5):
    """Whether the picture has the intensity of the reflections where they are."""
    q, picture = found.pattern.q, found.pattern.intensity
    expected = {one.hkl: one.i_predicted for one in found.reflections}
    assert len(found.pattern.spots) >= 6
    for hkl, x, y in found.pattern.spots:
        # Rows are q upwards, columns q to the right.
        top = picture[np.argmin(np.abs(q - y)), np.argmin(np.abs(q - x))]
        # At most half a pixel away along each edge, of a Gaussian five pixels wide or more; 1e-5 from the neighbours.
        assert top == pytest.approx(expected[family_name(hkl, "cubic")], rel=0.1, abs=absolute)


def test_the_pattern_of_a_crystal_turned_in_its_box_is_that_of_its_axes():
    perfect = crystal_sample("ABO3", 0.0, 3, Defects()).configuration
    found = scattered(perfect)
    assert not np.allclose(np.abs(found.lattice.frame), np.eye(3), atol=0.2)
    check_spots(found)


@pytest.mark.parametrize(
    ("zone", "right", "up"),
    [((0, 0, 1), (1, 0, 0), (0, 1, 0)), ((1, 1, 0), (0, 0, 1), (1, -1, 0)), ((1, 1, 1), (1, 0, -1), None)],
)
def test_spots_of_a_zone(zone, right, up):
    found = scattered(crystal("SC", cells=(512, 0)), zone=zone)
    spots = {hkl: (x, y) for hkl, x, y in found.pattern.spots}
    assert all(np.dot(hkl, zone) == 0 for hkl in spots)
    assert spots[right] == pytest.approx((2 * np.pi * np.linalg.norm(right), 0.0), abs=1e-9)
    if up is not None:
        assert spots[up] == pytest.approx((0.0, 2 * np.pi * np.linalg.norm(up)), abs=1e-9)
    check_spots(found)


def test_a_spot_is_a_gaussian_of_the_stated_width():
    pattern = scattered(crystal("SC", cells=(512, 0))).pattern
    row = pattern.intensity[len(pattern.q) // 2]
    near = np.abs(pattern.q - 2 * np.pi) < pattern.resolution / 2
    bend = np.polyfit(pattern.q[near] - 2 * np.pi, np.log(row[near]), 2)[0]
    # The form factor changes by a few per cent over the spot.
    assert 2 * np.sqrt(np.log(2) / -bend) == pytest.approx(pattern.resolution, rel=0.05)
    assert pattern.resolution == pytest.approx(0.8859 * 2 * np.pi / 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"q_max": 0.0}, "q-max is 0; expected a finite number above 0"),
        ({"q_max": float("nan")}, "q-max is nan"),
        ({"q_max": 1.0}, r"q-max is 1, but the box has no wave vector below 1.571 \(1/length\)"),
        ({"resolution": -1.0}, "resolution is -1"),
        ({"zone": (0, 0, 0)}, r"the zone axis is \[0 0 0\]"),
        ({"q_max": 1e4}, "wave vectors in this box; expected at most 1e[+]08, such as q-max"),
    ],
)
def test_bad_input_in_one_sentence(options, message):
    with pytest.raises(InputError, match=message):
        scattered(crystal("SC"), **options)


def test_the_shortest_vector_of_a_tilted_box():
    box = np.array([4.0, 4.0, 4.0, 3.0, 0.0, 0.0])  # the lattice is cubic, though two edges of the box are long
    assert shortest_vector(box) == pytest.approx(2 * np.pi / 4)
    assert shortest_vector(np.array([4.0, 4.0, 4.0, 0.5, 0.0, 0.0])) == pytest.approx(2 * np.pi / 4)
    tilted = bodies(20, 0, box=box)
    least = scatter([tilted], classify(tilted).document(), CORES, q_max=1.58).powder
    assert least.q[0] == pytest.approx(2 * np.pi / 4, abs=least.resolution / 5)


def test_no_frame():
    with pytest.raises(InputError, match="no frame"):
        scatter([], {}, CORES)


def test_no_lattice_of_what_is_disordered():
    configuration = bodies(20, 20)
    assert lattice_of(classify(configuration).document(), configuration) is None


# --- picture ----------------------------------------------------------------------------------------------------------


def test_labels_keep_their_order_and_distance():
    wanted = np.array([0.1, 0.5, 0.52, 0.55, 2.0, 2.95])
    placed = spread_out(wanted, 0.15, 0.0, 3.0)
    assert np.diff(placed).min() >= 0.15 - 1e-12
    assert (placed[0], placed[4]) == (0.1, 2.0)  # nobody is near
    assert np.mean(placed[1:4]) == pytest.approx(np.mean(wanted[1:4]))
    tight = spread_out(np.array([2.9, 2.95, 3.0]), 0.15, 0.0, 3.0)
    assert tight[-1] == pytest.approx(3.0)
    assert np.diff(tight).min() >= 0.15 - 1e-12
    assert len(spread_out(np.zeros(0), 0.15, 0.0, 1.0)) == 0


def test_families_at_one_q_are_one_line():
    q, names, strengths = _lines(scattered(crystal("ABO3")).reflections)
    assert "300, 221" in names
    assert len(q) == len(names) == len(strengths)
    assert np.diff(q).min() > 1e-3


@pytest.mark.parametrize("which", ["crystal", "spheres", "fluid"])
def test_a_picture_of_anything(which, tmp_path):
    configuration = {"crystal": crystal("ABO3"), "spheres": crystal("fcc"), "fluid": bodies(20, 0)}[which]
    found = scattered(configuration)
    plot_scattering(found, tmp_path / "one.png", unit="nm", scale=10.4, title="a test")
    assert 20_000 < (tmp_path / "one.png").stat().st_size < 300_000


def drawn(pattern, scale=1.0):
    """Axes with the pattern."""
    figure = Figure()
    ax, bar = figure.subplots(1, 2)
    _draw_pattern(ax, bar, pattern, scale, "e")
    return ax


@pytest.mark.parametrize("which", ["few cells", "many cells", "weak spots", "fluid"])
def test_the_strongest_that_is_seen_is_the_top_of_the_scale(which):
    if which == "fluid":
        pattern = scattered(bodies(300, 300, box=(9.0, 9.0, 9.0, 0, 0, 0))).pattern
    else:
        few = which == "few cells"
        pattern = scattered(few_cells() if few else crystal("ABO3"), q_max=5.0 if few else None).pattern
    if which == "weak spots":
        w = pattern.resolution
        beam = np.exp(-4 * np.log(2) * (pattern.q[:, None] ** 2 + pattern.q**2) / w**2)
        pattern = replace(pattern, intensity=beam + 1e-3 * np.where(beam < 1e-3, pattern.intensity, 0.0))
    ax = drawn(pattern)
    values, stop = np.asarray(ax.images[0].get_array()), ax.patches[0].radius
    seen = np.hypot(*np.meshgrid(pattern.q, pattern.q)) > stop
    assert ax.images[0].norm.vmax == 0.0
    assert values[seen].max() == 0.0
    # What is seen are spots, not the flank of the beam.
    flank = seen & (np.hypot(*np.meshgrid(pattern.q, pattern.q)) < stop + 0.1 * pattern.resolution)
    assert which == "few cells" or values[flank].max() < 0.0
    assert (values[seen] > -0.1).mean() < 0.2


def test_a_name_stands_at_its_reflection_and_a_cross_on_it():
    pattern = scattered(few_cells()).pattern
    ax = drawn(pattern, scale=2.0)
    places = {_indices(hkl): np.array([x, y]) / 2 for hkl, x, y in pattern.spots}
    crosses = {tuple(np.round(line.get_xydata()[0], 9)) for line in ax.lines if line.get_marker() == "+"}
    assert {"100", "010", "110"} <= {text.get_text() for text in ax.texts}
    for text in ax.texts:
        np.testing.assert_allclose(text.xy, places[text.get_text()], atol=1e-9)
        assert tuple(np.round(text.xy, 9)) in crosses
        assert np.abs(text.get_position()).max() < 5  # points
    assert len(crosses) == len(ax.texts)


def test_a_window_that_is_all_beam_stop_is_drawn():
    assert len(drawn(scattered(few_cells(), q_max=1.5).pattern).texts) == 0

import itertools
import math

import freud
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from supercube.configuration import box_matrix
from supercube.crystals.library import STRUCTURES
from supercube.errors import InputError
from supercube.order.melts import NEGATIVES, negative_sample, two_phase_sample
from supercube.order.packings import heights, jammed, pairs_within, relaxed
from supercube.order.samples import FIRST, FWHM, SECOND, Defects, crystal_sample

PERFECT = Defects()
ALL = (*FIRST, *SECOND)


def distances(configuration):
    """(N, N, 27) by brute force over images; the box of a sample is thicker than twice a first neighbour distance."""
    images = np.array(list(itertools.product((-1, 0, 1), repeat=3))) @ box_matrix(configuration.box).T
    apart = configuration.positions[None] - configuration.positions[:, None]
    found = np.linalg.norm(apart[:, :, None] + images, axis=-1)
    found[found < 1e-9] = np.inf
    return found


def shells(sample, tolerance=1e-6):
    """Species, then distance (in a) and number of the nearest spheres and of the nearest cubes: how many have it."""
    cube = sample.configuration.is_species("cube")
    found = distances(sample.configuration) / sample.facts["lattice_constant"]
    kinds = {}
    for k in range(len(cube)):
        key = ["cube" if cube[k] else "sphere"]
        for mask in (~cube, cube):
            there = found[k, mask].ravel()
            if len(there):
                key.append((round(float(there.min()), 6), int((there < there.min() + tolerance).sum())))
        kinds[tuple(key)] = kinds.get(tuple(key), 0) + 1
    return kinds


def expected(name, facts):
    """Fingerprints: physics.md's table and, beyond it, geometry: one entry a site, how often in a cell -> shells."""
    s, c = math.sqrt, facts.get("c_over_a")
    x = facts.get("octahedron_x")
    r2, r3 = (s(0.5), 12), (s(0.75), 8)
    corner = s(0.5 + (0.5 - x) ** 2) if x else 0.0
    tables = {
        "SC": [(1, "cube", (1, 6))],
        "NaCl": [(4, "sphere", r2, (0.5, 6)), (4, "cube", (0.5, 6), r2)],
        "ABO3": [
            (1, "sphere", (1, 6), r2),
            (1, "cube", r3, (0.5, 6)),
            (3, "cube", (s(0.5), 4), (0.5, 2)),
        ],
        "AlB2": [
            (1, "sphere", (c, 2) if c and c < 1 else (1, 6), (s(1 / 3 + (c or 1) ** 2 / 4), 12)),
            (2, "cube", (s(1 / 3 + (c or 1) ** 2 / 4), 6), (s(1 / 3), 3)),
        ],
        "CsCl": [(1, "sphere", (1, 6), r3), (1, "cube", r3, (1, 6))],
        "CuAu": [
            (2, "sphere", (s(0.5), 4), (s(0.25 + (c or 1) ** 2 / 4), 8)),
            (2, "cube", (s(0.25 + (c or 1) ** 2 / 4), 8), (s(0.5), 4)),
        ],
        "fcc": [(4, "sphere", r2)],
        "hcp": [(2, "sphere", (1, 12))],
        "bcc": [(2, "sphere", r3)],
        "hexagonal": [(1, "sphere", (1, 8))],
        "ReO3": [(1, "cube", (0.5, 6), (1, 6)), (3, "sphere", (s(0.5), 8), (0.5, 2))],
    }
    if name in ("CaB6", "ABO6"):
        across, along = (s(2) * x, 4), (1 - 2 * x, 1)
        tables["CaB6"] = [(1, "sphere", (1, 6), (corner, 24)), (6, "cube", (corner, 4), min(across, along))]
        tables["ABO6"] = [
            (1, "sphere", (1, 6), (corner, 24)),
            (1, "cube", r3, (x, 6)),
            (6, "cube", (corner, 4), min((x, 1), along)),
        ]
    return tables[name]


@pytest.mark.parametrize("name", [name for name in ALL if name != "MgZn2"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_perfect_sample_has_the_shells_of_its_structure(name, seed):
    sample = crystal_sample(name, 0.0, seed, PERFECT)
    sites = expected(name, sample.facts)
    cells = len(sample.truth) / sum(site[0] for site in sites)
    assert cells == round(cells) >= 64
    wanted = sorted((kind, rest, number * cells) for number, kind, *rest in sites)
    found = sorted((kind, rest, number) for (kind, *rest), number in shells(sample).items())
    assert [(kind, number, [n for _, n in rest]) for kind, rest, number in found] == [
        (kind, number, [n for _, n in rest]) for kind, rest, number in wanted
    ]
    distances_found = [d for _, rest, _ in found for d, _ in rest]
    # rounded to 1e-6
    assert distances_found == pytest.approx([d for _, rest, _ in wanted for d, _ in rest], abs=1e-6)
    assert sample.scored.all()
    assert (sample.truth == name).all()
    assert sample.crystal_fraction == 1.0


def test_mgzn2_has_the_counts_of_its_cell():
    sample = crystal_sample("MgZn2", 0.0, 0, PERFECT)
    cubes = sample.configuration.count("cube")
    assert cubes * 4 == (len(sample.truth) - cubes) * 8
    assert len(sample.truth) % 12 == 0


@pytest.mark.parametrize("name", ALL)
def test_boxes_are_compact_whole_and_hold_every_particle(name):
    entry = STRUCTURES[name]
    for seed in range(5):
        sample = crystal_sample(name, 0.03, seed, PERFECT)
        box, n = sample.configuration.box, len(sample.truth)
        assert (box[:3] > 0).all()
        assert max(64 * len(entry.sites), 200) <= n <= 1.4 * max(64 * len(entry.sites), 200 + len(entry.sites))
        c_over_a = sample.facts.get("c_over_a", entry.c_over_a)
        cell = (
            sample.facts["lattice_constant"] ** 3 * c_over_a * (math.sqrt(0.75) if entry.system == "hexagonal" else 1.0)
        )
        assert sample.configuration.volume == pytest.approx(cell * n / len(entry.sites), rel=1e-9)
        assert heights(box_matrix(box)).min() > 0.75 * sample.configuration.volume ** (1 / 3)
        fractional = sample.configuration.positions @ np.linalg.inv(box_matrix(box)).T
        assert (np.abs(fractional) <= 0.5 + 1e-12).all()
        np.testing.assert_allclose(np.linalg.norm(sample.configuration.orientations, axis=1), 1.0, rtol=1e-12)


def test_the_box_is_turned_against_the_crystal_and_tilted():
    turned = tilted = 0
    for seed in range(20):
        sample = crystal_sample("SC", 0.0, seed, PERFECT)
        # The cubes of SC lie along the crystal axes.
        axes = Rotation.from_quat(sample.configuration.orientations[0, [1, 2, 3, 0]]).as_matrix()
        assert np.linalg.det(box_matrix(sample.configuration.box)) > 0
        # Turned, unless each axis of space is within 5 degrees of one of the crystal.
        turned += np.abs(axes).max(axis=1).min() < np.cos(np.radians(5))
        tilted += np.abs(sample.configuration.box[3:]).max() > 0.05
    assert turned >= 15
    assert tilted >= 15


def test_cubes_turn_with_the_positions():
    sample = crystal_sample("SC", 0.0, 3, PERFECT)
    axes = Rotation.from_quat(sample.configuration.orientations[:, [1, 2, 3, 0]]).as_matrix()
    a = sample.facts["lattice_constant"]
    pairs = pairs_within(sample.configuration.positions, sample.configuration.box, 1.01 * a)
    cosines = np.abs(np.einsum("pi,pij->pj", pairs.vectors / a, axes[pairs.first]))
    assert len(pairs.first) == 6 * len(axes)
    np.testing.assert_allclose(np.sort(cosines, axis=1), np.tile([0, 0, 1], (len(cosines), 1)), atol=1e-7)


def same(one, other):
    return (
        np.array_equal(one.configuration.positions, other.configuration.positions)
        and np.array_equal(one.configuration.orientations, other.configuration.orientations)
        and np.array_equal(one.configuration.typeid, other.configuration.typeid)
        and np.array_equal(one.truth, other.truth)
        and np.array_equal(one.scored, other.scored)
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: crystal_sample("ABO3", 0.04, seed),
        lambda seed: two_phase_sample("CsCl", 0.02, seed),
        *(lambda seed, kind=kind: negative_sample(kind, seed) for kind in NEGATIVES),
    ],
)
def test_a_seed_is_a_sample(make):
    assert same(make(5), make(5))
    assert not same(make(5), make(6))


def test_noise_is_in_shortest_neighbour_distances():
    still, moved = (crystal_sample("ABO3", noise, 2, PERFECT) for noise in (0.0, 0.05))
    d = moved.configuration.positions - still.configuration.positions
    d = moved.configuration.minimum_image(d)
    # B-O: half a lattice constant. 5 standard errors of the standard deviation of d.size normal deviates.
    wanted = 0.05 * 0.5 * still.facts["lattice_constant"]
    assert d.std() == pytest.approx(wanted, rel=5 / math.sqrt(2 * d.size))


def test_orientation_spread_is_a_full_width_at_half_maximum():
    still, moved = (crystal_sample("NaCl", 0.0, 2, Defects(fwhm_deg=fwhm)) for fwhm in (0.0, 10.0))
    cubes = still.configuration.is_species("cube")
    one, other = (Rotation.from_quat(s.configuration.orientations[cubes][:, [1, 2, 3, 0]]) for s in (still, moved))
    angles = np.degrees((other * one.inv()).as_rotvec())
    assert FWHM * angles.std() == pytest.approx(10.0, rel=5 / math.sqrt(2 * angles.size))


def test_particles_that_lack_over_half_a_shell_are_not_scored():
    sample = crystal_sample("SC", 0.0, 4, Defects(vacancies=0.4))
    n = len(sample.truth)
    whole = n + sample.facts["vacancies"]
    assert sample.facts["vacancies"] == round(0.4 * whole)
    a = sample.facts["lattice_constant"]
    neighbours = (distances(sample.configuration) < 1.01 * a).sum(axis=(1, 2))
    np.testing.assert_array_equal(sample.scored, neighbours >= 3)
    assert 0 < sample.scored.sum() < n


def test_a_shell_counts_by_species():
    # An O cube of ABO3 has two B cubes nearest; it is scored unless both are gone.
    sample = crystal_sample("ABO3", 0.0, 4, Defects(vacancies=0.3))
    a = sample.facts["lattice_constant"]
    cube = sample.configuration.is_species("cube")
    found = distances(sample.configuration) / a
    near = (found < 0.51).sum(axis=(1, 2))
    spheres = (found[:, ~cube] < 0.72).sum(axis=(1, 2))
    # B cubes see no sphere at 0.71 a; an O cube could have lost all four, so only those with one left are looked at.
    o_cube = cube & (spheres > 0)
    np.testing.assert_array_equal(sample.scored[o_cube], ((near >= 1) & (spheres >= 2))[o_cube])


@pytest.mark.parametrize(
    ("name", "species"), [("ABO3", "cube"), ("ABO3", "sphere"), ("NaCl", "sphere"), ("SC", "sphere")]
)
@pytest.mark.parametrize("largest_holes", [True, False])
def test_interstitials_have_room_and_are_not_scored(name, species, largest_holes):
    sample = crystal_sample(name, 0.03, 1, Defects(excess=0.1, species=species, largest_holes=largest_holes))
    added = sample.truth == "disordered"
    whole = (~added).sum()
    per_cell = {"ABO3": {"cube": 0.8, "sphere": 0.2}, "NaCl": {"sphere": 0.5}, "SC": {"sphere": 1.0}}[name][species]
    assert added.sum() == sample.facts["interstitials"] == round(0.1 * whole * per_cell)
    assert (sample.configuration.is_species(species)[added]).all()
    np.testing.assert_array_equal(sample.scored, ~added)
    shortest = {"ABO3": 0.5, "NaCl": 0.5, "SC": 1.0}[name] * sample.facts["lattice_constant"]
    room = distances(sample.configuration)[added].min(axis=(1, 2))
    assert (room >= 0.5 * shortest * (1 - 1e-9)).all()
    assert sample.crystal_fraction == pytest.approx(whole / len(sample.truth))


def test_the_largest_holes_are_larger():
    rooms = []
    for largest_holes in (True, False):
        sample = crystal_sample("NaCl", 0.0, 1, Defects(excess=0.05, largest_holes=largest_holes))
        added = sample.truth == "disordered"
        rooms.append(distances(sample.configuration)[added].min(axis=(1, 2)).mean())
    assert rooms[0] > 1.1 * rooms[1]


@pytest.mark.parametrize(("species", "others"), [("cube", 0.2), ("sphere", 0.2)])
def test_substitution_changes_species_on_a_tenth_of_the_scarcer_places(species, others):
    sample = crystal_sample("ABO3", 0.0, 1, Defects(excess=0.1, species=species, substitution=True))
    wrong = sample.truth == "disordered"
    n = len(sample.truth)
    assert wrong.sum() == round(0.1 * others * n)
    assert sample.configuration.is_species(species)[wrong].all()
    spheres = n // 5 + (1 if species == "sphere" else -1) * wrong.sum()
    assert sample.configuration.count("sphere") == spheres
    assert not sample.scored[wrong].any()


def test_one_species_crystals_take_the_other_species_in():
    sample = crystal_sample("fcc", 0.02, 1, Defects(excess=0.1, species="cube", substitution=True))
    assert sample.configuration.count("cube") == round(0.1 * len(sample.truth))
    assert crystal_sample("fcc", 0.02, 1, PERFECT).configuration.species == ("sphere",)


def test_drawn_parameters_fill_the_ranges_of_the_benchmark():
    facts = [crystal_sample("CuAu", 0.03, seed).facts for seed in range(60)]
    for name, low, high in (
        ("gamma", 0.3, 0.6),
        ("expansion", 1.0, 1.08),
        ("c_over_a", 0.85, 1.0),
        ("fwhm_deg", 0, 10),
    ):
        values = np.array([f[name] for f in facts])
        assert low <= values.min() < low + 0.15 * (high - low)
        assert high - 0.15 * (high - low) < values.max() <= high
    assert {f["excess_species"] for f in facts} == {"cube", "sphere"}
    assert any(f["interstitials"] for f in facts)
    assert any(f["substituted"] for f in facts)
    assert len({f["arrangement"] for f in facts}) == 2


@pytest.mark.parametrize("name", ["SC", "ABO3", "AlB2", "fcc"])
def test_two_phases_share_the_box(name):
    sample = two_phase_sample(name, 0.02, 1)
    solid = sample.truth == name
    density = sample.facts["fluid_density"]
    assert 0.7 <= density <= 0.9
    # n / (n + density n), but for rounding to one particle
    assert sample.crystal_fraction == pytest.approx(1 / (1 + density), abs=1 / len(solid))
    depth = (sample.configuration.positions @ np.linalg.inv(box_matrix(sample.configuration.box)).T)[:, 2] + 0.5
    # Scored particles lie within their own half.
    half = np.where(depth < 0.5, name, "disordered")
    assert (half == sample.truth)[sample.scored].mean() > 0.99
    assert 0.7 < sample.scored.mean() < 0.95
    cube = sample.configuration.is_species("cube")
    assert cube[solid].mean() == pytest.approx(cube[~solid].mean(), abs=0.05)


def global_q6(positions, box):
    """Steinhardt's Q6 of all bonds to 12 neighbours: 0.35 (sc) to 0.57 (fcc) in a crystal, 1/sqrt(12 N) at random."""
    found = freud.order.Steinhardt(l=6)
    found.compute((freud.box.Box.from_box(box), positions), neighbors={"num_neighbors": 12})
    return float(found.order)


@pytest.mark.parametrize("kind", [kind for kind in NEGATIVES if not kind.startswith("molten")])
@pytest.mark.parametrize("seed", range(4))
def test_disorder_has_no_common_direction(kind, seed):
    sample = negative_sample(kind, seed)
    c = sample.configuration
    assert 200 <= len(c) <= 400
    assert (sample.truth == "disordered").all()
    assert sample.scored.all()
    assert sample.structure == "disordered"
    assert sample.crystal_fraction == 0.0
    # Six times the value of independent bonds; neighbouring bonds depend on each other.
    assert global_q6(c.positions, c.box) < 6 / math.sqrt(12 * 200) < 0.2
    fluid_of = {"fluid-cubes": {"cube"}, "fluid-spheres": {"sphere"}, "fluid-mixed": {"cube", "sphere"}}
    if kind in fluid_of:
        assert set(c.species) == fluid_of[kind]


def test_the_measure_sees_a_crystal():
    c = crystal_sample("fcc", 0.05, 0).configuration
    assert global_q6(c.positions, c.box) > 0.3


@pytest.mark.parametrize(("kind", "cubes"), [("molten-ABO3", 4), ("molten-NaCl", 1)])
@pytest.mark.parametrize("seed", range(3))
def test_cubes_of_a_molten_sublattice_are_anywhere_between_spheres_that_are_not(kind, cubes, seed):
    sample = negative_sample(kind, seed)
    cube, a = sample.configuration.is_species("cube"), sample.facts["lattice_constant"]
    assert cube.sum() == cubes * (~cube).sum()
    c = sample.configuration
    spheres = pairs_within(c.positions[~cube], c.box, 0.85 * a)
    if kind == "molten-NaCl":
        # 12 neighbours at 0.71 a, blurred by 5 % of 0.5 a
        assert len(spheres.first) == 12 * (~cube).sum()
        assert spheres.distances.std() < 0.06 * a
    found = distances(c) / a
    to_sphere, to_cube = found[cube][:, ~cube].min(axis=(1, 2)), found[cube][:, cube].min(axis=(1, 2))
    assert to_sphere.min() >= sample.facts["sphere_room"] - 1e-9
    assert to_cube.min() >= sample.facts["cube_room"] - 1e-9
    assert sample.facts["cube_room"] > 0.2
    # Crystals with 5 % noise have theirs at 0.71 and 0.87 a, or 0.5 a, and hardly any nearer than this.
    near = {"molten-ABO3": 0.62, "molten-NaCl": 0.42}[kind]
    assert (to_sphere < near).mean() > 0.3


def test_pairs_agree_with_all_images():
    sample = crystal_sample("MgZn2", 0.04, 0)
    c = sample.configuration
    reach = 1.1 * sample.facts["lattice_constant"]
    pairs = pairs_within(c.positions, c.box, reach)
    found = distances(c)
    assert len(pairs.first) == (found < reach).sum()
    np.testing.assert_allclose(np.sort(pairs.distances), np.sort(found[found < reach]), rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(pairs.vectors, axis=1), pairs.distances, rtol=1e-12)


def test_a_box_that_is_too_thin_is_refused():
    with pytest.raises(InputError, match="thick; expected at least the reach 3"):
        pairs_within(np.zeros((1, 3)), np.array([2.0, 9, 9, 0, 0, 0]), 3.0)


def test_relaxation_separates_and_holds_what_is_frozen():
    rng = np.random.default_rng(0)
    box = np.array([6.0, 6, 6, 0.2, 0, 0])
    start = rng.uniform(-3, 3, (120, 3))
    free = np.arange(120) >= 20
    places, energy = relaxed(start, box, np.ones(120), free)
    np.testing.assert_array_equal(places[:20], start[:20])
    moving, _ = relaxed(start, box, np.ones(120))
    # 0.29 of the volume: far from jammed, so all overlaps go; a mean energy of 1e-5 allows one pair to overlap by 5 %.
    assert pairs_within(moving, box, 0.95).distances.size == 0
    assert energy >= 0


def test_spheres_jam_at_random_close_packing():
    rng = np.random.default_rng(1)
    start = rng.uniform(-5, 5, (300, 3))
    positions, box = jammed(start, np.array([10.0, 10, 10, 0, 0, 0]), np.ones(300))
    # 0.64 for equal spheres, found in steps of 0.03
    assert 0.62 <= 300 * np.pi / 6 / np.prod(box[:3]) <= 0.68
    assert pairs_within(positions, box, 0.9).distances.size == 0


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="two species of cubes"):
        crystal_sample("ABO3-ternary", 0.0, 0)
    with pytest.raises(InputError, match="the nearest is ABO3"):
        two_phase_sample("ABO33", 0.0, 0)
    with pytest.raises(InputError, match="unknown kind of disorder 'gas'; expected one of fluid-cubes"):
        negative_sample("gas", 0)

"""Every engine computes the formula: energy, force and torque of single configurations against a slow sum."""

from functools import cache

import numpy as np
import pytest
from parity_engines import LAMMPS, need_lammps
from parity_states import system
from reference import evaluate as slow_sum
from scipy.integrate import trapezoid
from scipy.optimize import minimize_scalar

from supercube.configuration import Configuration, box_matrix
from supercube.model import sums
from supercube.validation.dynamics import model_of
from supercube.validation.parity import CONTACTS, SYSTEMS, TILTS, Scales, deviations, scales, touching

#: The promise to users: one part in a million, of the largest force of a bead pair or the sum of all energies.
PARITY = 1e-6
#: The same formula in double precision, summed in another order: 1e-16 times some thousand terms, with room for the
#: 1e2 by which a relative error of a distance grows in a force that goes as its 13th power.
ROUNDING = 1e-10

ALL = [(name, box, depth) for name in SYSTEMS for box, depth in (("cubic", 2.5), ("tilted", 0.0))]
ALL += [("mixed fluid", "cubic", 0.0), ("mixed fluid", "tilted", 2.5)]


@cache
def computed(machine, name, box, attraction):
    model, configuration, _ = system(name, box, attraction)
    return machine.single_point(model, configuration)


def check(found, expected, tolerance):
    scale = Scales(expected.energy_scale, expected.force_scale)
    answer = (expected.energy, expected.forces, expected.torques)
    assert np.max(deviations(found, answer, scale)) < tolerance  # max() would overlook a NaN


@pytest.mark.parametrize(("name", "box", "attraction"), ALL)
def test_configurations_press_and_lie_across_the_box(name, box, attraction):
    # The tests below cannot see a mistake in what is not there.
    model, configuration, expected = system(name, box, attraction)
    assert expected.force_scale > 5
    assert (np.linalg.norm(expected.forces, axis=1) > 1e-3 * expected.force_scale).mean() > 0.5
    assert np.isclose(configuration.box[3:], TILTS[box]).all()
    fractional = configuration.positions @ np.linalg.inv(box_matrix(configuration.box)).T
    extent = 0.5 / configuration.box[:3].max()
    assert (np.abs(fractional) > 0.5 - extent).any(axis=1).sum() > 3
    assert (model.attracts) == (attraction > 0)


@pytest.mark.parametrize(("name", "box", "attraction"), ALL)
def test_the_fast_sum_is_the_formula(name, box, attraction):
    model, configuration, expected = system(name, box, attraction)
    found = sums.evaluate(model, configuration)
    check((found.energy, found.forces, found.torques), expected, ROUNDING)


@pytest.mark.parametrize(("name", "box", "attraction"), ALL)
def test_differences_are_measured_by_the_scales_of_the_formula(name, box, attraction):
    model, configuration, expected = system(name, box, attraction)
    found = scales(model, configuration)
    assert found.energy == pytest.approx(expected.energy_scale, rel=ROUNDING)
    assert found.force == pytest.approx(expected.force_scale, rel=ROUNDING)


@pytest.mark.parametrize(("name", "box", "attraction"), ALL)
def test_engine_computes_the_formula(machine, name, box, attraction):
    check(computed(machine, name, box, attraction), system(name, box, attraction)[2], PARITY)


@pytest.mark.parametrize(("name", "box", "attraction"), ALL)
def test_forces_add_up_to_nothing(machine, name, box, attraction):
    _, forces, _ = computed(machine, name, box, attraction)
    scale = system(name, box, attraction)[2].force_scale
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=ROUNDING * scale)


@pytest.mark.parametrize(("name", "box", "attraction"), ALL)
def test_engines_agree(hoomd_machine, name, box, attraction):
    need_lammps()
    ours, theirs = computed(hoomd_machine, name, box, attraction), computed(LAMMPS, name, box, attraction)
    expected = system(name, box, attraction)[2]
    assert np.max(deviations(ours, theirs, Scales(expected.energy_scale, expected.force_scale))) < PARITY


#: Gaps over sigma: pressed, at contact of the surfaces and, where only the well acts, near its steepest and further.
NEAR = [
    (name, box, gap, attraction)
    for name in CONTACTS
    for box in TILTS
    for gap, attraction in ((-0.1, 0.0), (-0.05, 4.0), (0.05, 0.0), (0.4, 4.0), (0.9, 4.0))
]


@pytest.mark.parametrize(("name", "box", "gap", "attraction"), NEAR)
def test_the_fast_sum_is_the_formula_near_contact(name, box, gap, attraction):
    model, pair = touching(name, gap, box, attraction)
    expected = slow_sum(model, pair)
    assert expected.force_scale > 1e-3  # the two feel each other
    assert np.abs(pair.positions[1] - pair.positions[0]).max() > 3  # from opposite sides of the box
    found = sums.evaluate(model, pair)
    check((found.energy, found.forces, found.torques), expected, ROUNDING)


@pytest.mark.parametrize(("name", "box", "gap", "attraction"), NEAR)
def test_engine_computes_the_formula_near_contact(machine, name, box, gap, attraction):
    model, pair = touching(name, gap, box, attraction)
    check(machine.single_point(model, pair), slow_sum(model, pair), PARITY)


@pytest.mark.parametrize(("ligand_length", "roughness", "attraction"), [(0.2, 0.02, 5.0), (0.1, 0.05, 2.0)])
def test_two_faces_are_as_deep_as_the_attraction(machine, ligand_length, roughness, attraction):
    model = model_of(2, 0, 1.0, ligand_length, roughness, attraction)

    def energy(distance):
        pair = Configuration(
            [6, 6, 6, 0, 0, 0], [[0, 0, 0], [0, 0, distance]], [[1, 0, 0, 0]] * 2, ("cube",), np.zeros(2)
        )
        return machine.single_point(model, pair)[0]

    # Surfaces touch at 1, and the wells of facing beads are deepest 0.12 sigma further out.
    found = minimize_scalar(energy, bounds=(1.0, 1.0 + 0.3 * model.sigma), method="bounded", options={"xatol": 1e-5})
    # The curvature of the well is below 1e3 attraction: 1e-5 off the minimum costs 1e-7 of it.
    assert found.fun == pytest.approx(-attraction, rel=1e-6)


@pytest.mark.parametrize("roughness", [0.05, 0.02])
@pytest.mark.parametrize("ligand_length", [0.1, 0.2])
def test_spheres_are_as_deep_as_derjaguin_says(machine, ligand_length, roughness):
    # From whole faces, whatever their beads: I = int |E| dd / e^2, 2 pi R I on a face, pi R I for two spheres.
    attraction, radius = 3.0, 1 / 0.6 / 2
    model = model_of(2, 2, 0.6, ligand_length, roughness, attraction)

    def energy(distance, species):
        pair = Configuration(
            [9, 9, 9, 0, 0, 0], [[0, 0, 0], [0, 0, distance]], [[1, 0, 0, 0]] * 2, ("cube", "sphere"), species
        )
        return machine.single_point(model, pair)[0]

    def bottom(touching, species):
        bounds = (touching, touching + 0.3 * model.sigma)
        return minimize_scalar(energy, bounds=bounds, args=(species,), method="bounded", options={"xatol": 1e-5})

    first = bottom(1.0, [0, 0]).x
    distances = np.linspace(first, 1 + 2.5 * model.sigma, 100)
    integral = -trapezoid([energy(d, [0, 0]) for d in distances], distances)
    # 100 points: the rule's error is (b - a) h^2/12 of the slope's change, below 1e-3 of the integral.
    assert bottom(0.5 + radius, [0, 1]).fun == pytest.approx(-2 * np.pi * radius * integral, rel=2e-3)
    assert bottom(2 * radius, [1, 1]).fun == pytest.approx(-np.pi * radius * integral, rel=2e-3)

"""The fast sum over pairs against the plainest one, and its forces against its energy."""

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from supercube.configuration import Configuration, box_matrix
from supercube.model.interactions import wca_energy, wca_force, well_depth, well_energy, well_force
from supercube.model.particles import build_model
from supercube.model.sums import evaluate, place_beads

#: name: box. Bodies of size 1 and range 1.7 (with the well): in the small ones they meet many images, also their own.
BOXES = {
    "wide": [6.0, 6.5, 7.0, 0.0, 0.0, 0.0],
    "tilted": [5.0, 5.5, 6.0, 0.4, -0.3, 0.25],
    "tight": [1.9, 2.2, 2.6, 0.0, 0.0, 0.0],
    "tight and tilted": [2.0, 2.1, 2.4, 0.5, -0.4, 0.3],
    "very oblique": [2.2, 2.2, 2.2, 1.4, 0.0, -1.1],
}


def some_bodies(box, n_cubes=2, n_spheres=1, seed=4):
    rng = np.random.default_rng(seed)
    n = n_cubes + n_spheres
    positions = (rng.random((n, 3)) - 0.5) @ np.clip(box_matrix(box), -1.6, 1.6).T  # near each other in any box
    turns = Rotation.random(n, rng=rng).as_quat(scalar_first=True)
    return Configuration(box, positions, turns, ("cube", "sphere"), [0] * n_cubes + [1] * n_spheres)


@pytest.fixture
def model(make_state_point):
    # Cubes with an inscribed bead, spheres of another size, and the well: every branch of the formula.
    return build_model(make_state_point(n_cubes=2, n_spheres=1, size_ratio=1.3, roughness=0.05, attraction=2.0))


def plain_sum(model, configuration, images=4):
    """U, W, forces, torques: every pair of beads, every image within ``images`` cells, in nested loops over bodies."""
    x, lever, radius, owner = place_beads(model, configuration)
    n, cells = len(configuration), range(-images, images + 1)
    energy, virial, force, torque = 0.0, 0.0, np.zeros((n, 3)), np.zeros((n, 3))
    for a, b, cell in itertools.product(range(n), range(n), itertools.product(cells, cells, cells)):
        if a == b and cell == (0, 0, 0):
            continue
        shift = box_matrix(configuration.box) @ cell
        between = configuration.positions[b] + shift - configuration.positions[a]
        if np.linalg.norm(between) > 4.0:  # beads sit up to 0.52 from a centre and reach 1.6
            continue
        of_a, of_b = owner == a, owner == b
        vector = x[of_b][None] + shift - x[of_a][:, None]
        r = np.linalg.norm(vector, axis=-1)
        s = r - (radius[of_a][:, None] + radius[of_b][None] - model.sigma)
        spheres = int(configuration.is_species("sphere")[[a, b]].sum())
        depth = model.wells[spheres] * well_depth(radius[of_a][:, None], radius[of_b][None], model.sigma)
        strength = wca_energy(s, model.sigma) + depth * well_energy(s, model.sigma)
        push = wca_force(s, model.sigma) + depth * well_force(s, model.sigma)
        on_a = -(push / r)[..., None] * vector
        energy += 0.5 * strength.sum()  # (a, b) and (b, a) are both visited
        virial += -0.5 * float(on_a.sum(axis=(0, 1)) @ between)
        force[a] += on_a.sum(axis=(0, 1))
        torque[a] += np.cross(lever[of_a][:, None], on_a).sum(axis=(0, 1))
    return energy, virial, force, torque


@pytest.mark.parametrize("name", BOXES)
def test_every_sum_is_that_over_all_pairs_and_images(model, name):
    configuration = some_bodies(BOXES[name])
    # s may be negative in overlaps as random as these; the formula is even in s, so both sums still mean the same.
    energy, virial, force, torque = plain_sum(model, configuration)
    found = evaluate(model, configuration)
    scale = np.abs(force).max()
    assert energy != 0
    # Double precision, in another order: 1e-16 of the largest term, which the steepest pairs dominate.
    assert found.energy == pytest.approx(energy, rel=1e-9)
    assert found.virial == pytest.approx(virial, rel=1e-9, abs=1e-9 * scale)
    np.testing.assert_allclose(found.forces, force, atol=1e-9 * scale)
    np.testing.assert_allclose(found.torques, torque, atol=1e-9 * scale)


@pytest.mark.parametrize("tilt", [0.0, 0.5])
def test_a_body_alone_meets_its_own_images(make_state_point, tilt):
    model = build_model(make_state_point(n_cubes=1))
    box = [3.0, 3.0, 0.99, tilt, 0.0, 0.0]  # faces across the box in z only
    alone = Configuration(box, [[0.2, 0.1, 0.3]], [[1, 0, 0, 0]], ("cube",), [0])
    pair = Configuration([9, 9, 9, 0, 0, 0], [[0, 0, 0], [0, 0, 0.99]], [[1, 0, 0, 0]] * 2, ("cube",), [0, 0])
    found, expected = evaluate(model, alone), evaluate(model, pair)
    assert expected.energy > 1
    # One pair of faces a period; the two forces on the body cancel, the virial does not.
    assert found.energy == pytest.approx(expected.energy, rel=1e-9)
    assert found.virial == pytest.approx(expected.virial, rel=1e-9)
    np.testing.assert_allclose(found.forces, 0.0, atol=1e-9 * np.abs(expected.forces).max())


@pytest.fixture
def apart():
    # Two cubes and a sphere, none deeper in another than a few kT, so that finite differences are accurate.
    turns = Rotation.from_euler("xyz", [[0.1, 0.2, 0.3], [-0.4, 0.1, 0.2], [0.0, 0.0, 0.0]]).as_quat(scalar_first=True)
    positions = [[0.0, 0.0, 0.0], [0.25, 0.2, 1.15], [1.05, 0.1, 0.2]]
    return Configuration([2.9, 3.0, 3.1, 0.2, 0.1, -0.1], positions, turns, ("cube", "sphere"), [0, 0, 1])


def test_forces_are_minus_the_gradient_of_the_energy(model, apart):
    found, h = evaluate(model, apart), 1e-5
    assert np.abs(found.forces).max() > 1
    numeric = np.empty((3, 3))
    for body, axis in itertools.product(range(3), range(3)):
        step = np.zeros((3, 3))
        step[body, axis] = h
        up, down = (evaluate(model, apart.with_(positions=apart.positions + sign * step)).energy for sign in (1, -1))
        numeric[body, axis] = -(up - down) / (2 * h)
    # h^2 U'''/6 with U''' up to 1e5 kT/e^3 here, and rounding 1e-15 U/h.
    np.testing.assert_allclose(found.forces, numeric, rtol=1e-5, atol=1e-5)


def test_torques_are_minus_the_gradient_of_the_energy_on_turning(model, apart):
    found, h = evaluate(model, apart), 1e-5
    assert np.abs(found.torques).max() > 0.1
    numeric = np.empty((3, 3))
    for body, axis in itertools.product(range(3), range(3)):
        energies = []
        for sign in (1, -1):
            turns = Rotation.from_quat(apart.orientations, scalar_first=True).as_quat(scalar_first=True)
            about = Rotation.from_rotvec(sign * h * np.eye(3)[axis])
            turns[body] = (about * Rotation.from_quat(turns[body], scalar_first=True)).as_quat(scalar_first=True)
            energies.append(evaluate(model, apart.with_(orientations=turns)).energy)
        numeric[body, axis] = -(energies[0] - energies[1]) / (2 * h)
    np.testing.assert_allclose(found.torques, numeric, rtol=1e-5, atol=1e-5)  # as above
    np.testing.assert_allclose(found.torques[2], 0.0, atol=1e-12)  # a sphere feels none


@pytest.mark.parametrize("name", ["tilted", "tight and tilted"])
def test_the_virial_is_the_change_of_energy_with_the_volume(model, apart, name):
    # Positions scaled with the box, bodies rigid: dU/d ln V = -W/3.
    configuration = apart.with_(box=BOXES[name])
    found, h = evaluate(model, configuration), 1e-6
    energies = []
    for sign in (1, -1):
        scale = np.exp(sign * h / 3)
        box = configuration.box * [scale, scale, scale, 1, 1, 1]
        energies.append(evaluate(model, configuration.with_(box=box, positions=configuration.positions * scale)).energy)
    # The steepest of these pairs has U''' ~ 1e6 kT/e^3: h^2 U''' / U' is far below the rounding, 1e-15 U/h.
    assert found.virial / 3 == pytest.approx(-(energies[0] - energies[1]) / (2 * h), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", ["tilted", "tight and tilted"])
def test_the_virial_tensor_is_the_change_of_energy_with_strain(model, apart, name):
    # Positions and box strained by one component at a time, bodies rigid and not turned: dU/de_ab = -W_ab.
    configuration = apart.with_(box=BOXES[name])
    found, h = evaluate(model, configuration), 1e-6
    numeric = np.empty((3, 3))
    for a, b in itertools.product(range(3), range(3)):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * h
            # A box has its first vector along x, so the strained one is turned back, and all bodies with it.
            turn, matrix = np.linalg.qr(strain @ box_matrix(configuration.box))
            signs = np.diag(np.sign(np.diag(matrix)))
            turn, matrix = turn @ signs, signs @ matrix
            lx, ly, lz = np.diag(matrix)
            box = [lx, ly, lz, matrix[0, 1] / ly, matrix[0, 2] / lz, matrix[1, 2] / lz]
            turns = Rotation.from_matrix(turn.T) * Rotation.from_quat(configuration.orientations, scalar_first=True)
            positions = configuration.positions @ strain.T @ turn
            strained = configuration.with_(box=box, positions=positions, orientations=turns.as_quat(scalar_first=True))
            energies.append(evaluate(model, strained).energy)
        numeric[a, b] = -(energies[0] - energies[1]) / (2 * h)
    assert np.abs(found.virial_tensor - found.virial_tensor.T).max() > 0.1  # so that a transposed one would fail
    assert found.virial == pytest.approx(np.trace(found.virial_tensor), rel=1e-12)
    np.testing.assert_allclose(found.virial_tensor, numeric, rtol=1e-5, atol=1e-5)  # as for the trace above


def test_nothing_depends_on_where_bodies_are_counted(model):
    box = BOXES["tight and tilted"]
    configuration = some_bodies(box)
    base = evaluate(model, configuration)
    crossed = configuration.positions + np.array([[1, 0, -2], [0, 3, 0], [-1, -1, 1]]) @ box_matrix(box).T
    moved = configuration.positions + np.array([0.3, -0.7, 1.1])
    for positions in (crossed, moved):
        found = evaluate(model, configuration.with_(positions=positions))
        assert found.energy == pytest.approx(base.energy, rel=1e-8)
        assert found.virial == pytest.approx(base.virial, rel=1e-8)
        # Positions differ by rounding, 1e-15 e, times the stiffness of the deepest overlap, some 1e6 of its force.
        np.testing.assert_allclose(found.forces, base.forces, atol=1e-8 * np.abs(base.forces).max())

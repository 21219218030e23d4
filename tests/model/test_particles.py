import math

import numpy as np
import pytest

from supercube.model.particles import SINGLE_BEAD, STIFFNESS_LIMIT, build_model
from supercube.model.shapes import Spherocube


def test_only_present_species_cubes_first(make_state_point):
    assert [b.name for b in build_model(make_state_point()).bodies] == ["cube"]
    assert [b.name for b in build_model(make_state_point(n_cubes=0, n_spheres=3, size_ratio=0.5)).bodies] == ["sphere"]
    both = build_model(make_state_point(n_spheres=3, size_ratio=0.5))
    assert [b.name for b in both.bodies] == ["cube", "sphere"]


def test_stokes_friction(make_state_point):
    model = build_model(make_state_point(n_spheres=3, size_ratio=0.5))
    cube, sphere = model.bodies
    eta = 1 / (6 * math.pi * 0.66)  # so that the cube has zeta = 1
    assert cube.friction == pytest.approx(1.0)
    assert cube.rotational_friction == pytest.approx(8 * math.pi * eta * 0.66**3)
    assert cube.rotational_friction == pytest.approx(0.581, abs=5e-4)  # physics.md
    assert sphere.friction == pytest.approx(6 * math.pi * eta * 1.0)  # D/2 = 1
    assert sphere.rotational_friction == pytest.approx(8 * math.pi * eta)
    assert model.diffusion == pytest.approx(1.0)


def test_mass_by_volume(make_state_point):
    model = build_model(make_state_point(n_spheres=3, size_ratio=0.4))
    solid = Spherocube(rounding=0.2)
    assert model.bodies[0].mass == 1.0
    assert model.bodies[1].mass == pytest.approx(math.pi / 6 * 2.5**3 / solid.volume)
    assert model.bodies[0].inertia == pytest.approx(solid.moment_of_inertia())


def test_diffusion_of_spheres_alone(make_state_point):
    model = build_model(make_state_point(n_cubes=0, n_spheres=3, size_ratio=0.5))
    assert model.diffusion == pytest.approx(0.66)  # kT over 6 pi eta (D/2), D/2 = 1


def test_time_step_comes_from_the_stiffest_contact(make_state_point):
    model = build_model(make_state_point())
    cube = model.body("cube")
    together = int(((cube.radii > 0) & np.isclose(cube.positions[:, 2] + cube.radii, 0.5)).sum())
    name, k_over_m = model.stiffest_contact
    assert name == "cube-cube"
    assert k_over_m == pytest.approx(57.146 * together / 0.4**2, rel=1e-4)
    exact = STIFFNESS_LIMIT / math.sqrt(k_over_m)
    assert 0.9 * exact < model.time_step <= exact


def test_one_bead_in_a_collision_is_as_stiff_as_several_that_share_it():
    # U'' of one bead where n beads hold 10 kT together; x = (sigma/s)^6 solves 4 x^2 - 4 x + 1 = 10/n.
    def stiffness(n):
        x = (1 + math.sqrt(10 / n)) / 2
        return 4 * (156 * x**2 - 42 * x) * x ** (1 / 3) / 57.146

    assert stiffness(1) == pytest.approx(52, abs=1)
    for n in (14, 21):
        assert stiffness(1) / stiffness(n) <= SINGLE_BEAD + 0.5


def test_light_spheres_need_shorter_steps(make_state_point):
    heavy, light = (build_model(make_state_point(n_spheres=8, size_ratio=x)) for x in (0.5, 2.0))
    assert heavy.stiffest_contact[0] == "cube-cube"
    assert light.stiffest_contact[0] in ("cube-sphere", "sphere-sphere")
    assert light.time_step < heavy.time_step


def test_shorter_ligands_need_shorter_steps(make_state_point):
    steps = [build_model(make_state_point(ligand_length=x)).time_step for x in (0.1, 0.15, 0.2)]
    assert steps == sorted(steps)
    assert steps[0] < steps[2] / 2


def test_the_record_for_the_document(make_state_point):
    record = build_model(make_state_point(ligand_length=0.1)).describe()
    assert record["beads"] == 69
    assert record["bead_spacing"] == pytest.approx((1 - 2 * 0.1) / 4)  # five beads an edge
    assert record["bead_radii"][0] == 0.1
    assert record["roughness"] <= 0.02
    spheres = build_model(make_state_point(n_cubes=0, n_spheres=3, size_ratio=0.5)).describe()
    assert (spheres["beads"], spheres["bead_spacing"]) == (0, None)


def test_hash_changes_with_the_physics_only(make_state_point):
    base = build_model(make_state_point()).hash
    assert base == build_model(make_state_point(n_cubes=27, replicate=3)).hash
    for change in (
        {"ligand_length": 0.21},
        {"roughness": 0.05, "ligand_length": 0.1},
        {"n_spheres": 1, "size_ratio": 0.5},
    ):
        assert build_model(make_state_point(**change)).hash != base


def test_cutoff_reaches_to_where_the_force_ends(make_state_point):
    model = build_model(make_state_point(n_spheres=1, size_ratio=0.5))
    # Two spheres: D - sigma + 2^(1/6) sigma.
    assert model.cutoff(1.0, 1.0) == pytest.approx(2.0 - 0.4 + 2 ** (1 / 6) * 0.4)
    assert model.cutoff(0.2, 0.2) == pytest.approx(2 ** (1 / 6) * 0.4)

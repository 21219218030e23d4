import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from supercube.configuration import Configuration
from supercube.model.particles import SINGLE_BEAD, STIFFNESS_LIMIT, build_model
from supercube.model.shapes import Spherocube
from supercube.model.sums import evaluate


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


def per_bead(model):
    return 57.146 / model.sigma**2  # 72/2^(1/3) eps/sigma^2


def test_time_step_comes_from_the_stiffest_contact(make_state_point):
    model = build_model(make_state_point())
    cube = model.body("cube")
    # Corner against corner, one bead each: the corner bead sits at (h, h, h) with h = 1/2 - lambda and is pushed along
    # a face normal, so its lever is h sqrt(2), on both cubes.
    mobility = 1 + 2 * 0.3**2 / cube.inertia
    assert cube.corner_mobility == pytest.approx(mobility, rel=1e-12)
    name, k_over_m = model.stiffest_contact
    assert name == "cube-cube"
    assert k_over_m == pytest.approx(2 * SINGLE_BEAD * per_bead(model) * mobility, rel=1e-4)  # 57.146 has five digits
    exact = STIFFNESS_LIMIT / math.sqrt(k_over_m)
    assert 0.9 * exact < model.time_step <= exact


def test_a_face_of_many_beads_is_stiffer_than_a_corner(make_state_point):
    model = build_model(make_state_point(ligand_length=0.1, roughness=0.005))
    cube = model.body("cube")
    together = int(((cube.radii > 0) & np.isclose(cube.positions[:, 2] + cube.radii, 0.5)).sum())
    mobility = 1 + 2 * 0.4**2 / cube.inertia
    assert together > SINGLE_BEAD * mobility
    name, k_over_m = model.stiffest_contact
    assert name == "cube-cube face"
    assert k_over_m == pytest.approx(2 * together * per_bead(model), rel=1e-4)  # reduced mass 1/2; 57.146 is rounded


@pytest.mark.parametrize(("size_ratio", "expected"), [(0.5, "cube-cube"), (1.5, "sphere-sphere")])
def test_stiffest_contact_of_mixtures(make_state_point, size_ratio, expected):
    model = build_model(make_state_point(n_spheres=8, size_ratio=size_ratio))
    cube, sphere = model.bodies
    corner, light = 1 + 2 * 0.3**2 / cube.inertia, 1 / sphere.mass
    contacts = {"cube-cube": 2 * corner, "cube-sphere": corner + light, "sphere-sphere": 2 * light}
    assert max(contacts, key=contacts.get) == expected
    name, k_over_m = model.stiffest_contact
    assert name == expected
    assert k_over_m == pytest.approx(SINGLE_BEAD * per_bead(model) * max(contacts.values()), rel=1e-4)  # 57.146


def test_an_attraction_stiffens_contacts_by_the_curvature_of_its_well(make_state_point):
    plain, sticky = (build_model(make_state_point(attraction=a)) for a in (0.0, 30.0))
    mobility = 2 * plain.body("cube").corner_mobility
    added = sticky.stiffest_contact[1] - plain.stiffest_contact[1]
    assert added == pytest.approx(16 * 30.0 / 0.4**2 * mobility, rel=1e-12)  # (sigma/tau)^2 = 16
    assert sticky.time_step < plain.time_step


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
        {"attraction": 2.0},
        {"attraction": 2.0, "n_cubes": 0, "n_spheres": 1, "size_ratio": 0.5},
    ):
        assert build_model(make_state_point(**change)).hash != base


def test_cutoff_reaches_to_where_the_force_ends(make_state_point):
    model = build_model(make_state_point(n_spheres=1, size_ratio=0.5))
    # Two spheres: D - sigma + 2^(1/6) sigma.
    assert model.cutoff(1.0, 1.0) == pytest.approx(2.0 - 0.4 + 2 ** (1 / 6) * 0.4)
    assert model.cutoff(0.2, 0.2) == pytest.approx(2 ** (1 / 6) * 0.4)


def test_an_attraction_reaches_further(make_state_point):
    plain, sticky = (build_model(make_state_point(attraction=a)) for a in (0.0, 2.0))
    assert plain.reach == plain.wca_cutoff == sticky.wca_cutoff == pytest.approx(2 ** (1 / 6) * 0.4)
    assert sticky.reach == pytest.approx(2.5 * 0.4)
    assert sticky.cutoff(0.2, 0.3) == pytest.approx(0.1 + 2.5 * 0.4)  # Delta = 0.2 + 0.3 - sigma


# --- the well of an attraction ----------------------------------------------------------------------------------------


def faced(model, distance):
    """Energy of two aligned cubes, face to face with beads in registry, in a box too large for images."""
    box, turns = [8, 8, 8, 0, 0, 0], [[1, 0, 0, 0]] * 2
    return evaluate(model, Configuration(box, [[0, 0, 0], [0, 0, distance]], turns, ("cube",), [0, 0])).energy


@pytest.mark.parametrize(("ligand", "attraction"), [(0.2, 0.5), (0.2, 5.0), (0.1, 20.0)])
def test_two_aligned_cubes_have_the_least_energy_minus_attraction(make_state_point, ligand, attraction):
    model = build_model(make_state_point(ligand_length=ligand, attraction=attraction))
    # All distances from overlap to beyond the range, so that another, deeper minimum could not hide.
    coarse = np.linspace(1.0 - 0.3 * model.sigma, 1.0 + 2.0 * model.sigma, 80)
    energies = np.array([faced(model, d) for d in coarse])
    at = int(energies.argmin())
    fine = minimize_scalar(lambda d: faced(model, d), bounds=(coarse[at - 1], coarse[at + 1]), method="bounded")
    # A minimum is flat: 1e-5 e (the minimiser's default) from it costs (1e-5)^2 U''/2 < 1e-6 of the depth.
    assert fine.fun == pytest.approx(-attraction, rel=2e-6)
    assert faced(model, 1.0 + 2.0 * model.sigma) == 0.0
    assert model.attraction == attraction


def test_no_attraction_no_well(make_state_point):
    model = build_model(make_state_point(attraction=0.0))
    assert model.wells == (0.0, 0.0, 0.0)
    assert not model.attracts
    assert model.depth(0.2, 0.5, 0) == 0.0


def test_the_well_grows_with_the_attraction(make_state_point):
    wells = [build_model(make_state_point(attraction=a)).wells[0] for a in (0.1, 1.0, 2.0, 10.0)]
    assert wells == sorted(wells)
    assert wells[0] > 0
    # Beads share the well of a face: none of them alone is as deep as both faces together.
    assert wells[-1] < 10.0


def test_spheres_alone_get_the_well_that_they_have_beside_cubes(make_state_point):
    values = {"n_spheres": 8, "size_ratio": 0.5, "attraction": 3.0}
    beside, alone = (build_model(make_state_point(n_cubes=n, **values)) for n in (8, 0))
    assert alone.wells == beside.wells
    assert min(alone.wells) > 0
    # R/(lambda/2) with R = D/4: two spheres of diameter 2 at lambda 0.2.
    assert alone.depth(1.0, 1.0, 2) == pytest.approx(alone.wells[2] * 0.5 / 0.1)


def test_wells_of_spheres_do_not_depend_on_the_resolution(make_state_point):
    values = {"n_spheres": 8, "size_ratio": 0.6, "attraction": 5.0}
    depths = [
        float(build_model(make_state_point(roughness=r, **values)).depth(1 / 1.2, 1 / 1.2, 2))
        for r in (0.05, 0.02, 0.01)
    ]
    # Rougher faces reach a little farther; scaled from single beads it was a factor of twenty.
    assert max(depths) / min(depths) < 1.2
    assert depths[-1] > 0.5

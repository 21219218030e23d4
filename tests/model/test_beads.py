import itertools

import numpy as np
import pytest

from supercube.errors import InputError
from supercube.model import beads
from supercube.model.beads import Layout, assemble, design_cube, measure_dent, measure_roughness


@pytest.mark.parametrize(("ligand", "roughness"), [(0.1, 0.02), (0.15, 0.02), (0.18, 0.05), (0.2, 0.01)])
def test_the_design_keeps_its_promises(ligand, roughness):
    cube = design_cube(ligand, roughness)
    # Independent of the design's own grid: finer shifts than it used. 5 % for shifts that its grid of 9 missed.
    assert measure_roughness(cube.positions, cube.radii, cube.sigma, points=17) <= 1.05 * roughness
    assert cube.dent <= beads.DENT_FACTOR * roughness
    acting = cube.radii > 0
    # Every bead stays inside the cube: a ball of radius R fits where its centre is within 1/2 - R in x, y, z ...
    inside = np.abs(cube.positions[acting]) + cube.radii[acting, None]
    assert inside.max() <= 0.5 + 1e-12
    # ... and it touches all six faces.
    for axis, sign in itertools.product(range(3), (-1, 1)):
        assert (sign * cube.positions[acting, axis] + cube.radii[acting]).max() == pytest.approx(0.5)
    assert np.all(cube.positions[0] == 0)
    assert cube.sigma == 2 * ligand


def test_fewer_beads_for_a_rougher_cube_and_none_fewer_would_do():
    fine, coarse = design_cube(0.1, 0.01), design_cube(0.1, 0.05)
    assert coarse.n_beads < design_cube(0.1, 0.02).n_beads < fine.n_beads
    assert coarse.roughness > 0.01  # so the coarse one does not meet the finer tolerance


def test_a_third_fewer_beads_than_equal_ones_for_the_same_smoothness():
    cube = design_cube(0.1, 0.02)
    equal = Layout(per_edge=5, inscribed=False, grid=3, radius=0.1, half_width=0.2)
    positions, radii = assemble(equal, 0.1)
    assert len(positions) - 1 == 98  # 5^3 - 3^3
    assert measure_roughness(positions, radii, 0.2) > 2 * cube.roughness
    assert cube.n_beads <= 98 * 0.75


def test_edge_beads_leave_no_gap():
    for ligand in (0.08, 0.1, 0.15, 0.2, 0.3):
        cube = design_cube(ligand, 0.05)
        edge = cube.positions[np.isclose(cube.radii, ligand)]
        along_z = edge[(edge[:, 0] == edge[:, 0].max()) & (edge[:, 1] == edge[:, 1].max())]
        assert len(along_z) >= 2
        assert np.diff(np.sort(along_z[:, 2])).max() <= 2 * ligand + 1e-12


def test_dent_of_equal_beads_is_the_formula():
    # A sphere in the middle of a square of four equal beads of spacing b: sigma [1 - sqrt(1 - (b/sigma)^2/2)].
    ligand, per_edge = 0.1, 5
    positions, radii = assemble(Layout(per_edge, False, 3, ligand, 0.2), ligand)
    b, sigma = (1 - 2 * ligand) / (per_edge - 1), 2 * ligand
    expected = sigma * (1 - np.sqrt(1 - (b / sigma) ** 2 / 2))
    assert measure_dent(positions, radii, ligand, points=41) == pytest.approx(expected, rel=1e-12)


def test_smooth_plane_limit():
    # Beads far denser than their size make a plane: the contact distance no longer depends on the shift.
    positions, radii = assemble(Layout(11, False, 9, 0.2, 0.3), 0.2)
    assert measure_roughness(positions, radii, 0.4) < 0.004


def test_the_second_moment_is_isotropic():
    # The engine recovers orientations from sum_b b b^T = c 1.
    cube = design_cube(0.15, 0.02)
    moment = cube.positions.T @ cube.positions
    np.testing.assert_allclose(moment, np.eye(3) * moment[0, 0], atol=1e-12)


def test_too_many_beads_names_the_smallest_ligand_that_works():
    with pytest.raises(InputError, match=r"ligand_length 0\.01 needs more than 500 beads .* at least 0\.0") as caught:
        design_cube(0.01, 0.1)
    smallest = float(str(caught.value).split("at least ")[1].split(",")[0])
    assert 0.01 < smallest < 0.02
    assert design_cube(smallest, 0.1).n_beads <= beads.MAX_BEADS


def test_a_roughness_beyond_reason_is_refused_at_once():
    with pytest.raises(InputError, match=r"roughness is 0\.001; expected at least 0\.005"):
        design_cube(0.1, 0.001)


def test_the_hash_sees_every_bead():
    a, b = design_cube(0.15, 0.02), design_cube(0.2, 0.02)
    assert a.hash != b.hash
    assert a.hash == design_cube(0.15, 0.02).hash
    moved = beads.BeadCube(a.positions + np.eye(len(a.positions), 3) * 1e-6, a.radii, a.sigma, a.roughness, a.dent)
    assert moved.hash != a.hash

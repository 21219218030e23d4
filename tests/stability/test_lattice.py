"""Translations and wave vectors of crystal starts."""

import numpy as np
import pytest

from supercube.configuration import read_gsd, write_gsd
from supercube.crystals.build import build_crystal
from supercube.errors import InputError
from supercube.protocol.initial import random_fluid
from supercube.stability.lattice import lattice_of

#: Cubes, spheres, gamma -> bodies of the primitive cell and number of cells.
CRYSTALS = {
    "SC": (27, 0, 1.0, 1, 27),
    "fcc": (0, 108, 1.0, 1, 108),
    "NaCl": (32, 32, 0.41, 2, 32),
    "ABO3": (108, 27, 0.5, 5, 27),
    "CsCl": (27, 27, 0.9, 2, 27),
    "AlB2": (96, 48, 0.45, 3, 48),
}


@pytest.mark.parametrize("name", CRYSTALS)
def test_primitive_cells(name, tmp_path):
    n_cubes, n_spheres, gamma, bodies, cells = CRYSTALS[name]
    crystal = build_crystal(name, n_cubes, n_spheres, gamma, 0.15, 1.04)
    write_gsd(tmp_path / "initial.gsd", crystal)  # seven digits
    lattice = lattice_of(read_gsd(tmp_path / "initial.gsd"))
    assert lattice.orbits.shape == (bodies, cells)
    assert lattice.is_cube.sum() * cells == n_cubes
    # Columns are moved alike, so all orbits have the same distances between columns.
    apart = [crystal.minimum_image(crystal.positions[row] - crystal.positions[row[0]]) for row in lattice.orbits]
    for other in apart[1:]:
        np.testing.assert_allclose(crystal.minimum_image(other - apart[0]), 0.0, atol=1e-6)


@pytest.mark.parametrize("name", CRYSTALS)
def test_wave_vectors_are_a_basis(name):
    n_cubes, n_spheres, gamma, _, cells = CRYSTALS[name]
    lattice = lattice_of(build_crystal(name, n_cubes, n_spheres, gamma, 0.15))
    every = np.concatenate([lattice.phases, lattice.phases[~lattice.is_real].conj()])
    np.testing.assert_allclose(every @ every.conj().T, cells * np.eye(cells), atol=1e-9 * cells)
    assert not lattice.wave_vectors[0].any()
    np.testing.assert_allclose(lattice.phases[lattice.is_real].imag, 0.0, atol=1e-9)


def test_orientations_count():
    crystal = build_crystal("SC", 64, 0, 1.0, 0.1)
    turned = crystal.orientations.copy()
    layer = crystal.positions[:, 2] < -1
    turned[layer] = [np.cos(0.1), 0.0, 0.0, np.sin(0.1)]
    assert layer.sum() == 16
    assert lattice_of(crystal).n_translations == 64
    assert lattice_of(crystal.with_(orientations=turned)).n_translations == 16


def test_a_fluid_has_one_cell_and_a_defect_too():
    fluid = random_fluid(8, 0, 1.0, 0.2, 0.15, 5)
    assert lattice_of(fluid).orbits.shape == (8, 1)
    crystal = build_crystal("SC", 27, 0, 1.0, 0.1)
    moved = crystal.positions.copy()
    moved[5] += 0.05
    assert lattice_of(crystal.with_(positions=moved)).n_translations == 1


def test_no_group_is_refused():
    # Places that shift by less than the tolerance from one cell to the next, and by more over two.
    crystal = build_crystal("SC", 27, 0, 1.0, 0.1)
    nearly = crystal.positions.copy()
    nearly[:, 0] += 7e-5 * crystal.box[0] * np.arange(27) / 9 % (3 * 7e-5)
    with pytest.raises(InputError, match="perfect crystal"):
        lattice_of(crystal.with_(positions=nearly))

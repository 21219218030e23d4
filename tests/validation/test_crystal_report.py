"""Table, figure and explanations of pressed crystals."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread
from pressed_jobs import PRESSURES, abo3, jobs, with_theory

from supercube.observe.palette import rgb
from supercube.validation.crystal_report import crystal_figure, crystal_table, explanations
from supercube.validation.crystals import Kind, crystal_checks, pressed_crystals


def swells(pressure):
    return 1.5 / pressure


def sc(**changes):
    (crystal,) = pressed_crystals(jobs(swells, **changes))
    return crystal


def failures(crystal):
    return {check.name for check in crystal_checks([crystal]) if not check.passed}


@pytest.mark.parametrize("make", [sc, abo3])
def test_what_passes_is_not_explained(make):
    crystal = make()
    assert not failures(crystal)
    assert explanations([crystal]) == {}


def test_a_lost_crystal_is_explained_by_the_volume_that_closest_packing_gains():
    # At gamma 0.41 spheres touch in ABO3, and NaCl is close to its best: ABO3 takes 9.4 % more volume than NaCl + SC.
    crystal = abo3(size_ratio=0.41, held=(1.0, 0.5, 0.2))
    found = explanations([crystal])
    assert set(found) == failures(crystal)
    held, line = found.values()
    assert "at P = 120, 240" in held
    assert "9.4 % more volume than SC + NaCl" in held
    assert "it was lost at P = 120, 240" in line


def test_a_crystal_that_packs_best_is_not_explained_by_volume():
    found = explanations([abo3(size_ratio=0.5, held=(1.0, 1.0, 0.2))])
    assert "volume does not explain it" in next(iter(found.values()))


def test_cubes_alone_have_no_rival_and_jobs_may_be_missing():
    (lost,) = explanations([sc(held=0.1)]).values()
    assert "no rival of another composition" in lost
    crystal = sc(pressures=PRESSURES[:2])
    found = explanations([crystal])
    assert set(found) == failures(crystal)
    assert "finish the other jobs" in next(iter(found.values()))


def test_sheared_cubes_are_explained_by_the_least_enthalpy_of_free_cells():
    (crystal,) = pressed_crystals(jobs(lambda pressure: 1.5 / pressure - 0.03))
    found = explanations([crystal])
    assert set(found) == failures(crystal)
    (text,) = found.values()
    free = float(text.split("free shear has a = ")[1].split(" ")[0])
    assert 0.99 < free < crystal.points[-1].theory.minimum - 0.01


def test_tilted_cubes_explain_a_formula_that_is_too_large():
    crystal = with_theory(replace(abo3(), kind=Kind("ABO3", 0.5, 0.1)), packing=2.05)
    found = explanations([crystal])
    assert set(found) == failures(crystal)
    assert "tilts" in next(iter(found.values()))


def test_the_table_has_a_row_for_each_pressure_and_no_lattice_constant_of_what_is_lost():
    crystals = [sc(), abo3(held=(1.0, 1.0, 0.5))]
    lines = crystal_table(crystals).splitlines()
    assert len(lines) == 2 + 2 * len(PRESSURES)
    assert len({line.count("|") for line in lines}) == 1
    point = crystals[0].points[0]
    assert f"{point.lattice_constant:.4f}" in lines[2]
    assert f"{point.theory.sliding:.4f}" in lines[2]
    assert "44.0 (spread 0.8)" in lines[5]
    assert "| lost |" in lines[7]
    assert "spread" not in lines[7]


def has(path, colour):
    return bool((np.abs(imread(path)[..., :3] - rgb(colour)).max(axis=-1) < 0.02).any())


def test_the_figure_draws_what_held_and_names_what_did_not(tmp_path):
    crystal_figure(tmp_path / "a.png", [abo3(), abo3(size_ratio=0.41, held=(0.1, 0.1, 0.1)), sc()])
    assert 2_000 < (tmp_path / "a.png").stat().st_size < 60_000
    assert has(tmp_path / "a.png", "#0072B2")
    crystal_figure(tmp_path / "b.png", [sc(held=0.1)])  # an empty panel is a panel
    assert (tmp_path / "b.png").stat().st_size > 2_000

"""Starts: fluids without overlap by an independent test, crystals, files, and every refusal."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.optimize import lsq_linear
from scipy.spatial.transform import Rotation

from supercube.configuration import Configuration, write_gsd
from supercube.crystals.build import build_crystal
from supercube.errors import FileFormatError, InputError
from supercube.model.shapes import packing_fraction
from supercube.protocol.initial import (
    CLEARANCE,
    LARGEST_FLUID,
    check_initial,
    initial_configuration,
    random_fluid,
    store_file,
)


@dataclass(frozen=True)
class State:
    size_ratio: float = 0.49
    ligand_length: float = 0.15
    n_cubes: int = 108
    n_spheres: int = 27
    initial: str = "fluid"
    expansion: float = 1.0
    evaporation_rate: float = 0.0
    target_packing_fraction: float = 0.7


def _least_gap(fluid, gamma, rounding):
    """Smallest surface gap of all pairs over all neighbouring images, by bounded least squares (0.2 if it is more)."""
    turns = Rotation.from_quat(fluid.orientations[:, [1, 2, 3, 0]]).as_matrix()
    cubes = fluid.is_species("cube")
    cores, radii = np.where(cubes, 0.5 - rounding, 0.0), np.where(cubes, rounding, 0.5 / gamma)
    images = np.stack(np.meshgrid(*[np.arange(-1, 2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) * fluid.box[:3]
    least = 0.2
    for i in range(len(fluid)):
        separations = (fluid.positions[i:, None] - fluid.positions[i] + images).reshape(-1, 3)
        partners = np.repeat(np.arange(i, len(fluid)), len(images))
        distance = np.linalg.norm(separations, axis=1)
        reach = math.sqrt(3) * (cores[i] + cores[partners]) + radii[i] + radii[partners] + 0.2
        for pair in np.flatnonzero((distance > 1e-9) & (distance < reach)):
            j = partners[pair]
            limit = np.repeat([cores[i], cores[j]], 3) + 1e-12  # bvls wants an interior
            matrix = np.hstack([turns[i], -turns[j]])
            cost = lsq_linear(matrix, separations[pair], (-limit, limit), method="bvls").cost
            least = min(least, math.sqrt(2 * cost) - radii[i] - radii[j])
    return least


@pytest.mark.parametrize(
    ("n_cubes", "n_spheres", "gamma", "rounding", "fraction"),
    [
        (64, 0, 1.0, 0.1, 0.15),
        (32, 8, 0.49, 0.15, 0.2),
        (30, 30, 2.0, 0.25, 0.25),
        (60, 12, 0.2, 0.05, 0.25),
        (0, 60, 0.5, 0.1, 0.3),
        (40, 0, 1.0, 0.1, 0.3),
    ],
)
def test_fluid_keeps_its_distance(n_cubes, n_spheres, gamma, rounding, fraction):
    fluid = random_fluid(n_cubes, n_spheres, gamma, rounding, fraction, seed=3)
    assert (fluid.count("cube"), fluid.count("sphere")) == (n_cubes, n_spheres)
    assert np.all(np.diff(fluid.typeid) >= 0)
    assert packing_fraction(n_cubes, n_spheres, gamma, rounding, fluid.volume) == pytest.approx(fraction, rel=1e-12)
    # Demanded at build time with a bound never above the true gap; 1e-9 is the round-off of the two computations.
    # Some pair is near the limit in a fluid this dense, else the bodies are not where they should be.
    assert CLEARANCE * 2 * rounding - 1e-9 <= _least_gap(fluid, gamma, rounding) < 0.2


def test_the_independent_test_sees_an_overlap():
    fluid = random_fluid(32, 8, 0.49, 0.15, 0.2, seed=3)
    positions = fluid.positions.copy()
    positions[0] = positions[-1] + [1.2, 0.0, 0.0]  # inside the reach of sphere (1.02) and cube (0.5)
    assert _least_gap(fluid.with_(positions=positions), 0.49, 0.15) < 0


def test_fluid_fills_the_box_with_uniform_orientations():
    fluid = random_fluid(600, 0, 1.0, 0.1, 0.05, seed=5)
    turns = Rotation.from_quat(fluid.orientations[:, [1, 2, 3, 0]]).as_matrix()
    # Cubic harmonic of the body axes: sum of fourth powers of direction cosines averages 3/5 over the sphere; the
    # columns of one matrix are not independent, so each body counts once. Four standard errors.
    harmonic = (turns**4).sum(axis=(1, 2)) / 3
    assert abs(harmonic.mean() - 3 / 5) < 4 * harmonic.std() / math.sqrt(600)
    assert np.all(abs(turns.mean(axis=0)) < 4 / math.sqrt(3 * 600))  # <R_ij> = 0, <R_ij^2> = 1/3
    fractional = fluid.positions / fluid.box[:3]
    assert np.all(abs(fractional) <= 0.5)
    assert np.all(abs(fractional.mean(axis=0)) < 4 / math.sqrt(12 * 600))  # variance 1/12 of a uniform number


def test_seed_decides():
    first, again, other = (random_fluid(40, 10, 0.5, 0.15, 0.2, seed=seed) for seed in (7, 7, 8))
    assert np.array_equal(first.positions, again.positions)
    assert np.array_equal(first.orientations, again.orientations)
    assert not np.allclose(first.positions, other.positions)


def test_margin_is_the_callers():
    fluid = random_fluid(30, 30, 1.0, 0.25, 0.1, seed=1, clearance=0.3)
    assert 0.3 * 2 * 0.25 - 1e-9 <= _least_gap(fluid, 1.0, 0.25) < 0.2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((64, 0, 1.0, 0.1, LARGEST_FLUID + 0.01), "at most 0.3, not 0.31"),
        ((64, 0, 1.0, 0.1, 0.0), "above 0"),
        ((64, 0, 1.0, 0.1, math.nan), "above 0"),
        ((0, 0, 1.0, 0.1, 0.1), "needs particles"),
        ((2, 0, 1.0, 0.1, 0.3), "more particles or a smaller packing fraction"),
        ((64, 0, 1.0, 0.6, 0.1), "rounding between"),
    ],
)
def test_impossible_fluids_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        random_fluid(*arguments, seed=1)


def test_insertion_gives_up(monkeypatch):
    monkeypatch.setattr("supercube.protocol.initial._TRIALS_PER_BODY", 5)
    with pytest.raises(InputError, match=r"found no room; take a smaller initial packing fraction"):
        random_fluid(100, 0, 1.0, 0.25, 0.3, seed=1)


# --- dispatch ---------------------------------------------------------------------------------------------------------


def test_fluid_start(tmp_path):
    start = initial_configuration(State(), 0.1, 4, tmp_path)
    same = random_fluid(108, 27, 0.49, 0.15, 0.1, seed=4)
    assert np.array_equal(start.positions, same.positions)
    assert start.shapes == same.shapes
    check_initial(State(), 0.1, tmp_path)


def test_crystal_start(tmp_path):
    state = State(initial="ABO3", expansion=1.03)
    start = initial_configuration(state, 0.1, 4, tmp_path)
    assert np.array_equal(start.positions, build_crystal("ABO3", 108, 27, 0.49, 0.15, 1.03).positions)
    check_initial(state, 0.1, tmp_path)


def test_file_start(tmp_path):
    # Types in the other order, one of them unused, no shapes, and a step that the run must not inherit.
    crystal = build_crystal("NaCl", 32, 32, 0.45, 0.1, 1.1)
    written = Configuration(
        box=crystal.box,
        positions=crystal.positions[:32],
        orientations=crystal.orientations[:32],
        species=("sphere", "cube"),
        typeid=np.ones(32),
        step=500,
    )
    write_gsd(tmp_path / "mine.gsd", written)
    name = store_file(tmp_path / "mine.gsd", tmp_path / "files")
    state = State(initial=name, n_cubes=32, n_spheres=0, size_ratio=1.0)
    check_initial(state, 0.1, tmp_path / "files")
    start = initial_configuration(state, 0.1, 1, tmp_path / "files")
    assert start.species == ("cube",)
    assert start.step == 0
    assert start.shapes[0]["rounding_radius"] == 0.15
    assert start.positions == pytest.approx(crystal.positions[:32], abs=1e-5)  # single precision in the file
    assert [path.name for path in (tmp_path / "files").iterdir()] == [f"{name.removeprefix('file:')}.gsd"]
    assert store_file(tmp_path / "mine.gsd", tmp_path / "files") == name


def test_only_readable_files_are_stored(tmp_path):
    (tmp_path / "text.gsd").write_text("no GSD")
    with pytest.raises(FileFormatError, match=r"text\.gsd"):
        store_file(tmp_path / "text.gsd", tmp_path / "files")
    assert not (tmp_path / "files").exists()


def _stored(tmp_path):
    write_gsd(tmp_path / "mine.gsd", build_crystal("SC", 27, 0, 1.0, 0.1, 1.2))
    return store_file(tmp_path / "mine.gsd", tmp_path)


def test_missing_altered_or_other_files_are_refused(tmp_path):
    name = _stored(tmp_path)
    good = State(initial=name, n_cubes=27, n_spheres=0)
    check_initial(good, 0.1, tmp_path)
    cases = {
        "does not exist": replace(good, initial="file:" + "0" * 64),
        "64 hexadecimal": replace(good, initial="file:../mine"),
        "holds 27 cubes and 0 spheres, but the state point says 27 and 1": replace(good, n_spheres=1),
    }
    for message, state in cases.items():
        with pytest.raises(InputError, match=message):
            check_initial(state, 0.1, tmp_path)
        with pytest.raises(InputError, match=message):
            initial_configuration(state, 0.1, 1, tmp_path)
    write_gsd(tmp_path / f"{name.removeprefix('file:')}.gsd", build_crystal("SC", 27, 0, 1.0, 0.1, 1.3))
    with pytest.raises(InputError, match="has changed since it was stored"):
        check_initial(good, 0.1, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"initial": "AB03"}, "initial: unknown structure 'AB03'; the nearest is ABO3"),
        ({"initial": "ABO3", "n_cubes": 100}, "the nearest that does is 108 cubes and 27 spheres"),
        ({"initial": "ABO3", "expansion": 0.96}, "expansion 0.96 .* overlap"),
        ({"initial": "ABO3", "expansion": -1.0}, "expansion -1 .* overlap"),
        ({"initial": "ABO3", "expansion": math.nan}, "expansion nan .* overlap"),
        ({"n_cubes": 2, "n_spheres": 0}, "more particles or a smaller packing fraction"),
        ({"evaporation_rate": 1.0, "target_packing_fraction": 0.2}, "0.2 is not above the 0.2 "),
        ({"evaporation_rate": 1.0, "target_packing_fraction": 0.9}, "0.9 cannot be reached: .* at most 0.8"),
        (
            {"initial": "ABO3", "evaporation_rate": 1.0, "target_packing_fraction": 0.7},
            "0.7 is not above the 0.8286 ",
        ),
    ],
)
def test_refusals(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        check_initial(replace(State(), **changes), 0.2, tmp_path)


def test_drying_that_can_be_done_passes(tmp_path):
    check_initial(State(evaporation_rate=1.0, target_packing_fraction=0.8), 0.2, tmp_path)
    # Without drying the target is not used, hence not refused.
    check_initial(State(target_packing_fraction=0.1), 0.2, tmp_path)
    name = _stored(tmp_path)
    denser = State(initial=name, n_cubes=27, n_spheres=0, ligand_length=0.1, evaporation_rate=1.0)
    check_initial(denser, 0.2, tmp_path)  # 0.56 -> 0.7
    with pytest.raises(InputError, match=r"0\.5 is not above the 0\.56"):
        check_initial(replace(denser, target_packing_fraction=0.5), 0.2, tmp_path)

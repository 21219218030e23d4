import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from supercube.cli import main
from supercube.configuration import Configuration, write_gsd
from supercube.crystals.build import build_crystal
from supercube.energy import describe, model_of, single_point_answer, summary
from supercube.engines.base import present
from supercube.errors import EngineError, InputError
from supercube.model.sums import evaluate

ENGINES = [pytest.param("hoomd", marks=pytest.mark.hoomd), "lammps"]
CUBE = [1.0, 0.0, 0.0, 0.0]


def shaken(seed=1):
    """27 cells of ABO3 whose bodies push each other: the smallest box that HOOMD-blue takes."""
    crystal = build_crystal("ABO3", 108, 27, 0.49, 0.18, 1.05)
    rng = np.random.default_rng(seed)
    turned = Rotation.from_rotvec(rng.normal(scale=0.03, size=(135, 3))) * Rotation.from_quat(
        crystal.orientations, scalar_first=True
    )
    moved = crystal.positions + rng.normal(scale=0.02, size=(135, 3))
    return crystal.with_(positions=moved, orientations=turned.as_quat(scalar_first=True))


def cubes(*positions, box=(9.0, 9.0, 9.0, 0.0, 0.0, 0.0)):
    n = len(positions)
    return Configuration(np.array(box), np.array(positions), np.array([CUBE] * n), ("cube",), np.zeros(n))


def run(tmp_path, capsys, configuration, *arguments):
    path = tmp_path / "some.gsd"
    write_gsd(path, configuration)
    code = main(["energy", str(path), *arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("attraction", [0.0, 2.0])
def test_an_engine_computes_the_formula(engine, attraction):
    configuration = shaken()
    model = model_of(configuration, ligand_length=0.18, size_ratio=0.49, attraction=attraction)
    answer = single_point_answer(configuration, model, engine)
    expected = evaluate(model, configuration)
    assert abs(expected.energy) > 10
    # LAMMPS evaluates powers and exponentials in another order, and subtracts the shift of many pairs.
    assert answer["potential_energy"] == pytest.approx(expected.energy, rel=1e-9)
    for key, vectors in (("forces", expected.forces), ("torques", expected.torques)):
        assert np.array(answer[key]) == pytest.approx(vectors, abs=1e-9 * np.abs(vectors).max())
    assert answer["engine"] == engine


@pytest.mark.parametrize("engine", ENGINES)
def test_bodies_are_answered_in_the_order_of_the_file_whatever_the_types(engine):
    configuration = shaken()
    mixed = np.random.default_rng(2).permutation(135)
    swapped = Configuration(
        configuration.box,
        configuration.positions[mixed],
        configuration.orientations[mixed],
        ("sphere", "cube"),
        1 - configuration.typeid[mixed],
    )
    model = model_of(configuration, ligand_length=0.18, size_ratio=0.49)
    first = single_point_answer(configuration, model, engine)
    second = single_point_answer(swapped, model, engine)
    for key in ("forces", "torques"):
        a, b = np.array(first[key]), np.array(second[key])
        assert b == pytest.approx(a[mixed], abs=1e-9 * np.abs(a).max())


@pytest.mark.parametrize("engine", ENGINES)
def test_json_holds_what_it_takes_to_compute_the_energy_again(engine, tmp_path, capsys):
    # A tilted box, in which the two cubes meet across a face.
    pair = cubes([-4.2, 0.1, 0.0], [4.12, 0.0, 0.2], box=(9.3, 9.0, 8.0, 0.2, 0.1, -0.3))
    arguments = ["--ligand-length", "0.1", "--engine", engine, "--json"]
    code, out, err = run(tmp_path, capsys, pair, *arguments)
    assert (code, err) == (0, "")
    answer = json.loads(out)
    model = answer["model"]
    beads, radii, sigma = np.array(model["positions"]), np.array(model["radii"]), model["sigma"]
    assert np.allclose(beads[0], 0)
    # Second cube seen from the first, across the face; single precision in the file.
    apart = np.float32([4.12, 0.0, 0.2]).astype(float) - np.float32([-4.2, 0.1, 0.0]) - [np.float32(9.3), 0, 0]
    r = np.linalg.norm(beads[:, None] - beads[None] - apart, axis=-1)
    s = r - (radii[:, None] + radii[None] - sigma)
    acts = (radii[:, None] > 0) & (radii[None] > 0) & (s < 2 ** (1 / 6) * sigma)
    expected = (4 * ((sigma / s) ** 12 - (sigma / s) ** 6) + 1)[acts].sum()
    assert expected > 1
    assert answer["potential_energy"] == pytest.approx(expected, rel=1e-9)
    forces = np.array(answer["forces"])
    assert forces.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-9 * np.abs(forces).max())
    assert model["sphere_diameter"] is None
    assert model["wells"] == [0, 0, 0]


def test_plain_output_names_the_largest(tmp_path, capsys):
    pair = cubes([0.0, 0, 0], [1.02, 0, 0], [4.0, 4.0, 4.0])
    code, out, _ = run(tmp_path, capsys, pair, "--ligand-length", "0.1", "--engine", "lammps")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("engine            lammps 20")
    assert "kT (3 bodies)" in lines[1]
    assert "kT/e on body" in lines[2]
    assert "kT on body" in lines[3]


def test_one_body_alone_has_no_energy(tmp_path, capsys):
    code, out, _ = run(tmp_path, capsys, cubes([0.0, 0, 0]), "--ligand-length", "0.1", "--engine", "lammps", "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["potential_energy"] == 0
    assert answer["forces"] == [[0, 0, 0]]


def test_spheres_alone_have_no_beads_to_tell():
    one = Configuration(np.array([9.0, 9, 9, 0, 0, 0]), np.zeros((1, 3)), np.array([CUBE]), ("sphere",), np.zeros(1))
    told = describe(model_of(one, ligand_length=0.1, size_ratio=0.5))
    assert told["positions"] == told["radii"] == []
    assert told["sphere_diameter"] == 2


def overlapping_spheres():
    # Behind the singularity the formula is finite again: about 1 kT for each such pair.
    boxed = np.array([9.0, 9, 9, 0, 0, 0])
    return Configuration(boxed, np.array([[0.0, 0, 0], [0.5, 0, 0]]), np.array([CUBE] * 2), ("sphere",), np.zeros(2))


@pytest.mark.parametrize(
    "configuration", [cubes([0.0, 0, 0], [0.0, 0, 0]), cubes([0.0, 0, 0], [0.3, 0, 0]), overlapping_spheres()]
)
def test_overlapping_bodies_have_no_energy(configuration, tmp_path, capsys):
    arguments = ["--ligand-length", "0.18", "--size-ratio", "0.49", "--engine", "lammps", "--json"]
    code, out, err = run(tmp_path, capsys, configuration, *arguments)
    assert (code, out) == (1, "")
    assert "bodies 0 and 1 overlap" in err
    assert len(err.strip().splitlines()) == 1


def test_an_energy_that_is_not_finite_is_refused(monkeypatch):
    def wrong(model, configuration, engine, device):
        return float("inf"), np.zeros((1, 3)), np.zeros((1, 3)), "1"

    monkeypatch.setattr("supercube.energy.single_point", wrong)
    one = cubes([0.0, 0, 0])
    with pytest.raises(EngineError, match="not finite"):
        single_point_answer(one, model_of(one, ligand_length=0.1), "lammps")


@pytest.mark.hoomd
def test_a_narrow_box_is_refused_in_hoomds_own_sentence(tmp_path, capsys):
    narrow = cubes([0.0, 0, 0], box=(1.5, 1.5, 1.5, 0, 0, 0))
    code, out, err = run(tmp_path, capsys, narrow, "--ligand-length", "0.18", "--engine", "hoomd")
    assert (code, out) == (1, "")
    assert "the box is 1.5 e wide" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ligand-length", "0.18"], "--size-ratio is missing, but there are 27 spheres"),
        (["--ligand-length", "0.7", "--size-ratio", "0.49"], "--ligand-length is 0.7; expected less than 0.5"),
        (["--ligand-length", "0.18", "--size-ratio", "nan"], "--size-ratio is nan; expected a finite number"),
        (["--ligand-length", "0.18", "--size-ratio", "5"], "--size-ratio 5 makes spheres of diameter 0.2"),
        (["--ligand-length", "0.18", "--size-ratio", "0.49", "--attraction", "-1"], "--attraction is -1.0"),
        (["--ligand-length", "0.18", "--size-ratio", "0.49", "--roughness", "0"], "--roughness is 0.0"),
        (["--ligand-length", "0.18", "--size-ratio", "0.49", "--frame", "3"], "frame 3 does not exist"),
    ],
)
def test_bad_values_are_refused_by_the_name_of_the_option(arguments, words, tmp_path, capsys):
    code, out, err = run(tmp_path, capsys, shaken(), *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_a_size_ratio_does_nothing_without_spheres_but_must_make_sense():
    pair = cubes([0.0, 0, 0], [1.1, 0, 0])
    assert model_of(pair, ligand_length=0.1, size_ratio=0.49).hash == model_of(pair, ligand_length=0.1).hash
    with pytest.raises(InputError, match="--size-ratio is -2"):
        model_of(pair, ligand_length=0.1, size_ratio=-2.0)


def test_auto_takes_the_engine_that_runs_would_take():
    one = cubes([0.0, 0, 0])
    answer = single_point_answer(one, model_of(one, ligand_length=0.1))
    assert answer["engine"] == present()[0]
    assert summary(answer).splitlines()[1].endswith("(1 body)")

"""The scatter command and operation: sizes, units, answers, and what is refused."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import signac
from matplotlib.image import imread

from supercube import operations
from supercube.cli import main
from supercube.configuration import cube_shape, read_gsd, sphere_shape, write_gsd
from supercube.crystals.build import build_crystal
from supercube.engines.segments import SegmentWriter, read_trajectory
from supercube.errors import InputError
from supercube.model.nanocrystals import find_preset
from supercube.model.particles import build_model
from supercube.order import classify
from supercube.scattering import (
    ELECTRON_DENSITIES,
    LIGAND_DENSITY,
    Request,
    scattered,
    scattering_answer,
    scattering_text,
    sizes_of,
)
from supercube.spaces import fill

PRESET = "cspbbr3-8.6nm+fe3o4-19.5nm"


@pytest.fixture
def rock_salt(tmp_path):
    path = tmp_path / "nacl.gsd"
    write_gsd(path, build_crystal("NaCl", 32, 32, 0.49, 0.1, 1.02))
    return path


def answer_of(capsys, *arguments):
    assert main(["scatter", *map(str, arguments), "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def test_cores_are_what_the_shells_leave(rock_salt):
    found = sizes_of(read_gsd(rock_salt), Request())
    assert (found.cores.cube, found.unit, found.scale) == (pytest.approx(0.8), "e", pytest.approx(1.0))
    assert found.cores.sphere == pytest.approx(1 / 0.49 - 0.2)
    assert found.cores.cube_contrast == found.cores.sphere_contrast == 1.0
    assert "Equal electron densities" in found.notes[0]


def test_a_file_without_shapes_needs_its_sizes(rock_salt):
    bare = read_gsd(rock_salt).with_(shapes=())
    with pytest.raises(InputError, match="sizes are not in the file; expected --ligand-length"):
        sizes_of(bare, Request())
    with pytest.raises(InputError, match="diameter of the spheres is not in the file; expected --size-ratio"):
        sizes_of(bare, Request(ligand_length=0.1))
    cores = sizes_of(bare, Request(ligand_length=0.1, size_ratio=0.5)).cores
    assert (cores.cube, cores.sphere) == (pytest.approx(0.8), pytest.approx(1.8))


@pytest.fixture
def foreign(tmp_path):
    """Simple cubic, 10 nm apart, as a program writes it that knows neither shapes nor orientations."""

    def write(kind="cube"):
        import gsd.hoomd

        frame, places = gsd.hoomd.Frame(), np.stack(np.meshgrid(*[np.arange(6)] * 3, indexing="ij"), -1).reshape(-1, 3)
        frame.configuration.box = [60, 60, 60, 0, 0, 0]
        frame.particles.N, frame.particles.types = len(places), [kind]
        frame.particles.position = places * 10.0 - 30
        path = tmp_path / f"{kind}.gsd"
        with gsd.hoomd.open(path, "w") as file:
            file.append(frame)
        return path

    return write


def test_a_file_in_nm_says_how_long_an_edge_is(foreign, capsys):
    path = foreign()
    plain = answer_of(capsys, path, "--ligand-length", 0.1)
    assert any(note.startswith("Sizes and distances of this file do not fit") for note in plain["notes"])
    known = answer_of(capsys, path, "--ligand-length", 0.1, "--cube-edge", 9.5)
    assert not any("do not fit" in note for note in known["notes"])
    assert (known["unit"], known["cube_core"]) == ("e", pytest.approx(0.8))
    assert known["peaks"][0]["d"] == pytest.approx(10 / 9.5, rel=1e-6)
    real = answer_of(capsys, path, "--ligand-length", 0.1, "--cube-edge", 9.5, "--cube-edge-nm", 9.5)
    assert (real["unit"], real["cube_core"]) == ("nm", pytest.approx(7.6))
    assert real["peaks"][0]["d"] == pytest.approx(10.0, rel=1e-6)
    for one, other in zip(known["peaks"], real["peaks"], strict=True):
        assert one["I_measured"] == pytest.approx(other["I_measured"])
    preset = answer_of(capsys, path, "--preset", "cspbbr3-8.6nm", "--cube-edge", 9.5)
    assert preset["cube_core"] == pytest.approx(8.6)


def test_sizes_that_overlap_do_not_fit_either(foreign, capsys):
    notes = answer_of(capsys, foreign(), "--ligand-length", 0.1, "--cube-edge", 20)["notes"]
    assert any("0.5 contact distances apart, with cube edges of 20" in note for note in notes)
    spheres = answer_of(capsys, foreign("sphere"), "--ligand-length", 0.1, "--cube-edge", 5, "--size-ratio", 0.5)
    assert (spheres["sphere_core"], spheres["notes"]) == (pytest.approx(1.8), [])


def test_a_file_in_other_units_that_has_its_shapes_needs_nothing():
    e = build_crystal("NaCl", 32, 32, 0.49, 0.1, 1.02)
    nm = e.with_(
        box=e.box * [10, 10, 10, 1, 1, 1],
        positions=10 * e.positions,
        shapes=(cube_shape(1.0, 10.0), sphere_shape(10 / 0.49)),
    )
    found = sizes_of(nm, Request())
    assert (found.unit, found.scale, found.cores.cube) == ("e", pytest.approx(0.1), pytest.approx(8.0))
    assert not any("do not fit" in note for note in found.notes)
    assert sizes_of(nm, Request(cube_edge_nm=9.0)).scale == pytest.approx(0.9)


def test_unknown_orientations_are_said(foreign, rock_salt, capsys):
    notes = answer_of(capsys, foreign(), "--ligand-length", 0.1)["notes"]
    assert notes[0].startswith("Orientations are unknown")
    assert not any("Orientations" in note for note in answer_of(capsys, rock_salt)["notes"])


def test_a_missing_number_is_null(rock_salt, capsys):
    frames = [read_gsd(rock_salt)]
    order, sizes = classify(frames), sizes_of(frames[0], Request())
    found = scattered(frames, order, sizes, Request())
    gone = replace(found.reflections[0], s_measured=math.nan, i_measured=math.nan)
    answer = scattering_answer(replace(found, reflections=[gone, *found.reflections[1:]]), order, sizes)
    assert (answer["peaks"][0]["S_measured"], answer["peaks"][0]["I_measured"]) == (None, None)
    assert answer["peaks"][1]["S_measured"] == pytest.approx(1.0)
    json.dumps(answer, allow_nan=False)
    row = next(line for line in scattering_text(answer).splitlines() if line.startswith("    1 1 1")).split()
    assert (row[7], row[9]) == ("-", "-")


def test_spheres_alone_need_their_shell():
    spheres = build_crystal("fcc", 0, 32, 0.5, 0.1)
    with pytest.raises(InputError, match="thickness of the spheres' ligand shell"):
        sizes_of(spheres, Request())
    assert sizes_of(spheres, Request(ligand_length=0.1)).cores.sphere == pytest.approx(1.8)
    with pytest.raises(InputError, match=r"cores of the spheres are .* wide; expected ligand shells that leave a core"):
        sizes_of(build_crystal("fcc", 0, 32, 4.0, 0.1), Request(ligand_length=0.2))


def test_a_preset_gives_cores_materials_and_the_unit(rock_salt):
    found, preset = sizes_of(read_gsd(rock_salt), Request(preset=PRESET)), find_preset(PRESET)
    assert found.unit == "nm"
    assert found.cores.cube * found.scale == pytest.approx(preset.cube_core)
    assert found.cores.sphere * found.scale == pytest.approx(preset.sphere_core)
    assert found.scale > preset.cube_core  # the effective edge has two shells more
    assert found.cores.cube_contrast == pytest.approx(ELECTRON_DENSITIES["CsPbBr3"] - LIGAND_DENSITY)
    # Mass density from electron density: 4.83 and 5.20 g/cm^3 of CsPbBr3 and magnetite, 0.85 of the ligands.
    for density, electrons, mass, expected in (
        (ELECTRON_DENSITIES["CsPbBr3"], 242, 579.82, 4.83),
        (ELECTRON_DENSITIES["Fe3O4"], 110, 231.53, 5.20),
        (LIGAND_DENSITY, 8, 14.027, 0.85),
    ):
        assert density / electrons * mass / 602.214 == pytest.approx(expected, rel=5e-3)


def test_a_preset_says_where_the_file_disagrees():
    odd = build_crystal("NaCl", 32, 32, 0.7, 0.25)
    notes = sizes_of(odd, Request(preset=PRESET)).notes
    assert len(notes) == 2
    assert notes[0].startswith("The file has gamma 0.700, the preset 0.4")


def test_in_nm_everything_is_longer_and_q_smaller(rock_salt, capsys):
    plain, real = answer_of(capsys, rock_salt), answer_of(capsys, rock_salt, "--cube-edge-nm", 10.0)
    assert (plain["unit"], real["unit"]) == ("e", "nm")
    for one, other in zip(plain["peaks"], real["peaks"], strict=True):
        assert other["d"] == pytest.approx(10 * one["d"])
        assert other["q"] == pytest.approx(one["q"] / 10)
        assert other["I_measured"] == pytest.approx(one["I_measured"])
    assert real["cube_core"] == pytest.approx(8.0)
    assert real["resolution"] == pytest.approx(plain["resolution"] / 10)
    np.testing.assert_allclose(real["curve"]["q"], np.array(plain["curve"]["q"]) / 10)
    cut = answer_of(capsys, rock_salt, "--cube-edge-nm", 10.0, "--q-max", 0.5, "--resolution", 0.02)
    assert (cut["q_max"], cut["resolution"]) == (pytest.approx(0.5, abs=0.002), pytest.approx(0.02))


def test_the_answer_in_json_and_text(rock_salt, capsys):
    answer = answer_of(capsys, rock_salt)
    a = (1 + 1 / 0.49) * 1.02
    assert (answer["structure"], answer["fills_box"]) == ("NaCl", True)
    assert answer["peaks"][0]["hkl"] == [1, 1, 1]
    assert answer["peaks"][0]["q"] == pytest.approx(2 * np.pi * np.sqrt(3) / a, rel=1e-5)
    assert answer["maximum"]["spacing"] == pytest.approx(2 * np.pi / answer["maximum"]["q"])
    assert len(answer["curve"]["q"]) == len(answer["curve"]["I"]) > 50
    assert main(["scatter", str(rock_salt)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[0].split() == ["structure", "NaCl", "(100.0", "%)"]
    row = next(line for line in lines if line.startswith("    2 0 0")).split()
    assert float(row[4]) == pytest.approx(2 * np.pi * 2 / a, rel=1e-4)
    assert row[6:8] == ["1.0000", "1.0000"]


def test_contrasts_hide_a_species(rock_salt, capsys):
    # Cubes alone form fcc: even and odd reflections differ by the form factor only.
    answer = answer_of(capsys, rock_salt, "--contrast-sphere", 0, "--contrast-cube", 2)
    for row in answer["peaks"]:
        x = np.array(row["hkl"]) * row["q"] / np.linalg.norm(row["hkl"]) * 0.4
        assert row["I_measured"] == pytest.approx(np.prod(np.sinc(x / np.pi)) ** 2, rel=1e-3, abs=1e-8)


def test_files_are_written(rock_salt, tmp_path, capsys):
    picture, table = tmp_path / "one.png", tmp_path / "one.csv"
    assert main(["scatter", str(rock_salt), "-o", str(picture), "--csv", str(table), "--preset", PRESET]) == 0
    capsys.readouterr()
    assert imread(picture).shape[1] > 1000
    rows = list(csv.reader(table.read_text().splitlines()))
    assert rows[0] == ["q_1/nm", "S", "S_cube", "S_sphere", "I", "P"]
    values = np.array(rows[1:], dtype=float)
    assert (np.diff(values[:, 0]) > 0).all()
    assert np.isfinite(values).all()


def test_frames_and_zone(rock_salt, capsys):
    assert answer_of(capsys, rock_salt, "--frames", "-1:", "--zone", 1, 1, 0)["zone"] == [1, 1, 0]
    assert answer_of(capsys, rock_salt, "--frame", 0)["frames"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--zone", "0", "0", "0"], "the zone axis is [0 0 0]"),
        (["--q-max", "0"], "q-max is 0"),
        (["--q-max", "0.1"], "q-max is 0.1, but the box has no wave vector below 1.013 (1/e)"),
        (["--q-max", "0.1", "--cube-edge-nm", "9"], "q-max is 0.1, but the box has no wave vector below 0.1126 (1/nm)"),
        (["--size-ratio", "3"], "have a diameter of 2.04082, which means 0.49; leave it out"),
        (["--size-ratio", "-1"], "--size-ratio is -1; expected a finite number above 0"),
        (
            ["--cube-edge", "3"],
            "--cube-edge is 3, but the cubes of the file have an edge of 1 in its unit; leave it out",
        ),
        (["--cube-edge", "nan"], "--cube-edge is nan; expected a finite number above 0"),
        (["--preset", PRESET, "--ligand-length", "0.1"], "--preset and --ligand-length both give sizes"),
        (["--resolution", "-2"], "resolution is -2"),
        (["--frame", "9"], "frame 9 does not exist"),
        (["--frame", "0", "--frames", "0:1"], "exclude each other"),
        (["--preset", "gold"], "preset 'gold' is not known"),
        (["--preset", "cspbbr3-8.6nm"], "has none; expected another preset"),
        (["--preset", PRESET, "--cube-edge-nm", "9"], "both give sizes of the particles"),
        (["--cube-edge-nm", "0"], "edge_nm is 0"),
        (["--contrast-cube", "nan"], "--contrast-cube is nan"),
        (["--contrast-cube", "0", "--contrast-sphere", "0"], "both 0"),
        (["--ligand-length", "0.2"], "leave it out"),
        (["-o", "missing/one.png"], "the folder missing does not exist"),
    ],
)
def test_bad_input_in_one_sentence(rock_salt, options, message, capsys):
    assert main(["scatter", str(rock_salt), *options]) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert (out, err.count("\n")) == ("", 1)


SPACE = """
protocol: {equilibration_time: 0.1, initial_pressure: 10, ramp_time: 0.1, hold_time: 0.3}
jobs:
  - {n_cubes: 32, n_spheres: 32, size_ratio: 0.4, ligand_length: 0.2, initial: NaCl, expansion: 1.05, pressure: 40}
  - {n_spheres: 32, n_cubes: 0, size_ratio: 0.5, ligand_length: 0.1, initial: fcc, pressure: 40}
"""


@pytest.fixture
def finished(tmp_path):
    """Jobs as the engine leaves them, of crystals that vibrate."""
    (tmp_path / "small.yaml").write_text(SPACE)
    fill(tmp_path / "project", tmp_path / "small.yaml")
    jobs = list(signac.get_project(tmp_path / "project"))
    rng = np.random.default_rng(2)
    for job in jobs:
        operations.build(job)
        start = read_gsd(job.fn(operations.INITIAL))
        model = build_model(operations.state_point_of(job))
        schedule = operations.schedule_of(job, model, start)
        writer = SegmentWriter(Path(job.path))
        for step in np.linspace(schedule.end_of_drying, schedule.total_steps, 12).astype(int):
            moved = start.positions + 0.02 * rng.normal(size=start.positions.shape)
            writer.frame(start.with_(positions=moved, step=int(step)))
        writer.close()
    return jobs


def test_the_operation_of_a_job(finished):
    for job in finished:
        frames = list(read_trajectory(Path(job.path)))
        job.doc.update(classify(frames[-10:]).document())
        operations.scatter(job)
        assert job.isfile(operations.SCATTERED)
        with np.load(job.fn(operations.SCATTERING)) as stored:
            values = {name: stored[name] for name in stored.files}
        assert values["q"].shape == values["S"].shape == values["I"].shape
        assert values["peak_hkl"].tolist()[0] == [1, 1, 1]
        factor = np.exp(-((values["peak_q"] * 0.02) ** 2))
        ideal = values["peak_s_predicted"] * factor
        # Random parts of 1/N over ten frames and the members of a family.
        np.testing.assert_allclose(values["peak_s_measured"], ideal, atol=0.02)
        assert sorted({name.split("_")[0] for name in values}) == [
            "I", "P", "S", "maximum", "peak", "q", "resolution",
        ]  # fmt: skip
        operations._forget_results(job)
        assert not job.isfile(operations.SCATTERED)
        assert not job.isfile(operations.SCATTERING)

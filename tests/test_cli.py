import json

import gsd.hoomd
import numpy as np
import pytest

from supercube import __version__
from supercube.cli import format_table, main
from supercube.configuration import Configuration, to_frame, wrap, write_gsd
from supercube.crystals.build import build_crystal


@pytest.fixture
def crystal(tmp_path):
    path = tmp_path / "sc.gsd"
    write_gsd(path, build_crystal("SC", 27, 0, 1.0, 0.1, 1.02))
    return path


def test_classify_json_holds_only_json(crystal, capsys):
    assert main(["classify", str(crystal), "--json"]) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert answer["structure"] == "SC"
    assert answer["lattice_constant"] == pytest.approx(1.02, rel=1e-5)
    assert sum(answer["fractions"].values()) == pytest.approx(1.0)
    assert err == ""


def test_classify_text_names_the_structure(crystal, capsys):
    assert main(["classify", str(crystal)]) == 0
    assert "SC (100.0 %)" in capsys.readouterr().out


@pytest.fixture
def run(tmp_path):
    """Twelve frames in which a crystal of SC vibrates; in the last ones a cube wanders off."""
    path = tmp_path / "run.gsd"
    start = build_crystal("SC", 64, 0, 1.0, 0.1, 1.1)
    rng = np.random.default_rng(5)
    away = np.zeros((12, 64, 3))
    away[9:, 21, 0] = 1.0
    with gsd.hoomd.open(path, "w") as trajectory:
        for k in range(12):
            moved = start.positions + 0.03 * rng.normal(size=(64, 3)) + away[k]
            trajectory.append(to_frame(start.with_(positions=wrap(moved, start.box)[0], step=k)))
    return path


def answer_of(capsys, *arguments):
    assert main(["classify", *map(str, arguments), "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def test_classify_json_keeps_its_first_keys(crystal, capsys):
    keys = ["structure", "fractions", "n_cubes", "n_spheres", "lattice_constant", "cubatic_order"]
    assert list(answer_of(capsys, crystal))[:6] == keys


def test_classify_several_frames_together(run, capsys, tmp_path):
    assert answer_of(capsys, run)["mobile_fraction"] is None
    labels = tmp_path / "labels"
    still = answer_of(capsys, run, "--frames", "0:9", "--labels", labels)
    assert still["mobile_fraction"] == 0.0
    assert still["fractions"]["SC"] == 1.0
    assert np.load(labels).tolist() == ["SC"] * 64
    moving = answer_of(capsys, run, "--frames", ":", "--labels", labels)
    assert moving["mobile_fraction"] == 1 / 64
    assert np.load(labels)[21] == "disordered"


@pytest.mark.parametrize("part", [["--frames", "-6:"], ["--frames=-6:"], ["--frames", "6::1"], ["--frames", "-6:-1"]])
def test_frames_may_be_negative(run, capsys, part):
    assert answer_of(capsys, run, *part)["mobile_fraction"] == 1 / 64


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--frames", "50:"], "has 12 frames, of which 50:: takes none"),
        (["--frames", "3:3"], "takes none"),
        (["--frames", "0:9:0"], "step of 0"),
        (["--frames", "5"], "--frames is '5'; expected START:STOP"),
        (["--frames", "1:2:3:4"], "expected START:STOP"),
        (["--frames", "a:b"], "expected START:STOP"),
        (["--frames", ""], "expected START:STOP"),
        (["--frame", "0", "--frames", ":"], "exclude each other"),
        (["--frame", "12"], "frame 12 does not exist"),
        (["--picture", "no/such.png"], "the folder no does not exist"),
    ],
)
def test_frames_that_cannot_be(run, capsys, options, words):
    assert main(["classify", str(run), *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_frames_of_different_particles_are_refused(tmp_path, capsys):
    path = tmp_path / "two.gsd"
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.extend(to_frame(build_crystal("SC", n, 0, 1.0, 0.1)) for n in (27, 64))
    assert main(["classify", str(path), "--frames", ":"]) == 2
    assert f"{path}: Frame 0 of 2 holds other particles (27) than the last frame (64)" in capsys.readouterr().err


def test_unknown_orientations_are_said(tmp_path, capsys):
    path = tmp_path / "bare.gsd"
    write_gsd(path, build_crystal("SC", 27, 0, 1.0, 0.1).with_(oriented=False))
    answer = answer_of(capsys, path)
    assert answer["structure"] == "SC"
    assert answer["cubatic_order"] is None


@pytest.mark.parametrize("arguments", [["classify", "{}", "--picture", "out.png"], ["render", "{}", "-o", "out.png"]])
def test_pictures_are_coloured_by_label(arguments, tmp_path, monkeypatch, capsys):
    import matplotlib.image

    from supercube.observe.palette import rgb, style

    monkeypatch.chdir(tmp_path)
    # Few pixels to compute: a small crystal in a wide box.
    cluster = build_crystal("SC", 64, 0, 1.0, 0.1)
    write_gsd("a.gsd", cluster.with_(box=np.array([60.0, 60, 60, 0, 0, 0])))
    assert main([argument.format("a.gsd") for argument in arguments]) == 0
    assert capsys.readouterr().err == ""
    picture = matplotlib.image.imread(tmp_path / "out.png")[..., :3]
    # The swatch of the legend has the very colour, bodies shades of it.
    for label in ("SC", "disordered"):
        assert (np.abs(picture - rgb(style(label).colour)).max(axis=-1) < 0.01).sum() > 20


def test_render_colours_by_species_where_there_is_no_order(tmp_path, capsys):
    path = tmp_path / "few.gsd"
    write_gsd(path, Configuration([9, 9, 9, 0, 0, 0], np.eye(3), [[1, 0, 0, 0]] * 3, ("cube",), [0, 0, 0]))
    assert main(["render", str(path), "-o", str(tmp_path / "few.png"), "--size", "60"]) == 0
    assert "coloured by species" in capsys.readouterr().err
    assert (tmp_path / "few.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["classify", "absent.gsd"], "absent.gsd does not exist"),
        (["render", "absent.gsd", "-o", "out.png"], "absent.gsd does not exist"),
        (["classify", "."], "is a folder"),
        (["energy", "absent.gsd", "--ligand-length", "0.1"], "absent.gsd does not exist"),
        (["bench", "--steps", "0"], "--steps is 0"),
        (["table", "--project", "nowhere"], "holds no data space"),
        (["continue", "abc", "--hold", "3", "--project", "nowhere"], "holds no data space"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_too_few_particles_for_a_shell(tmp_path, capsys):
    path = tmp_path / "few.gsd"
    write_gsd(path, Configuration([9, 9, 9, 0, 0, 0], np.eye(3), [[1, 0, 0, 0]] * 3, ("cube",), [0, 0, 0]))
    assert main(["classify", str(path)]) == 2
    assert "3 particles" in capsys.readouterr().err


def test_output_folders_must_exist(crystal, capsys, tmp_path):
    assert main(["render", str(crystal), "-o", str(tmp_path / "no" / "out.png")]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["--version"])
    assert leaving.value.code == 0
    assert __version__ in capsys.readouterr().out


def test_table_shows_results_gaps_and_errors():
    row = {
        "job": "0123456789abcdef", "n_cubes": 8, "n_spheres": 2, "size_ratio": 0.5, "ligand_length": 0.1,
        "evaporation_rate": 0.0, "pressure": 20.0, "initial": "ABO3", "expansion": 1.03, "replicate": 0,
        "thermal_packing_fraction": 0.69, "beads": 69, "measured_roughness": 0.0122,
        "packing_fraction": 0.7, "structure": "ABO3", "structure_fraction": 0.97, "cubatic_order": 0.5,
        "steps_per_second": 1000.4, "error": None,
    }  # fmt: skip
    missing = ("beads", "measured_roughness", "packing_fraction", "thermal_packing_fraction", "structure")
    empty = dict.fromkeys((*missing, "structure_fraction"))
    broken = (
        row
        | empty
        | {"job": "fedcba9876543210", "pressure": 0.0, "cubatic_order": None, "steps_per_second": None, "error": "Why."}
    )
    text = format_table([row, broken])
    head, first, second, error = text.splitlines()
    assert head.split()[0] == "job"
    assert first.split()[:2] == ["01234567", "8"]
    assert "ABO3 x1.03" in first
    assert second.split().count("-") == 9
    assert error == "fedcba98: Why."
    markdown = format_table([row], markdown=True).splitlines()
    assert len({line.count("|") for line in markdown}) == 1

import json

import numpy as np
import pytest

from supercube import __version__
from supercube.cli import format_table, main
from supercube.configuration import Configuration, write_gsd
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
        "evaporation_rate": 0.0, "initial": "ABO3", "expansion": 1.03, "replicate": 0,
        "beads": 69, "measured_roughness": 0.0122,
        "packing_fraction": 0.7, "structure": "ABO3", "structure_fraction": 0.97, "cubatic_order": 0.5,
        "steps_per_second": 1000.4, "error": None,
    }  # fmt: skip
    empty = dict.fromkeys(("beads", "measured_roughness", "packing_fraction", "structure", "structure_fraction"))
    broken = row | empty | {"job": "fedcba9876543210", "cubatic_order": None, "steps_per_second": None, "error": "Why."}
    text = format_table([row, broken])
    head, first, second, error = text.splitlines()
    assert head.split()[0] == "job"
    assert first.split()[:2] == ["01234567", "8"]
    assert "ABO3 x1.03" in first
    assert second.split().count("-") == 7
    assert error == "fedcba98: Why."
    markdown = format_table([row], markdown=True).splitlines()
    assert len({line.count("|") for line in markdown}) == 1

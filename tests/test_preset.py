import json

import pytest
import yaml

from supercube.cli import main
from supercube.model.nanocrystals import CORE_ERROR, CUBE_GRAFTING, SHELL_ERROR, SPHERE_GRAFTING
from supercube.model.units import Units
from supercube.preset import Request, preset_answer
from supercube.statepoint import StatePoint

ABO3 = "cspbbr3-8.6nm+fe3o4-19.5nm"
NACL = "cspbbr3-8.6nm+fe3o4-19.8nm"
CUBES = "cspbbr3-8.6nm"


def run(capsys, *arguments):
    code = main(["preset", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def answer_of(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def numbers(value):
    if isinstance(value, dict):
        return [number for one in value.values() for number in numbers(one)]
    return [value] if isinstance(value, float) else []


def test_json_holds_every_number_on_the_way(capsys):
    answer = answer_of(capsys, ABO3, "--ligand", "ddab")
    cube, sphere = answer["cube"], answer["sphere"]
    assert answer["experiment"]["structure"] == "ABO3"
    assert (cube["material"], cube["ligand"], cube["carbons"]) == ("CsPbBr3", "ddab", 12)
    assert (sphere["material"], sphere["ligand"]) == ("Fe3O4", "ddab")
    for one, grafting in ((cube, CUBE_GRAFTING), (sphere, SPHERE_GRAFTING)):
        assert one["length_nm"] == pytest.approx(0.128 * 12 + 0.2, rel=1e-12)
        assert one["coverage"] == pytest.approx(grafting.value / 5.5, rel=1e-12)
        assert one["effective_nm"] == pytest.approx(one["core_nm"] + 2 * one["shell_nm"], rel=1e-12)
        assert one["core_nm_error"] == pytest.approx(CORE_ERROR * one["core_nm"], rel=1e-12)
    assert cube["shell_nm"] == pytest.approx(cube["coverage"] * cube["length_nm"], rel=1e-12)
    assert answer["size_ratio"] == pytest.approx(cube["effective_nm"] / sphere["effective_nm"], rel=1e-12)
    assert answer["ligand_length"] == pytest.approx(cube["shell_nm"] / cube["effective_nm"], rel=1e-12)
    assert 0 < answer["correlation"] < 1
    assert answer["units"]["time_s"] == pytest.approx(Units(cube["effective_nm"]).time_seconds, rel=1e-12)
    assert answer["units"]["pressure_pa"] == pytest.approx(Units(cube["effective_nm"]).pressure_pascal, rel=1e-12)
    assert [row["shell_model"] for row in answer["models"]] == ["opm", "ocm", "facet", "measured 1 nm"]
    assert answer["models"][3]["size_ratio"] == pytest.approx(10.6 / 21.5, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "counts"),
    [
        ([ABO3], (108, 27)),
        ([NACL], (108, 108)),
        ([CUBES], (216, 0)),
        (["--cube", "8.6", "--sphere", "19.5", "--cube-ligand", "ddab", "--sphere-ligand", "oleate"], (108, 27)),
        (["--cube", "8.6", "--ligand", "c18-acid"], (216, 0)),
    ],
)
def test_the_state_point_is_one_that_a_space_takes(arguments, counts, capsys):
    answer = answer_of(capsys, *arguments)
    point = StatePoint.parse(answer["state_point"], "test")
    assert (point.n_cubes, point.n_spheres) == counts
    # Four decimals.
    assert point.ligand_length == pytest.approx(answer["ligand_length"], abs=5.1e-5)
    assert point.size_ratio == pytest.approx(answer["size_ratio"] if counts[1] else 1.0, abs=5.1e-5)
    _, out, _ = run(capsys, *arguments)
    assert yaml.safe_load(out.splitlines()[-1]) == [answer["state_point"]]


@pytest.mark.parametrize("model", ["opm", "ocm", "facet"])
def test_text_shows_every_number_of_the_json(model, capsys):
    answer = answer_of(capsys, ABO3, "--shell", model)
    code, out, err = run(capsys, ABO3, "--shell", model)
    assert (code, err) == (0, "")
    ways = [answer["cube"], answer["sphere"], *answer["models"]]
    ways.append({key: answer[key] for key in ("core_ratio", "size_ratio", "ligand_length", "correlation")})
    shown = [number for way in ways for number in numbers(way)]
    assert len(shown) > 35
    for number in shown:
        assert f"{number:.2f}" in out or f"{number:.3f}" in out
    assert all(note in " ".join(out.split()) for note in answer["notes"])


def test_measured_shells_go_before_the_models(capsys):
    answer = answer_of(capsys, NACL, "--cube-shell", "1.0", "--sphere-shell", "1.0")
    assert answer["shell_model"] == "measured"
    assert answer["size_ratio"] == pytest.approx(10.6 / 21.8, rel=1e-12)
    assert answer["cube"]["coverage"] is answer["cube"]["grafting_per_nm2"] is None
    assert answer["cube"]["shell_nm_error"] == pytest.approx(SHELL_ERROR, rel=1e-9)
    assert answer_of(capsys, CUBES)["shell_model"] == "opm"


def test_uncertainties_can_be_given(capsys):
    arguments = ["--cube", "8.6", "--sphere", "19.5", "--cube-shell", "1", "--sphere-shell", "1"]
    errors = ["--cube-error", "0.4", "--sphere-error", "0", "--shell-error", "0"]
    answer = answer_of(capsys, *arguments, *errors)
    assert answer["size_ratio_error"] == pytest.approx(0.4 / 21.5, rel=1e-9)
    # A larger core makes gamma larger and lambda smaller, and nothing else is uncertain.
    assert answer["correlation"] == pytest.approx(-1, abs=1e-6)
    exact = answer_of(capsys, CUBES, "--grafting-error", "0", "--cube-error", "0")
    assert exact["cube"]["shell_nm_error"] == pytest.approx(2.9 / 5.5 * 0.05, rel=1e-9)
    thin = answer_of(capsys, "--cube", "8.6", "--cube-shell", "0.3")
    assert thin["cube"]["shell_nm_error"] == pytest.approx(0.15, rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([ABO3], "OPM in cube + sphere mixtures is valid up to gamma 0.414 = sqrt2 - 1, and 0.468 is beyond"),
        (["--cube", "5", "--sphere", "19.5", "--ligand", "ddab"], "gamma 0.414 = sqrt2 - 1, and 0.3"),
        ([ABO3], "The models disagree"),
        ([ABO3], "The ligand of the cubes was not given; ddab is assumed"),
        ([ABO3], "cis bond is in the uncertainty only"),
        ([ABO3, "--shell", "ocm"], "The shell of the spheres is uncertain by more than half"),
        ([ABO3, "--shell", "ocm"], "The shell of the spheres, 0.34 nm, is outside 0.8-1.5 nm"),
        ([CUBES, "--cube-grafting", "5.5"], "The shell of the cubes, 1.74 nm, is outside 0.8-1.5 nm"),
        ([ABO3, "--cube-grafting", "3"], "The grafting of the spheres is an estimate"),
        ([CUBES, "--ligand", "scn"], "L of thiocyanate is an estimate"),
        ([CUBES, "--ligand", "ddab"], "a molecule of ddab has 2"),
    ],
)
def test_notes_say_where_it_is_uncertain(arguments, words, capsys):
    assert words in " ".join(answer_of(capsys, *arguments)["notes"])


@pytest.mark.parametrize(("error", "rough"), [("0.4", False), ("0.6", True)])
def test_errors_of_more_than_half_a_shell_are_called_rough(error, rough, capsys):
    notes = answer_of(capsys, CUBES, "--cube-shell", "1", "--shell-error", error)["notes"]
    assert any("linear errors are rough" in note for note in notes) is rough


def test_notes_say_nothing_that_does_not_apply(capsys):
    notes = " ".join(answer_of(capsys, CUBES, "--ligand", "dodecylamine", "--cube-grafting", "3")["notes"])
    for word in ("gamma", "disagree", "assumed", "estimate", "cis", "molecule", "outside", "more than half", "spheres"):
        assert word not in notes


def test_a_model_out_of_its_range_has_no_numbers_in_the_comparison(capsys):
    answer = answer_of(capsys, ABO3, "--sphere-grafting", "2")
    assert answer["models"][1]["size_ratio"] is None
    assert answer["models"][0]["size_ratio"] > 0
    _, out, _ = run(capsys, ABO3, "--sphere-grafting", "2")
    row = next(line for line in out.splitlines() if line.startswith("  ocm"))
    assert row.split() == ["ocm", "-", "-", "-", "-", "-"]


def test_without_a_name_presets_and_ligands_are_listed(capsys):
    known = answer_of(capsys)
    assert [one["name"] for one in known["presets"]] == [ABO3, NACL, CUBES]
    assert {"oleic-acid", "thiocyanate"} < {one["name"] for one in known["ligands"]}
    code, out, _ = run(capsys)
    assert code == 0
    assert all(one["name"] in out for kind in known.values() for one in kind)


def test_the_help_states_the_defaults(capsys):
    with pytest.raises(SystemExit):
        main(["preset", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for default in (CUBE_GRAFTING.value, SPHERE_GRAFTING.value, CUBE_GRAFTING.error, SHELL_ERROR):
        assert f"(default: {default:g})" in text
    assert CUBE_GRAFTING.error == SPHERE_GRAFTING.error
    assert f"(default: {100 * CORE_ERROR:g} %)" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["cspbbr3-8.6nm+fe3o4-19.6nm"], "did you mean cspbbr3-8.6nm+fe3o4-19.8nm?"),
        ([CUBES, "--ligand", "olaic-acid"], "ligand 'olaic-acid' is not known; did you mean oleic-acid?"),
        (["--cube", "nan", "--ligand", "ddab"], "core size of the cubes is nan nm; expected 0.5 to 1000 nm"),
        (["--cube", "8.6", "--sphere", "-2", "--ligand", "ddab"], "core size of the spheres is -2 nm"),
        (["--cube", "8.6", "--sphere", "0", "--ligand", "ddab"], "core size of the spheres is 0 nm"),
        (["--cube", "0", "--ligand", "ddab"], "core size of the cubes is 0 nm"),
        (["--cube", "inf", "--ligand", "ddab"], "core size of the cubes is inf nm"),
        ([CUBES, "--cube-shell", "0"], "shell of the cubes is 0 nm"),
        ([CUBES, "--cube-error", "nan"], "uncertainty of the core size of the cubes is nan"),
        ([CUBES, "--cube-grafting", "7"], "is 7 chains per nm^2; expected more than 0 and at most 5.5"),
        ([ABO3, "--shell", "ocm", "--sphere-grafting", "2"], "ocm finds no shell on the spheres (-0.6"),
        ([ABO3, "--shell", "measured"], "the cubes have no measured shell"),
        ([ABO3, "--cube-shell", "1"], "the spheres have no measured shell"),
        ([ABO3, "--cube", "9"], "--cube and the preset cspbbr3-8.6nm+fe3o4-19.5nm both give sizes"),
        (["--sphere", "19.5"], "the size of the cubes is missing"),
        (["--cube", "8.6"], "the ligand of the cubes is missing, which opm needs"),
        ([CUBES, "--sphere-ligand", "oleate"], "--sphere-ligand is given, but there are no spheres"),
        ([CUBES, "--shell", "opm", "--cube-shell", "1"], "--cube-shell does nothing with opm shells"),
        ([CUBES, "--shell-error", "0.1"], "--shell-error does nothing with opm shells"),
        ([CUBES, "--cube-shell", "1", "--cube-grafting", "3"], "--cube-grafting does nothing with measured shells"),
        (["--cube", "9", "--sphere", "0.5", "--cube-shell", "5", "--sphere-shell", "0.1"], "no more than two ligand"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(arguments, words, capsys):
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_the_plain_function_needs_no_command_line():
    answer = preset_answer(Request(cube=8.6, ligand="ddab"))
    assert answer["name"] is None
    assert answer["sphere"] is None
    assert answer["size_ratio"] is None
    assert answer["state_point"] == {"n_cubes": 216, "ligand_length": round(answer["ligand_length"], 4)}

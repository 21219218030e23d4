"""``supercube packing`` and ``supercube phases``: what they answer, print and refuse."""

import itertools
import json
import math
import subprocess
import sys

import pytest

from supercube.cli import main
from supercube.crystals.diagram import packing_table
from supercube.crystals.library import STRUCTURES
from supercube.crystals.packing import close_packing
from supercube.crystals.phases import BINARY
from supercube.errors import InputError
from supercube.theory import MapRequest, draw_map, enthalpy_ranking, enthalpy_text, packing_answer, ranking


@pytest.fixture
def run(capsys):
    """Run the command line; returns exit code, stdout and stderr."""

    def call(*arguments):
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_packing_json_has_what_design_promises(run):
    code, out, err = run("packing", "ABO3", "--size-ratio", 0.49, "--ligand-length", 0.15, "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    wanted = {"structure", "size_ratio", "ligand_length", "model", "lattice_constant", "cell_volume"}
    assert wanted | {"packing_fraction", "o_site_angle_deg"} <= set(answer)
    # A-O contact, (D + e)/sqrt2, decides here.
    a = (1 / 0.49 + 1) / math.sqrt(2)
    assert answer["lattice_constant"] == pytest.approx(a, rel=1e-10)
    assert answer["cell_volume"] == pytest.approx(a**3, rel=1e-10)
    assert answer["o_site_angle_deg"] == 45


@pytest.mark.parametrize(("angle", "held"), [("45", 45.0), ("0", 0.0), ("30", 30.0), ("free", None)])
def test_o_site_angle(run, angle, held):
    code, out, _ = run("packing", "ABO3", "--size-ratio", 0.45, "--o-site-angle", angle, "--json")
    answer = json.loads(out)
    expected = close_packing("ABO3", 0.45, 0.0, held={} if held is None else {"o_site_angle_deg": held})
    assert code == 0
    assert answer["packing_fraction"] == expected.packing_fraction
    assert answer["exact"] == (held in (0.0, 45.0))
    if held is None:
        assert answer["packing_fraction"] > 0.7358  # found for 30 degrees, physics.md
    else:
        assert answer["o_site_angle_deg"] == held


def test_no_o_site_means_null(run):
    _, out, _ = run("packing", "NaCl", "--size-ratio", 0.45, "--json")
    assert json.loads(out)["o_site_angle_deg"] is None


def test_nanometres(run):
    _, out, _ = run("packing", "NaCl", "--size-ratio", 0.5, "--cube-edge-nm", 10.6, "--json")
    assert json.loads(out)["lattice_constant_nm"] == pytest.approx(3 * 10.6)
    _, out, _ = run("packing", "NaCl", "--size-ratio", 0.5, "--cube-edge-nm", 10.6)
    assert "31.8" in out


@pytest.mark.parametrize("name", STRUCTURES)
def test_every_structure_prints(run, name):
    second = ("--second-edge", 2.0) if "second_cube" in STRUCTURES[name].species else ()
    code, out, err = run("packing", name, "--size-ratio", 0.5, "--ligand-length", 0.1, *second)
    assert (code, err) == (0, "")
    assert out.startswith(f"{name}: ")
    assert "packing fraction" in out


def test_otm_counts_cubes_as_spheres(run):
    code, out, _ = run("packing", "ABO3", "--size-ratio", 0.5, "--model", "otm", "--json")
    answer = json.loads(out)
    assert code == 0
    # Its peak, physics.md: pi/4, with a = D = 2 e.
    assert answer["packing_fraction"] == pytest.approx(math.pi / 4, rel=1e-12)
    assert answer["lattice_constant"] == pytest.approx(2.0, rel=1e-12)
    assert answer["model"] == "otm"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("packing", "AB03", "--size-ratio", 0.5), "unknown structure 'AB03'; the nearest is ABO3"),
        (("packing", "AB2", "--size-ratio", 0.5), "the AB2 structures that are: MgZn2, AlB2"),
        (("packing", "ABO3"), "--size-ratio is missing"),
        (("packing", "ABO3", "--size-ratio", 0), "size_ratio must be positive"),
        (("packing", "ABO3", "--size-ratio", "nan"), "size_ratio must be positive"),
        (("packing", "SC", "--ligand-length", 0.5), "from 0 to below 0.5"),
        (("packing", "SC", "--ligand-length", -0.1), "from 0 to below 0.5"),
        (("packing", "ABO3", "--size-ratio", 0.5, "--o-site-angle", "wide"), "expected free or an angle"),
        (("packing", "ABO3", "--size-ratio", 0.5, "--o-site-angle", 60), "expected 0 to 45"),
        (("packing", "NaCl", "--size-ratio", 0.5, "--o-site-angle", 45), "NaCl has no o_site_angle_deg"),
        (("packing", "CaB6", "--size-ratio", 0.5, "--model", "otm"), "sources disagree"),
        (("packing", "CuAu", "--size-ratio", 0.6, "--model", "otm"), "holds for size ratios above 0.7132"),
        (("packing", "ABO6-cubes"), "give the edge of the second"),
        (("packing", "ABO6-cubes", "--second-edge", 0), "the edge of the second cubes is 0"),
        (("packing", "SC", "--second-edge", 2), "SC has one species of cubes"),
        (("packing", "SC", "--cube-edge-nm", -1), "--cube-edge-nm is -1"),
        (("phases",), "nothing to write"),
        (("phases", "--size-ratio", 0.5), "go together"),
        (("phases", "--size-ratio", 0.5, "--ligand-length", 0.1, "-o", "map.png"), "go together"),
        (("phases", "--json", "-o", "map.png"), "belong to one point"),
        (("phases", "--size-ratio", 0.5, "--ligand-length", 0.1, "--stoichiometry", 0), "stoichiometry is 0"),
        (("phases", "--size-ratio", 0.5, "--ligand-length", 0.1, "--structures", "NaCI"), "the nearest is NaCl"),
        (("phases", "--size-ratio", 0.5, "--ligand-length", 0.1, "--structures", "ABO6-cubes"), "two sizes"),
        (("phases", "--size-ratio", 0.5, "--ligand-length", 0.1, "--structures", "NaCl"), "cannot hold"),
        (("phases", "-o", "nowhere/map.png"), "does not exist"),
        (("phases", "--csv", "m.csv", "--size-ratios", 0.5, 0.4, 3), "--size-ratios is 0.5 0.4 3"),
        (("phases", "--csv", "m.csv", "--ligand-lengths", 0, 0.6, 3, "--size-ratios", 0.4, 0.5, 2), "below 0.5"),
        (("phases", "--csv", "m.csv", "--workers", -1), "--workers is -1"),
        (("phases", "--csv", "m.csv", "--from", "missing.csv"), "missing.csv does not exist"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []  # nothing half-made


def test_ranking_at_a_point(run):
    code, out, err = run("phases", "--size-ratio", 0.49, "--ligand-length", 0.15, "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["winner"] == "ABO3"
    rows = answer["candidates"]
    assert rows[0]["phases"] == "ABO3"
    assert rows[0]["excess_volume"] == 0
    assert all(one["excess_volume"] <= other["excess_volume"] for one, other in itertools.pairwise(rows))
    # The excess volume is that of the packing fractions, since the bodies are the same.
    for row in rows:
        assert rows[0]["packing_fraction"] / row["packing_fraction"] - 1 == pytest.approx(row["excess_volume"])
        assert sum(row["shares"].values()) == pytest.approx(1)
    compounds = [name for name in BINARY if len(STRUCTURES[name].species) > 1]
    for name in compounds:  # each stands in the table, with what is left over beside it, or packs as another one
        assert any(name in row["shares"] for row in rows) != (name in answer["repeated"])
    assert answer["repeated"] == ["CuAu"]  # c/a = 1/sqrt2, which is CsCl
    assert any(set(row["shares"]) == {"SC", "fcc"} for row in rows)


def test_ranking_in_words_and_nanometres(run):
    _, out, _ = run("phases", "--size-ratio", 0.49, "--ligand-length", 0.15, "--cube-edge-nm", 10)
    lines = out.splitlines()
    assert "4 cubes per sphere" in lines[0]
    assert lines[2].split()[0] == "ABO3"
    assert lines[2].split()[-1] == f"{10 * (1 / 0.49 + 1) / math.sqrt(2):.2f}"


def test_leftovers_follow_the_lever_rule():
    # 5 cubes per sphere: of 6 particles, 5 form ABO3 and 1 stays in SC.
    answer = ranking(0.49, 0.2, 5.0)
    assert answer["winner"] == "SC + ABO3"
    assert answer["candidates"][0]["shares"] == pytest.approx({"ABO3": 5 / 6, "SC": 1 / 6})


def test_map_is_written_and_drawn_again_from_its_table(run, tmp_path):
    table, picture, again = tmp_path / "map.csv", tmp_path / "map.png", tmp_path / "again.png"
    axes = ("--size-ratios", 0.45, 0.55, 5, "--ligand-lengths", 0.1, 0.2, 3)
    pool = ("--structures", "SC", "NaCl", "ABO3", "fcc")
    code, out, err = run("phases", "-o", picture, "--csv", table, "--workers", 1, *axes, *pool)
    assert code == 0
    assert "15 of 15 points" in err
    assert "ABO3" in out
    assert picture.read_bytes()[:4] == b"\x89PNG"
    lines = table.read_text().splitlines()
    assert len(lines) == 16
    assert lines[0].startswith("size_ratio,ligand_length,stoichiometry,winner,")
    code, other, err = run("phases", "--from", table, "-o", again, "--stoichiometry", 1)
    assert (code, err) == (0, "")
    assert "at 1 cubes per sphere" in other
    assert again.exists()


def test_a_table_fixes_the_axes(tmp_path):
    with pytest.raises(InputError, match="fixes the axes"):
        draw_map(MapRequest(csv=tmp_path / "b.csv", source=tmp_path / "a.csv", size_ratios=(0.3, 0.4, 2)))


def test_size_ratio_is_not_needed_for_one_species():
    assert packing_answer("SC", size_ratio=None, ligand_length=0.1)["packing_fraction"] == pytest.approx(
        close_packing("SC", 1.0, 0.1).packing_fraction
    )


def test_the_table_is_not_overwritten_by_the_picture(run, tmp_path):
    table = tmp_path / "map.png"  # a bad name for a table, and so what
    axes = ("--size-ratios", 0.45, 0.55, 2, "--ligand-lengths", 0.1, 0.2, 2, "--structures", "SC", "fcc", "NaCl")
    assert run("phases", "--csv", table, "--workers", 1, *axes)[0] == 0
    before = table.read_bytes()
    for options in (("--from", table, "-o", table), ("--csv", table, "-o", table, *axes)):
        code, _, err = run("phases", *options)
        assert code == 2
        assert "expected two files" in err
    code, _, err = run("phases", "--from", table, "-o", tmp_path / "map.pdf")
    assert (code, "ending in .png" in err) == (2, True)
    assert table.read_bytes() == before
    assert list(tmp_path.iterdir()) == [table]


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n\xff", b"", b"a,b\n1,2\n", b"size_ratio,ligand_length,eta_SC\n"]
)
def test_other_files_are_no_tables(run, tmp_path, content):
    other = tmp_path / "other"
    other.write_bytes(content)
    code, out, err = run("phases", "--from", other, "-o", tmp_path / "map.png")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert str(other) in err
    assert list(tmp_path.iterdir()) == [other]


def test_sizes_at_the_end_of_an_axis_are_refused_at_once(run, tmp_path):
    code, _, err = run("phases", "--csv", tmp_path / "m.csv", "--ligand-lengths", 0, 0.5, 3, "--workers", 1)
    assert code == 2
    assert "points" not in err  # nothing had been computed


def test_round_cubes_alone_form_layers():
    # Above lambda = 1/4 SC is not the densest packing of cubes: nothing may win against it alone.
    assert ranking(0.6, 0.4, 4.0)["winner"] == "bct + fcc"
    assert ranking(0.6, 0.2, 4.0)["winner"] == "SC + fcc"


def test_workers_without_a_guard_are_one_sentence(tmp_path):
    script = tmp_path / "bare.py"
    script.write_text(
        "from supercube.crystals.diagram import packing_table\n"
        "packing_table([0.4, 0.5], [0.1, 0.2], ('SC', 'fcc'), workers=2)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "__main__" in done.stderr.splitlines()[-1]


def test_two_workers_find_the_same(tmp_path):
    axes = ([0.45, 0.5], [0.1, 0.2])
    pool = ("SC", "NaCl", "ABO3", "fcc")
    one, two = (packing_table(*axes, pool, workers=workers) for workers in (1, 2))
    assert (one.fractions == two.fractions).all()


def test_enthalpies_rank_the_crystals_of_the_model_and_excess_cubes_change_no_difference():
    four = enthalpy_ranking(0.49, 0.2, 50.0, roughness=0.05)
    six = enthalpy_ranking(0.49, 0.2, 50.0, roughness=0.05, stoichiometry=6.0)
    assert {row["phases"] for row in four["candidates"]} == {"ABO3", "fcc + SC", "NaCl + SC"}
    assert four["candidates"][0]["phases"] == "ABO3"
    assert six["candidates"][0]["phases"] == "ABO3 + SC"
    for few, many in zip(four["candidates"], six["candidates"], strict=True):
        # Cubes left over are in SC whatever wins.
        assert many["excess"] == pytest.approx(few["excess"], abs=1e-6)
        assert many["enthalpy"] > few["enthalpy"] + 2 * 50
    text = enthalpy_text(four)
    assert "least" in text.splitlines()[2]
    assert f"+{four['candidates'][1]['excess']:.2f}" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pressure": 0.0}, "pressure is 0; expected a positive number"),
        ({"pressure": 20.0, "stoichiometry": 3.0}, "expected the 4 of ABO3, or more"),
        ({"pressure": 20.0, "attraction": -1.0}, "attraction is -1"),
    ],
)
def test_enthalpies_of_nothing_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        enthalpy_ranking(0.49, 0.2, **options)


def test_the_command_line_ranks_by_enthalpy_at_a_point_only(run):
    place = ("--size-ratio", 0.49, "--ligand-length", 0.2, "--roughness", 0.05)
    code, out, _ = run("phases", *place, "--pressure", 50, "--json")
    assert code == 0
    assert json.loads(out) == enthalpy_ranking(0.49, 0.2, 50.0, roughness=0.05)
    code, _, errors = run("phases", "--pressure", 50)
    assert code == 2
    assert "--pressure belong to one point" in errors

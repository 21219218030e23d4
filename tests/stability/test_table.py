"""The stability map as a CSV file."""

import csv
from dataclasses import replace

import pytest

from supercube.errors import FileFormatError
from supercube.stability import PurePhase, load_csv, save_csv, stability_point
from supercube.stability.phases import GAUSSIAN

SC = PurePhase("SC", 1, 0, 1.05, 0.001, 2.0, 0.01, 23.0, 0.02, -6.25, 0.05, "", "", 0.4, 0.07, 0.9)
NACL = PurePhase("NaCl", 1, 1, 4.6, 0.004, 8.0, 0.05, 100.0, 0.06, None, 0.0, note="40 frames, too few")
FCC = PurePhase("fcc", 0, 1, 6.125, 0.004, 1.0, 0.05, 123.5, 0.05, -4.0, 0.2)
ABO3 = PurePhase("ABO3", 4, 1, 8.0, 0.004, 20.0, 0.05, 180.0, 0.1, lost="cubes left their sites, at once")
POINTS = [
    stability_point(0.42, 0.1, 20.0, [SC, NACL, ABO3, FCC]),
    stability_point(0.5, 0.15, 60.0, [SC, replace(NACL, entropy=-10.0), FCC], 6.0, 2.0),
]


def test_what_is_written_is_read_again(tmp_path):
    save_csv(POINTS, tmp_path / "map.csv")
    assert load_csv(tmp_path / "map.csv") == POINTS


def test_a_map_without_points_is_a_table_without_lines(tmp_path):
    save_csv([], tmp_path / "map.csv")
    assert load_csv(tmp_path / "map.csv") == []
    assert (tmp_path / "map.csv").read_text().startswith("size_ratio,")


def test_a_row_holds_every_number_and_both_answers(tmp_path):
    save_csv(POINTS, tmp_path / "map.csv")
    first, second = list(csv.DictReader((tmp_path / "map.csv").read_text().splitlines()))
    assert float(first["SC_H"]) == pytest.approx(2.0 + 20 * 1.05)
    assert float(first["SC_G"]) == pytest.approx(2.0 + 20 * 1.05 + 6.25)
    assert (first["NaCl_S"], first["NaCl_G"]) == ("", "")
    assert first["winner_by_enthalpy"] == POINTS[0].by_enthalpy.winner == "SC + NaCl"
    assert (first["winner_by_gibbs"], first["reason"]) == ("", "no entropy of NaCl")
    assert (float(first["SC_mismatch"]), float(first["SC_mismatch_error"])) == (0.4, 0.07)
    assert (float(first["SC_allowance"]), float(first["SC_H_error"])) == (0.9, 0.02)
    assert (first["fcc_mismatch"], float(first["fcc_allowance"])) == ("", pytest.approx(3 * GAUSSIAN))
    assert (first["missing"], second["missing"]) == ("", "ABO3")
    assert first["ABO3_lost"] == "cubes left their sites, at once"
    assert (second["ABO3_H"], second["attraction"], second["stoichiometry"]) == ("", "2.0", "6.0")
    assert float(second["margin_by_gibbs"]) == pytest.approx(POINTS[1].by_gibbs.margin)
    assert float(second["margin_error_by_gibbs"]) == pytest.approx(POINTS[1].by_gibbs.error)
    assert second["undecided_by_gibbs"] == ("yes" if POINTS[1].by_gibbs.undecided else "no")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileFormatError, match="does not exist"):
        load_csv(tmp_path / "none.csv")
    save_csv(POINTS, tmp_path / "map.csv")
    text = (tmp_path / "map.csv").read_text()
    for old, new in (("size_ratio", "gamma"), ("0.42,", "wide,"), ("SC_U,", "SC_X,")):
        (tmp_path / "bad.csv").write_text(text.replace(old, new, 1))
        with pytest.raises(FileFormatError, match="no table of the stability map"):
            load_csv(tmp_path / "bad.csv")

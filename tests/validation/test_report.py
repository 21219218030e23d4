import csv
import json
import math
from dataclasses import replace

import pytest

from supercube.errors import InputError
from supercube.validation.report import (
    CHECKS_CSV,
    CHECKS_JSON,
    REPORT,
    Section,
    Setting,
    failure_lines,
    measured,
    report_text,
    setting,
    verdict,
    write_report,
)
from supercube.validation.results import Check

GOOD = Check(
    group="Spheres",
    name="Z at 0.6",
    engine="LAMMPS 1",
    value=4.29371,
    error=0.00312,
    target=4.2952,
    source="molecular dynamics",
    tolerance=0.002,
    why="softness",
)
BAD = replace(GOOD, name="Z at 0.75", value=6.7, error=0.003, target=6.6566)
VAGUE = replace(GOOD, name="Z at 0.8", error=0.5, largest_error=0.01)
NONE = replace(GOOD, name="the task ran", value=math.nan, error=0.0, tolerance=0.0, why="EngineError: no engine")
WHERE = Setting("2030-01-01 00:00 UTC", {"supercube": "1", "LAMMPS": "2", "HOOMD-blue": "absent"}, "a CPU", 1.5)
SECTION = Section("Spheres", "Hard spheres.", [GOOD, BAD, VAGUE, NONE], explanations={"Z at 0.75": "It is too soft."})


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (4.29371, 0.00312, "4.2937 ± 0.0031"),
        (4.29371, 0.0999, "4.29 ± 0.10"),
        (1.00049, 0.0351, "1.000 ± 0.035"),
        (123.4, 25.3, "123 ± 25"),
        (-0.00001, 0.1, "0.00 ± 0.10"),
        (4.6e-6, 4.9e-6, "(4.6 ± 4.9)e-6"),
        (2.71e-9, 3.1e-11, "(2.710 ± 0.031)e-9"),
        (5.5, 0.0, "5.5"),
        (math.nan, 0.0, "-"),
    ],
)
def test_numbers_are_rounded_to_two_digits_of_the_error(value, error, shown):
    assert measured(replace(GOOD, value=value, error=error)) == shown


def test_a_difference_without_error_shows_its_order():
    assert measured(replace(GOOD, value=3.6131e-11, error=0.0, target=0.0)) == "3.6e-11"


def test_failures_come_first_and_are_explained():
    text = report_text([SECTION], WHERE)
    assert text.index("## Failures") < text.index("## Spheres")
    assert "**FAIL: 3 of 4 checks failed.**" in text
    assert "| Spheres | 1 | 3 |" in text
    wrong, vague, none = failure_lines([SECTION])
    assert "6.7000 ± 0.0030 instead of 6.6566; off by 0.043 where 0.011 is allowed. It is too soft." in wrong
    assert "its error is larger than the 0.01 that tell anything" in vague
    assert "no number came out; EngineError: no engine." in none
    assert all(line in text for line in (wrong, vague, none))


def test_a_good_run_has_no_failures():
    section = replace(SECTION, checks=[GOOD])
    text = report_text([section], WHERE)
    assert "FAIL" not in text
    assert verdict([section]) == "PASS: all 1 checks passed"
    assert "2030-01-01 00:00 UTC, 1.5 minutes on a CPU." in text
    assert "HOOMD-blue absent" in text
    assert "| Z at 0.6 | LAMMPS 1 | 4.2937 ± 0.0031 | 4.2952 | 0.0015 | 0.011 | molecular dynamics | PASS |" in text
    assert "* 0.002: softness." in text


def test_a_report_without_checks_is_no_success():
    assert verdict([]).startswith("FAIL")


def test_a_reason_is_given_once():
    checks = [GOOD, replace(GOOD, name="b", tolerance=0.004), replace(GOOD, name="c", tolerance=0.0, why="unused")]
    text = report_text([replace(SECTION, checks=checks)], WHERE)
    assert text.count("softness") == 1
    assert "* 0.002 to 0.004: softness." in text
    assert "unused" not in text


def test_a_table_keeps_its_columns():
    text = report_text([replace(SECTION, checks=[replace(GOOD, name="|F| of a\nbody")])], WHERE)
    assert r"| \|F\| of a body | LAMMPS 1 |" in text


def test_files_hold_every_check(tmp_path):
    folder = tmp_path / "deep" / "report"
    figures = {"map.png": b"not really"}
    path = write_report(folder, [replace(SECTION, figures=figures, tables="| a |\n|---|\n| 1 |")], WHERE)
    assert sorted(p.name for p in folder.iterdir()) == sorted([REPORT, CHECKS_JSON, CHECKS_CSV, "map.png"])
    text = path.read_text()
    assert "![map](map.png)" in text
    assert "| a |\n|---|\n| 1 |" in text
    records = json.loads((folder / CHECKS_JSON).read_text())
    assert [r["passed"] for r in records] == [True, False, False, False]
    assert records[0]["value"] == GOOD.value
    assert records[0]["allowed"] == pytest.approx(GOOD.tolerance + 3 * GOOD.error)
    assert records[3]["value"] is None  # JSON has no NaN
    rows = list(csv.DictReader((folder / CHECKS_CSV).read_text().splitlines()))
    assert [row["name"] for row in rows] == [check.name for check in SECTION.checks]
    assert float(rows[1]["target"]) == BAD.target


def test_the_same_checks_give_the_same_files(tmp_path):
    for name in ("a", "b"):
        write_report(tmp_path / name, [SECTION], WHERE)
    for name in (REPORT, CHECKS_JSON, CHECKS_CSV):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(InputError, match="is a file; expected a folder"):
        write_report(tmp_path / "x", [SECTION], WHERE)


def test_the_setting_tells_which_engines_ran():
    here = setting({"lammps": "2025.7"}, 3.0, "A note.")
    assert here.versions["LAMMPS"] == "2025.7"
    assert here.versions["HOOMD-blue"].startswith(("absent", "not run"))
    assert here.machine.endswith("cores")

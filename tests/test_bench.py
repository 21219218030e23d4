import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from supercube import bench_engines
from supercube.bench_engines import LOG_PERIOD, Package, Row, cells_near, measure_row, print_table, run_row, system
from supercube.cli import main
from supercube.engines.base import Setup, choose, single_point, thermal_state
from supercube.errors import EngineError


@pytest.mark.parametrize(
    ("n_bodies", "cells"), [(1, 8), (135, 27), (1000, 200), (8000, 1600), (64000, 12800), (140, 27), (150, 32)]
)
def test_the_nearest_whole_box_is_taken(n_bodies, cells):
    assert cells_near(n_bodies) == cells


def test_the_system_does_not_begin_with_overlaps():
    model, configuration = system(27)
    assert len(configuration) == 135
    energy, _, _, _ = single_point(model, configuration, choose("lammps"))
    assert energy == 0


@pytest.mark.hoomd
@pytest.mark.parametrize("kind", ["Tree", "Cell", "Stencil"])
def test_the_plain_script_has_the_energy_of_the_engine(kind):
    from supercube.bench_plain import plain_hoomd
    from supercube.doctor import sample
    from supercube.engines.hoomd import HoomdEngine, load

    hoomd = load()
    model, configuration = sample()
    settings = {"neighbour_list": kind, "buffer": 0.1} | ({"cell_width": 0.6} if kind == "Stencil" else {})
    plain = plain_hoomd(hoomd, hoomd.device.CPU(notice_level=0), model, configuration, settings)
    plain.run(0)
    energy = single_point(model, configuration, HoomdEngine, "cpu")[0]
    assert plain.operations.integrator.forces[0].energy == pytest.approx(energy, rel=1e-12)


@pytest.mark.hoomd
def test_the_plain_script_is_thermal():
    import hoomd
    import hoomd.md

    from supercube.bench_plain import plain_hoomd

    model, configuration = system(27)
    settings = {"neighbour_list": "Tree", "buffer": 0.1}
    plain = plain_hoomd(hoomd, hoomd.device.CPU(notice_level=0), model, configuration, settings)
    moving = hoomd.filter.Rigid(flags=("center", "free"))
    thermo = hoomd.md.compute.ThermodynamicQuantities(filter=moving)
    plain.operations.computes.append(thermo)
    plain.run(200)
    # 3 degrees of freedom for each of 135 bodies: kT within 5 standard errors of sqrt(2/405).
    assert thermo.translational_degrees_of_freedom == pytest.approx(3 * 135, abs=3)
    assert 2 * thermo.translational_kinetic_energy / 405 == pytest.approx(1, abs=5 * (2 / 405) ** 0.5)


def test_the_package_side_runs_every_step_and_measures_at_each_log_row(monkeypatch):
    class Fake:
        def __init__(self):
            self.chunks, self.rows, self.clock = [], 0, 0.0

        def advance(self, steps, schedule):
            assert schedule.stage(sum(self.chunks)) == "equilibrate"
            self.chunks.append(steps)
            self.clock += steps

        def measure(self):
            self.rows += 1
            self.clock += 20.0

    model, configuration = system(8)
    engine = Fake()
    monkeypatch.setattr(bench_engines.time, "perf_counter", lambda: engine.clock)
    took = Package(engine, model, configuration.volume).run(2 * LOG_PERIOD + LOG_PERIOD // 2)
    assert engine.chunks == [LOG_PERIOD, LOG_PERIOD, LOG_PERIOD // 2]
    assert engine.rows == 3
    # One second a step, and 20 s for a measurement: half of that for half a log period.
    assert took == 2.5 * LOG_PERIOD + 20 + 20 + 10


def told_of(request):
    told = []
    measure_row({"began": time.time(), **request}, told.append)
    return told


def test_a_lammps_row_measures_alone():
    told = told_of({"engine": "lammps", "device": "cpu", "n_cells": 8, "seconds": 3.0})
    rounds = [item for item in told if "package" in item]
    assert rounds
    assert all(item["plain"] is None and item["package"] > 0 for item in rounds)


def test_a_row_that_is_stopped_tells_how_far_it_came(monkeypatch):
    row = run_row("lammps", "cpu", 8, 0.2)  # less than Python takes to begin
    assert row.package == []
    assert row.note == "stopped at 0.2 s while starting"
    assert not row.failed
    assert row.cells()[2] == "-"


def test_what_an_engine_refuses_is_a_row_with_its_sentence():
    row = run_row("abacus", "cpu", 8, 30.0)
    assert row.failed
    assert row.note == "engine is 'abacus'; expected auto, hoomd or lammps."


def test_an_exception_is_a_row_with_its_name(monkeypatch, capsys):
    def broken(request, tell):
        raise TypeError("missing 1 required argument")

    monkeypatch.setattr(bench_engines, "measure_row", broken)
    assert bench_engines._child(["{}"]) == 0
    assert json.loads(capsys.readouterr().out) == {"failure": "TypeError: missing 1 required argument"}


def test_ratios_are_medians_of_rounds():
    row = Row(135, "hoomd cpu", [10.0, 9.0, 30.0], [10.0, 10.0, 10.0], 7.0, {}, "")
    assert row.ratio == 1.0
    assert row.cells()[2:5] == ("10", "10", "1.000")
    assert Row(135, "hoomd cpu", [], [], 7.0, {}, "").cells()[2:5] == ("about 7", "-", "-")


def test_the_table_can_be_pasted_and_failures_are_told_after_all_rows(monkeypatch):
    def fake(engine, device, n_cells, seconds):
        settings = (
            {"neighbour_list": "Tree", "buffer": 0.2, "tried": [["Tree", 0.2, 1234.5]]} if engine == "hoomd" else {}
        )
        return Row(
            5 * n_cells, f"{engine} {device}", [1000.0], [990.0] if settings else [], 1.0, settings, "", not settings
        )

    monkeypatch.setattr(bench_engines, "engines_here", lambda: [("lammps", "cpu"), ("hoomd", "cpu")])
    monkeypatch.setattr(bench_engines, "run_row", fake)
    shown = []
    with pytest.raises(EngineError, match="2 of 4 rows failed, first lammps cpu"):
        print_table([135, 1000], 60.0, shown.append)
    rows = [line for line in shown if line.startswith("|")]
    assert len(rows) == 2 + 4
    assert len({line.count("|") for line in rows}) == 1
    assert "| 1.010 |" in rows[3]
    assert "Tree, buffer 0.2" in rows[3]
    assert "  1,000 bodies, hoomd cpu: Tree 0.2: 1,234" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seconds", "1"], "--seconds is 1"),
        (["--seconds", "nan"], "--seconds is nan"),
        (["--sizes", "0"], "--sizes holds 0"),
    ],
)
def test_bad_options_are_refused(arguments, words, capsys):
    assert main(["bench", "engines", *arguments]) == 2
    assert words in capsys.readouterr().err


#: Stands for a Python with everything: says what it was asked, and fails in what the test names.
FAKE = """#!/bin/sh
case "$*" in
  -c*) test "$BROKEN" != modules || { echo hoomd; exit 1; } ;;
  *doctor*) test "$BROKEN" != doctor ;;
  *pytest*) echo "pytest $SUPERCUBE_REQUIRE_HOOMD$SUPERCUBE_REQUIRE_GPU $*"; test "$BROKEN" != parity ;;
  *bench*) test "$BROKEN" != bench ;;
esac
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize(
    ("broken", "last"),
    [
        ("", "PASS: doctor, parity suite and bench engines on the GPU"),
        ("modules", "FAIL: {python} has no hoomd; create an environment with: micromamba create"),
        ("doctor", "FAIL: supercube doctor --device gpu"),
        ("parity", "FAIL: the parity suite on the GPU"),
        ("bench", "FAIL: supercube bench engines"),
    ],
)
def test_gpu_check_says_in_its_last_line_what_failed(broken, last, tmp_path):
    python = tmp_path / "python"
    python.write_text(FAKE)
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "--no-print-directory", "gpu-check", f"PYTHON={python}"],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "BROKEN": broken},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1].startswith(last.format(python=python))
    assert (done.returncode == 0) == (not broken)
    if broken in ("", "parity", "bench"):
        assert "pytest 11 -m pytest tests/parity -m gpu --validate" in done.stdout


@pytest.mark.validate
@pytest.mark.hoomd
def test_the_package_costs_next_to_nothing(capsys):
    row = run_row("hoomd", "cpu", 27, 60.0)
    with capsys.disabled():
        print("\nbench engines:", json.dumps(row.cells()), flush=True)
    assert not row.failed
    # The target is 0.98; other programs on the machine move a median of ten rounds by some percent.
    assert row.ratio > 0.93


def test_the_package_side_moves_a_real_engine():
    model, configuration = system(27)
    engine = choose("lammps")(model, thermal_state(model, configuration, 1), Setup(model.time_step, 1))
    try:
        assert Package(engine, model, configuration.volume).run(20) > 0
        assert engine.state().configuration.step == 20
    finally:
        engine.close()


def test_packing_bench_has_a_row_for_every_structure(monkeypatch):
    from supercube import bench_packing
    from supercube.crystals.library import STRUCTURES

    monkeypatch.setattr(bench_packing, "_GAMMAS", (0.49,))
    monkeypatch.setattr(bench_packing, "_LAMBDAS", (0.1,))
    lines = []
    bench_packing.print_table(lines.append)
    assert [line.split()[0] for line in lines[1 : 1 + len(STRUCTURES)]] == list(STRUCTURES)
    assert {line.split()[1] for line in lines[1 : 1 + len(STRUCTURES)]} == {"formula", "search"}
    assert "2400 points" in lines[-2]

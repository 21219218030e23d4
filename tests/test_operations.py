"""What operations do between reading and storing."""

from pathlib import Path

import numpy as np
import pytest
import signac

from supercube import operations
from supercube.config import Config
from supercube.configuration import read_gsd
from supercube.engines.segments import read_trajectory
from supercube.model.particles import build_model
from supercube.operations import SERIES_FRAMES, thinned
from supercube.spaces import fill


@pytest.mark.parametrize("number", [1, 2, SERIES_FRAMES, SERIES_FRAMES + 1, 3 * SERIES_FRAMES + 7])
def test_a_series_is_even_not_too_long_and_ends_with_the_last_frame(number):
    chosen = thinned(list(range(number)))
    assert len(chosen) <= SERIES_FRAMES
    assert len(chosen) >= min(number, SERIES_FRAMES // 2)
    assert chosen[-1] == number - 1
    assert len(set(np.diff(chosen).tolist())) <= 1


def test_means_come_with_errors_that_know_of_memory():
    rng = np.random.default_rng(4)
    white = rng.normal(size=4000)
    # An autoregressive series with a memory of 40 rows: sqrt(2 * 40) times the error of white noise of its width.
    kept, slow = np.exp(-1 / 40), np.empty(4000)
    value = 0.0
    for k, kick in enumerate(white):
        value = kept * value + np.sqrt(1 - kept**2) * kick
        slow[k] = value
    quick_error, slow_error = operations._mean(white)[1], operations._mean(slow)[1]
    assert quick_error == pytest.approx(1 / np.sqrt(4000), rel=0.8)
    assert slow_error == pytest.approx(np.sqrt(80 / 4000), rel=0.6)
    assert operations._mean(np.ones(3)) == (1.0, None)
    assert operations._mean(np.ones(0)) == (None, None)


def test_enthalpy_is_the_mean_of_energy_plus_pressure_times_volume():
    rng = np.random.default_rng(1)
    log = {name: rng.normal(10, 1, 60) for name in ("pressure", "potential_energy", "volume", "packing_fraction")}
    log["step"] = np.arange(60.0)
    found = operations._means(log, 29, 3.0)
    held = slice(30, None)
    assert found["enthalpy"] == pytest.approx((log["potential_energy"] + 3 * log["volume"])[held].mean())
    assert found["volume"] == pytest.approx(log["volume"][held].mean())


def log_of(temperature, rows=40):
    rng = np.random.default_rng(1)
    columns = {"step": np.arange(rows + 1) * 100}
    for motion in ("translation", "rotation"):
        columns[f"temperature_{motion}"] = temperature + rng.normal(0, 0.05, rows + 1)
    return columns


def test_a_hold_that_is_hot_or_cold_is_said():
    assert operations._temperature_notes(log_of(1.0), 0, 64) == []
    for temperature in (1.9, 0.8):
        notes = operations._temperature_notes(log_of(temperature), 0, 64)
        assert [note.split(" in the hold")[0] for note in notes] == [
            "The mean temperature of translation",
            "The mean temperature of rotation",
        ]
        assert float(notes[0].split(" is ")[1].split(" kT")[0]) == pytest.approx(temperature, abs=0.03)
    # A few particles and rows scatter by themselves; nothing held and nothing that turns has no temperature.
    assert operations._temperature_notes(log_of(1.3, rows=2), 0, 8) == []
    assert operations._temperature_notes(log_of(1.9), 10**6, 64) == []
    assert operations._temperature_notes(log_of(np.nan), 0, 64) == []


def test_without_a_pressure_there_is_no_enthalpy():
    log = {name: np.linspace(1.0, 2.0, 41) for name in ("pressure", "potential_energy", "volume", "packing_fraction")}
    log["step"] = np.arange(41)
    found = operations._means(log, 0, 0.0)
    assert (found["enthalpy"], found["enthalpy_sem"]) == (None, None)
    assert operations._means(log, 0, 3.0)["enthalpy"] == pytest.approx(4 * found["volume"])


def test_a_box_that_has_not_settled_is_said():
    document = {"lattice_constant": 2.0, "lattice_constant_sem": 3e-4, "volume": 64.0, "volume_sem": 0.0768}
    settled = document | {"pressure": 40.5, "pressure_sem": 0.3, "notes": []}
    operations._at_pressure(settled, 40.0)
    assert settled["notes"] == []
    # da/a = dV/(3 V) = 4e-4, so 8e-4 of a beside the 3e-4.
    assert settled["lattice_constant_sem"] == pytest.approx(np.hypot(3e-4, 8e-4))
    rising = document | {"pressure": 3.0, "pressure_sem": 0.3, "notes": []}
    operations._at_pressure(rising, 40.0)
    assert "has not settled" in rising["notes"][0]


SPACE = """
protocol: {equilibration_time: 0.1, initial_pressure: 10, ramp_time: 0.5, hold_time: 1.5}
jobs:
  - {n_cubes: 27, ligand_length: 0.2, roughness: 0.05, initial: SC, expansion: 1.05, pressure: 40}
"""


def test_a_crystal_goes_to_its_pressure_and_all_of_it_is_told(tmp_path):
    (tmp_path / "small.yaml").write_text(SPACE)
    fill(tmp_path / "project", tmp_path / "small.yaml")
    (job,) = signac.get_project(tmp_path / "project")
    config = Config(engine="lammps", log_period=20, frames=40)
    operations.build(job)
    operations.equilibrate(job, config)
    operations.evaporate(job, config)
    operations.classify(job)
    document = job.doc()
    assert document["structure"] == "SC"
    assert document["pressure"] == pytest.approx(40.0, rel=0.25)  # one time unit of a few cubes
    assert document["volume_sem"] > 0
    assert document["enthalpy"] == pytest.approx(document["potential_energy"] + 40.0 * document["volume"], rel=1e-9)
    # The lattice constant is that of the mean box of the hold, which is neither the box of the last frames ...
    schedule = operations.schedule_of(job, build_model(operations.state_point_of(job)), read_gsd(job.fn("initial.gsd")))
    boxes = [f.box[:3] for f in read_trajectory(Path(job.path)) if f.step >= schedule.end_of_drying]
    assert document["lattice_constant"] == pytest.approx(np.mean(boxes) / 3, rel=1e-6)
    assert abs(np.mean(boxes[-10:]) / np.mean(boxes) - 1) > 1e-5
    edge = (document["volume"] / 27) ** (1 / 3)  # ... nor that of other rows of the log
    assert document["lattice_constant"] == pytest.approx(edge, rel=4e-3)
    assert document["lattice_constant_sem"] >= document["volume_sem"] / document["volume"] / 3 * edge * 0.99
    assert document["mobile_fraction"] < 0.2
    thermal = document["thermal"]
    assert thermal["packing_fraction"] != document["packing_fraction"]
    assert thermal["packing_fraction"] == pytest.approx(document["packing_fraction"], rel=0.1)
    (tmp_path / "project" / "workspace" / job.id / "entropy.json").write_text("{}")
    operations.prolong(job, 2.0)
    assert not job.isfile("entropy.json")
    assert "enthalpy" not in job.doc

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from supercube.engines.run import RunOptions, progress_style, simulate
from supercube.engines.segments import read_log, read_trajectory
from supercube.errors import CheckpointError, IncompleteError

OPTIONS = RunOptions(log_period=50, frames=8)


@pytest.fixture
def dry(cubes, plan, tmp_path):
    model, state = cubes
    schedule = plan(model, state, peclet=500.0, target_packing_fraction=0.2)

    def run(until=None, options=OPTIONS, model=model):
        end = schedule.total_steps if until is None else until
        return simulate(tmp_path, model, schedule, state, end, seed=5, options=options)

    run.schedule, run.folder, run.model = schedule, tmp_path, model
    return run


def test_a_whole_run(dry):
    result = dry()
    assert result.steps_done == dry.schedule.total_steps
    assert (result.engine, result.device) == ("lammps", "cpu")
    log = read_log(dry.folder)
    steps = log["step"].astype(int)
    assert steps[0] == 0
    assert steps[-1] == dry.schedule.total_steps
    assert {dry.schedule.end_of_equilibration, dry.schedule.end_of_drying} <= set(steps.tolist())
    np.testing.assert_allclose(log["time"], steps * dry.schedule.time_step)
    # fix deform changes the box every STEP_UNIT steps, and all of these are multiples of it.
    np.testing.assert_allclose(log["volume"], [dry.schedule.volume(s) for s in steps], rtol=1e-9)
    assert log["packing_fraction"][-1] == pytest.approx(0.2, rel=1e-6)
    frames = list(read_trajectory(dry.folder))
    assert 8 <= len([f for f in frames if f.step <= dry.schedule.end_of_drying]) <= 10
    # The hold is short and still gets frames enough to classify: one every STEP_UNIT steps here.
    assert len([f for f in frames if f.step > dry.schedule.end_of_drying]) == dry.schedule.hold_steps // 10
    assert frames[-1].step == dry.schedule.total_steps


def test_a_run_in_two_parts_is_one_run(dry):
    first = dry(dry.schedule.end_of_equilibration)
    assert first.steps_done == dry.schedule.end_of_equilibration
    dry()
    steps = read_log(dry.folder)["step"]
    assert np.all(np.diff(steps) > 0)
    assert steps[-1] == dry.schedule.total_steps
    assert len(list(dry.folder.glob("trajectory-*.gsd"))) == 2


def test_a_finished_run_does_nothing(dry):
    dry()
    before = sorted(p.name for p in dry.folder.iterdir())
    assert dry().steps_per_second is None
    assert sorted(p.name for p in dry.folder.iterdir()) == before


def test_a_continued_run_starts_where_the_other_ended(dry):
    dry(dry.schedule.end_of_equilibration)
    end = list(read_trajectory(dry.folder))[-1]
    dry()
    continued = next(f for f in read_trajectory(dry.folder) if f.step == end.step)
    np.testing.assert_array_equal(continued.positions, end.positions)
    np.testing.assert_array_equal(continued.orientations, end.orientations)


def test_walltime_stops_with_a_checkpoint_and_the_next_run_goes_on(dry):
    with pytest.raises(IncompleteError, match=r"the walltime at step 50 .*run again"):
        dry(options=RunOptions(log_period=50, frames=8, walltime_seconds=0.0))
    assert not (dry.folder / "lock.json").exists()
    assert dry().steps_done == dry.schedule.total_steps
    assert np.all(np.diff(read_log(dry.folder)["step"]) > 0)


def test_another_model_is_refused_and_nothing_is_written(dry, make_state_point):
    from supercube.model.particles import build_model

    dry(dry.schedule.end_of_equilibration)
    before = sorted(p.name for p in dry.folder.iterdir())
    with pytest.raises(CheckpointError, match="model_hash"):
        dry(model=build_model(make_state_point(ligand_length=0.25)))
    assert sorted(p.name for p in dry.folder.iterdir()) == before


SCRIPT = """
import sys
from pathlib import Path
from supercube.engines.base import thermal_state
from supercube.engines.run import RunOptions, progress_style, simulate
from supercube.model.particles import build_model
from supercube.protocol.initial import random_fluid
from supercube.protocol.schedule import make_schedule
from supercube.statepoint import StatePoint
model = build_model(StatePoint.parse({"ligand_length": 0.2, "n_cubes": 8}, "test"))
start = thermal_state(model, random_fluid(8, 0, 1.0, 0.2, 0.15, 5), 5)
schedule = make_schedule(time_step=model.time_step, volume=start.configuration.volume, body_volume=1.0, diffusion=1.0,
    peclet=0.0, target_packing_fraction=0.0, equilibration_time=STEPS * model.time_step, hold_time=0.0)
print("ready", flush=True)
simulate(Path(sys.argv[1]), model, schedule, start, schedule.total_steps, seed=5,
    options=RunOptions(log_period=100, frames=1000, checkpoint_seconds=0.01))
"""


def start(folder, steps):
    manifest = folder / "checkpoint" / "manifest.json"
    before = manifest.stat().st_mtime_ns if manifest.exists() else 0
    script = textwrap.dedent(SCRIPT).replace("STEPS", str(steps))
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    while not manifest.exists() or manifest.stat().st_mtime_ns == before:  # its first checkpoint, after 100 steps
        assert process.poll() is None, process.stderr.read()
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_checkpoints_and_says_incomplete(tmp_path, number):
    process = start(tmp_path, 10_000_000)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert f"stopped by {number.name} at step" in errors
    assert not (tmp_path / "lock.json").exists()
    log = read_log(tmp_path)["step"]
    assert log[-1] % 100 == 0


def test_sigkill_loses_nothing_that_was_checkpointed(tmp_path):
    process = start(tmp_path, 10_000_000)
    process.kill()
    process.communicate(timeout=60)
    assert (tmp_path / "lock.json").exists()
    before = [f.step for f in read_trajectory(tmp_path)]
    assert before
    # The next run takes the stale lock over, continues from the checkpoint, and the readers join both.
    process = start(tmp_path, 10_000_000)
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    steps = read_log(tmp_path)["step"]
    assert np.all(np.diff(steps) > 0)
    assert steps[0] == 0
    assert len(list(tmp_path.glob("trajectory-*.gsd"))) == 2


@pytest.mark.parametrize(("style", "words"), [("lines", "steps/s"), ("bar", "step/s"), ("off", "")])
def test_progress_says_rate_and_time_left(dry, capsys, style, words):
    dry(options=RunOptions(log_period=50, frames=8, progress=style, label="job"))
    shown = capsys.readouterr().err
    assert words in shown
    assert bool(shown) == bool(words)
    if style == "lines":
        assert "100.0 %" in shown
        assert "0:00 left" in shown


def test_progress_style_follows_the_environment(monkeypatch):
    for style in ("bar", "lines", "off"):
        monkeypatch.setenv("SUPERCUBE_PROGRESS", style)
        assert progress_style() == style
    monkeypatch.delenv("SUPERCUBE_PROGRESS")
    assert progress_style() == "lines"  # pytest's stderr is no terminal

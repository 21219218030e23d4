import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from engine_samples import assert_same_state, long_run

from supercube.configuration import Configuration
from supercube.engines import run as run_module
from supercube.engines.base import State
from supercube.engines.checkpoint import Checkpoint
from supercube.engines.run import RunOptions, progress_style, simulate
from supercube.engines.segments import read_log, read_trajectory
from supercube.errors import CheckpointError, EngineError, IncompleteError, LockedError
from supercube.model.particles import build_model


@pytest.fixture
def options(engine_class):
    def make(**changes):
        return RunOptions(**{"engine": engine_class.name, "device": "cpu", "log_period": 50, "frames": 8, **changes})

    return make


@pytest.fixture
def dry(cubes, plan, tmp_path, options):
    model, state = cubes
    schedule = plan(model, state, peclet=500.0, target_packing_fraction=0.2)

    def run(until=None, options=options(), model=model, state=state, folder=tmp_path):  # noqa: B008 - a frozen value
        end = schedule.total_steps if until is None else until
        return simulate(folder, model, schedule, state, end, seed=5, options=options)

    run.schedule, run.folder, run.model, run.state = schedule, tmp_path, model, state
    return run


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_whole_run(dry, engine_class):
    result = dry()
    assert result.steps_done == dry.schedule.total_steps
    assert (result.engine, result.device) == (engine_class.name, "cpu")
    log = read_log(dry.folder)
    steps = log["step"].astype(int)
    assert steps[0] == 0
    assert steps[-1] == dry.schedule.total_steps
    assert {dry.schedule.end_of_equilibration, dry.schedule.end_of_drying} <= set(steps.tolist())
    np.testing.assert_allclose(log["time"], steps * dry.schedule.time_step)
    # Engines change the box every STEP_UNIT steps, and all of these are multiples of it.
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


def test_the_bodies_are_defined_beside_the_run(dry):
    dry()
    found = json.loads((dry.folder / "model.json").read_text())
    manifest = json.loads((dry.folder / "checkpoint" / "manifest.json").read_text())
    assert found["hash"] == manifest["identity"]["model_hash"] == dry.model.hash
    (cube,) = found["bodies"]
    np.testing.assert_array_equal(cube["positions"], dry.model.body("cube").positions)
    np.testing.assert_array_equal(cube["radii"], dry.model.body("cube").radii)


@pytest.mark.parametrize("fails", [True, False])
def test_a_signal_to_a_run_that_fails_or_has_nothing_to_do_stops_the_process(dry, engine_class, monkeypatch, fails):
    # A worker that swallowed it would wait for its next job for ever.
    dry(dry.schedule.end_of_equilibration)

    def stopped(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        if fails:
            raise EngineError("bodies overlap.")

    monkeypatch.setattr(engine_class, "check", stopped)
    words = r"SIGTERM while it failed \(bodies overlap" if fails else "SIGTERM before it ran"
    with pytest.raises(IncompleteError, match=words) as stop:
        dry(dry.schedule.end_of_equilibration)
    assert stop.value.by_signal
    assert not (dry.folder / "lock.json").exists()


def test_auto_goes_on_with_the_engine_that_wrote_the_checkpoint(dry, engine_class, monkeypatch, options):
    dry(dry.schedule.end_of_equilibration)
    asked = []

    def chosen(name, *_):
        asked.append(name)
        return engine_class

    monkeypatch.setattr(run_module, "choose", chosen)
    dry(dry.schedule.end_of_equilibration, options=options(engine="auto"))
    assert asked == [engine_class.name]


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


def test_walltime_stops_with_a_checkpoint_and_the_next_run_goes_on(dry, options):
    with pytest.raises(IncompleteError, match=r"the walltime at step 50 .*run again"):
        dry(options=options(walltime_seconds=0.0))
    assert not (dry.folder / "lock.json").exists()
    assert dry().steps_done == dry.schedule.total_steps
    assert np.all(np.diff(read_log(dry.folder)["step"]) > 0)


def test_no_chunk_begins_that_would_end_after_the_deadline(monkeypatch, dry, options):
    """With chunks of 10 s on a clock of the test and 25 s of time, two are run and the third is not begun."""
    clock = [1000.0]
    monkeypatch.setattr("supercube.engines.run.time.monotonic", lambda: clock[0])
    advance = run_module._Run._advance

    def ten_seconds(self, until):
        clock[0] += 10.0
        return advance(self, until)

    monkeypatch.setattr(run_module._Run, "_advance", ten_seconds)
    with pytest.raises(IncompleteError, match=r"the walltime at step 100 "):
        dry(options=options(walltime_seconds=25.0))


def test_every_chunk_shows_that_the_process_is_alive(monkeypatch, dry, options):
    seen = []
    monkeypatch.setattr(run_module, "refresh_lock", lambda folder: seen.append((folder / "lock.json").exists()))
    dry()
    assert len(seen) > 3
    assert all(seen)


def test_who_was_taken_over_while_suspended_writes_nothing_more(monkeypatch, dry):
    """A process that slept for hours (scontrol suspend) wakes up when another one has gone on with its job."""
    advance, lock = run_module._Run._advance, dry.folder / "lock.json"
    other = json.dumps({"host": "elsewhere", "pid": 7})

    def sleep_in_the_third(self, until):
        frame = advance(self, until)
        if self.step == 150:
            lock.write_text(other)
        return frame

    monkeypatch.setattr(run_module._Run, "_advance", sleep_in_the_third)
    with pytest.raises(LockedError, match=r"taken over by another process"):
        dry()
    assert lock.read_text() == other
    assert read_log(dry.folder)["step"][-1] == 100
    lock.unlink()
    monkeypatch.undo()
    assert dry().steps_done == dry.schedule.total_steps


@pytest.fixture
def others(make_state_point, dry):
    """What a checkpoint must not be continued with, one thing each."""
    configuration = dry.state.configuration
    fewer = Configuration(
        configuration.box,
        configuration.positions[:7],
        configuration.orientations[:7],
        ("cube",),
        configuration.typeid[:7],
    )
    return {
        "model_hash": {"model": build_model(make_state_point(ligand_length=0.25))},
        "n": {"state": State(fewer, dry.state.velocities[:7], dry.state.angular_momenta[:7])},
        "box": {
            "state": dataclasses.replace(
                dry.state, configuration=configuration.with_(box=[*configuration.box[:3], 0.1, 0, 0])
            )
        },
    }


@pytest.mark.parametrize("what", ["model_hash", "n", "box"])
def test_another_run_is_refused_and_nothing_is_written(dry, others, what):
    dry(dry.schedule.end_of_equilibration)
    before = files(dry.folder)
    for until in (dry.schedule.end_of_equilibration, dry.schedule.total_steps):  # with and without steps left
        with pytest.raises(CheckpointError, match=f"was written with {what}"):
            dry(until, **others[what])
    assert files(dry.folder) == before


@pytest.mark.hoomd
@pytest.mark.parametrize("first", ["lammps", "hoomd"])
def test_another_engine_is_refused_and_nothing_is_written(dry, options, first):
    second = "lammps" if first == "hoomd" else "hoomd"
    dry(dry.schedule.end_of_equilibration, options(engine=first))
    before = files(dry.folder)
    with pytest.raises(CheckpointError, match=f"was written with engine '{first}', but this run has '{second}'"):
        dry(options=options(engine=second))
    assert files(dry.folder) == before


@pytest.mark.hoomd
def test_a_box_too_narrow_for_hoomd_is_refused_before_anything_is_written(cubes, plan, tmp_path):
    model, state = cubes
    # 8 cubes at a packing fraction of 0.95 leave a box of 1.97 e; two inscribed spheres reach over 1.05 e.
    schedule = plan(model, state, peclet=500.0, target_packing_fraction=0.95)
    with pytest.raises(EngineError, match="HOOMD-blue needs more than"):
        simulate(tmp_path, model, schedule, state, 100, seed=5, options=RunOptions(engine="hoomd", device="cpu"))
    assert not list(tmp_path.iterdir())


SCRIPT = """
import sys
from pathlib import Path
from engine_samples import long_run
from supercube.engines.run import simulate
model, schedule, state, options = long_run(sys.argv[2])
print("ready", flush=True)
simulate(Path(sys.argv[1]), model, schedule, state, schedule.total_steps, seed=5, options=options)
"""


def start(folder, engine):
    """A process that runs for hours, once it has written its next checkpoint."""
    manifest = folder / "checkpoint" / "manifest.json"
    before = manifest.stat().st_mtime_ns if manifest.exists() else 0
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), engine],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert process.stdout.readline() == "ready\n", process.communicate()
    deadline = time.monotonic() + 120  # a checkpoint takes a second
    while not manifest.exists() or manifest.stat().st_mtime_ns == before:  # its first checkpoint, after 100 steps
        assert process.poll() is None, process.communicate()
        if time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"no checkpoint came: {process.communicate()}")
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_checkpoints_and_says_incomplete(tmp_path, engine_class, number):
    process = start(tmp_path, engine_class.name)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert f"stopped by {number.name} at step" in errors
    assert not (tmp_path / "lock.json").exists()
    log = read_log(tmp_path)["step"]
    assert log[-1] % 100 == 0


def test_sigkill_loses_nothing_that_was_checkpointed(tmp_path, engine_class):
    process = start(tmp_path, engine_class.name)
    process.kill()
    process.communicate(timeout=60)
    assert (tmp_path / "lock.json").exists()
    before = [f.step for f in read_trajectory(tmp_path)]
    assert before
    # The next run takes the stale lock over, continues from the checkpoint, and the readers join both.
    process = start(tmp_path, engine_class.name)
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    steps = read_log(tmp_path)["step"]
    assert np.all(np.diff(steps) > 0)
    assert steps[0] == 0
    assert len(list(tmp_path.glob("trajectory-*.gsd"))) == 2


@pytest.mark.parametrize(("style", "words"), [("lines", "steps/s"), ("bar", "step/s"), ("off", "")])
def test_progress_says_rate_and_time_left(dry, capsys, options, style, words):
    dry(options=options(progress=style, label="job"))
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


# --- the same run bit by bit, which HOOMD-blue on one CPU core promises -----------------------------------------------


def last_state(folder):
    return Checkpoint(folder / "checkpoint", {}).load()[0]


def assert_same_run(found, expected, after=0):
    """The same checkpoint, frames and log rows from a step on."""
    assert_same_state(last_state(found), last_state(expected))
    logs = [read_log(folder) for folder in (found, expected)]
    for column in logs[1]:
        ours, theirs = (log[column][log["step"] >= after] for log in logs)
        np.testing.assert_array_equal(ours, theirs, column)
    ours, theirs = ({f.step: f for f in read_trajectory(folder) if f.step >= after} for folder in (found, expected))
    # A segment begins with the state it continues from, so every stop adds a frame.
    assert len(theirs) > 1
    assert set(theirs) <= set(ours)
    for step, frame in theirs.items():
        np.testing.assert_array_equal(ours[step].positions, frame.positions)
        np.testing.assert_array_equal(ours[step].orientations, frame.orientations)


@pytest.mark.hoomd
def test_a_run_stopped_after_every_chunk_is_the_run_without_stops(cubes, plan, tmp_path):
    model, state = cubes
    schedule = plan(model, state, peclet=1500.0, target_packing_fraction=0.2)
    options = RunOptions(engine="hoomd", device="cpu", log_period=50, frames=8)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    simulate(whole, model, schedule, state, schedule.total_steps, seed=5, options=options)
    stops, done = 0, 0
    while done < schedule.total_steps:
        try:
            impatient = dataclasses.replace(options, walltime_seconds=0.0)
            done = simulate(parts, model, schedule, state, schedule.total_steps, seed=5, options=impatient).steps_done
        except IncompleteError:
            stops += 1
    assert stops >= schedule.total_steps // 50
    assert_same_run(parts, whole)


@pytest.mark.hoomd
def test_a_run_continued_after_a_signal_is_the_run_without_it(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    process = start(parts, "hoomd")
    os.kill(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert "stopped by SIGTERM" in errors
    stopped = last_state(parts).configuration.step
    model, schedule, state, options = long_run("hoomd")
    for folder in (parts, whole):
        simulate(folder, model, schedule, state, stopped + 1000, seed=5, options=options)
    assert_same_run(parts, whole, after=stopped)

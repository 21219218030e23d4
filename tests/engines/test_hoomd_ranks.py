"""HOOMD-blue on two MPI ranks: the same physics, one process that talks, and nobody left behind."""

import os
import signal
import subprocess
import threading

import numpy as np
import pytest

from supercube.crystals.build import build_crystal
from supercube.engines import hoomd_ranks
from supercube.engines.base import Setup, choose, thermal_state
from supercube.engines.hoomd import load
from supercube.engines.run import RunOptions, simulate
from supercube.engines.segments import read_log
from supercube.errors import EngineError, IncompleteError
from supercube.model.particles import build_model

pytestmark = pytest.mark.hoomd


@pytest.fixture(autouse=True)
def _needs_mpi():
    hoomd = load()
    if not hoomd.version.mpi_enabled:
        pytest.skip(f"this HOOMD-blue {hoomd.version.version} is built without MPI")


@pytest.fixture
def crystal(make_state_point):
    model = build_model(make_state_point(n_cubes=512, roughness=0.05))
    return model, thermal_state(model, build_crystal("SC", 512, 0, 1.0, 0.2, 1.1), 3)


def test_two_ranks_follow_one_rank_and_conserve_momentum(crystal, plan):
    model, state = crystal
    schedule = plan(model, state, equilibration_time=1.0)
    ends = []
    for ranks in (1, 2):
        engine = choose("hoomd", "cpu", ranks)(model, state, Setup(model.time_step, 7, thermostat=False, device="cpu"))
        engine.advance(200, schedule)
        ends.append((engine.state(), engine.measure()))
        engine.close()
    (one, measured_one), (two, measured_two) = ends
    # Sums in another order differ by 1e-16 of forces of 1e2, and grow slowly over 200 steps.
    gap = one.configuration.minimum_image(one.configuration.positions - two.configuration.positions)
    assert np.abs(gap).max() < 1e-10
    assert measured_two.potential_energy == pytest.approx(measured_one.potential_energy, rel=1e-9)
    assert measured_two.pressure == pytest.approx(measured_one.pressure, rel=1e-9)
    assert measured_two.potential_energy > 10  # bodies do touch
    # All masses are 1 and the start had no momentum.
    assert np.abs(two.velocities.sum(axis=0)).max() < 1e-10


def ranks_alive():
    found = subprocess.run(
        ["pgrep", "-f", "supercube.engines.hoomd_ranks"], capture_output=True, text=True, check=False
    )
    return found.stdout.split()


def test_a_signal_stops_ranks_with_a_checkpoint_and_the_run_goes_on(crystal, plan, tmp_path):
    model, state = crystal
    schedule = plan(model, state, equilibration_time=0.2)
    options = RunOptions(engine="hoomd", device="cpu", ranks=2, log_period=20, frames=2)
    began = threading.Event()

    def stop():
        began.wait()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    progress = LogWatcher(tmp_path, began)
    progress.start()
    with pytest.raises(IncompleteError, match="SIGTERM"):
        simulate(tmp_path, model, schedule, state, schedule.total_steps, seed=5, options=options)
    assert not ranks_alive()
    result = simulate(tmp_path, model, schedule, state, schedule.total_steps, seed=5, options=options)
    assert result.steps_done == schedule.total_steps
    assert result.device.startswith("2 ranks")
    assert read_log(tmp_path)["step"][-1] == schedule.total_steps
    assert not ranks_alive()


class LogWatcher(threading.Thread):
    """Sets an event when the first log row is written."""

    def __init__(self, folder, event):
        super().__init__(daemon=True)
        self.folder, self.event = folder, event

    def run(self):
        while not (self.folder / "log-0000.csv").exists():
            self.event.wait(0.01)
        self.event.set()


def test_a_lost_rank_is_one_sentence(crystal, plan):
    model, state = crystal
    engine = choose("hoomd", "cpu", 2)(model, state, Setup(model.time_step, 7, device="cpu"))
    os.kill(int(ranks_alive()[-1]), signal.SIGKILL)
    with pytest.raises(EngineError, match="lost one of 2 ranks"):
        engine.advance(100, plan(model, state, equilibration_time=1.0))
    engine.close()
    assert not ranks_alive()


def test_a_foreign_mpiexec_is_refused_and_not_waited_for(crystal, monkeypatch, tmp_path):
    model, state = crystal
    foreign = tmp_path / "mpiexec"  # of another MPI library: every process believes to be alone
    foreign.write_text('#!/bin/sh\nshift 2\n"$@" &\n"$@"\nwait\n')
    foreign.chmod(0o755)
    monkeypatch.setattr(hoomd_ranks, "_mpiexec", lambda: str(foreign))
    with pytest.raises(EngineError, match=r"started HOOMD-blue as 1 rank\(s\), not 2"):
        choose("hoomd", "cpu", 2)(model, state, Setup(model.time_step, 7, device="cpu"))


def test_more_ranks_than_fit_are_refused_before_anything_is_written(crystal, plan, tmp_path):
    model, state = crystal
    schedule = plan(model, state, equilibration_time=0.2)
    options = RunOptions(engine="hoomd", device="cpu", ranks=64)
    with pytest.raises(EngineError, match=r"ranks is 64, .* at most \d+; set ranks: \d+"):
        simulate(tmp_path, model, schedule, state, schedule.total_steps, seed=5, options=options)
    assert not list(tmp_path.iterdir())

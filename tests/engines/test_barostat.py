"""Runs at constant pressure, with every engine."""

import math
from dataclasses import replace

import numpy as np
import pytest
from engine_samples import at_rest

from supercube.configuration import Configuration, box_matrix
from supercube.crystals.build import build_crystal
from supercube.engines.base import Setup, choose, thermal_state
from supercube.engines.piston import Piston
from supercube.engines.run import RunOptions, simulate
from supercube.engines.segments import read_log
from supercube.errors import EngineError
from supercube.model.particles import build_model
from supercube.model.sums import evaluate
from supercube.protocol.initial import random_fluid
from supercube.protocol.schedule import Barostat, Schedule, pressure_schedule


@pytest.fixture
def crystal(make_state_point):
    model = build_model(make_state_point(n_cubes=27, roughness=0.05))
    return model, thermal_state(model, build_crystal("SC", 27, 0, 1.0, 0.2, 1.05), 3)


@pytest.fixture
def pressed(start):
    """A running engine under a pressure, and its schedule."""

    def make(model, state, pressure, freedom="lengths", **setup):
        barostat = Barostat(pressure, pressure, 0, 0, freedom)
        volume = state.configuration.volume
        schedule = Schedule(model.time_step, 10**9, 0, 0, volume, volume, barostat)
        return start(model, state, barostat=barostat, **setup), schedule

    return make


@pytest.mark.parametrize("freedom", ["lengths", "all"])
def test_the_piston_of_lammps_feels_the_virial_between_centres(make_state_point, monkeypatch, freedom):
    model = build_model(make_state_point(n_cubes=20, n_spheres=10, size_ratio=0.8, attraction=3.0))
    configuration = random_fluid(20, 10, 0.8, 0.2, 0.28, 3, clearance=-0.15)
    if freedom == "all":
        box = np.concatenate([configuration.box[:3], [0.1, -0.05, 0.15]])
        fractional = configuration.positions / configuration.box[:3]
        configuration = configuration.with_(box=box, positions=fractional @ box_matrix(box).T)
    pushed = []
    monkeypatch.setattr(Piston, "push", lambda self, virial, *rest: pushed.append((virial, *rest)))
    barostat = Barostat(1.0, 7.0, 0, 40, freedom)
    dt = 1e-6  # nothing moves far in twenty of these steps
    engine = choose("lammps")(model, at_rest(configuration), Setup(dt, 1, barostat=barostat))
    try:
        engine.advance(20, Schedule(dt, 10**9, 0, 0, 1.0, 1.0, barostat))
        now = engine.state().configuration
    finally:
        engine.close()
    expected = evaluate(model, now).virial_tensor
    ((virial, volume, n, pressure, interval, step),) = pushed  # not after the first ten steps
    assert (n, pressure, step) == (30, 4.0, 20)
    assert interval == pytest.approx(1e-5)
    assert volume == pytest.approx(now.volume, rel=1e-12)
    assert np.abs(np.diag(expected)).max() > 100
    # To 1e-4 of the largest: LAMMPS finds the constraints of bodies from differences of velocities over a step, and
    # the kicks of the bath in so short steps are a thousand times the forces.
    scale = np.abs(expected).max()
    np.testing.assert_allclose(np.diag(virial), np.diag(expected), atol=1e-4 * scale)
    np.testing.assert_allclose(np.triu(virial, 1), np.triu(expected.T, 1), atol=1e-4 * scale)


def cubes_far_apart(model, monkeypatch, height, rates):
    """LAMMPS with two cubes in a wide, low box that moves at given rates for ever."""
    monkeypatch.setattr(Piston, "push", lambda self, *rest: None)
    box = [12.0, 12.0, height, 0, 0, 0]
    positions = [[-3.0, 0, 0], [3.0, 0, 0]]
    configuration = Configuration(box, positions, np.tile([1.0, 0, 0, 0], (2, 1)), ("cube",), np.zeros(2))
    barostat = Barostat(1.0, 1.0, 0, 0, "lengths")
    state = replace(at_rest(configuration), private={"piston": np.diag(rates)})
    setup = Setup(model.time_step, 1, thermostat=False, barostat=barostat)
    return choose("lammps")(model, state, setup), Schedule(model.time_step, 10**9, 0, 0, 1.0, 1.0, barostat)


def test_the_box_of_lammps_moves_at_the_rates_of_the_piston(make_state_point, monkeypatch):
    model, rates = build_model(make_state_point(n_cubes=2, roughness=0.05)), np.array([0.3, -0.2, 0.1])
    engine, schedule = cubes_far_apart(model, monkeypatch, 4.0, rates)
    try:
        engine.advance(50, schedule)
        found = engine.state().configuration
    finally:
        engine.close()
    growth = (1 + rates * 10 * model.time_step) ** 5
    np.testing.assert_allclose(found.box[:3], np.array([12.0, 12.0, 4.0]) * growth, rtol=1e-9)
    # Nothing else moves them: the centres follow the box.
    np.testing.assert_allclose(np.abs(found.positions[:, 0]), 3.0 * growth[0], rtol=1e-6)


def test_a_box_that_gets_too_thin_for_lammps_is_refused(make_state_point, monkeypatch):
    model = build_model(make_state_point(n_cubes=2, roughness=0.05))
    engine, schedule = cubes_far_apart(model, monkeypatch, 1.7, np.array([0.0, 0.0, -3.0]))
    try:
        engine.advance(400, schedule)  # to a fraction of its height
        with pytest.raises(EngineError, match="may touch its own image"):
            engine.advance(10, schedule)
    finally:
        engine.close()


@pytest.mark.parametrize(("freedom", "lengths", "tilts"), [("isotropic", 1, 0), ("lengths", 3, 0), ("all", 3, 3)])
def test_the_box_changes_only_what_it_may(pressed, crystal, freedom, lengths, tilts):
    model, state = crystal
    engine, schedule = pressed(model, state, 10.0, freedom)
    for _ in range(4):
        engine.advance(50, schedule)
    box = engine.state().configuration.box
    assert not np.allclose(box[:3], state.configuration.box[:3])
    assert len(set(np.round(box[:3], 12).tolist())) == lengths
    assert np.count_nonzero(box[3:]) == tilts


@pytest.mark.parametrize(("pressure", "grows"), [(1.0, True), (60.0, False)])
def test_the_volume_goes_where_the_pressure_wants_it(pressed, crystal, pressure, grows):
    model, state = crystal
    engine, schedule = pressed(model, state, pressure)
    engine.advance(600, schedule)  # about one period of the piston
    assert (engine.measure().volume > state.configuration.volume) == grows


def test_bodies_keep_their_shape_and_the_energy_is_the_formula(pressed, crystal):
    model, state = crystal
    engine, schedule = pressed(model, state, 40.0, "all")
    engine.advance(300, schedule)
    found, thermo = engine.state(), engine.measure()
    sums = evaluate(model, found.configuration)
    assert thermo.potential_energy == pytest.approx(sums.energy, rel=1e-9)
    kinetic = 27 * thermo.temperature_translation
    assert thermo.pressure == pytest.approx((kinetic + sums.virial / 3) / thermo.volume, rel=1e-9)
    np.testing.assert_allclose(np.linalg.norm(found.configuration.orientations, axis=1), 1.0, atol=1e-12)


def test_the_motion_of_the_box_survives_a_restart(pressed, crystal):
    model, state = crystal
    engine, schedule = pressed(model, state, 40.0)
    engine.advance(200, schedule)
    stopped = engine.state()
    name = "piston" if engine.name == "lammps" else "barostat"
    assert np.abs(stopped.private[name]).max() > 0
    again, _ = pressed(model, stopped, 40.0)
    np.testing.assert_array_equal(again.state().private[name], stopped.private[name])
    again.advance(200, schedule)
    assert again.state().configuration.step == 400


def test_a_run_goes_through_its_pressures_and_logs_them(engine_class, crystal, tmp_path):
    model, state = crystal
    volume = state.configuration.volume
    schedule = pressure_schedule(
        time_step=model.time_step,
        volume=volume,
        body_volume=model.volume_of({"cube": 27}),
        initial_pressure=5.0,
        pressure=80.0,
        freedom="lengths",
        equilibration_time=1.0,
        ramp_time=2.0,
        hold_time=2.0,
    )
    options = RunOptions(engine=engine_class.name, device="cpu", log_period=100)
    result = simulate(tmp_path, model, schedule, state, schedule.total_steps, seed=4, options=options)
    assert result.steps_done == schedule.total_steps
    log = read_log(tmp_path)
    held = log["step"] > schedule.end_of_drying + schedule.hold_steps / 2
    # One time unit of a few rows: the mean is good to about a tenth.
    assert log["pressure"][held].mean() == pytest.approx(80.0, rel=0.3)
    early = log["volume"][log["step"] <= schedule.end_of_equilibration]
    assert log["volume"][held].max() < early.min()


@pytest.mark.validate
@pytest.mark.parametrize("freedom", ["isotropic", "lengths"])
def test_volumes_fluctuate_as_at_constant_pressure(start, make_state_point, freedom):
    """<(V - <V>) V (P_int - P)> = -kT <V>: integration by parts of exp(-(U + P V)/kT) V^N over ln V.

    Other measures than d ln V (HOOMD's is dV) change this by a part in N. The relation holds for one freedom and,
    summed over the lengths, for three.
    """
    model = build_model(make_state_point(n_cubes=0, n_spheres=32, size_ratio=1.0))
    expansion = 1.2 if freedom == "isotropic" else 1.0
    state = thermal_state(model, build_crystal("fcc", 0, 32, 1.0, 0.2, expansion), 1)
    pressure = 3.0 if freedom == "isotropic" else 30.0  # a fluid's box must keep its shape
    barostat = Barostat(pressure, pressure, 0, 0, freedom)
    volume = state.configuration.volume
    schedule = Schedule(model.time_step, 10**9, 0, 0, volume, volume, barostat)
    engine = start(model, state, barostat=barostat)
    rows = []
    for _ in range(round(300 / model.time_step / 50)):
        engine.advance(50, schedule)
        thermo = engine.measure()
        rows.append((thermo.volume, thermo.pressure))
    volumes, pressures = np.array(rows)[len(rows) // 10 :].T
    blocks = zip(np.array_split(volumes, 12), np.array_split(pressures, 12), strict=True)
    found = [_fluctuation(*block, pressure) for block in blocks]
    mean, error = np.mean(found), np.std(found, ddof=1) / math.sqrt(12)
    assert error < 0.15
    assert abs(mean - 1.0) < 4 * error + 1 / 32
    assert pressures.mean() == pytest.approx(pressure, rel=0.02)


def _fluctuation(volumes, pressures, pressure):
    work = volumes * (pressures - pressure)
    return -((volumes - volumes.mean()) * (work - work.mean())).mean() / volumes.mean()


def test_the_schedule_says_stage_and_pressure():
    schedule = pressure_schedule(
        time_step=0.01,
        volume=50.0,
        body_volume=20.0,
        initial_pressure=2.0,
        pressure=10.0,
        freedom="all",
        equilibration_time=1.0,
        ramp_time=4.0,
        hold_time=2.0,
    )
    assert [schedule.stage(step) for step in (0, 99, 100, 499, 500, 699)] == ["equilibrate"] * 2 + ["ramp"] * 2 + [
        "hold"
    ] * 2
    pressure = schedule.barostat.pressure
    assert [pressure(step) for step in (0, 100, 200, 300, 500, 10_000)] == [2, 2, 4, 6, 10, 10]
    assert replace(schedule.barostat, steps=0).pressure(0) == 10.0
    assert schedule.volume_end == 20.0

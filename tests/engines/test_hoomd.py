"""What only the HOOMD-blue engine promises: the same run bit by bit after a restart, room for its neighbour lists."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from engine_samples import assert_same_state, at_rest, run_to

from supercube.configuration import Configuration
from supercube.crystals.build import build_crystal
from supercube.engines import hoomd as engine_module
from supercube.engines import hoomd_tune
from supercube.engines.base import Setup, choose, thermal_state
from supercube.engines.checkpoint import pack, unpack
from supercube.engines.hoomd import HoomdEngine
from supercube.engines.hoomd_tune import DEFAULT, LISTS, longest_range, most_ranks
from supercube.errors import EngineError
from supercube.model.particles import build_model
from supercube.protocol.initial import random_fluid
from supercube.protocol.schedule import STEP_UNIT, Schedule
from supercube.statepoint import StatePoint

hoomd_only = pytest.mark.hoomd

SYSTEMS = {
    "cubes": {"n_cubes": 16, "size_ratio": 1.0},
    "mixture": {"n_cubes": 16, "n_spheres": 8, "size_ratio": 0.8},
    "sticky mixture": {"n_cubes": 20, "n_spheres": 10, "size_ratio": 0.8, "attraction": 2.0},
}
#: Ends of equilibration and drying.
EQUILIBRATED, DRIED = 200, 1400


def system(name):
    point = StatePoint.parse({"ligand_length": 0.2, "roughness": 0.05, **SYSTEMS[name]}, "a test")
    model = build_model(point)
    start = random_fluid(point.n_cubes, point.n_spheres, point.size_ratio, 0.2, 0.25, 3)
    # Drying by a third in 1,200 steps: far faster than a real run, so that the box matters in every step.
    volume = start.volume
    schedule = Schedule(model.time_step, EQUILIBRATED, DRIED - EQUILIBRATED, 10_000, volume, volume / 1.5)
    return model, thermal_state(model, start, 3), schedule


def on_cpu(model, state, **setup):
    return HoomdEngine(model, state, Setup(**{"time_step": model.time_step, "seed": 7, "device": "cpu", **setup}))


# --- restarts ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=SYSTEMS)
def history(request):
    """A run without interruption: packed states at all ends of its chunks."""
    model, state, schedule = system(request.param)
    engine, saved = on_cpu(model, state), {}
    for step in range(0, DRIED + 1300, 100):
        run_to(engine, schedule, step, step + 100)
        saved[step + 100] = pack(engine.state())
    engine.close()
    return model, schedule, saved


@hoomd_only
@pytest.mark.parametrize(
    "interrupted",
    [
        pytest.param(100, id="equilibrating"),
        pytest.param(EQUILIBRATED, id="equilibrated"),
        pytest.param(700, id="drying"),
        pytest.param(DRIED, id="dried"),
        pytest.param(DRIED + 300, id="holding"),
    ],
)
def test_a_continued_run_is_the_same_bit_by_bit(history, interrupted):
    model, schedule, saved = history
    engine = on_cpu(model, unpack(saved[interrupted]))
    assert_same_state(engine.state(), unpack(saved[interrupted]))
    run_to(engine, schedule, interrupted, interrupted + 1000)
    assert_same_state(engine.state(), unpack(saved[interrupted + 1000]))
    engine.close()


@hoomd_only
def test_the_start_does_move(history):
    # Else equality above would say nothing.
    _, _, saved = history
    first, last = (unpack(saved[step]).configuration for step in (100, 1100))
    moved = np.linalg.norm(first.unwrapped / first.box[:3] - last.unwrapped / last.box[:3], axis=1)
    assert moved.min() > 1e-6


@hoomd_only
def test_a_run_interrupted_often_and_measured_is_the_same_bit_by_bit(history):
    model, schedule, saved = history
    engine = on_cpu(model, unpack(saved[100]))
    for step in range(100, 600, 100):
        run_to(engine, schedule, step, step + 100)
        engine.measure()
        left = pack(engine.state())
        engine.close()
        engine = on_cpu(model, unpack(left))
    assert_same_state(engine.state(), unpack(saved[600]))


@hoomd_only
@pytest.mark.parametrize("kind", LISTS)
def test_every_neighbour_list_continues_bit_by_bit(kind):
    model, state, schedule = system("mixture")
    settings = {"neighbour_list": kind, "buffer": 0.3}
    engine = on_cpu(model, state, settings=settings)
    run_to(engine, schedule, 0, 300)
    left = unpack(pack(engine.state()))
    run_to(engine, schedule, 300, 600)
    again = on_cpu(model, left, settings=settings)
    run_to(again, schedule, 300, 600)
    assert_same_state(again.state(), engine.state())


@hoomd_only
def test_a_continued_run_feels_its_noise_only_once():
    # A snapshot drops the acceleration of the last step with its noise; without it the first step would be another.
    model, state, schedule = system("cubes")
    engine = on_cpu(model, state)
    run_to(engine, schedule, 0, 100)
    left = engine.state()
    lost = {name: array for name, array in left.private.items() if name != "acceleration"}
    whole, poorer = on_cpu(model, left), on_cpu(model, type(left)(*list(vars(left).values())[:3], lost))
    for continued in (engine, whole, poorer):
        continued.advance(STEP_UNIT, schedule)
    assert_same_state(whole.state(), engine.state())
    assert np.abs(poorer.state().velocities - engine.state().velocities).max() > 1e-6


# --- loading ----------------------------------------------------------------------------------------------------------


FAKE = """
import signal, sys
from . import version
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(3))
"""

LOADS = """
import signal
def ours(number, frame):
    print("ours")
signal.signal(signal.SIGTERM, ours)
from supercube.engines import hoomd
module = hoomd.load()
assert module.version.version == "4.8.2"
assert signal.getsignal(signal.SIGTERM) is ours, signal.getsignal(signal.SIGTERM)
signal.raise_signal(signal.SIGTERM)
"""


@pytest.fixture
def fake(tmp_path):
    """A package named hoomd that does at import what is asked; runs code beside it."""

    def make(init, version="4.8.2"):
        package = tmp_path / "hoomd"
        package.mkdir()
        (package / "__init__.py").write_text(init)
        (package / "version.py").write_text(f"version = {version!r}\n")
        (package / "md.py").write_text("")

        def run(code):
            environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
            command = [sys.executable, "-c", textwrap.dedent(code)]
            return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

        return run

    return make


def test_importing_hoomd_leaves_our_signal_handler_in_place(fake):
    # HOOMD-blue before 6.1 installs one that exits at once, without a checkpoint.
    done = fake(FAKE)(LOADS)
    assert (done.returncode, done.stdout) == (0, "ours\n"), done.stderr


REFUSED = """
import signal
from supercube.engines.hoomd import load
from supercube.errors import EngineError
before = signal.getsignal(signal.SIGTERM)
try:
    load()
except EngineError as error:
    print(error)
assert signal.getsignal(signal.SIGTERM) is before
"""


@pytest.mark.parametrize(
    ("init", "version", "words"),
    [
        (FAKE, "3.11.0", "HOOMD-blue is of version 3.11.0; expected 4.8 or newer, below 8"),
        (
            "raise ImportError('libcudart.so.12: cannot open shared object file\\nmore')",
            "4.8.2",
            "HOOMD-blue cannot be loaded (libcudart.so.12: cannot open shared object file); reinstall",
        ),
        ("raise RuntimeError", "4.8.2", "HOOMD-blue cannot be loaded (RuntimeError); reinstall"),
    ],
)
def test_a_hoomd_that_cannot_be_used_is_refused_in_one_sentence(fake, init, version, words):
    done = fake(init, version)(REFUSED)
    assert done.returncode == 0, done.stderr
    assert words in done.stdout
    assert len(done.stdout.splitlines()) == 1


@hoomd_only
def test_the_real_one_leaves_our_signal_handler_in_place():
    code = LOADS.replace('assert module.version.version == "4.8.2"', "module.Simulation")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "ours\n"), done.stderr


@hoomd_only
def test_what_this_build_cannot_do_is_refused():
    hoomd = engine_module.load()
    if not hoomd.version.gpu_enabled:
        with pytest.raises(EngineError, match="is built for CPUs only; set device: cpu"):
            choose("hoomd", "gpu")
    if not hoomd.version.mpi_enabled:
        with pytest.raises(EngineError, match="is built without MPI; set ranks: 1"):
            choose("hoomd", "cpu", 2)
    assert choose("hoomd", "cpu") is HoomdEngine


# --- room -------------------------------------------------------------------------------------------------------------


def test_a_box_with_no_room_for_the_range_is_refused(make_state_point):
    model = build_model(make_state_point(n_cubes=8))
    # The longest range is that of two inscribed spheres: 1 - sigma + 2^(1/6) sigma.
    longest = 1.0 + (2 ** (1 / 6) - 1) * 0.4
    assert longest_range(model) == pytest.approx(longest)
    roomy, tight = 2 * longest * 1.01, 2 * longest * 0.99
    box = Configuration([3, 3, 3, 0, 0, 0], np.zeros((8, 3)), [[1, 0, 0, 0]] * 8, ("cube",), [0] * 8)
    HoomdEngine.check(model, box, roomy**3)
    with pytest.raises(EngineError, match=r"the box is 2\.08 e wide, but HOOMD-blue needs more than 2\.1 e") as caught:
        HoomdEngine.check(model, box, tight**3)
    assert "engine: lammps" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_oblique_box_is_as_wide_as_its_faces_are_apart(make_state_point):
    model = build_model(make_state_point(n_cubes=8))
    oblique = Configuration([3, 3, 3, 2.0, 0, 0], np.zeros((8, 3)), [[1, 0, 0, 0]] * 8, ("cube",), [0] * 8)
    # b = (2 Ly, Ly, 0): the faces across x are Lx/sqrt(1 + 2^2) apart.
    with pytest.raises(EngineError, match=r"the box is 1\.34 e wide"):
        HoomdEngine.check(model, oblique, 27.0)


@hoomd_only
def test_a_small_box_shrinks_the_buffer_and_runs(make_state_point):
    model = build_model(make_state_point(n_cubes=2))
    configuration = Configuration(
        [2.2] * 3 + [0] * 3, [[0, 0, 0], [1.1, 1.1, 1.1]], [[1, 0, 0, 0]] * 2, ("cube",), [0, 0]
    )
    engine = on_cpu(model, at_rest(configuration), settings={"neighbour_list": "Tree", "buffer": 5.0})
    schedule = Schedule(model.time_step, 100, 0, 0, 2.2**3, 2.2**3)
    engine.advance(100, schedule)
    # What was measured as fastest is kept for roomier boxes and for the record.
    assert engine.settings["buffer"] == 5.0
    assert engine.state().configuration.step == 100


@pytest.mark.parametrize(
    ("box", "limit", "expected"),
    [
        ([9.0, 9.0, 9.0], 1, 1),
        ([9.0, 9.0, 9.0], 64, 1),  # 9/5 = 1.8: no axis can be cut
        ([11.0, 9.0, 9.0], 64, 2),
        ([11.0, 11.0, 9.0], 3, 2),  # 2 x 2 x 1 fits, but 3 does not divide
        ([11.0, 11.0, 9.0], 64, 4),
        ([11.0, 11.0, 11.0], 64, 8),
        ([16.0, 9.0, 9.0], 3, 3),
        ([16.0, 9.0, 9.0], 2, 2),
        ([16.0, 11.0, 9.0], 64, 6),
        ([16.0, 11.0, 9.0], 5, 4),  # not 5; 4 = 2 x 2 x 1
        ([26.0, 26.0, 26.0], 64, 64),  # 4 x 4 x 4 of at most 5 x 5 x 5
    ],
)
def test_most_ranks(make_state_point, box, limit, expected):
    # Spheres of diameter 2: their range is 2 - sigma + 2^(1/6) sigma = 2.049 (no body extent), and with this buffer
    # domains have to be 5 e wide.
    model = build_model(make_state_point(n_cubes=0, n_spheres=8, size_ratio=0.5))
    buffer = 2.5 - longest_range(model)
    assert most_ranks(model, np.array([*box, 0.0, 0.0, 0.0]), buffer, limit) == expected


def test_bodies_need_room_in_a_domain(make_state_point):
    model = build_model(make_state_point())
    # Corner beads of radius 0.2 are 2 sqrt(3) 0.3 apart and reach furthest to an inscribed sphere of radius 0.5.
    reach = 0.2 + 0.5 + (2 ** (1 / 6) - 1) * 0.4
    width = 2 * (2 * 3**0.5 * 0.3 + reach + 0.2)
    for factor, expected in ((1.99, 1), (2.01, 2), (3.01, 3)):
        box = np.array([width * factor, width, width, 0, 0, 0])
        assert most_ranks(model, box, 0.2, 3) == expected


# --- tuning -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick_tuning(monkeypatch):
    monkeypatch.setattr(hoomd_tune, "_TRIAL", 0.01)
    monkeypatch.setattr(hoomd_tune, "_tuned", {})


@hoomd_only
@pytest.mark.usefixtures("quick_tuning")
def test_tuning_measures_lists_and_buffers_and_the_run_goes_on_with_them(monkeypatch):
    model, state, schedule = system("mixture")
    engine = on_cpu(model, state, tune=True)
    found = engine.settings
    best = max(found["tried"], key=lambda trial: trial[2])
    assert best[:2] == [found["neighbour_list"], found["buffer"]]
    assert {kind for kind, _, _ in found["tried"]} == set(LISTS)
    assert len(found["tried"]) > len(LISTS)  # of the fastest, several buffers
    assert min(min(buffer, rate) for _, buffer, rate in found["tried"]) > 0
    # A signac document takes them as they are: plain types, and no dots in keys.
    assert json.loads(json.dumps(found)) == found
    assert not any("." in name for name in found)
    # Trials moved copies: the run itself starts where it was told to.
    np.testing.assert_allclose(engine.state().configuration.unwrapped, state.configuration.unwrapped, atol=1e-12)
    assert engine.state().configuration.step == 0
    run_to(engine, schedule, 0, 100)
    monkeypatch.setattr(engine_module, "tune", lambda *_: pytest.fail("a continued run was tuned again"))
    again = on_cpu(model, engine.state(), tune=True, settings=found)
    assert again.settings == found
    for continued in (engine, again):
        run_to(continued, schedule, 100, 300)
    assert_same_state(again.state(), engine.state())


@hoomd_only
@pytest.mark.usefixtures("quick_tuning")
def test_tuning_is_done_once_for_a_kind_of_system():
    model, state, _ = system("cubes")
    assert on_cpu(model, state, tune=True).settings == on_cpu(model, state, tune=True, seed=8).settings


@hoomd_only
@pytest.mark.usefixtures("quick_tuning")
def test_tuning_tries_no_more_than_a_box_holds(monkeypatch, make_state_point):
    # Half the box, 1.53, leaves 0.48 beyond the range of two inscribed spheres.
    model = build_model(make_state_point(n_cubes=27))
    state = thermal_state(model, build_crystal("SC", 27, 0, 1.0, 0.2, 1.02), 3)
    monkeypatch.setattr(hoomd_tune, "BUFFERS", (0.2 / model.reach, 0.5 / model.reach))
    tried = on_cpu(model, state, tune=True).settings["tried"]
    assert 0.2 in [buffer for _, buffer, _ in tried]
    assert max(buffer for _, buffer, _ in tried) < 0.48


@hoomd_only
def test_short_runs_take_the_usual_list_and_buffer():
    model, state, _ = system("cubes")
    usual = {"neighbour_list": DEFAULT[0], "buffer": DEFAULT[1] * model.reach}
    assert on_cpu(model, state).settings == usual | {"measured_on": "cpu"}
    # What was found on another kind of device does not count here.
    foreign = {"neighbour_list": "Cell", "buffer": 0.1, "measured_on": "gpu"}
    assert on_cpu(model, state, settings=foreign).settings == usual | {"measured_on": "cpu"}

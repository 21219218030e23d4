"""The model of speeds: what it recovers, and that it says how wrong it is."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from supercube.config import Config
from supercube.errors import InputError
from supercube.rates import (
    BODY_COST,
    ENOUGH,
    UNKNOWN_SPREAD,
    Particles,
    Rate,
    beads_of,
    fit,
    left_out_errors,
    measure_rate,
    newest_slot,
    rate_of,
    work_of,
)
from supercube.statepoint import ProtocolSettings, StatePoint

CUBES = StatePoint.parse({"n_cubes": 27, "ligand_length": 0.2}, "a test")
SPHERES = StatePoint.parse({"n_cubes": 0, "n_spheres": 27, "size_ratio": 0.5, "ligand_length": 0.2}, "a test")


def manifest(step: int, seconds: float, device: str = "cpu", engine: str = "lammps") -> dict[str, Any]:
    """As a run leaves it: the older slot first."""
    slots = [
        {"slot": "a.npz", "step": step // 2, "record": {"device": device, "wall_seconds": seconds / 3}},
        {"slot": "b.npz", "step": step, "record": {"device": device, "wall_seconds": seconds}},
    ]
    return {"identity": {"engine": engine}, "slots": slots}


def rates(seconds: list[float], work: list[float], distinct: bool = True) -> list[Rate]:
    """Speeds of jobs that are all alike, or all different."""
    kind = Particles.of(CUBES)
    kinds = [replace(kind, n_cubes=k) if distinct else kind for k in range(len(work))]
    return [Rate("lammps", "cpu", *found) for found in zip(kinds, work, seconds, strict=True)]


# --- the model --------------------------------------------------------------------------------------------------------


def test_work_counts_beads_and_bodies():
    assert beads_of(SPHERES) == 27
    assert beads_of(CUBES) == 27 * 39  # of the bead model at lambda 0.2, as in the README's table
    mixture = StatePoint.parse({"n_cubes": 8, "n_spheres": 2, "size_ratio": 0.5, "ligand_length": 0.2}, "a test")
    assert beads_of(mixture) == 8 * 39 + 2
    assert work_of(100, 10) == 100 + BODY_COST * 10


@pytest.mark.parametrize("offset", [0.0, 10_000.0])
def test_the_law_is_recovered(offset: float):
    work = [300.0, 1000.0, 3000.0, 10_000.0, 30_000.0]
    model = fit(rates([2e-7 * (offset + one) for one in work], work))
    assert model.scale == pytest.approx(2e-7, rel=0.05)  # w0 comes from a grid
    other = replace(Particles.of(CUBES), n_cubes=999)
    assert model.seconds(other, 100_000.0) == pytest.approx(2e-7 * (offset + 100_000.0), rel=0.05)
    assert model.spread == pytest.approx(0.0, abs=0.05)


def test_the_sum_of_all_times_is_exact():
    work = [300.0, 1000.0, 3000.0]
    model = fit(rates([1e-4, 9e-4, 5e-4], work))
    expected = sum(model.scale * (model.offset + one) for one in work)
    assert expected == pytest.approx(15e-4)


def test_like_jobs_count_and_the_formula_counts_as_one_of_them():
    kind = Particles.of(CUBES)
    model = fit(rates([1e-3, 1e-3, 1e-3], [500.0] * 3, distinct=False))
    # The formula would say 2e-3 for twice the work, like jobs 1e-3 each.
    assert model.seconds(kind, 1000.0) == pytest.approx((3 * 1e-3 + 2e-3) / 4)
    assert model.seconds(replace(kind, n_cubes=5), 1000.0) == pytest.approx(2e-3)


def test_spread_is_that_of_the_noise():
    rng = np.random.default_rng(7)
    work = np.geomspace(100, 10_000, 400)
    noise = rng.normal(0.0, 0.3, 400)
    found = fit(rates((1e-7 * work * np.exp(noise)).tolist(), work.tolist()))
    # Standard error of a standard deviation of 400: 0.3 / sqrt(800) = 0.011; the mean of the noise adds its 0.045
    # (the sum is right, not the median) in quadrature: sqrt(0.3^2 + 0.045^2) = 0.303.
    assert found.spread == pytest.approx(0.303, abs=4 * 0.011)


def test_an_expectation_never_knows_the_job_itself():
    # One of four is ten times slower; were it in its own expectation, the error would be smaller than ln 10.
    errors = left_out_errors(rates([1e-4, 1e-4, 1e-4, 1e-3], [500.0] * 4, distinct=False))
    assert errors[3] == pytest.approx(math.log(10.0))
    assert errors[0] == pytest.approx(-math.log((1e-4 + 1e-4 + 1e-3 + 4e-4) / 4 / 1e-4))


def test_few_jobs_do_not_pretend_to_know_their_spread():
    assert fit(rates([1e-4] * (ENOUGH - 1), [500.0] * (ENOUGH - 1))).spread == UNKNOWN_SPREAD
    assert fit(rates([1e-4] * ENOUGH, [500.0] * ENOUGH)).spread == pytest.approx(0.0, abs=1e-12)


# --- speeds of jobs that have run -------------------------------------------------------------------------------------


def test_a_rate_is_the_mean_over_the_whole_run():
    rate = rate_of(manifest(4000, 8.0), CUBES)
    assert rate == Rate("lammps", "cpu", Particles.of(CUBES), work_of(27 * 39, 27), 8.0 / 4000)


def test_a_gpu_is_a_gpu_whatever_its_name():
    rate = rate_of(manifest(4000, 8.0, "gpu (NVIDIA A100)", "hoomd"), CUBES)
    assert rate is not None
    assert (rate.engine, rate.device) == ("hoomd", "gpu")


@pytest.mark.parametrize("found", [{}, manifest(0, 0.0), manifest(0, 3.0)])
def test_nothing_simulated_is_no_rate(found: dict[str, Any]):
    assert rate_of(found, CUBES) is None


@pytest.mark.parametrize(
    "found",
    [{"slots": []}, {"identity": {"engine": "x"}, "slots": [{}]}, {"identity": {}, "slots": [{"step": "many"}]}],
)
def test_a_manifest_that_is_none_is_refused(found: dict[str, Any]):
    with pytest.raises(InputError, match="is not what a run writes"):
        newest_slot(found)


def test_jobs_in_words():
    assert str(Particles.of(SPHERES)) == "27 spheres, γ = 0.5, λ = 0.2, from fluid"
    attracted = StatePoint.parse({"n_cubes": 8, "ligand_length": 0.2, "attraction": 3, "initial": "SC"}, "a test")
    assert str(Particles.of(attracted)) == "8 cubes, λ = 0.2, 3 kT, from SC"


# --- measuring --------------------------------------------------------------------------------------------------------


def test_a_short_run_measures_the_engine(tmp_path: Path):
    # 500 steps of 27 spheres: a real run, a few hundredths of a second.
    state_point = SPHERES.model_copy(update={"initial": "fluid"})
    config = Config(engine="lammps", device="cpu")
    rate = measure_rate(state_point, ProtocolSettings(hold_time=1.0), tmp_path, config, 0.01)
    assert (rate.engine, rate.device, rate.work) == ("lammps", "cpu", work_of(27, 27))
    assert 1e-7 < rate.seconds < 1e-1
    assert list(tmp_path.iterdir()) == []


def test_a_drying_fluid_is_measured_denser_than_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from supercube.protocol import initial

    built = []

    def watched(state_point: StatePoint, fraction: float, *args: Any) -> Any:
        built.append(fraction)
        return real(state_point, fraction, *args)

    real = initial.initial_configuration
    monkeypatch.setattr(initial, "initial_configuration", watched)
    drying = StatePoint.parse(
        {**SPHERES.to_dict(), "evaporation_rate": 400.0, "target_packing_fraction": 0.5}, "a test"
    )
    config = Config(engine="lammps", device="cpu")
    for state_point in (drying, SPHERES, drying.model_copy(update={"target_packing_fraction": 0.25})):
        measure_rate(state_point, ProtocolSettings(hold_time=1.0), tmp_path, config, 0.01)
    assert built == [initial.LARGEST_FLUID, 0.15, 0.15]


def test_a_run_without_steps_has_no_speed(tmp_path: Path):
    protocol = ProtocolSettings(equilibration_time=0.0, hold_time=0.0)
    with pytest.raises(InputError, match="a run without steps has no speed"):
        measure_rate(SPHERES, protocol, tmp_path, Config(engine="lammps", device="cpu"), 0.01)

"""G against V along pressures: nothing is left of a crystal whose G is known, and what is wrong with S is found."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad

from supercube.stability import PurePhase
from supercube.stability.consistency import checked, mismatches
from supercube.stability.phases import GAUSSIAN

DOUBLING = (30.0, 60.0, 120.0, 240.0)


def crystal(pressure, share=1.0, error=0.0, soft=0.01):
    """A cube with G = P V0 + x f ln P - soft P (ln P - 1), so V = V0 + x f/P - soft ln P; U = 0."""
    volume = 1.1 + 6 * share / pressure - soft * math.log(pressure)
    gibbs = 1.1 * pressure + 6 * share * math.log(pressure) - soft * pressure * (math.log(pressure) - 1)
    return PurePhase("SC", 1, 0, volume, error, 0.0, 0.0, pressure * volume, error, pressure * volume - gibbs, error)


def series(pressures=DOUBLING, **values):
    return {pressure: crystal(pressure, **values) for pressure in pressures}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_nothing_is_left_of_an_exact_crystal(share):
    # V - f/(2 P) is interpolated: a cubic in ln P misses the rest of the thermal part, a hundredth of kT at most.
    for value, error in mismatches(series(share=share)).values():
        assert abs(value) <= 2 * error + 1e-9
        assert error < 0.05
    # Two pressures cannot tell thermal from soft, and the error says so.
    for pair in ((40.0, 120.0), (60.0, 120.0)):
        [(value, error)] = mismatches(series(pair, share=share)).values()
        assert abs(value) <= math.sqrt(3) * error + 1e-9  # x = 0 and 1 lie at the ends of an even distribution
        assert 0.005 < error < 0.3


def test_the_integral_is_that_of_the_volume():
    phases = series(share=0.5)
    for (low, high), (value, _) in mismatches(phases).items():
        exact = quad(lambda p: crystal(p, share=0.5).volume, low, high)[0]
        gained = phases[high].gibbs[0] - phases[low].gibbs[0]
        assert gained - exact == pytest.approx(0.0, abs=1e-8)
        assert value == pytest.approx(0.0, abs=1e-8)


def test_an_entropy_that_errs_is_found_on_both_sides():
    phases = series(share=0.5)
    phases[60.0] = replace(phases[60.0], entropy=phases[60.0].entropy + 0.4)
    found, records = checked(phases, 0.0, 0.1, 2.0)
    assert [(r.low, r.high) for r in records] == [(30.0, 60.0), (60.0, 120.0), (120.0, 240.0)]
    assert [r.value for r in records] == pytest.approx([-0.4, 0.4, 0.0], abs=1e-8)
    assert {(r.name, r.size_ratio, r.ligand_length, r.attraction, r.coordinates) for r in records} == {
        ("SC", 0.0, 0.1, 2.0, 6)
    }
    assert [found[p].mismatch for p in DOUBLING] == [None, *(r.value for r in records)]
    # 0.4 is less than the 0.07 * 6 that is allowed for anyway.
    assert {round(phase.mismatch_largest, 1) for phase in found.values()} == {0.4}
    assert found[30.0].allowance == GAUSSIAN * 6
    phases[240.0] = replace(phases[240.0], entropy=phases[240.0].entropy - 0.3)
    found, _ = checked(phases, 0.0, 0.1, 2.0)
    # From 60 to 240, the largest of all pairs: 0.4 + 0.3.
    assert found[30.0].allowance == pytest.approx(0.7, abs=0.01)
    assert found[30.0].gibbs[1] == found[30.0].allowance


def test_what_errors_explain_is_no_mismatch():
    phases = series(share=0.5, error=0.0)
    phases[60.0] = replace(phases[60.0], entropy=phases[60.0].entropy + 0.4, entropy_error=0.5)
    found, records = checked(phases, 0.0, 0.1, 0.0)
    assert found[60.0].mismatch_error == pytest.approx(0.5, abs=0.02)
    assert (records[0].excess, found[60.0].mismatch_largest) == (0.0, 0.0)


def test_errors_of_volumes_count_over_the_pressures():
    phases = series(share=0.5)
    [before, *_] = mismatches(phases).values()
    rng = np.random.default_rng(0)
    values = []
    for _ in range(400):
        noisy = {p: replace(phase, volume=phase.volume + 0.003 * rng.normal()) for p, phase in phases.items()}
        values.append(mismatches(noisy)[120.0, 240.0][0])
    stated = mismatches({p: replace(phase, volume_error=0.003) for p, phase in phases.items()})[120.0, 240.0][1]
    # The scatter of 400 draws is known to 1/sqrt(800) = 3.5 %; three of them, and the interpolation's own error.
    assert before[1] < 0.1 * stated
    assert stated == pytest.approx(np.std(values), rel=0.11)


def test_lost_runs_and_runs_without_entropy():
    phases = series(share=0.5)
    phases[60.0] = replace(phases[60.0], entropy=None)
    found, records = checked(phases, 0.0, 0.1, 0.0)
    assert [(r.low, r.high) for r in records] == [(30.0, 120.0), (120.0, 240.0)]
    assert records[0].value == pytest.approx(0.0, abs=1e-8)  # the volume at 60 still tells
    assert found[60.0].mismatch is None
    phases[60.0] = replace(phases[60.0], lost="became disordered", volume=9.0)
    _, records = checked(phases, 0.0, 0.1, 0.0)
    assert abs(records[0].value) < 2 * records[0].error
    assert checked({30.0: crystal(30.0)}, 0.0, 0.1, 0.0) == ({30.0: crystal(30.0)}, [])
    assert checked({}, 0.0, 0.1, 0.0) == ({}, [])

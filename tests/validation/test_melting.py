"""Where ramps lose and find their order."""

import numpy as np
import pytest

from supercube.validation.melting import Branch, branches, melting_checks, melting_figure, melting_table


def ramp(expands, turn, n=216, late=False):
    """Ninety frames whose order changes at a volume fraction."""
    fraction = np.linspace(0.60, 0.38, 90) if expands else np.linspace(0.38, 0.60, 90)
    ordered = fraction > turn
    order = np.where(ordered, 0.8, 0.05)
    if late:
        order[20] = 0.8 if order[20] < 0.5 else 0.05  # one frame that strays
    return Branch(
        n, expands, "lammps 1", fraction, order, np.linspace(12, 3, 90) if expands else np.linspace(3, 12, 90)
    )


@pytest.mark.parametrize("expands", [True, False])
@pytest.mark.parametrize("late", [True, False])
def test_the_turn_is_where_the_order_changes_for_good(expands, late):
    value, error, pressure = ramp(expands, 0.47, late=late).turn
    assert value == pytest.approx(0.47, abs=0.006)
    assert 0 < error < 0.01
    assert 3 < pressure < 12


def test_a_ramp_without_change_has_no_turn_and_fails():
    for branch in (ramp(True, 0.30), ramp(False, 0.70), ramp(False, 0.30)):
        assert branch.turn is None
        (check,) = melting_checks([branch])
        assert not check.passed
        assert "no change" in melting_table([branch])


def test_hysteresis_about_coexistence_passes_and_far_from_it_fails():
    assert all(check.passed for check in melting_checks([ramp(True, 0.46), ramp(False, 0.52)]))
    assert not any(check.passed for check in melting_checks([ramp(True, 0.56), ramp(False, 0.40)]))


def test_only_ramps_of_cubes_count(tmp_path):
    class Job:
        def __init__(self, **values):
            self.cached_statepoint = {"n_spheres": 0, "n_cubes": 216, "initial": "SC", "pressure": 30.0} | values

        def doc(self):
            return {"protocol": {"initial_pressure": 10.0}, "structure": "SC"}

    assert branches([Job(), Job(pressure=0.0), Job(initial="fluid", pressure=3.0), Job(n_spheres=4)]) == []


def test_the_figure_is_small(tmp_path):
    melting_figure(tmp_path / "m.png", [ramp(True, 0.46), ramp(False, 0.52), ramp(True, 0.46, n=512)])
    assert 2_000 < (tmp_path / "m.png").stat().st_size < 60_000

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
        checks = melting_checks([branch])
        assert len(checks) == 2  # its turn, and the hysteresis that it lacks
        assert not any(check.passed for check in checks)
        assert "no change" in melting_table([branch])


def test_the_turn_is_the_mean_of_three_frames_before_the_change_and_its_error_holds_the_jump():
    fraction = np.array([0.60, 0.58, 0.50, 0.49, 0.48, 0.42, 0.41])
    order = np.array([0.8, 0.8, 0.8, 0.8, 0.8, 0.05, 0.05])
    branch = Branch(216, True, "lammps 1", fraction, order, np.arange(7.0, 0.0, -1.0))
    assert branch.turn == pytest.approx(((0.50 + 0.49 + 0.48) / 3, (0.50 - 0.42) / 2, 2.0))


def test_hysteresis_about_coexistence_passes_and_far_from_it_fails():
    right = melting_checks([ramp(True, 0.46), ramp(False, 0.52)])
    assert [check.passed for check in right] == [True] * 3
    wrong = melting_checks([ramp(True, 0.56), ramp(False, 0.40)])
    assert [check.passed for check in wrong] == [False] * 3


@pytest.mark.parametrize(("melts", "orders", "passes"), [(0.46, 0.49, True), (0.49, 0.46, False), (0.48, 0.48, False)])
def test_the_fluid_orders_at_the_higher_volume_fraction(melts, orders, passes):
    *turns, hysteresis = melting_checks([ramp(True, melts), ramp(False, orders)])
    assert all(check.passed for check in turns)  # each for itself is near its coexistence
    assert "hysteresis" in hysteresis.name
    assert hysteresis.passed == passes


def test_hysteresis_is_one_check_for_each_number_of_cubes():
    found = [ramp(expands, turn, n) for n in (216, 512) for expands, turn in ((True, 0.46), (False, 0.52))]
    names = [check.name for check in melting_checks(found) if "hysteresis" in check.name]
    assert [name.rsplit(", ", 1)[1] for name in names] == ["216 cubes", "512 cubes"]
    found[3] = ramp(False, 0.40, 512)
    assert [check.passed for check in melting_checks(found) if "hysteresis" in check.name] == [True, False]


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

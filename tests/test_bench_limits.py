from __future__ import annotations

import pytest

from supercube import bench_limits
from supercube.bench_classify import Task
from supercube.bench_limits import Count, answer, measure, rates, settings, text
from supercube.errors import InputError
from supercube.order.limits import LIMITS, Limits


def test_every_limit_is_moved_alone():
    first, *moved = settings()
    assert first == ("", LIMITS)
    assert {name for name, _ in moved} == set(vars(LIMITS))
    for name, limits in moved:
        changed = {key for key, value in vars(limits).items() if value != getattr(LIMITS, key)}
        assert changed == {name}


def test_a_sample_is_measured_at_every_setting(monkeypatch):
    harsh = Limits(stiffness=0.1)
    monkeypatch.setattr(bench_limits, "settings", lambda: [("", LIMITS), ("stiffness", harsh)])
    kept, lost = measure(Task("crystal", "CsCl", 0.04, 1))
    assert kept.lost <= 0.02 * kept.counted
    assert lost.lost > 0.9 * lost.counted  # noise of 4 % has an rms of 0.07, beyond a tenth of 0.17
    assert lost.counted == kept.counted > 50
    assert kept.called == lost.called == 0


def test_two_phase_boxes_have_an_error_and_disorder_is_called_a_crystal(monkeypatch):
    monkeypatch.setattr(bench_limits, "settings", lambda: [("", LIMITS)])
    (count,) = measure(Task("two-phase", "CsCl", 0.01, 1))
    assert abs(count.error) < 0.05
    (count,) = measure(Task("negative", "molten-NaCl", 0.0, 1))
    assert (count.lost, count.called) == (0, 0)
    assert count.counted > 100


def test_rates_are_shares_of_particles():
    todo = [Task("crystal", "SC", 0.01, 0), Task("crystal", "fcc", 0.01, 0), Task("negative", "glass", 0, 0)]
    counts = [[Count(1, 0, 100, 0.0)], [Count(5, 0, 300, 0.0)], [Count(0, 7, 200, 0.0)]]
    assert rates(todo, counts, 0) == {"lost": 6 / 400, "glass": 7 / 200}
    boxes = [Task("two-phase", "SC", 0.01, k) for k in range(2)]
    found = rates(boxes, [[Count(0, 0, 1, 0.03)], [Count(0, 0, 1, -0.01)]], 0)
    assert found["two_phase_mean"] == pytest.approx(0.01)
    assert 0.028 < found["two_phase_95"] <= 0.03


def test_the_table_marks_what_is_chosen():
    row = {"lost": 0.001, "glass": 0.004, "two_phase_mean": -0.01, "two_phase_95": 0.04}
    found = {
        "chosen": {"grow": 0.4},
        "rows": [{"limit": None, "value": None} | row, {"limit": "grow", "value": 0.2} | row],
    }
    lines = text(found).splitlines()
    assert lines[2].startswith("| grow | 0.2 | 0.10 | 0.40 | -1.0 | 4.0 |")
    assert lines[3].startswith("| grow | **0.4** |")


def test_options_out_of_range_are_refused():
    with pytest.raises(InputError, match="--samples is 0"):
        answer(0)

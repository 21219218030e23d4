import pytest

from supercube.errors import InputError
from supercube.protocol.schedule import STEP_UNIT, drying_time, make_schedule


def schedule(**changes):
    values = {
        "time_step": 0.002,
        "volume": 1000.0,
        "body_volume": 150.0,
        "diffusion": 1.0,
        "peclet": 2.4,
        "target_packing_fraction": 0.78,
        "equilibration_time": 10.0,
        "hold_time": 20.0,
    }
    return make_schedule(**(values | changes))


def test_drying_time_of_the_design_note():
    # physics.md: 0.15 -> 0.78 in about 1,200 time units is Pe 2.4.
    assert drying_time(0.15, 0.78, 2.4, 1.0) == pytest.approx((1 - 0.15 / 0.78) * 3600 / 2.4)
    assert drying_time(0.15, 0.78, 2.4, 1.0) == pytest.approx(1200, rel=0.02)


def test_drying_time_does_not_depend_on_the_number_of_particles():
    assert schedule().drying_steps == schedule(volume=2000.0, body_volume=300.0).drying_steps


def test_volume_falls_linearly_between_the_plateaus():
    s = schedule()
    assert s.volume(0) == s.volume(s.end_of_equilibration) == 1000.0
    middle = s.end_of_equilibration + s.drying_steps // 2
    assert s.volume(middle) == pytest.approx((s.volume_start + s.volume_end) / 2, rel=1e-5)
    assert s.volume(s.end_of_drying) == s.volume(s.total_steps) == pytest.approx(150.0 / 0.78)


def test_drying_speed_is_v_over_h0():
    s = schedule()
    t = 100.0
    step = s.end_of_equilibration + round(t / s.time_step)
    # dt is rounded up to whole steps: relative error below STEP_UNIT/drying_steps.
    assert s.volume(step) == pytest.approx(1000 * (1 - 2.4 * t / 60**2), rel=1e-4)


def test_stages_are_multiples_of_the_step_unit_and_cover_the_times():
    s = schedule(time_step=0.0013)
    for steps, time in ((s.equilibration_steps, 10.0), (s.hold_steps, 20.0)):
        assert steps % STEP_UNIT == 0
        assert time <= steps * s.time_step < time + STEP_UNIT * s.time_step * (1 + 1e-9)
    assert s.drying_steps % STEP_UNIT == 0


def test_no_drying_at_peclet_zero():
    s = schedule(peclet=0.0, target_packing_fraction=0.0)
    assert s.drying_steps == 0
    assert s.volume(s.total_steps) == 1000.0
    assert s.stage(s.end_of_equilibration) == "hold"


def test_stages_and_boundaries():
    s = schedule()
    assert [s.stage(0), s.stage(s.end_of_equilibration), s.stage(s.end_of_drying)] == ["equilibrate", "dry", "hold"]
    assert s.next_boundary(0) == s.end_of_equilibration
    assert s.next_boundary(s.end_of_equilibration) == s.end_of_drying
    assert s.next_boundary(s.total_steps - 1) == s.total_steps


def test_a_target_below_the_start_is_refused():
    with pytest.raises(InputError, match=r"target_packing_fraction 0\.1 is not above"):
        schedule(target_packing_fraction=0.1)

import numpy as np
import pytest

from supercube.configuration import Configuration
from supercube.engines.base import Thermo
from supercube.engines.segments import LOG_COLUMNS, SegmentWriter, read_log, read_trajectory
from supercube.errors import FileFormatError


def configuration(step, x=0.0):
    return Configuration([5, 5, 5, 0, 0, 0], [[x, 0, 0]], [[1, 0, 0, 0]], ("cube",), [0], step=step)


def write(folder, steps, x=0.0):
    writer = SegmentWriter(folder)
    for step in steps:
        writer.frame(configuration(step, x))
        writer.row(step, step * 0.1, Thermo(1.0, float("nan"), x, 2.0, 125.0), 25.0)
    writer.close()
    return writer


def test_segments_are_numbered_and_never_overwritten(tmp_path):
    assert [write(tmp_path, [i]).number for i in range(3)] == [0, 1, 2]
    assert (tmp_path / "trajectory-0002.gsd").exists()
    assert (tmp_path / "log-0002.csv").exists()


def test_superseded_frames_and_rows_are_dropped(tmp_path):
    write(tmp_path, [0, 10, 20, 30], x=0.0)  # killed at 30; its last checkpoint was at 15
    write(tmp_path, [15, 25, 35], x=1.0)
    frames = list(read_trajectory(tmp_path))
    assert [f.step for f in frames] == [0, 10, 15, 25, 35]
    assert [f.positions[0, 0] for f in frames] == [0, 0, 1, 1, 1]
    log = read_log(tmp_path)
    assert log["step"].tolist() == [0, 10, 15, 25, 35]
    assert log["packing_fraction"].tolist() == [0.2] * 5
    assert np.isnan(log["temperature_rotation"]).all()


def test_a_run_that_died_before_its_first_frame_changes_nothing(tmp_path):
    write(tmp_path, [0, 10])
    write(tmp_path, [])
    write(tmp_path, [10, 20])
    assert [f.step for f in read_trajectory(tmp_path)] == [0, 10, 20]
    assert read_log(tmp_path)["step"].tolist() == [0, 10, 20]


def test_two_restarts_from_the_same_step_keep_the_last(tmp_path):
    write(tmp_path, [0, 10, 20])
    write(tmp_path, [10, 20, 30], x=1.0)
    write(tmp_path, [10, 20], x=2.0)
    frames = list(read_trajectory(tmp_path))
    assert [(f.step, f.positions[0, 0]) for f in frames] == [(0, 0), (10, 2), (20, 2)]


def test_a_broken_segment_is_passed_over_with_a_warning(tmp_path):
    write(tmp_path, [0, 10])
    write(tmp_path, [10, 20])
    path = tmp_path / "trajectory-0000.gsd"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.warns(RuntimeWarning, match=r"passed over .*trajectory-0000\.gsd"):
        assert [f.step for f in read_trajectory(tmp_path)] == [10, 20]


def test_a_half_written_row_is_dropped(tmp_path):
    write(tmp_path, [0, 10])
    path = tmp_path / "log-0000.csv"
    path.write_text(path.read_text().rstrip() + "\n20,2.0,1.")
    assert read_log(tmp_path)["step"].tolist() == [0, 10]


def test_a_frame_is_on_disk_when_it_is_appended(tmp_path):
    writer = SegmentWriter(tmp_path)
    writer.frame(configuration(0))
    assert [f.step for f in read_trajectory(tmp_path)] == [0]
    writer.close()


def test_no_segment_is_an_error(tmp_path):
    with pytest.raises(FileFormatError, match="no readable trajectory segment"):
        list(read_trajectory(tmp_path))


def test_log_columns_are_those_of_the_design():
    assert LOG_COLUMNS[:2] == ("step", "time")
    assert {"temperature_translation", "temperature_rotation", "potential_energy", "pressure"} <= set(LOG_COLUMNS)

from pathlib import Path

import numpy as np
import pytest

from supercube.dashboard import log_curve
from supercube.dashboard.log_curve import log_svg
from supercube.engines.base import Thermo
from supercube.engines.segments import SegmentWriter


def write(folder, rows, temperature=1.0):
    Path(folder).mkdir(exist_ok=True)
    writer = SegmentWriter(Path(folder))
    for step in range(rows):
        writer.row(step, 0.1 * step, Thermo(temperature, np.nan, 2.0, float(step % 7), 10.0), 4.0)
    writer.close()


def test_a_log_that_grows_is_drawn_anew_and_one_that_does_not_is_kept(tmp_path):
    write(tmp_path, 5)
    first = log_svg(tmp_path, 8)
    assert first.startswith(b"<?xml")
    assert log_svg(tmp_path, 8) is first
    write(tmp_path, 12)
    assert log_svg(tmp_path, 8) != first


@pytest.mark.parametrize("rows", [1, 3, log_curve.MOST_POINTS, log_curve.MOST_POINTS + 1, 3000])
def test_any_number_of_rows_is_drawn(tmp_path, rows):
    write(tmp_path, rows)
    assert len(log_svg(tmp_path, 8)) < 400_000  # however long the run


def test_long_logs_are_drawn_as_means_that_keep_their_mean(tmp_path, monkeypatch):
    """Means of equally long runs of rows have the mean of all rows; the range behind them has its extremes."""
    drawn = {}

    class Axes:
        def plot(self, x, y, **_):
            drawn["y"] = y

        def fill_between(self, x, low, high, **_):
            drawn["range"] = (low.min(), high.max())

    values = np.sin(np.arange(10 * log_curve.MOST_POINTS))
    log_curve._curve(Axes(), np.arange(len(values), dtype=float), values, "#000000")
    assert len(drawn["y"]) == log_curve.MOST_POINTS
    assert drawn["y"].mean() == pytest.approx(values.mean(), abs=1e-12)  # rounding
    assert drawn["range"] == (values.min(), values.max())


def test_infinities_leave_a_gap(tmp_path):
    write(tmp_path, 20, temperature=np.inf)
    assert log_svg(tmp_path, 8).startswith(b"<?xml")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"step,time\n", "no rows yet"), (b"\xff\xfe\x00", "cannot be read"), (None, "no rows yet")],
)
def test_what_cannot_be_drawn_is_a_sentence(tmp_path, monkeypatch, content, sentence):
    said = []
    monkeypatch.setattr(log_curve, "_sentence", lambda text: said.append(text) or b"svg")
    if content is not None:
        (tmp_path / "log-0000.csv").write_bytes(content)
    assert log_svg(tmp_path, 8) == b"svg"
    assert sentence in said[0]

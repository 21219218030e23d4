from __future__ import annotations

import numpy as np
import pytest
from order_samples import crystal, random_fluid

from supercube.order import LABELS, classify, order_series


def test_one_entry_a_frame_and_the_same_answer_as_classify():
    frames = [random_fluid(64, 0).with_(step=0), crystal("SC", 4, rms_cube=0.05, tilt=3).with_(step=500)]
    series = order_series(iter(frames))
    assert set(series) == {"step", "cubatic_order", *(f"fraction_{label}" for label in LABELS)}
    assert series["step"].tolist() == [0, 500]
    assert series["fraction_SC"].tolist() == [0.0, 1.0]
    np.testing.assert_allclose(sum(series[f"fraction_{label}"] for label in LABELS), 1.0)
    assert series["cubatic_order"][1] == pytest.approx(classify(frames[1]).cubatic_order, abs=1e-6)


def test_no_cubes_and_no_frames():
    assert np.isnan(order_series([crystal("fcc", 3)])["cubatic_order"]).tolist() == [True]
    assert {len(v) for v in order_series([]).values()} == {0}

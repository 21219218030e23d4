"""The coverage map: cells, numbers and words."""

import numpy as np
import pytest

from supercube.errors import InputError
from supercube.observe import coverage_figure

X = [0.4, 0.4, 0.4, 0.49, 1.0]
Y = [0.1, 0.1, 0.2, 0.2, 0.1]
STATES = ["classified", "open", "failed", "classified", "classified"]


def cells(figure):
    return {text.get_gid(): text.get_text() for text in figure.axes[0].texts if text.get_gid()}


def test_each_point_says_how_many_of_its_jobs_have_a_result():
    figure = coverage_figure(X, Y, STATES)
    assert cells(figure) == {"cell:0:0": "1/2", "cell:0:2": "1/1", "cell:1:0": "0/1", "cell:1:1": "1/1"}
    failed = [text.get_text() for text in figure.axes[0].texts if not text.get_gid()]
    assert failed == ["1 failed"]
    assert figure.axes[0].get_title(loc="left") == "3 of 5 jobs have a result, 1 failed"


def test_points_without_jobs_have_no_colour():
    shares = coverage_figure(X, Y, STATES).axes[0].collections[0].get_array()
    np.testing.assert_array_equal(np.ma.getmaskarray(shares), [[False, True, False], [False, False, True]])
    np.testing.assert_allclose(shares.compressed(), [0.5, 1.0, 0.0, 1.0])


def test_values_stand_in_order_and_at_equal_distances():
    ax = coverage_figure(X, Y, STATES, x_label="γ").axes[0]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["0.4", "0.49", "1"]
    np.testing.assert_array_equal(ax.get_xticks(), [0, 1, 2])
    assert ax.get_xlabel() == "γ"


def test_texts_as_axis_have_the_names_of_structures():
    ax = coverage_figure(["ABO3", "fluid", "file:" + "a" * 64], ["SC"] * 3, ["open"] * 3).axes[0]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["ABO$_3$", "file aaaa", "fluid"]


def test_a_large_study_is_drawn_without_numbers():
    x, y = np.meshgrid(np.arange(40), np.arange(30))
    figure = coverage_figure(x.ravel(), y.ravel(), ["classified"] * 1200)
    assert cells(figure) == {}
    assert len(figure.axes[0].get_xticks()) <= 14
    assert max(figure.get_size_inches()) < 14


@pytest.mark.parametrize("lengths", [(0, 0, 0), (2, 1, 2), (1, 1, 2)])
def test_bad_input_is_refused(lengths):
    x, y, states = ([0] * n for n in lengths)
    with pytest.raises(InputError, match="expected one of each a job"):
        coverage_figure(x, y, states)

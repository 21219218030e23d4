"""Order against Pe: means, errors, repeats, and what the figure says of them."""

import math

import numpy as np
import pytest

from supercube.errors import InputError
from supercube.observe import DRYING_COLUMNS, drying_figure

NAN = math.nan


def point(series, rate, n, order, order_sem, **changes):
    values = (series, rate, n, order, order_sem, "SC", order, order_sem)
    return dict(zip(DRYING_COLUMNS, values, strict=True)) | changes


POINTS = [
    point("64 cubes", 10.0, 3, 0.8, 0.05),
    point("64 cubes", 1.0, 3, 0.9, 0.02),
    point("216 cubes", 100.0, 1, 0.2, NAN, crystal=None),
]
SINGLES = [
    {"series": "64 cubes", "evaporation_rate": 10.0, "cubatic_order": order, "crystal_share": order}
    for order in (0.7, 0.8, 0.9)
]


def errors(ax):
    """Ends of the error bars that are drawn."""
    return [path.vertices[:, 1] for bars in ax.containers for path in bars.lines[2][0].get_paths()]


def test_error_bars_are_the_standard_errors_and_only_where_there_are_some():
    upper, lower = drying_figure(POINTS, SINGLES).axes
    for ax in (upper, lower):
        # In order of Pe.
        np.testing.assert_allclose(errors(ax), [[0.88, 0.92], [0.75, 0.85]])


def test_numbers_of_repeats_stand_at_the_points():
    upper, lower = drying_figure(POINTS, SINGLES).axes
    assert [text.get_text() for text in upper.texts] == ["3", "3", "1"]
    assert len(lower.texts) == 0


def test_a_point_of_one_run_is_hollow_and_the_note_says_so():
    figure = drying_figure(POINTS)
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white" and len(line.get_xdata())]
    assert [line.get_ydata().tolist() for line in hollow] == [[0.2]]
    assert "hollow: one run" in figure.legends[0].get_texts()[-1].get_text()
    assert "hollow" not in drying_figure(POINTS[:2]).legends[0].get_texts()[-1].get_text()


def test_repeats_are_drawn_where_there_are_several():
    single = {"series": "216 cubes", "evaporation_rate": 100.0, "cubatic_order": 0.2, "crystal_share": 0.2}
    upper, _ = drying_figure(POINTS, [*SINGLES, single]).axes
    dots = [line for line in upper.lines if line.get_alpha() is not None]
    assert [list(line.get_ydata()) for line in dots if len(line.get_ydata())] == [[0.7, 0.8, 0.9]]


def test_the_legend_names_series_and_crystals():
    texts = [text.get_text() for text in drying_figure(POINTS).legends[0].get_texts()]
    assert texts[:2] == ["64 cubes; crystal: SC", "216 cubes; no crystal"]


def test_series_at_one_rate_do_not_cover_each_other():
    points = [point(f"{n} cubes", 10.0, 2, 0.5, 0.1) for n in (8, 27, 64)]
    places = {round(float(path.vertices[0, 0]), 6) for bars in drying_figure(points).axes[0].containers
              for path in bars.lines[2][0].get_paths()}  # fmt: skip
    assert len(places) == 3
    assert max(places) / min(places) < 1.2
    assert 10.0 in places  # in the middle


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([], "no point to draw"),
        ([{"series": "a"}], "row 0 of the drying points lacks evaporation_rate"),
        ([point("a", 0.0, 1, 0.5, NAN)], "expected more than 0"),
        ([point("a", NAN, 1, 0.5, NAN)], "expected more than 0"),
    ],
)
def test_bad_input_is_refused(points, words):
    with pytest.raises(InputError, match=words):
        drying_figure(points)


def test_a_study_without_cubes_has_no_cubatic_order():
    points = [point("spheres", 10.0, 2, NAN, NAN, crystal_share=0.5, crystal_share_sem=0.1)]
    upper, lower = drying_figure(points).axes
    assert len(upper.texts) == 0
    np.testing.assert_allclose(errors(lower), [[0.4, 0.6]])

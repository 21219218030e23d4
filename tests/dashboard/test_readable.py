import math

import pytest

from supercube.dashboard.readable import number, percent, shown, size, with_error


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (381640, "381\u202f640"),
        (0.7999998905, "0.8"),
        (1048.167, "1048"),
        (0.00034, "0.00034"),
        (1e-7, "1e-07"),
        (-3.0, "-3"),
    ],
)
def test_numbers_have_four_digits_and_whole_ones_all(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (41.84303961, 0.68907, "41.84 ± 0.69"),
        (1.05736648, 0.0024347, "1.0574 ± 0.0024"),
        (2.0, 0.0996, "2.00 ± 0.10"),  # rounding gives the error a digit more
        (329.0994, 13.7859, "329 ± 14"),
        (3290.994, 137.859, "3290 ± 140"),
        (5.0, 0.0, "5"),
        (5.0, math.nan, "5"),
    ],
)
def test_errors_have_two_digits_and_values_as_many_places(value, error, text):
    assert with_error(value, error) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.953, "95 %"), (1.0, "100 %"), (0.9972, "99.7 %"), (0.0, "0 %"), (0.004, "0.4 %")],
)
def test_nearly_all_is_not_rounded_to_all(fraction, text):
    assert percent(fraction) == text


def test_any_json_value_has_a_text():
    assert shown(None) == "–"
    assert shown(True) == "yes"
    assert shown([1.0790174, 2], "e") == "1.079, 2 e"
    assert shown({"cube": 0.0487498, "sphere": None}) == "cube 0.04875"
    assert shown({}, "e") == shown([]) == "none"
    assert shown([{"site": "A"}, {"site": "B"}]) == "site A; site B"


def test_sizes():
    assert [size(n) for n in (0, 999, 1000, 371_392, 5_000_000_000)] == ["0 B", "999 B", "1 kB", "371 kB", "5 GB"]

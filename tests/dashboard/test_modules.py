import pytest

pytest.importorskip("signac_dashboard")

from supercube.dashboard.modules import _window, fill_rows


@pytest.mark.parametrize(
    ("widths", "filled"),
    [([6, 6], [6, 6]), ([6], [12]), ([6, 4], [7, 5]), ([6, 12, 4, 8], [12, 12, 4, 8]), ([4, 12], [12, 12]), ([], [])],
)
def test_no_row_has_a_gap(widths, filled):
    cards = [{"name": "a card", "width": width} for width in widths]
    fill_rows(cards)
    assert [card["width"] for card in cards] == filled


def test_cards_of_other_modules_take_half():
    cards = [{"name": "notes"}, {"name": "video"}]
    fill_rows(cards)
    assert [card["width"] for card in cards] == [6, 6]


def test_the_navigator_shows_the_ends_and_what_is_near():
    values = [(str(k), None) for k in range(30)]
    shown = [one and one[0] for one in _window(15, values)]
    assert shown == ["0", None, *map(str, range(11, 20)), None, "29"]
    assert [one and one[0] for one in _window(0, values)] == ["0", "1", "2", "3", "4", None, "29"]
    assert _window(2, values[:5]) == values[:5]
    assert [one and one[0] for one in _window(5, values[:11])] == ["0", *map(str, range(1, 10)), "10"]

import json

import pytest
import signac
from dashboard_space import find

from supercube.dashboard.live import LiveSpace
from supercube.dashboard.table import table
from supercube.observe import palette


@pytest.fixture(scope="module")
def found(space):
    return table(LiveSpace(signac.get_project(space)).snapshot().entries.values())


def column(found, key):
    at = [one["key"] for one in found["columns"]].index(key)
    return [row[at] for row in found["rows"]]


def test_every_job_has_a_row(found, space):
    assert column(found, "structure") == [None, None, None, "NaCl", "ABO3", None]
    assert column(found, "state") == ["waiting", "failed", "running", "simulated", "finished", "unreadable"]
    assert column(found, "progress") == [None, None, 0.6, 1, 1, None]
    assert column(found, "size_ratio")[:3] == [None] * 3  # no meaning without spheres
    assert column(found, "job")[3] == find(space, initial="NaCl").id


def test_columns_without_anything_are_left_out(found):
    keys = [one["key"] for one in found["columns"]]
    assert "pressure" not in keys
    assert "attraction" not in keys
    assert {"evaporation_rate", "replicate"} <= set(keys)
    assert {len(row) for row in found["rows"]} == {len(keys)}


def test_colours_are_those_of_the_figures_and_all_is_json(found):
    assert found["colours"] == {label: palette.style(label).colour for label in ("ABO3", "NaCl")}
    json.dumps(found, allow_nan=False)


def test_numbers_are_sent_in_full(copy):
    """0.74649 rounds to 0.746; rounded to four digits before, it would be 0.747."""
    find(copy, initial="NaCl").doc["cubatic_order"] = 0.74649
    assert column(table(LiveSpace(signac.get_project(copy)).snapshot().entries.values()), "cubatic_order")[3] == 0.74649

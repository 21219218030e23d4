"""Shared fixtures: small state points and models, and the switch for longer tests."""

import pytest

from supercube.statepoint import StatePoint


def pytest_addoption(parser):
    parser.addoption("--validate", action="store_true", help="run the tests that take a minute or more")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--validate"):
        skip = pytest.mark.skip(reason="takes a minute or more; run with --validate")
        for item in items:
            if "validate" in item.keywords:
                item.add_marker(skip)


@pytest.fixture
def make_state_point():
    def make(**values):
        return StatePoint.parse({"ligand_length": 0.2, "n_cubes": 8, **values}, "a test")

    return make

"""Shared fixtures: small state points and models, the switch for longer tests, and what tests may need to be here."""

import importlib.util
import os

import pytest

from supercube.errors import EngineError
from supercube.statepoint import StatePoint


def pytest_addoption(parser):
    parser.addoption("--validate", action="store_true", help="run the tests that take a minute or more")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--validate"):
        skip = pytest.mark.skip(reason="takes a minute or more; run with --validate")
        for item in items:
            if "validate" in item.keywords:
                item.add_marker(skip)


def missing_hoomd():
    """Why there is no HOOMD-blue, or None."""
    return None if importlib.util.find_spec("hoomd") else "HOOMD-blue is not installed"


def missing_gpu():
    """Why HOOMD-blue has no GPU, or None; asked only for tests that need one, since it imports HOOMD-blue."""
    from supercube.engines.hoomd import require

    try:
        require("gpu", 1)
    except EngineError as error:
        return str(error)
    return None


#: Marks of tests that need something: how to ask for it, and the switch that makes its absence a failure.
NEEDS = {
    "hoomd": (missing_hoomd, "SUPERCUBE_REQUIRE_HOOMD"),
    "gpu": (missing_gpu, "SUPERCUBE_REQUIRE_GPU"),
}


def pytest_runtest_setup(item):
    needs = [(find(), switch) for mark, (find, switch) in NEEDS.items() if item.get_closest_marker(mark)]
    absent = [(reason, switch) for reason, switch in needs if reason]
    for reason, switch in absent:
        if os.environ.get(switch) == "1":
            pytest.fail(f"{reason}, and {switch} is 1", pytrace=False)
    if absent:
        pytest.skip(absent[0][0])


@pytest.fixture
def make_state_point():
    def make(**values):
        return StatePoint.parse({"ligand_length": 0.2, "n_cubes": 8, **values}, "a test")

    return make

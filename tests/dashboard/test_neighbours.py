import pytest
import signac
from dashboard_space import find

from supercube.dashboard.live import LiveSpace
from supercube.dashboard.neighbours import neighbours


@pytest.fixture(scope="module")
def entries(space):
    return LiveSpace(signac.get_project(space)).snapshot().entries


def along(entries, job):
    found = neighbours(entries[job.id], entries.values())
    return {axis: [text for text, _ in values] for axis, values in found.items()}


def test_values_along_a_parameter_are_sorted_and_hold_the_job_itself(entries, space):
    assert along(entries, find(space, evaporation_rate=20.0)) == {"Péclet number Pe": ["8", "20", "60"]}
    assert along(entries, find(space, initial="ABO3", replicate=0)) == {"replicate": ["0", "1"]}


def test_a_job_that_differs_in_two_parameters_is_no_neighbour(entries, space):
    """NaCl is also at another γ."""
    assert along(entries, find(space, initial="NaCl")) == {}


def test_composition_and_start_are_one_parameter(copy):
    """Crystals of different structures at one point of the map have different numbers of particles."""
    job = find(copy, initial="NaCl")
    point = dict(job.cached_statepoint) | {"initial": "ABO3", "n_cubes": 32, "n_spheres": 8}
    signac.get_project(copy).open_job(point).init()
    entries = LiveSpace(signac.get_project(copy)).snapshot().entries
    assert along(entries, job) == {
        "composition and start": ["ABO3 × 1.02, 32 cubes + 8 spheres", "NaCl × 1.02, 32 cubes + 32 spheres"]
    }

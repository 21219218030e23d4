import pytest
import signac
from dashboard_space import find

from supercube.dashboard.live import LiveSpace
from supercube.dashboard.search import search
from supercube.errors import InputError


@pytest.fixture(scope="module")
def entries(space):
    return list(LiveSpace(signac.get_project(space)).snapshot().entries.values())


def ids(entries, query):
    return [entry.id for entry in search(query, entries)[0]]


def test_a_structure_is_found_though_another_document_is_damaged(entries, space):
    assert ids(entries, "doc.structure ABO3") == [find(space, initial="ABO3", replicate=0).id]
    assert ids(entries, "doc.structure SC") == []


@pytest.mark.parametrize(
    ("query", "n_found"),
    [
        ("n_spheres 32", 1),
        ("sp.n_spheres 32", 1),
        ("size_ratio.$gt 0.45 n_spheres.$gt 0", 2),
        ("evaporation_rate.$in [8,60]", 2),
        ('{"evaporation_rate": {"$gte": 20}}', 2),
        ('{"$or": [{"initial": "NaCl"}, {"doc.structure": "ABO3"}]}', 2),
        ('{"$not": {"initial": "fluid"}}', 3),
        ("doc.structure", 2),
        ("doc.error.$regex finite", 1),
        ("pressure 0", 6),
    ],
)
def test_filters_of_signac(entries, query, n_found):
    assert len(ids(entries, query)) == n_found


@pytest.mark.parametrize(("query", "n_found"), [("NaCl", 1), ("fluid failed", 1), ("CUBES fluid", 3), ("zzz", 0)])
def test_words_of_titles_and_states(entries, query, n_found):
    assert len(ids(entries, query)) == n_found


def test_the_beginning_of_an_id(entries):
    assert ids(entries, entries[0].id[:10]) == [entries[0].id]


@pytest.mark.parametrize(
    "query",
    [
        '{"doc.structure": {"$where": "lambda x: 1 / 0"}}',
        "doc.structure.$where 'lambda x: 1'",
        '{"doc.structure": ',
        "doc.structure 'ABO3",
        "doc.structure.$nonsense 3",
        '{"$or": 3}',
        "doc.structure.$regex [",
    ],
)
def test_what_is_no_query_is_one_sentence(entries, query):
    with pytest.raises(InputError, match=r"expected|close the quotation|is refused"):
        search(query, entries)

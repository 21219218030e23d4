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


@pytest.mark.parametrize(
    ("query", "n_found"),
    [
        ("Pe 0", 3),
        ("pe = 8", 1),
        ("Péclet 60 fluid", 1),
        ("pe 6", 0),
        ("γ 0.49", 2),
        ("gamma=0.4 NaCl", 1),
        ("γ 1", 0),  # no meaning without spheres
        ("lambda 0.2", 6),
        ("replicate 1 ABO3", 1),
        ("32 cubes + 8 spheres", 2),
        ("replicate 7", 0),
        ("P 0", 6),
    ],
)
def test_words_with_a_number_are_parameters(entries, query, n_found):
    assert len(ids(entries, query)) == n_found


def test_the_number_of_a_parameter_is_not_looked_for_elsewhere(entries):
    """A crystal at Pe 0 with "100 %" in its title is none of Pe 100."""
    assert any("100 %" in entry.title for entry in entries)
    assert ids(entries, "Pe 100") == []


def test_a_title_finds_its_own_job(entries):
    for entry in entries:
        assert entry.id in ids(entries, entry.title)


@pytest.mark.parametrize("query", ["NaC", "cube", "luid", "0"])
def test_words_are_whole(entries, query):
    assert ids(entries, query) == [entry.id for entry in entries if f" {query}," in f"{entry.title},"]


def test_short_beginnings_of_ids_are_words(entries):
    assert ids(entries, entries[0].id[:4]) == [entries[0].id]
    assert ids(entries, entries[0].id[:3]) == []


def test_the_meaning_says_what_was_searched(entries):
    assert search("Pe 8 fluid", entries)[1] == (
        "jobs with Péclet number Pe = 8, and fluid as whole words of the title or state, or as the beginning of the id"
    )
    assert search("Pe 8", entries)[1] == "jobs with Péclet number Pe = 8"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("doc.strcture ABO3", "no job has doc.strcture; did you mean doc.structure?"),
        ("doc.thermal.cube_edg.$gt 1", "no job has doc.thermal.cube_edg; did you mean doc.thermal.cube_edge?"),
        ("sp.n_sphere 0", "no job has n_sphere; did you mean n_spheres?"),
        ('{"$or": [{"initial": "NaCl"}, {"doc.eror": 1}]}', "no job has doc.eror; did you mean doc.error?"),
        ("doc.xyzzy 1", "no job has doc.xyzzy; expected one such as doc.structure."),
    ],
)
def test_a_key_that_no_job_has_is_refused_with_the_one_that_was_meant(entries, query, sentence):
    with pytest.raises(InputError) as error:
        search(query, entries)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    "query", ["doc.fractions.CsCl.$gt 0.5", "doc.notes", "doc.c_over_a.$gt 1", "doc.model.beads 8"]
)
def test_keys_that_come_later_find_nothing_yet(entries, query):
    found, _ = search(query, [entry for entry in entries if entry.state == "waiting"])
    assert found == []  # and no refusal: such a key is none that somebody misspelt


def test_a_misspelt_key_without_doc_gets_a_hint(entries):
    found, meaning = search("n_sphere 0", entries)
    assert found == []
    assert meaning.endswith("did you mean n_spheres?")

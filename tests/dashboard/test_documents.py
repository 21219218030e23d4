import json

from dashboard_space import find

from supercube.dashboard.documents import sections

DOCUMENT = {
    "structure": "SC",
    "structure_fraction": 0.953125,
    "lattice_constant": 1.05736648652494,
    "lattice_constant_sem": 0.002434737234929316,
    "orientation_fwhm_deg": 9.076881089669095,
    "orientation_fwhm_sem": 1.1664640854623156,
    "c_over_a": None,
    "thermal": {"packing_fraction": 0.76612, "cube_edge": 0.98},
    "model": {"beads": 69, "novel": 3},
    "wall_seconds": 345.4,
    "my_note": "a user's own",
}


def test_a_value_and_its_error_are_one_line():
    result = dict(sections(DOCUMENT)["Result"])
    assert result["lattice constant"] == "1.0574 ± 0.0024 e"
    assert result["orientation spread (FWHM)"] == "9.1 ± 1.2°"
    assert result["share of particles"] == "95 %"
    assert result["φ with sizes at kT"] == "0.7661"
    assert "c/a" not in result  # not defined for this job


def test_nothing_is_hidden():
    """Keys that nobody foresaw are shown, also within a mapping whose other keys have places of their own."""
    assert dict(sections(DOCUMENT)["Other"]) == {"model: novel": "3", "my note": "a user's own"}


def test_every_key_of_a_real_document_has_a_place(space):
    document = json.loads(
        (space / "workspace" / find(space, initial="ABO3", replicate=0).id / "signac_job_document.json").read_text()
    )
    found = sections(document)
    assert "Other" not in found
    assert dict(found["Crystal"])["sublattices"].startswith("A: 8 spheres, Lindemann ")
    assert dict(found["Crystal"])["grains"].startswith("ABO3, 40 particles, a = ")


def test_values_of_the_wrong_kind_are_shown_as_they_are():
    odd = {"protocol": "lost", "model": [1, 2], "wall_seconds": "long", "grains": "many", "structure": 5}
    texts = [line[1] for lines in sections(odd).values() for line in lines]
    assert sorted(texts) == ["1, 2", "5", "long", "lost", "many"]
    assert sections({}) == {}

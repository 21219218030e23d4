"""Pages of jobs in every state, as the server sends them; the browser's tests look at them."""

import json
import os
import re
import shutil
from html import unescape
from pathlib import Path

import pytest
import signac
from dashboard_space import FAILURE, find

from supercube import operations


def text_of(answer):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True))))


def page_of(client, root, **values):
    answer = client.get(f"/jobs/{find(root, **values).id}")
    assert answer.status_code == 200
    return text_of(answer)


def test_a_finished_job(client, space):
    text = page_of(client, space, initial="ABO3", replicate=0)
    assert "ABO3 100 % of the particles" in text
    assert re.search(r"lattice constant 2\.\d+ ± 0\.0\d+ e ", text)
    assert "✓" not in text  # drawn by the style sheet, so that it is not read aloud
    assert "(open)" not in text
    assert "size ratio γ 0.49" in text


def test_a_waiting_job_says_how_to_start_it(client, space):
    job = find(space, evaporation_rate=8.0)
    assert f"python workflow.py run -j {job.id[:8]}" in page_of(client, space, evaporation_rate=8.0)


def test_a_running_job_says_how_far_it_is(client, space):
    text = page_of(client, space, evaporation_rate=60.0)
    assert "60.0 % of the steps at the last checkpoint · about 20 s left" in text


def test_a_failed_job_says_why(client, space):
    assert f"Failed: {FAILURE}" in page_of(client, space, evaporation_rate=20.0)


def test_a_damaged_document_is_one_sentence_on_its_page(client, space):
    text = page_of(client, space, initial="ABO3", replicate=1)
    assert text.count("is damaged") == 1
    assert "size ratio γ 0.49" in text  # the state point is whole


def test_a_foreign_job_is_one_sentence(client, space):
    assert "is not of supercube" in page_of(client, space, foreign=1)


def test_an_unknown_job_is_a_sentence(client):
    answer = client.get("/jobs/zzz")
    assert answer.status_code == 404
    assert "There is no job zzz" in text_of(answer)


def test_the_project_page_counts_and_names_what_cannot_be_read(client):
    text = text_of(client.get("/project/"))
    for words in (
        "6 jobs",
        "1 finished",
        "1 simulated",
        "1 running",
        "1 failed",
        "1 unreadable",
        "1 left out",
        "is damaged",
        "is not of supercube",
    ):
        assert words in text


def test_a_damaged_state_point_hides_no_other(copy, log_in):
    job = find(copy, evaporation_rate=8.0)
    Path(job.path, "signac_statepoint.json").write_text("{")
    (copy / ".signac" / "statepoint_cache.json.gz").unlink(missing_ok=True)
    client = log_in(copy)
    assert "state point cannot be read" in text_of(client.get(f"/jobs/{job.id}"))
    assert len(client.get("/project/jobs.json").json["rows"]) == 5
    assert client.get("/jobs/").status_code == 200


def test_a_job_whose_files_are_in_ruins_still_has_a_page(copy_client, copy):
    job = find(copy, initial="NaCl")
    for name in ("structure.png", "order.png", "log-0000.csv", "order.npz"):
        Path(job.fn(name)).write_bytes(b"\xff\x00ruin")
    job.doc.update({"fractions": [1, "x"], "notes": 5, "grains": [{"misorientation_deg": "x"}], "molten": "maybe"})
    text = page_of(copy_client, copy, initial="NaCl")
    assert "size ratio γ 0.4" in text
    assert "misorientation deg x" in text  # shown as it is
    assert "This card failed" not in text
    assert copy_client.get(f"/jobs/{job.id}/thumbnail.jpg").status_code == 404
    assert copy_client.get(f"/jobs/{job.id}/log.svg").status_code == 200
    assert copy_client.get("/project/").status_code == 200
    assert copy_client.get("/jobs/").status_code == 200


def test_a_card_that_fails_hides_no_other(client, space, monkeypatch):
    """Modules may be anybody's."""
    from supercube.dashboard import modules

    def fail(self, job):
        raise RuntimeError("no such thing")

    monkeypatch.setattr(modules.Result, "get_cards", fail)
    text = page_of(client, space, initial="NaCl")
    assert text.count("This card failed (RuntimeError: no such thing).") == 1
    assert "size ratio γ 0.4" in text


def test_a_folder_that_cannot_be_listed_is_one_sentence(copy_client, copy):
    job = find(copy, initial="NaCl")
    shutil.rmtree(job.path)
    Path(job.path).symlink_to(copy / "nowhere")
    answer = copy_client.get(f"/jobs/{job.id}")
    assert answer.status_code in (200, 404)
    assert copy_client.get("/jobs/").status_code == 200


def test_a_workspace_that_goes_is_one_sentence(copy_client, copy):
    shutil.rmtree(copy / "workspace")
    answer = copy_client.get("/jobs/")
    assert answer.status_code == 503
    assert "is gone; restore the workspace" in text_of(answer)


def test_an_empty_project_says_how_to_fill_it(tmp_path):
    pytest.importorskip("signac_dashboard")
    from supercube.dashboard.app import SupercubeDashboard

    signac.init_project(tmp_path)
    client = SupercubeDashboard(str(tmp_path), token=None).app.test_client()
    for address in ("/project/", "/jobs/"):
        assert "python init.py" in text_of(client.get(address))
    assert client.get("/search?q=doc.structure+ABO3").status_code == 200


def test_lists_come_in_pages(client, space):
    first = client.get("/jobs/?per_page=4").get_data(as_text=True)
    second = client.get("/jobs/?per_page=4&page=2").get_data(as_text=True)
    ids = [re.findall(r'class="tile" href="/jobs/(\w+)"', page) for page in (first, second)]
    assert [len(one) for one in ids] == [4, 2]
    assert len({*ids[0], *ids[1]}) == 6
    assert 'href="/jobs/?per_page=4&amp;page=2" rel="next"' in first


@pytest.mark.parametrize(
    "query", ["page=0", "page=-3", "page=x", "page=99999999999999999999", "per_page=0", "per_page=²"]
)
def test_pages_that_are_not_there_are_the_nearest(client, query):
    answer = client.get(f"/jobs/?{query}")
    assert answer.status_code == 200
    assert b'class="tile"' in answer.data


def test_a_search_that_is_none_is_a_sentence(client):
    answer = client.get("/search", query_string={"q": '{"doc.structure": '})
    assert answer.status_code == 400
    assert "is no JSON" in text_of(answer)
    assert client.get("/search?q=").status_code == 302


def test_pictures_are_sent_again_only_when_they_change(copy_client, copy):
    job = find(copy, initial="NaCl")
    for name in ("thumbnail.jpg", "log.svg"):
        first = copy_client.get(f"/jobs/{job.id}/{name}")
        assert first.status_code == 200
        again = copy_client.get(f"/jobs/{job.id}/{name}", headers={"If-None-Match": first.headers["ETag"]})
        assert again.status_code == 304
    other = find(copy, initial="ABO3", replicate=0)
    shutil.copy(other.fn("structure.png"), job.fn("structure.png"))
    os.utime(job.fn("structure.png"), ns=(1, 1))
    first_etag = copy_client.get(f"/jobs/{other.id}/thumbnail.jpg").headers["ETag"]
    assert copy_client.get(f"/jobs/{job.id}/thumbnail.jpg").headers["ETag"] == first_etag


def test_small_pictures_are_small(client, space):
    job = find(space, initial="NaCl")
    small = len(client.get(f"/jobs/{job.id}/thumbnail.jpg").data)
    assert small < Path(job.fn(operations.PICTURE)).stat().st_size / 2


def test_modules_can_be_switched_off(client, space):
    job = find(space, initial="NaCl").id
    names = re.findall(r'name="(modules\[\d+\])" checked', client.get(f"/jobs/{job}").get_data(as_text=True))
    keep = dict.fromkeys(names[:2], "on")
    assert client.post("/modules", data={"redirect": f"/jobs/{job}", **keep}).status_code == 302
    page = client.get(f"/jobs/{job}").get_data(as_text=True)
    assert 'id="card-result"' in page
    assert 'id="card-job-document"' not in page


def test_the_table_is_json(client):
    found = json.loads(client.get("/project/jobs.json").data)
    assert len(found["rows"]) == 6


def test_maps_have_the_whole_width(client):
    page = client.get("/project/").text
    assert re.search(r'--w: 12" id="card-phase-map">.*?<figure class="is-large">', page, re.DOTALL)


def test_a_key_that_no_job_has_is_a_sentence(client):
    answer = client.get("/search?q=doc.strcture+ABO3")
    assert answer.status_code == 400
    assert "did you mean doc.structure?" in text_of(answer)

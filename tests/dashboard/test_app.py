"""Who gets in, and what a stranger can have."""

import pytest
from dashboard_space import TOKEN, find

pytest.importorskip("signac_dashboard")

from supercube.dashboard.app import SupercubeDashboard

ADDRESSES = (
    "/", "/project/", "/project/jobs.json", "/project/file/phase_map.png", "/project/file/config.yaml", "/jobs/",
    "/jobs/JOB", "/jobs/JOB/thumbnail.jpg", "/jobs/JOB/log.svg", "/jobs/JOB/file/structure.png",
    "/jobs/JOB/file/signac_job_document.json", "/search?q=ABO3", "/settings", "/favicon.ico", "/nothing/of/this/name",
)  # fmt: skip


@pytest.fixture
def stranger(space):
    return SupercubeDashboard(str(space), token=TOKEN).app.test_client()


def expand(address, space):
    return address.replace("JOB", find(space, initial="NaCl").id)


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_stranger_is_refused_everywhere(stranger, space, address):
    answer = stranger.get(expand(address, space))
    assert answer.status_code == 401
    assert b"NaCl" not in answer.data
    assert b"PNG" not in answer.data


def test_a_stranger_changes_nothing(stranger):
    assert stranger.post("/modules", data={"redirect": "/"}).status_code == 401


@pytest.mark.parametrize("token", ["", "wrong", TOKEN.upper(), TOKEN + "x", "None"])
def test_a_wrong_token_opens_nothing(stranger, token):
    stranger.get("/login", query_string={"token": token})
    stranger.post("/login", data={"token": token})
    assert stranger.get("/jobs/").status_code == 401


def test_the_token_opens_everything_and_logging_out_closes_it(stranger, space):
    stranger.get(f"/login?token={TOKEN}")
    for address in ("/project/", "/jobs/", "/jobs/JOB", "/jobs/JOB/file/structure.png", "/project/file/phase_map.png"):
        with stranger.get(expand(address, space)) as answer:  # an answer that is a file holds it open
            assert answer.status_code == 200
    stranger.get("/logout")
    assert stranger.get("/jobs/").status_code == 401


def test_a_cookie_of_another_dashboard_opens_nothing(space, stranger):
    """Sessions are signed with a key of the process."""
    other = SupercubeDashboard(str(space), token=TOKEN).app.test_client()
    other.get(f"/login?token={TOKEN}")
    stranger.set_cookie("supercube-0", other.get_cookie("supercube-0").value)
    assert stranger.get("/jobs/").status_code == 401


@pytest.mark.parametrize(
    "path",
    ["../study.yaml", "../../study.yaml", "%2e%2e/study.yaml", "..%2fstudy.yaml", "/etc/passwd", "%2fetc%2fpasswd"],
)
@pytest.mark.parametrize("base", ["/project/file/", "/jobs/JOB/file/", "/jobs/JOB/file/checkpoint/../../../"])
def test_no_path_leads_out_of_the_project(client, space, base, path):
    assert (space.parent / "study.yaml").exists()
    answer = client.get(expand(base + path, space), follow_redirects=True)
    assert answer.status_code == 404
    assert b"equilibration_time" not in answer.data
    assert b"root:" not in answer.data


def test_without_a_token_only_names_of_this_machine_are_answered(space):
    """A page of another site could else read everything under a name that it lets point at 127.0.0.1."""
    client = SupercubeDashboard(str(space), token=None).app.test_client()
    assert client.get("/jobs/").status_code == 200
    assert client.get("/jobs/", headers={"Host": "127.0.0.1:8888"}).status_code == 200
    assert client.get("/jobs/", headers={"Host": "evil.example"}).status_code == 400


def test_what_users_type_is_never_markup(client):
    for address in ("/search", "/jobs/<script>alert(1)</script>", "/nothing"):
        page = client.get(address, query_string={"q": "<script>alert(1)</script>", "view": "<script>alert(1)</script>"})
        assert b"<script>alert" not in page.data


def test_pages_load_nothing_from_elsewhere(client, space):
    for address in ("/project/", "/jobs/", f"/jobs/{find(space, initial='NaCl').id}", "/login"):
        answer = client.get(address)
        assert b"//" not in answer.data.replace(b"<!doctype html>", b"")
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert answer.headers["Cache-Control"] == "no-store"


def test_titles_and_order_are_ours(space):
    dashboard = SupercubeDashboard(str(space), token=None)
    job = find(space, initial="NaCl")
    assert dashboard.job_title(job).endswith("NaCl 100 %")
    foreign = find(space, foreign=1)
    assert dashboard.job_title(foreign) == foreign.id
    assert sorted([foreign, job], key=dashboard.job_sorter) == [job, foreign]

import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import signac
from dashboard_space import TOKEN

from supercube.dashboard import command

SCRIPT = Path(__file__).parents[2] / "dashboard.py"


def refused(capsys, *arguments):
    """The sentence that a refused command leaves."""
    assert command.main(["run", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


@pytest.fixture
def taken():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_a_port_in_use_is_one_sentence_with_another_that_is_free(space, capsys, taken):
    line = refused(capsys, "--project", space, "--port", taken)
    (free,) = re.findall(rf"port {taken} of 127\.0\.0\.1 is in use; try: python dashboard.py run --port (\d+)$", line)
    assert int(free) != taken
    with socket.socket() as listening:  # which raises if it is not free
        listening.bind(("127.0.0.1", int(free)))


def test_no_data_space_is_one_sentence(tmp_path, capsys):
    assert "holds no data space" in refused(capsys, "--project", tmp_path)


def test_a_missing_workspace_is_one_sentence(copy, capsys):
    (copy / "workspace").rename(copy / "elsewhere")
    assert "does not exist" in refused(capsys, "--project", copy)


@pytest.mark.parametrize("token", ["", "short", "with space in it", "schlüssel-wort", "a/../b/../c"])
def test_a_poor_token_is_one_sentence(space, capsys, token):
    assert "letters and digits" in refused(capsys, "--project", space, "--token", token)


@pytest.mark.parametrize(
    ("option", "value", "words"), [("--port", 70000, "0 to 65535"), ("--host", "203.0.113.1", "127.0.0.1")]
)
def test_what_cannot_be_served_is_one_sentence(space, capsys, option, value, words):
    assert words in refused(capsys, "--project", space, option, value)


def test_a_missing_signac_dashboard_is_one_sentence(space, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "supercube.dashboard.app", None)
    monkeypatch.setitem(sys.modules, "signac_dashboard", None)
    assert "pip install" in refused(capsys, "--project", space, "--port", 0)


def test_tokens_are_long_and_never_the_same():
    tokens = {command._token(None) for _ in range(20)}
    assert len(tokens) == 20
    assert {len(token) for token in tokens} == {48}
    assert command._token("none") is None
    assert command._token(TOKEN) == TOKEN


def start(root, *options):
    """A dashboard as a user starts it: the process, and the address that it prints."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "run", "--project", str(root), "--port", "0", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    for line in process.stdout:
        if "http://" in line:
            return process, line.strip()
    process.kill()
    raise AssertionError(process.stderr.read())


def stop(process):
    # Not SIGINT: where a script has put the tests into the background, they and what they start ignore it.
    process.terminate()
    try:
        _, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, err


def test_the_printed_address_logs_in_and_a_signal_ends_it(space):
    pytest.importorskip("signac_dashboard")
    process, address = start(space)
    try:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/login\?token=[0-9a-f]{48}", address)
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert "All jobs" in opener.open(address).read().decode()
        base = address.split("login")[0]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(base + "jobs/")
    finally:
        code, err = stop(process)
    assert code == 0
    assert err == ""


def test_an_empty_project_is_served_with_a_sentence(tmp_path):
    pytest.importorskip("signac_dashboard")
    signac.init_project(tmp_path)
    (tmp_path / "workspace").mkdir(exist_ok=True)
    process, address = start(tmp_path, "--token", "none")
    try:
        assert "python init.py" in urllib.request.urlopen(address + "jobs/").read().decode()
    finally:
        code, err = stop(process)
    assert code == 0
    assert err.strip().endswith("has no readable jobs yet; fill it with: python init.py")

"""The data space of these tests, a client of its dashboard, and a browser."""

import importlib.util
import os
import shutil
import threading
from pathlib import Path

import pytest
from dashboard_space import TOKEN, make


@pytest.fixture(scope="session")
def space(tmp_path_factory):
    """Root of the project; read-only for tests."""
    root = tmp_path_factory.mktemp("dashboard") / "study"
    make(root)
    return root


@pytest.fixture
def copy(space, tmp_path):
    """A copy of the data space, to change."""
    return Path(shutil.copytree(space, tmp_path / "study"))


@pytest.fixture
def log_in():
    """Makes a client of the dashboard of a data space that knows the token."""
    pytest.importorskip("signac_dashboard")
    from supercube.dashboard.app import SupercubeDashboard

    def make_client(root):
        client = SupercubeDashboard(str(root), token=TOKEN).app.test_client()
        client.get(f"/login?token={TOKEN}")
        return client

    return make_client


@pytest.fixture
def client(space, log_in):
    """A logged-in client."""
    return log_in(space)


@pytest.fixture
def copy_client(copy, log_in):
    """A logged-in client of the copy."""
    return log_in(copy)


def missing_browser():
    """Why there is no browser to test with, or None."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if importlib.util.find_spec("selenium") is None:
        absent.append("selenium")
    return f"{' and '.join(absent)} not found" if absent else None


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium; SUPERCUBE_REQUIRE_BROWSER=1 turns the skip without it into a failure."""
    reason = missing_browser()
    if reason and os.environ.get("SUPERCUBE_REQUIRE_BROWSER") == "1":
        pytest.fail(f"{reason}, and SUPERCUBE_REQUIRE_BROWSER is 1", pytrace=False)
    if reason:
        pytest.skip(reason)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_window_size(1280, 900)
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def address(space):
    """Address of a dashboard that serves the data space; it asks for the token."""
    from werkzeug.serving import make_server

    from supercube.dashboard.app import SupercubeDashboard

    dashboard = SupercubeDashboard(str(space), token=TOKEN)
    server = make_server("127.0.0.1", 0, dashboard.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()

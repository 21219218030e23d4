"""The SLURM that the tests here share, when they run, and what a failed one shows."""

import pytest
from cluster import running_slurm


def pytest_collection_modifyitems(config, items):
    if "slurm" in config.getoption("markexpr"):
        return
    skip = pytest.mark.skip(reason="starts a real SLURM; run with: make slurm-test")
    for item in items:
        if item.get_closest_marker("slurm"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def slurm():
    with running_slurm(cpus=2) as cluster:
        yield cluster


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    cluster = getattr(item, "funcargs", {}).get("slurm")
    if report.failed and cluster is not None:
        report.sections.append(("SLURM", cluster.logs()))
    return report

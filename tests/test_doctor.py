import json

import numpy as np
import pytest

from supercube import doctor
from supercube.cli import main
from supercube.engines.base import present
from supercube.engines.lammps import LammpsEngine
from supercube.errors import EngineError
from supercube.model.sums import evaluate


def test_it_is_healthy_and_measures_it(capsys):
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is True
    assert report["auto_engine"] == present()[0]
    assert report["auto_reason"]
    assert report["problems"] == []
    for name in present():
        found = report["parity"][f"{name}_cpu"]
        assert set(found) == {"energy", "forces", "torques"}
        assert 0 <= max(found.values()) < report["tolerance"]
    assert all(key == key.lower() and key.isidentifier() for key in report)


@pytest.mark.hoomd
def test_hoomd_tells_version_and_abilities():
    import hoomd

    report = doctor.examine()
    assert report["hoomd"] == hoomd.version.version
    assert report["hoomd_mpi"] is hoomd.version.mpi_enabled
    assert report["hoomd_gpu_build"] is hoomd.version.gpu_enabled
    assert "hoomd_cpu_lammps_cpu" in report["parity"]


def test_plain_output_has_a_line_for_everything(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    keys = [line.split()[0] for line in out.splitlines()]
    assert {"python", "lammps", "hoomd", "auto_engine", "gpus", "parity", "healthy"} <= set(keys)
    assert out.splitlines()[-1].split() == ["healthy", "yes"]


def test_the_sample_pushes_in_every_way():
    model, configuration = doctor.sample()
    sums = evaluate(model, configuration)
    assert sums.energy > 1000
    assert np.count_nonzero(np.linalg.norm(sums.forces, axis=1)) > 100
    assert np.count_nonzero(np.linalg.norm(sums.torques, axis=1)) > 80


def test_a_broken_engine_is_told_and_the_others_go_on(monkeypatch, capsys):
    def broken(self, *_):
        raise OSError("libmpi.so.12: cannot open shared object file")

    monkeypatch.setattr(LammpsEngine, "__init__", broken)
    monkeypatch.setattr(LammpsEngine, "close", lambda self: None)
    code = main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert any("lammps on cpu is installed but broken (OSError: libmpi" in line for line in report["problems"])
    assert "lammps_cpu" not in report["parity"]
    # Where auto takes HOOMD-blue, a simulation can run all the same.
    assert (code == 0) == ("hoomd" in present()) == report["healthy"]


def test_an_engine_that_computes_something_else_is_unhealthy(monkeypatch, capsys):
    right = LammpsEngine.forces

    def wrong(self):
        forces, torques = right(self)
        return forces * (1 + 1e-7), torques

    monkeypatch.setattr(LammpsEngine, "forces", wrong)
    assert main(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["parity"]["lammps_cpu"]["forces"] == pytest.approx(1e-7, rel=1e-2)
    assert any("lammps on cpu does not compute the formula" in line for line in report["problems"])


def test_a_missing_gpu_is_unhealthy_only_when_asked_for(monkeypatch, capsys):
    def refuse(name, device="auto", ranks=1):
        if device == "gpu":
            raise EngineError("no GPU here.")
        return LammpsEngine

    monkeypatch.setattr(doctor, "choose", refuse)
    monkeypatch.setattr(doctor, "present", lambda: ["lammps"])
    assert main(["doctor", "--device", "gpu", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["problems"] == ["no GPU here."]
    assert main(["doctor", "--json"]) == 0


def test_nothing_installed(monkeypatch):
    def absent(name, device="auto", ranks=1):
        raise EngineError("engine lammps is not installed.")

    monkeypatch.setattr(doctor, "choose", absent)
    monkeypatch.setattr(doctor, "present", list)
    report = doctor.examine()
    assert report["healthy"] is False
    assert report["auto_engine"] is None
    assert report["problems"] == ["engine lammps is not installed."]
    assert any(line.startswith("problem") for line in doctor.lines(report))

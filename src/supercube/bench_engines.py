"""``supercube bench engines``: steps per second of every engine and device present, and what the package costs them.

The system is ABO3 of nanocubes and spheres (gamma 0.49, lambda 0.18), expanded to a packing fraction of 0.54. With
HOOMD-blue the package runs next to a plain script of the same system (``bench_plain``), one after the other in rounds
of changing order, so that a busy machine slows both alike; the ratio is the median over the rounds. The package goes
in chunks of a log period with a measurement after each, as in a job; the plain script in one run of as many steps.

Each row is a process of its own, so that it can be stopped at any moment, and a crash costs only its row.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .bench_plain import plain_hoomd
from .configuration import Configuration
from .crystals.build import boxes_near, build_crystal, least_cells, per_box_cell
from .crystals.library import structure
from .crystals.packing import box_cell_lengths
from .engines.base import INSTALL, Engine, Setup, choose, present, thermal_state
from .errors import EngineError, SupercubeError
from .model.particles import Model, build_model
from .protocol.schedule import STEP_UNIT, Schedule
from .statepoint import StatePoint

#: Structure, gamma, lambda and expansion of the system.
SYSTEM = ("ABO3", 0.49, 0.18, 1.15)
#: Bodies beyond which a row would ask for more memory than machines have.
LARGEST = 10_000_000
#: Shortest time a row may take, s: Python, the engine and 135 bodies need two.
SHORTEST = 5.0
#: Steps between log rows of a job, the default of config.yaml.
LOG_PERIOD = 2000
#: Rounds, each with both sides once; and the time that one of them should take, s.
ROUNDS, ROUND_SECONDS = 10, 4.0
#: The part of a row's time after which no round begins that would not end in it.
_USABLE = 0.9

_HEADS = ("bodies", "engine", "supercube steps/s", "plain HOOMD steps/s", "ratio", "neighbour list", "note")

Tell = Callable[[dict[str, Any]], None]


def cells_near(n_bodies: int) -> int:
    """The number of cells nearest to that many bodies that fills a box (see ``crystals.build.boxes_near``)."""
    name, gamma, lam, _ = SYSTEM
    wanted = max(1, round(n_bodies / sum(per_box_cell(structure(name)).values())))
    boxes = boxes_near(wanted, box_cell_lengths(name, gamma, lam), least_cells(name, gamma, lam))
    return min(boxes, key=lambda box: abs(box[0] - wanted))[0]


def system(n_cells: int) -> tuple[Model, Configuration]:
    """Model and start of that many cells."""
    name, gamma, lam, expansion = SYSTEM
    cubes, spheres = (n_cells * structure(name).count(kind) for kind in ("cube", "sphere"))
    values = {"size_ratio": gamma, "ligand_length": lam, "n_cubes": cubes, "n_spheres": spheres}
    model = build_model(StatePoint.parse(values, "bench"))
    return model, build_crystal(name, cubes, spheres, gamma, lam, expansion)


# -- the table --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """What is known of one row; rates in steps per second.

    Attributes:
        n_bodies, engine: what was asked for, as ``hoomd cpu``.
        package, plain: a rate for each round; empty where there was no time for one.
        rough: the package's rate over its first steps; 0 where it did not come so far.
        settings: the engine's own choices.
        note: why something is missing.
        failed: whether that is an error, and not only a lack of time.
    """

    n_bodies: int
    engine: str
    package: list[float]
    plain: list[float]
    rough: float
    settings: dict[str, Any]
    note: str
    failed: bool = False

    @property
    def ratio(self) -> float | None:
        """Median over the rounds of package over plain; None without both."""
        return float(np.median(np.divide(self.package, self.plain))) if self.plain else None

    def cells(self) -> tuple[str, ...]:
        """The texts of the table."""
        package = _rate(float(np.median(self.package))) if self.package else "-"
        if not self.package and self.rough:
            package = f"about {_rate(self.rough)}"
        plain = _rate(float(np.median(self.plain))) if self.plain else "-"
        ratio = "-" if self.ratio is None else f"{self.ratio:.3f}"
        kind = self.settings.get("neighbour_list")
        chosen = f"{kind}, buffer {self.settings['buffer']:.3g}" if kind else "-"
        return f"{self.n_bodies:,}", self.engine, package, plain, ratio, chosen, self.note or "-"


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


_WIDTHS = (6, 10, 17, 19, 5, 20, 4)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)) + " |"


def print_table(sizes: Sequence[int], seconds: float, show: Callable[[str], None]) -> None:
    """The table, line by line as soon as each is known.

    Args:
        sizes: numbers of bodies; the nearest that fill whole cells are taken.
        seconds: longest time a row may take, s.
        show: gets every line.

    Raises:
        EngineError: a row failed (one that had no time is no failure), or there is no engine; after all other rows.
    """
    places = engines_here()
    show(_title())
    show("")
    show(_line(_HEADS))
    show("|" + "|".join("-" * (width + 2) for width in _WIDTHS) + "|")
    rows = []
    for size in sizes:
        for engine, device in places:
            rows.append(run_row(engine, device, cells_near(size), seconds))
            show(_line(rows[-1].cells()))
    show("")
    show("ratio: supercube over plain HOOMD-blue, both in the same process (target >= 0.98)")
    tuned = [row for row in rows if row.settings.get("tried")]
    if tuned:
        show("Neighbour lists that were tried (kind, buffer in cube edges, steps/s):")
    for row in tuned:
        rates = ", ".join(f"{kind} {buffer:.3g}: {_rate(rate)}" for kind, buffer, rate in row.settings["tried"])
        show(f"  {row.n_bodies:,} bodies, {row.engine}: {rates}")
    if "hoomd" not in present():
        show(f"HOOMD-blue is not installed here; get it with: {INSTALL['hoomd']}")
    failed = [row for row in rows if row.failed]
    if failed:
        raise EngineError(f"{len(failed)} of {len(rows)} rows failed, first {failed[0].engine}: {failed[0].note}")


def _title() -> str:
    name, gamma, lam, _ = SYSTEM
    model, configuration = system(cells_near(1))
    counts = {body.name: configuration.count(body.name) for body in model.bodies}
    phi = model.volume_of(counts) / configuration.volume
    beads = model.describe()["beads"]
    return f"{name}, gamma {gamma}, lambda {lam}, {beads} beads a cube, packing fraction {phi:.2f}; on {_machine()}:"


def engines_here() -> list[tuple[str, str]]:
    """Engines and devices that can run here.

    Raises:
        EngineError: there is none.
    """
    places = []
    problem: SupercubeError | None = None
    for engine, device in (("lammps", "cpu"), ("hoomd", "cpu"), ("hoomd", "gpu")):
        try:
            choose(engine, device)
        except SupercubeError as error:
            problem = problem or error
        else:
            places.append((engine, device))
    if not places:
        raise EngineError(f"no engine can run here: {problem}")
    return places


def _machine() -> str:
    """Name and number of cores of the CPU."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def run_row(engine: str, device: str, n_cells: int, seconds: float) -> Row:
    """One row, measured in a process that is stopped after that many seconds."""
    request = {"engine": engine, "device": device, "n_cells": n_cells, "seconds": seconds, "began": time.time()}
    command = [sys.executable, "-m", "supercube.bench_engines", json.dumps(request)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    note = ""
    try:
        out, err = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        out, err = child.communicate()
        note = f"stopped at {seconds:g} s while"
    except BaseException:
        child.kill()
        raise
    told: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    if child.returncode and not note:  # a crash; what Python can catch, the child tells itself
        reason = err.strip().splitlines()[-1] if err.strip() else "it said nothing"
        told.append({"failure": f"ended with code {child.returncode}: {reason}"})
    return _row(engine, device, n_cells, told, note)


def _row(engine: str, device: str, n_cells: int, told: list[dict[str, Any]], note: str) -> Row:
    """Put together what the process of a row told, line by line; the last word on each thing counts."""
    last: dict[str, Any] = {"doing": "starting", "rough": 0.0, "settings": {}, "failure": ""}
    for item in told:
        last |= item
    stopped = f"{note} {last['doing']}" if note else ""
    notes = [item["note"] for item in told if "note" in item]
    rounds = [item for item in told if "package" in item]
    return Row(
        n_bodies=n_cells * len(structure(SYSTEM[0]).sites),
        engine=f"{engine} {device}",
        package=[item["package"] for item in rounds],
        plain=[item["plain"] for item in rounds if item["plain"] is not None],
        rough=last["rough"],
        settings=last["settings"],
        note="; ".join(text for text in (*notes, stopped, last["failure"]) if text),
        failed=bool(last["failure"]),
    )


# -- a row, in its own process ----------------------------------------------------------------------------------------


class Side(Protocol):
    """Something that runs steps and says how long they took, s."""

    def run(self, steps: int) -> float:
        """Run that many steps, a multiple of ``STEP_UNIT``."""


class Package:
    """The engine as ``engines.run`` drives it."""

    def __init__(self, engine: Engine, model: Model, volume: float) -> None:
        self.engine = engine
        self.schedule = Schedule(model.time_step, 10**9, 0, 0, volume, volume)

    def run(self, steps: int) -> float:
        """See :class:`Side`; a chunk shorter than a log period pays for its part of the measurement."""
        took = 0.0
        for start in range(0, steps, LOG_PERIOD):
            chunk = min(LOG_PERIOD, steps - start)
            began = time.perf_counter()
            self.engine.advance(chunk, self.schedule)
            done = time.perf_counter()
            self.engine.measure()
            took += done - began + (time.perf_counter() - done) * chunk / LOG_PERIOD
        return took


class Plain:
    """The script written by hand."""

    def __init__(self, simulation: Any) -> None:
        self.simulation = simulation

    def run(self, steps: int) -> float:
        """See :class:`Side`."""
        began = time.perf_counter()
        self.simulation.run(steps)
        return time.perf_counter() - began


def measure_row(request: dict[str, Any], tell: Tell) -> None:
    """Build, choose, and run rounds until the time is used up; ``tell`` gets whatever becomes known."""
    deadline = request["began"] + _USABLE * request["seconds"]
    tell({"doing": "building"})
    model, configuration = system(request["n_cells"])
    engine = _engine(request, model, configuration, tell)
    try:
        tell({"settings": engine.settings})
        sides: dict[str, Side] = {"package": Package(engine, model, configuration.volume)}
        if request["engine"] == "hoomd":
            tell({"doing": "building the plain script's system"})
            sides["plain"] = Plain(_plain(request["device"], model, configuration, engine.settings))
        tell({"doing": "running"})
        pace = {name: _pace(side) for name, side in sides.items()}
        tell({"rough": 1.0 / pace["package"]})
        _rounds(sides, sum(pace.values()), deadline, tell)
    finally:
        engine.close()


def _engine(request: dict[str, Any], model: Model, configuration: Configuration, tell: Tell) -> Engine:
    """The engine, with the neighbour list chosen by measurement as in a long job if there is time for it."""
    engine_class = choose(request["engine"], request["device"])
    state = thermal_state(model, configuration, 1)

    def build(tune: bool) -> Engine:
        return engine_class(model, state, Setup(model.time_step, seed=1, device=request["device"], tune=tune))

    began = time.time()
    engine = build(tune=False)
    built = time.time()
    if request["engine"] != "hoomd":
        return engine
    tell({"settings": engine.settings, "doing": "running its first steps"})
    pace = _pace(Package(engine, model, configuration.volume))
    tell({"rough": 1.0 / pace})
    # About eight trials of some 25 steps or a third of a second each, in four systems, some of them on slow lists.
    needed = 4.0 * (built - began) + 8.0 * max(0.35, 50.0 * pace)
    if needed > 0.5 * (request["began"] + request["seconds"] - time.time()):
        tell({"note": f"default list: choosing one would take about {needed:.0f} s"})
        return engine
    engine.close()
    tell({"doing": "choosing a neighbour list"})
    return build(tune=True)


def _plain(device: str, model: Model, configuration: Configuration, settings: dict[str, Any]) -> Any:
    from .engines.hoomd import load
    from .engines.hoomd_tune import longest_range

    hoomd = load()
    where = hoomd.device.GPU(notice_level=0) if device == "gpu" else hoomd.device.CPU(notice_level=0)
    # The engine gives way to small boxes in the same manner: ranges and buffer within half of them.
    room = 0.499 * float(configuration.box[:3].min()) - longest_range(model)
    buffer = min(settings["buffer"], room)
    smallest = min(float(radius) for body in model.bodies for radius in body.radii if radius > 0)
    same = {"cell_width": model.cutoff(smallest, smallest) + buffer} | settings | {"buffer": buffer}
    return plain_hoomd(hoomd, where, model, configuration, same)


def _pace(side: Side) -> float:
    """Seconds a step, after enough steps that building lists and choosing GPU kernels is done or does not count."""
    steps, took = STEP_UNIT, side.run(STEP_UNIT)
    if took > 2.0:
        return took / steps
    took = 0.0  # the first run also sets up
    while took < 0.25:
        steps *= 2
        took = side.run(steps)
    return took / steps


def _rounds(sides: dict[str, Side], pace: float, deadline: float, tell: Tell) -> None:
    left = deadline - time.time()
    steps = int(min(ROUND_SECONDS, left / 4.0) / pace)
    if LOG_PERIOD * pace < left / 4.0:
        steps = max(steps, LOG_PERIOD)  # whole chunks, wherever four of them fit
    unit = LOG_PERIOD if steps >= LOG_PERIOD else STEP_UNIT
    steps = max(steps // unit * unit, STEP_UNIT)
    if "plain" in sides and steps < LOG_PERIOD:
        # The package makes a new list at the start of every chunk, which is of a log period in a job.
        tell({"note": f"in chunks of {steps} steps, which weighs on the ratio"})
    for turn in range(ROUNDS):
        # The first round is always tried: when it is too long, the process is stopped.
        if turn and time.time() + steps * pace > deadline:
            break
        order = list(sides) if turn % 2 == 0 else list(reversed(sides))
        rates = {name: steps / sides[name].run(steps) for name in order}
        tell({"package": rates["package"], "plain": rates.get("plain")})


def _child(arguments: Sequence[str]) -> int:
    def tell(item: dict[str, Any]) -> None:
        print(json.dumps(item), flush=True)

    try:
        measure_row(json.loads(arguments[0]), tell)
    except SupercubeError as error:
        tell({"failure": str(error)})
    except Exception as error:  # the table goes on, and says what happened here
        text = str(error).strip()
        tell({"failure": f"{type(error).__name__}: {text.splitlines()[0] if text else 'no reason given'}"})
    return 0


if __name__ == "__main__":
    sys.exit(_child(sys.argv[1:]))

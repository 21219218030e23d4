"""Where a crystal of cubes melts on slow expansion, and where a fluid of cubes orders on slow compression.

Both are pressure ramps (``project/spaces/validation.yaml``). Between the two volume fractions neither happens within
the ramp: the hysteresis that a first-order transition has, with coexistence somewhere inside.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..configuration import read_gsd
from ..engines.segments import read_log
from ..model.particles import build_model
from ..model.thermal import thermal_sizes
from ..statepoint import StatePoint
from .results import Check, engine_label

FloatArray = NDArray[np.float64]

GROUP = "Melting and ordering of cubes"
#: Volume fractions of the fluid and of the simple cubic crystal of sharp hard cubes where they coexist (Smallenburg,
#: Filion, Marechal & Dijkstra, PNAS 109, 17886, 2012; arXiv 1111.3466).
COEXISTENCE = (0.45, 0.50)
#: How far a ramp may go beyond coexistence before it turns, and what the rounding of the cubes may move it by.
OVERSHOOT = 0.05
#: Cubatic order above which cubes count as ordered: a crystal has 0.6 to 1, a fluid of some hundred cubes below 0.1.
ORDERED = 0.35


@dataclass(frozen=True)
class Branch:
    """One ramp.

    Attributes:
        n_cubes: N.
        expands: a crystal that expands, or else a fluid that is compressed.
        engine: with its version.
        fraction: (F,) thermal volume fraction of each frame.
        order: (F,) cubatic order.
        pressure: (F,) of the barostat, kT/e^3.
    """

    n_cubes: int
    expands: bool
    engine: str
    fraction: FloatArray
    order: FloatArray
    pressure: FloatArray

    @property
    def turn(self) -> tuple[float, float, float] | None:
        """Volume fraction, its uncertainty and pressure where the order is lost or found; None if it never is.

        The fraction is the mean of the last three frames before the change (fewer if the ramp has no more); half the
        range of these and the first frame after is the uncertainty, so it holds the jump of a transition.
        """
        ordered = self.order > ORDERED
        # The first frame from which on the other state stays.
        changed = ~ordered if self.expands else ordered
        stays = np.flatnonzero(np.logical_and.accumulate(changed[::-1])[::-1])
        if not len(stays) or stays[0] == 0:
            return None
        at = int(stays[0])
        near = self.fraction[max(0, at - 3) : at + 1]
        error = max(float(np.ptp(near)) / 2, 1e-3)
        return float(near[:-1].mean()), error, float(self.pressure[at])


def branches(jobs: Iterable[Any]) -> list[Branch]:
    """The ramps among finished jobs: cubes alone, from a crystal to a lower pressure or from a fluid to a higher."""
    found = []
    for job in jobs:
        values, document = dict(job.cached_statepoint), job.doc()
        first = float(document.get("protocol", {}).get("initial_pressure", 0.0))
        ramp = values["pressure"] > 0 and first > 0 and not values["n_spheres"] and document.get("structure")
        expands = values["initial"] == "SC" and first > values["pressure"]
        if ramp and (expands or (values["initial"] == "fluid" and first < values["pressure"])):
            found.append(_branch(job, values, document, expands))
    return sorted(found, key=lambda branch: (branch.n_cubes, not branch.expands))


def _branch(job: Any, values: dict[str, Any], document: dict[str, Any], expands: bool) -> Branch:
    from ..operations import schedule_of

    model = build_model(StatePoint.parse(values, "a job"))
    barostat = schedule_of(job, model, read_gsd(job.fn("initial.gsd"))).barostat
    with np.load(job.fn("order.npz")) as series:
        steps, order, nominal = (np.array(series[key]) for key in ("step", "cubatic_order", "packing_fraction"))
    thermal = thermal_sizes(model).volume_of({"cube": 1}) / model.volume_of({"cube": 1})
    log = read_log(Path(job.path))
    # A frame's box fluctuates; the mean of the log rows around it is steadier.
    period = max(float(np.median(np.diff(steps))), 1.0)
    smooth = [log["packing_fraction"][np.abs(log["step"] - step) <= period / 2] for step in steps]
    fraction = np.array([rows.mean() if len(rows) else one for rows, one in zip(smooth, nominal, strict=True)])
    pressure = np.array([barostat.pressure(int(step)) for step in steps]) if barostat else np.full(len(steps), math.nan)
    engine = engine_label(document["engine"], document["engine_version"])
    return Branch(values["n_cubes"], expands, engine, fraction * thermal, order, pressure)


def melting_checks(found: Sequence[Branch]) -> list[Check]:
    """Where the crystal melts and the fluid orders, and that the fluid orders at the higher volume fraction."""
    sizes = dict.fromkeys((branch.engine, branch.n_cubes) for branch in found)
    return [*(_turn_check(branch) for branch in found), *(_hysteresis_check(found, *size) for size in sizes)]


def _turn_check(branch: Branch) -> Check:
    fluid, crystal = COEXISTENCE
    turn = branch.turn or (math.nan, math.nan, math.nan)
    what = "a crystal melts on expansion" if branch.expands else "a fluid orders on compression"
    return Check(
        group=GROUP,
        name=f"volume fraction (thermal) at which {what}, {branch.n_cubes} cubes",
        engine=branch.engine,
        value=turn[0],
        error=turn[1],
        # Superheating ends about where only the fluid is stable, and supercooling where only the crystal is.
        target=fluid if branch.expands else crystal,
        source=f"coexistence of sharp hard cubes at {fluid:g} and {crystal:g} (arXiv 1111.3466)",
        tolerance=OVERSHOOT,
        why="a transition of first order overshoots within a ramp of finite length; the cubes are rounded",
        largest_error=0.02,
    )


def _hysteresis_check(found: Sequence[Branch], engine: str, n_cubes: int) -> Check:
    """Fraction at which the fluid orders, less that at which the crystal melts: above 0, and as the turns allow."""
    own = [branch for branch in found if (branch.engine, branch.n_cubes) == (engine, n_cubes)]
    melts = [branch.turn[0] for branch in own if branch.expands and branch.turn]
    orders = [branch.turn[0] for branch in own if not branch.expands and branch.turn]
    width = min(orders) - max(melts) if melts and orders else math.nan
    widest = COEXISTENCE[1] - COEXISTENCE[0] + 2 * OVERSHOOT
    return Check(
        group=GROUP,
        name=f"hysteresis: volume fraction at which the fluid orders less that at which the crystal melts, {n_cubes} "
        "cubes",
        engine=engine,
        value=width,
        error=0.0,  # none is allowed: the wrong sign is no transition of first order
        target=widest / 2,
        source=f"from 0 to {widest:g}: the gap of coexistence and how far both turns may overshoot",
        tolerance=widest / 2,
        why="half of that range; without both turns there is no hysteresis",
    )


def melting_table(found: Sequence[Branch]) -> str:
    """Markdown: every ramp's turning point."""
    rows = ["| cubes | ramp | engine | volume fraction (thermal) | P there |", "| --- | --- | --- | --- | --- |"]
    for branch in found:
        what = "expansion of SC" if branch.expands else "compression of the fluid"
        turn = "no change | -" if branch.turn is None else "{:.3f} ± {:.3f} | {:.2f}".format(*branch.turn)
        rows.append(f"| {branch.n_cubes} | {what} | {branch.engine} | {turn} |")
    return "\n".join(rows)


def melting_figure(path: Path, found: Sequence[Branch]) -> None:
    """Cubatic order against volume fraction: the hysteresis, a panel for each number of cubes."""
    from ..observe._figure import new_figure, save_png

    sizes = sorted({branch.n_cubes for branch in found})
    figure = new_figure(3.6 * len(sizes) + 0.4, 3.2)
    axes = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for ax, size in zip(axes, sizes, strict=True):
        ax.axvspan(*COEXISTENCE, color="#EEEEEE", zorder=0, label="coexistence, sharp hard cubes")
        for branch in found:
            if branch.n_cubes == size:
                colour, mark = ("#D55E00", "v") if branch.expands else ("#0072B2", "^")
                label = "crystal, expanding" if branch.expands else "fluid, compressed"
                ax.plot(branch.fraction, branch.order, mark, ms=3, color=colour, label=label)
        ax.set(xlabel="volume fraction (thermal sizes)", title=f"{size} cubes", ylim=(0, 1.3))
        ax.legend(frameon=False, fontsize=7, loc="upper left")
    axes[0].set_ylabel("cubatic order")
    figure.tight_layout()
    save_png(figure, path)

"""The neutral model said in HOOMD-blue: types, rigid bodies, pair forces, integrator, start and box of a simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..errors import EngineError
from ..model.interactions import WELL_WIDTH, delta
from ..model.particles import Model
from ..protocol.schedule import STEP_UNIT, Barostat, Schedule
from .base import Setup, State

FloatArray = NDArray[np.float64]

#: Coupling times under a barostat, time units: the box follows within some hundred steps, and the kinetic energies of
#: translation and of rotation are redrawn somewhat faster.
BAROSTAT_TIME, THERMOSTAT_TIME = 0.5, 0.1
_QUATERNION_ONE = (1.0, 0.0, 0.0, 0.0)
#: What is said when particles are lost; the braces take HOOMD's own words.
PRESSED = (
    "HOOMD-blue stopped: {}; bodies were pressed into each other: dry more slowly, to a lower target, or start looser"
)


class one_sentence:  # noqa: N801 - used as a context manager, like contextlib's
    """Turn HOOMD's exceptions into one sentence."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, RuntimeError):
            reason = " ".join(str(error).split())[:200].removeprefix("**ERROR**: ") or "no reason given"
            lost = any(words in str(error) for words in ("longer in the simulation box", "out of bounds", "nan"))
            raise EngineError(PRESSED.format(reason) if lost else f"HOOMD-blue stopped: {reason}") from error


@dataclass(frozen=True)
class _Types:
    """HOOMD particle types: the species first, for central and free particles, then one for each bead radius.

    Attributes:
        names: of all types.
        radii: bead radius of each type.
        free: which of them are spheres.
        beads: for each rigid species, the type names of its constituents (all its beads but the central one).
    """

    names: list[str]
    radii: list[float]
    free: set[int]
    beads: dict[str, list[str]]


def _types(model: Model) -> _Types:
    names, radii = [body.name for body in model.bodies], [float(body.radii[0]) for body in model.bodies]
    beads: dict[str, list[str]] = {}
    for body in model.bodies:
        if body.is_rigid:
            keys = [round(float(radius), 12) for radius in body.radii[1:]]
            distinct = sorted(set(keys))
            names += [f"{body.name}-bead-{k}" for k in range(len(distinct))]
            radii += distinct
            beads[body.name] = [f"{body.name}-bead-{distinct.index(key)}" for key in keys]
    free = {index for index, body in enumerate(model.bodies) if not body.is_rigid}
    return _Types(names, radii, free, beads)


class World:
    """A HOOMD simulation of the model with one neighbour list."""

    def __init__(
        self, hoomd: Any, device: Any, model: Model, state: State, setup: Setup, kind: str, buffer: float
    ) -> None:
        types = _types(model)
        on_one_core = not isinstance(device, hoomd.device.GPU) and device.communicator.num_ranks == 1
        # HOOMD takes 16 bits of a seed.
        self.simulation = hoomd.Simulation(device=device, seed=setup.seed & 0xFFFF)
        self.simulation.timestep = state.configuration.step
        if on_one_core:
            self.simulation.operations.tuners.clear()  # only the particle sorter is there
        self.neighbours = _neighbour_list(hoomd, model, kind, buffer)
        self.forces = _pair_forces(hoomd, model, types, self.neighbours)
        moving = hoomd.filter.Rigid(flags=("center", "free"))
        rigid = _rigid(hoomd, model, types)
        self.method = _method(hoomd, model, types, moving, setup)
        self.has_rigid_bodies = rigid is not None
        self.simulation.operations.integrator = hoomd.md.Integrator(
            dt=setup.time_step,
            methods=[self.method],
            forces=self.forces,
            rigid=rigid,
            integrate_rotational_dof=rigid is not None,
        )
        self.thermo = hoomd.md.compute.ThermodynamicQuantities(filter=moving)
        self.simulation.operations.computes.append(self.thermo)
        with one_sentence():
            self.simulation.create_state_from_snapshot(_snapshot(hoomd, device, model, types, state))
            if rigid is not None:
                rigid.create_bodies(self.simulation.state)

    def renew_neighbours(self, buffer: float) -> None:
        """Make the next force computation build the list anew, so that it does not depend on the run before."""
        self.neighbours.buffer = buffer  # setting it, even to what it was, marks the list as outdated


def _neighbour_list(hoomd: Any, model: Model, kind: str, buffer: float) -> Any:
    common = {"buffer": buffer, "exclusions": ("body",)}
    if kind == "Stencil":
        smallest = min(float(radius) for body in model.bodies for radius in body.radii if radius > 0)
        # Cells as wide as the shortest range, so that the pairs of small beads, which are most, look at few cells.
        return hoomd.md.nlist.Stencil(cell_width=model.cutoff(smallest, smallest) + buffer, **common)
    return {"Tree": hoomd.md.nlist.Tree, "Cell": hoomd.md.nlist.Cell}[kind](**common)


def _pair_forces(hoomd: Any, model: Model, types: _Types, neighbours: Any) -> list[Any]:
    steric = hoomd.md.pair.ExpandedLJ(nlist=neighbours, default_r_cut=0.0, mode="shift")
    well = hoomd.md.pair.ExpandedGaussian(nlist=neighbours, default_r_cut=0.0, mode="shift")
    for i, first in enumerate(types.names):
        for j, second in enumerate(types.names[i:], i):
            a, b = types.radii[i], types.radii[j]
            acts = a > 0 and b > 0
            shift = delta(a, b, model.sigma) if acts else 0.0
            steric.params[(first, second)] = {"epsilon": float(acts), "sigma": model.sigma, "delta": shift}
            steric.r_cut[(first, second)] = shift + model.wca_cutoff if acts else 0.0
            free = (i in types.free) + (j in types.free)
            depth = float(model.depth(a, b, free)) if acts else 0.0
            center = shift + model.wca_cutoff
            well.params[(first, second)] = {"epsilon": -depth, "sigma": WELL_WIDTH * model.sigma, "delta": center}
            well.r_cut[(first, second)] = shift + model.reach if acts else 0.0
    return [steric, well] if model.attracts else [steric]


def _rigid(hoomd: Any, model: Model, types: _Types) -> Any:
    rigid = hoomd.md.constrain.Rigid()
    for body in model.bodies:
        if body.is_rigid:
            rigid.body[body.name] = {
                "constituent_types": types.beads[body.name],
                "positions": [tuple(x) for x in body.positions[1:].tolist()],
                "orientations": [_QUATERNION_ONE] * (len(body.radii) - 1),
            }
    return rigid if types.beads else None


def _method(hoomd: Any, model: Model, types: _Types, moving: Any, setup: Setup) -> Any:
    if setup.barostat is not None:
        return _constant_pressure(hoomd, moving, setup.barostat)
    if not setup.thermostat:
        return hoomd.md.methods.ConstantVolume(filter=moving)
    langevin = hoomd.md.methods.Langevin(filter=moving, kT=1.0)
    for name in types.names:
        body = next((b for b in model.bodies if b.name == name), model.bodies[0])
        langevin.gamma[name] = body.friction
        langevin.gamma_r[name] = (body.rotational_friction,) * 3
    return langevin


def _constant_pressure(hoomd: Any, moving: Any, barostat: Barostat) -> Any:
    """Martyna-Tobias-Klein; it scales velocities, so the bath acts on all bodies together.

    Without the friction on the box that HOOMD-blue offers (gamma): the noise that goes with it is too hot. Volumes of
    32 spheres fluctuated 2.5 times too much with three coupled lengths (0.99 +- 0.03 without), those of 27 cubes with
    free ones 1.17 +- 0.04 times, and bodies were 2 to 3 % too hot. The bodies damp the box well.
    """
    stress = hoomd.variant.Constant(barostat.end)
    if barostat.steps:
        stress = hoomd.variant.Ramp(A=barostat.start, B=barostat.end, t_start=barostat.first, t_ramp=barostat.steps)
    return hoomd.md.methods.ConstantPressure(
        filter=moving,
        S=stress,
        tauS=BAROSTAT_TIME,
        couple="xyz" if barostat.freedom == "isotropic" else "none",
        box_dof=[True] * 3 + [barostat.freedom == "all"] * 3,
        thermostat=hoomd.md.methods.thermostats.Bussi(kT=1.0, tau=THERMOSTAT_TIME),
    )


def _snapshot(hoomd: Any, device: Any, model: Model, types: _Types, state: State) -> Any:
    """The bodies in double precision; beads are made by ``create_bodies``."""
    snapshot = hoomd.Snapshot(device.communicator)
    if snapshot.communicator.rank != 0:
        return snapshot
    configuration, n = state.configuration, len(state.configuration)
    snapshot.configuration.box = [float(x) for x in configuration.box]
    particles = snapshot.particles
    particles.N = n
    particles.types = types.names
    for body in model.bodies:
        rows = configuration.is_species(body.name)
        particles.typeid[rows] = types.names.index(body.name)
        particles.mass[rows] = body.mass
        particles.moment_inertia[rows] = [body.inertia if body.is_rigid else 0.0] * 3
        if body.is_rigid:
            particles.body[rows] = np.flatnonzero(rows)
    orientation = np.asarray(state.private.get("orientation", configuration.orientations))
    momentum = state.private.get("angmom")
    particles.position[:] = configuration.positions
    particles.image[:] = configuration.images
    particles.orientation[:] = orientation
    particles.velocity[:] = state.velocities
    particles.angmom[:] = quaternion_momenta(orientation, state.angular_momenta) if momentum is None else momentum
    return snapshot


def _multiply(p: FloatArray, q: FloatArray) -> FloatArray:
    """Hamilton product of quaternions (n, 4), scalar first."""
    scalar = p[:, :1] * q[:, :1] - (p[:, 1:] * q[:, 1:]).sum(axis=1, keepdims=True)
    return np.hstack([scalar, p[:, :1] * q[:, 1:] + q[:, :1] * p[:, 1:] + np.cross(p[:, 1:], q[:, 1:])])


def quaternion_momenta(orientation: FloatArray, momenta: FloatArray) -> FloatArray:
    """P = 2 q (0, S) with S the angular momentum in the body frame (Kamberaj 2005, as in HOOMD-blue)."""
    body = Rotation.from_quat(orientation, scalar_first=True).inv().apply(momenta)
    return 2.0 * _multiply(orientation, np.hstack([np.zeros((len(body), 1)), body]))


def body_momenta(orientation: FloatArray, quaternion: FloatArray) -> FloatArray:
    """S = Im(q* P)/2, the angular momentum in the body frame: the inverse of :func:`quaternion_momenta`."""
    return 0.5 * _multiply(orientation * np.array([1.0, -1.0, -1.0, -1.0]), quaternion)[:, 1:]


def space_momenta(orientation: FloatArray, quaternion: FloatArray) -> FloatArray:
    """L = R(q) S, the angular momentum in the space frame."""
    body = body_momenta(orientation, quaternion)
    return np.asarray(Rotation.from_quat(orientation, scalar_first=True).apply(body))


def box_resize(hoomd: Any, first_box: FloatArray, schedule: Schedule) -> tuple[Any, Any]:
    """The updater that dries, and its variant: every edge follows (V(step)/V(0))^(1/3)."""

    def edge(volume: float) -> float:
        return float((volume / schedule.volume_start) ** (1.0 / 3.0))

    whole = 1.0 - edge(schedule.volume_end)

    class Progress(hoomd.variant.Variant):
        # HOOMD changes the box before it integrates the steps that follow, hence the volume at their end.
        def __call__(self, step: int) -> float:
            return (1.0 - edge(schedule.volume(step + STEP_UNIT))) / whole

        def _min(self) -> float:
            return 0.0

        def _max(self) -> float:
            return 1.0

    scale = edge(schedule.volume_end)
    first = hoomd.Box(*(float(x) for x in first_box))
    last = hoomd.Box(*(float(x) * (scale if k < 3 else 1.0) for k, x in enumerate(first_box)))
    progress = Progress()
    updater = hoomd.update.BoxResize(
        trigger=hoomd.trigger.Periodic(STEP_UNIT),
        box=hoomd.variant.box.Interpolate(initial_box=first, final_box=last, variant=progress),
        filter=hoomd.filter.All(),
    )
    return updater, progress

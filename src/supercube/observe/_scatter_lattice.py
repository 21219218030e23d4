"""The lattice that the classifier found: its reciprocal vectors, families of reflections and what they should scatter.

Formula: F(hkl) = sum over the sites s of the conventional cell of b_s f_s(G) exp(-i G.r_s), G = h a* + k b* + l c* with
a*.a = 2 pi. Intensities are relative to the forward direction, so that a perfect crystal of any size has |A(G)|^2 /
|A(0)|^2 = |F(hkl)|^2 / |F(000)|^2.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration, box_matrix
from ..crystals.closest import Crystals, crystals_at
from ..crystals.library import C_OVER_A, O_SITE_ANGLE, STRUCTURES, Sizes
from ..crystals.packing import close_packing
from ..order.agreement import group_of
from ..order.references import VALUES
from ..order.symmetry import matrices
from ._scatter_amplitudes import Cores, cube_amplitude, cube_sizes, sphere_amplitude, turned_at_random

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Reflections weaker than this, of centres and of cores, relative to the forward direction, are absent: rounding.
ABSENT = 1e-12
#: System -> a structure of it, whose rotations may name the axes of its crystals otherwise.
SYSTEMS = {"cubic": "SC", "tetragonal": "CuAu", "hexagonal": "AlB2"}
#: The crystal fills the box if, in units of the box's reciprocal vectors, its own are this near to multiples of 1/2 (of
#: a centred cell, whose shortest reciprocal vectors are absent).
COMMENSURATE = 0.1
#: ... and if the box has room for as many cells as there are particles for, within this share.
FILLED = 0.25


@dataclass(frozen=True, eq=False)
class Lattice:
    """The largest grain of a classified configuration.

    Attributes:
        structure: its name in the library.
        cell: (3, 3) edges of the conventional cell as columns, in space, strained as they were found.
        frame: (3, 3) crystal axes as columns, the rotation in it.
        box: (3, 3) box vectors as columns.
        indices: (3, 3) reciprocal vectors a*, b*, c* as columns in units of the box's, whole numbers or halves; None if
            the crystal does not continue through the faces of the box.
        crystal: the sites, with a = 1.
        parallel: whether all cubes of the structure are turned alike.
    """

    structure: str
    cell: FloatArray
    frame: FloatArray
    box: FloatArray
    indices: FloatArray | None
    crystal: Crystals
    parallel: bool

    @property
    def reciprocal(self) -> FloatArray:
        """(3, 3) a*, b*, c* as columns, by the box where the crystal fills it."""
        if self.indices is not None:
            return np.asarray(2 * np.pi * np.linalg.inv(self.box).T @ self.indices)
        return np.asarray(2 * np.pi * np.linalg.inv(self.cell).T)


@dataclass(frozen=True, eq=False)
class Family:
    """Reflections that the symmetry of the crystal's system makes equivalent.

    Attributes:
        hkl: the one that names it.
        members: (M, 3) all of them.
        q: mean of |G|, in the unit of the lattice.
        q_spread: standard deviation of |G| over the members; not 0 where the crystal is strained.
        centres: mean of |sum of exp(-i G.r)|^2 over the sites, relative to the forward direction.
        cores: the same with the amplitudes of the cores.
    """

    hkl: tuple[int, int, int]
    members: IntArray
    q: float
    q_spread: float
    centres: float
    cores: float


def lattice_of(order: Mapping[str, Any], configuration: Configuration) -> Lattice | None:
    """The lattice of the largest grain of the structure; None if it is disordered or has no lattice constant.

    Args:
        order: as of ``Order.document``.
        configuration: what was classified; its shapes decide a free coordinate (CaB6, ABO6), by closest packing.
    """
    name = order["structure"]
    grains = [grain for grain in order["grains"] if grain["structure"] == name]
    if name not in STRUCTURES or not grains or grains[0]["lattice_constant"] is None:
        return None
    entry = STRUCTURES[name]
    values = {parameter.name: 0.0 for parameter in entry.parameters} | VALUES.get(name, {})
    sizes = sizes_in(configuration)
    if "octahedron_x" in values and sizes is not None:
        values["octahedron_x"] = close_packing(name, *sizes).parameters["octahedron_x"]
    if order["c_over_a"] is not None:
        values[C_OVER_A] = order["c_over_a"]
    if order["o_site_angle_deg"] is not None:
        values[O_SITE_ANGLE] = order["o_site_angle_deg"]
    crystal = crystals_at(entry, Sizes(1.0, 0.0), values)
    frame, cell = _found_cell(order, grains[0], crystal.lattice[0].T, entry.system, configuration)
    box = box_matrix(configuration.box)
    cubes = [k for k, site in enumerate(entry.sites) if site.species == "cube"]
    return Lattice(
        structure=name,
        cell=cell,
        frame=frame,
        box=box,
        indices=_commensurate(box, cell, crystal, len(configuration) / len(entry.sites)),
        crystal=crystal,
        parallel=bool(crystal.parallel[np.ix_(cubes, cubes)].all()),
    )


def _found_cell(
    order: Mapping[str, Any], grain: Mapping[str, Any], ideal: FloatArray, system: str, configuration: Configuration
) -> tuple[FloatArray, FloatArray]:
    """Crystal axes and edges of the cell, both as columns, from the orientation, the lengths and the angles.

    Formula: cell = R U E with the ideal edges E for a = 1, the rotation R and the stretch U = sqrt(E^-T M E^-1), where
    M holds the scalar products of the edges. The orientation is given up to the rotations g of the system, which U does
    not share in a strained crystal: of all R g the one on whose reciprocal lattice the centres scatter most is taken,
    the given one unless another has a tenth more.
    """
    from scipy.linalg import sqrtm

    lengths, (alpha, beta, gamma) = np.array(order["cell_lengths"]), np.radians(order["cell_angles_deg"])
    cosines = np.array(
        [[1.0, np.cos(gamma), np.cos(beta)], [np.cos(gamma), 1.0, np.cos(alpha)], [np.cos(beta), np.cos(alpha), 1.0]]
    )
    back = np.linalg.inv(ideal)
    stretch = np.real(sqrtm(back.T @ (np.outer(lengths, lengths) * cosines) @ back))
    given = matrices(np.array(grain["orientation"]))
    turns = np.concatenate([np.eye(3)[None], group_of(SYSTEMS[system])])
    hkl = np.array([v for v in itertools.product(range(-2, 3), repeat=3) if any(v)])
    strengths = []
    for turn in turns:
        q = hkl @ np.linalg.inv(given @ turn @ stretch @ ideal) * 2 * np.pi
        strengths.append(np.mean(np.abs(np.exp(-1j * (q @ configuration.positions.T)).sum(axis=1)) ** 2))
    best = int(np.argmax(strengths))
    frame = given @ turns[best if strengths[best] > 1.1 * strengths[0] else 0]
    return frame, frame @ stretch @ ideal


def sizes_in(configuration: Configuration) -> tuple[float, float] | None:
    """(gamma, lambda) of a mixture by the shapes in the file; None if they are not there."""
    shapes = dict(zip(configuration.species, configuration.shapes, strict=True))
    cube, sphere = cube_sizes(shapes.get("cube", {})), shapes.get("sphere", {}).get("diameter")
    if cube is None or not sphere:
        return None
    edge = cube[0] + 2 * cube[1]
    return edge / float(sphere), cube[1] / edge


def _commensurate(box: FloatArray, cell: FloatArray, crystal: Crystals, cells: float) -> FloatArray | None:
    indices = box.T @ np.linalg.inv(cell).T
    nearest = np.round(2 * indices) / 2
    near = np.abs(indices - nearest).max() < COMMENSURATE
    full = abs(abs(float(np.linalg.det(nearest))) / cells - 1) < FILLED
    # A half is right only where the centring forbids all that would fall between the vectors of the box.
    places = _present(crystal) @ nearest.T
    return nearest if near and full and np.allclose(places, np.round(places)) else None


def _present(crystal: Crystals) -> IntArray:
    """(M, 3) reflections with indices up to 2 that the centres of the sites do not cancel."""
    hkl = np.array(list(itertools.product(range(-2, 3), repeat=3)))
    fractional = crystal.positions[0] @ np.linalg.inv(crystal.lattice[0])
    sums = np.exp(-2j * np.pi * (hkl @ fractional.T)).mean(axis=1)
    return np.asarray(hkl[np.abs(sums) ** 2 > ABSENT], dtype=np.int64)


def families(lattice: Lattice, configuration: Configuration, cores: Cores, q_max: float) -> list[Family]:
    """Families of reflections that are not absent and have all their members up to q_max, by q.

    Amplitudes of cubes: as they stand in the configuration (mean over its cubes) where the structure has all of them
    turned alike, else as they stand in the library, with the measured angle of the O cubes; the mean over all
    orientations where these are unknown.
    """
    reciprocal = lattice.reciprocal
    members: dict[tuple[int, int, int], list[tuple[int, int, int]]] = {}
    # Equal in all directions, so that families are whole; their longest members decide.
    reach = int(np.ceil(q_max * np.linalg.norm(np.linalg.inv(reciprocal), axis=1).max()))
    hkl = np.array(list(itertools.product(range(-reach, reach + 1), repeat=3)))
    near = np.linalg.norm(hkl @ reciprocal.T, axis=1) <= 2 * q_max
    for vector in hkl[near & hkl.any(axis=1)].tolist():
        members.setdefault(family_name(vector, STRUCTURES[lattice.structure].system), []).append(tuple(vector))
    found = []
    for name, equivalent in members.items():
        vectors = np.array(equivalent)
        q = np.linalg.norm(vectors @ reciprocal.T, axis=1)
        if q.max() > q_max:
            continue
        centres, strengths = structure_factors(lattice, vectors, configuration, cores)
        if max(centres.mean(), strengths.mean()) > ABSENT:
            means = float(q.mean()), float(q.std()), float(centres.mean()), float(strengths.mean())
            found.append(Family(name, vectors, *means))
    # Of those at one q the one with the largest first index comes first: (511) before (333).
    return sorted(found, key=lambda family: (round(family.q, 9), tuple(-index for index in family.hkl)))


def family_name(hkl: Sequence[int], system: str) -> tuple[int, int, int]:
    """The member that names a family: of the largest first index, all indices positive (h >= k in hexagonal cells).

    Families are those of the full symmetry of the system (48, 16 and 24 members in general): the orientation of cubes
    may lower it, and equivalent reflections are averaged.
    """
    h, k, third = (abs(int(index)) for index in hkl)
    if system == "cubic":
        first, second, last = sorted((h, k, third), reverse=True)
        return first, second, last
    if system == "tetragonal":
        return max(h, k), min(h, k), third
    if system == "hexagonal":
        # Of h, k and i = -(h + k) two have the same sign; these two name it.
        _, larger, smaller = sorted((h, k, abs(int(hkl[0]) + int(hkl[1]))), reverse=True)
        return larger, smaller, third
    raise ValueError(f"no families for the system {system!r}")


def structure_factors(
    lattice: Lattice, hkl: IntArray, configuration: Configuration, cores: Cores
) -> tuple[FloatArray, FloatArray]:
    """(M,) |F|^2 over |F(000)|^2 of the sites' centres, and with the amplitudes of the cores (see :func:`families`)."""
    entry, crystal = STRUCTURES[lattice.structure], lattice.crystal
    space = hkl @ lattice.reciprocal.T
    fractional = crystal.positions[0] @ np.linalg.inv(crystal.lattice[0])
    phase = np.exp(-2j * np.pi * (hkl @ fractional.T))
    size = np.linalg.norm(space, axis=1)
    radial = cores.sphere_forward * sphere_amplitude(size, cores.sphere)
    amplitude = np.empty(phase.shape)
    together = _mean_cube(configuration, cores, space) if lattice.parallel else None
    if not configuration.oriented:
        together = cores.cube_forward * turned_at_random(size, cores.cube)[0]
    for k, site in enumerate(entry.sites):
        if site.species == "sphere":
            amplitude[:, k] = radial
        elif together is not None:
            amplitude[:, k] = together
        else:
            body = space @ lattice.frame @ crystal.rotations[0, k]
            amplitude[:, k] = cores.cube_forward * cube_amplitude(body, cores.cube)
    forward = sum(cores.sphere_forward if site.species == "sphere" else cores.cube_forward for site in entry.sites)
    n = len(entry.sites)
    return np.abs(phase.sum(axis=1) / n) ** 2, np.abs((phase * amplitude).sum(axis=1) / forward) ** 2


def _mean_cube(configuration: Configuration, cores: Cores, q: FloatArray) -> FloatArray:
    turns = matrices(configuration.orientations[configuration.is_species("cube")])
    if not len(turns):
        return np.zeros(len(q))
    # A thousand cubes fix the mean to a per cent of its spread, and 100,000 would take minutes.
    some = turns[:: -(-len(turns) // 1000)]
    mean = cube_amplitude(np.einsum("qi,nij->qnj", q, some), cores.cube).mean(axis=1)
    return np.asarray(cores.cube_forward * mean)

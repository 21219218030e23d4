"""From a configuration to what is drawn: solids, where the periodic box is cut, and its outline."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration, box_matrix, cube_shape, wrap
from ..errors import InputError
from ._trace import Array, Solids

#: Cubes without a shape in the file: the unit of length is the cube edge, and this rounding is a usual one.
DEFAULT_EDGE, DEFAULT_ROUNDING = 1.0, 0.1
#: Distance of a cube to the nearest body, in edges, that fits a unit of length of one edge: overlapping a little, or a
#: dilute fluid. Out of this many cubes, the median is looked at.
UNIT_EDGE, PROBED = (0.5, 3.0), 100
#: Sharper edges are drawn with this rounding, in box half edges (the outer size stays): under a pixel, and the
#: distance function then has a gradient everywhere that a ray can hit.
LEAST_ROUNDING = 0.005
#: Places along each box axis that are tried for the cut.
CUTS = 96


def check(configuration: Configuration) -> None:
    """Refuse what cannot be drawn.

    Raises:
        InputError: no bodies, or NaN or infinite numbers.
    """
    if len(configuration) == 0:
        raise InputError("There is nothing to draw: the configuration holds no bodies.")
    for name in ("box", "positions", "orientations"):
        values = getattr(configuration, name)
        bad = np.unique(np.argwhere(~np.isfinite(values))[:, 0])
        if len(bad):
            rows = ", ".join(map(str, bad[:5]))
            raise InputError(f"The configuration cannot be drawn: {name} has NaN or infinite values in row(s) {rows}.")
    if np.any(np.linalg.norm(configuration.orientations, axis=1) < 1e-3):
        raise InputError("The configuration cannot be drawn: an orientation is the zero quaternion.")


def solids_of(configuration: Configuration, sphere_scale: float) -> tuple[Solids, list[str]]:
    """Solids of all bodies, in their order, at wrapped positions, and what the legend must admit about their sizes.

    Args:
        configuration: what to draw.
        sphere_scale: spheres are drawn at this multiple of their diameter.
    """
    n = len(configuration)
    half, radius, notes = np.zeros((n, 3)), np.ones(n), []
    for name, shape in zip(configuration.species, configuration.shapes, strict=True):
        mask = configuration.is_species(name)
        if not mask.any():
            continue
        if not shape:
            notes.append(f"{name} size not in the file, assumed")
            shape = _assumed_shape(configuration, name)  # noqa: PLW2901  # the loop variable is this species' shape
        half[mask], radius[mask] = _inner_box(shape, name)
        if not half[mask].any() and sphere_scale != 1.0:
            radius[mask] *= sphere_scale
            notes.append(f"{name}s drawn at {100 * sphere_scale:.0f} % of their diameter")
    positions = wrap(configuration.positions, configuration.box)[0]
    return Solids(positions, _rotation_matrices(configuration.orientations), half, radius), notes


def _assumed_shape(configuration: Configuration, species: str) -> dict[str, Any]:
    if species == "cube":
        edge = _likely_edge(configuration)
        return cube_shape(DEFAULT_ROUNDING * edge, edge)
    if species != "sphere":
        raise InputError(f"Species {species!r} has no shape; only cubes and spheres can be drawn without one.")
    return {"type": "Sphere", "diameter": _touching_diameter(configuration)}


def _likely_edge(configuration: Configuration) -> float:
    """1 if the bodies nearest to cubes are where they would be in that unit, else their distance: a foreign unit."""
    cubes = configuration.positions[configuration.is_species("cube")][:PROBED]
    nearest = []
    for place in cubes:
        apart = np.linalg.norm(configuration.minimum_image(configuration.positions - place), axis=1)
        nearest.append(float(apart[apart > 0].min(initial=np.inf)))
    typical = float(np.median(nearest))
    return DEFAULT_EDGE if UNIT_EDGE[0] <= typical <= UNIT_EDGE[1] or np.isinf(typical) else typical


def _touching_diameter(configuration: Configuration) -> float:
    """The smallest distance of two spheres, so that none overlap; 1 if there is only one."""
    centres = configuration.positions[configuration.is_species("sphere")]
    smallest = np.inf
    for i in range(1, len(centres)):
        apart = configuration.minimum_image(centres[:i] - centres[i])
        smallest = min(smallest, float(np.linalg.norm(apart, axis=1).min()))
    return smallest if 0.0 < smallest < np.inf else 1.0


def _inner_box(shape: dict[str, Any], species: str) -> tuple[Array, float]:
    """Half edges of the inner box and rounding radius of a GSD type shape."""
    kind = shape.get("type")
    if kind == "Sphere" and float(shape.get("diameter", 0.0)) > 0:
        return np.zeros(3), float(shape["diameter"]) / 2
    if kind == "ConvexPolyhedron":
        vertices = np.asarray(shape.get("vertices", []), dtype=np.float64).reshape(-1, 3)
        half = np.abs(vertices).max(axis=0, initial=0.0)
        rounding = float(shape.get("rounding_radius", 0.0))
        is_box = len(vertices) == 8 and np.allclose(np.abs(vertices), half, atol=1e-6 * max(half.max(), 1e-9))
        if is_box and half.min() > 0 and rounding >= 0:
            more = max(LEAST_ROUNDING * float(half.min()) - rounding, 0.0)
            return half - more, rounding + more
    raise InputError(
        f"The shape of species {species!r} cannot be drawn: {str(shape)[:120]}; expected a Sphere with a diameter, or "
        "a ConvexPolyhedron whose 8 vertices are those of a box about the origin."
    )


def _rotation_matrices(quaternions: Array) -> Array:
    """(N, 3, 3) rotation matrices of (N, 4) quaternions, scalar first."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_quat(quaternions[:, [1, 2, 3, 0]]).as_matrix())


def cut_at_gaps(solids: Solids, box: Array, toward: Array) -> Solids:
    """The same periodic structure with the box faces where they cut the fewest bodies.

    The origin of a periodic box is arbitrary, and a crystal with lattice planes right on a face would be torn: some of
    the plane's bodies appear on one side, some on the other. Each body is still drawn exactly once. Of cuts that are
    about equally good, the one that brings spheres to the faces that the viewer sees is taken: in ABO3 a layer of
    cubes alone would hide the spheres altogether.

    Args:
        solids: centres wrapped into the box.
        box: (6,) as in ``Configuration``.
        toward: (3,) direction to the viewer.
    """
    matrix = box_matrix(box)
    inverse = np.linalg.inv(matrix)
    fractional = solids.centres @ inverse.T
    spacing = 1.0 / np.linalg.norm(inverse, axis=1)  # distance of opposite faces
    reach = solids.extent(inverse * spacing[:, None]) / spacing
    shift = np.zeros(3)
    for axis in range(3):
        side = 1.0 if inverse[axis] @ toward > 0 else -1.0
        shift[axis] = _best_cut(fractional[:, axis], reach[:, axis], solids.is_sphere, side)
    # Faces go from the chosen planes to -1/2.
    moved = (fractional - shift) % 1.0 - 0.5
    return Solids(moved @ matrix.T, solids.axes, solids.half, solids.radius)


def _best_cut(place: Array, reach: Array, is_sphere: NDArray[np.bool_], side: float) -> float:
    """Fractional coordinate of the best plane across one box axis."""
    candidates = np.arange(CUTS) / CUTS
    # Distance of each body from each candidate plane, in units of how far the body reaches towards it.
    away = np.abs((place[:, None] - candidates + 0.5) % 1.0 - 0.5) / reach[:, None]
    # Bodies that are cut count most; a smooth tail puts the plane in the middle of an empty gap.
    cost = (np.maximum(1.0 - away, 0.0) + 1e-3 * np.exp(-((away / 2) ** 2))).sum(axis=0)
    in_gap = (cost <= np.roll(cost, 1)) & (cost <= np.roll(cost, -1))
    good = candidates[in_gap & (cost <= cost.min() + 0.02 * len(place))]
    if not is_sphere.any() or is_sphere.all():
        return float(candidates[int(np.argmin(cost))])
    outward = [side * float(((place[is_sphere] - cut) % 1.0).mean()) for cut in good]
    return float(good[int(np.argmax(outward))])


def box_corners(box: Array) -> Array:
    """(8, 3) corners of the periodic box."""
    return np.array(list(product((-0.5, 0.5), repeat=3))) @ box_matrix(box).T


def box_edges(box: Array) -> tuple[Array, Array]:
    """(12, 3) starts and (12, 3) ends of the edges of the periodic box."""
    corners = list(product((-0.5, 0.5), repeat=3))
    pairs = [(p, q) for p, q in combinations(corners, 2) if sum(a != b for a, b in zip(p, q, strict=True)) == 1]
    matrix = box_matrix(box).T
    return np.array([p for p, _ in pairs]) @ matrix, np.array([q for _, q in pairs]) @ matrix

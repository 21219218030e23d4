"""Overlap of rounded boxes by least squares over both cores; shares no code with ``supercube.crystals``.

The tests of closest packing judge the package with it, so it reads a structure's sites itself and certifies every
distance from both sides.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

#: Bounds of a distance end this close to each other (in cube edges), or at the sweeps below.
RESOLVED = 1e-10
_SWEEPS = 20_000


def core_distances(separations, segments):
    """Bounds (lower, upper) of min |d - sum x_i g_i| over all |x_i| <= 1, the distance of two cores.

    Upper: coordinate descent, exact for a convex function in a box. Lower: every unit vector n gives
    n.d - sum |n.g_i|, and the residual of the minimum gives the distance itself.

    Args:
        separations: (M, 3) centre to centre.
        segments: (M, k, 3) half edges of both cores as vectors.
    """
    count, k = segments.shape[:2]
    squares = np.einsum("mkx,mkx->mk", segments, segments)
    weights = np.zeros((count, k))
    residuals = separations.copy()
    lower, upper = np.zeros(count), np.linalg.norm(separations, axis=1)
    left = np.arange(count)
    for sweep in range(_SWEEPS):
        g, r, x = segments[left], residuals[left], weights[left]
        for i in range(k):
            step = np.clip(x[:, i] + np.einsum("mx,mx->m", r, g[:, i]) / squares[left, i], -1, 1) - x[:, i]
            x[:, i] += step
            r -= step[:, None] * g[:, i]
        residuals[left], weights[left] = r, x
        if sweep % 8:
            continue
        upper[left] = np.linalg.norm(r, axis=1)
        n = r / np.maximum(upper[left], 1e-300)[:, None]
        bound = np.einsum("mx,mx->m", n, separations[left]) - np.abs(np.einsum("mkx,mx->mk", g, n)).sum(axis=1)
        lower[left] = np.maximum(lower[left], bound)
        left = left[(upper - lower)[left] > RESOLVED]
        if not len(left):
            break
    return lower, upper


@dataclass
class Bodies:
    """Rounded boxes in a periodic cell.

    Attributes:
        lattice: (3, 3) vectors as rows.
        positions: (N, 3).
        rotations: (N, 3, 3); columns are body axes.
        half_edges: (N,) of the core; 0 for a sphere.
        radii: (N,).
    """

    lattice: np.ndarray
    positions: np.ndarray
    rotations: np.ndarray
    half_edges: np.ndarray
    radii: np.ndarray

    def scaled(self, factor):
        """The same bodies in a larger cell."""
        return Bodies(self.lattice * factor, self.positions * factor, self.rotations, self.half_edges, self.radii)

    @property
    def volume(self):
        """Of the cell."""
        return abs(np.linalg.det(self.lattice))

    def bounds_of_gaps(self):
        """(lower, upper, sharp): bounds of all gaps of bodies that almost touch, and which pairs have no rounding."""
        outer = math.sqrt(3) * self.half_edges + self.radii
        reach = 2.02 * outer.max()  # 1 % more than can touch, so that a cell made a little wider keeps its pairs
        faces = np.cross(np.roll(self.lattice, -1, axis=0), np.roll(self.lattice, -2, axis=0))
        heights = self.volume / np.linalg.norm(faces, axis=1)
        spans = [np.arange(-n, n + 1) for n in np.ceil(reach / heights).astype(int) + 1]
        images = np.array(list(itertools.product(*spans)))
        everywhere = (self.positions[None] + (images @ self.lattice)[:, None]).reshape(-1, 3)
        lists = cKDTree(everywhere).query_ball_point(self.positions, reach * (1 + 1e-9))
        first = np.repeat(np.arange(len(self.positions)), [len(found) for found in lists])
        numbers = np.concatenate(lists).astype(int)
        separations = everywhere[numbers] - self.positions[first]
        second = numbers % len(self.positions)
        lengths = np.linalg.norm(separations, axis=1)
        # Each pair from both sides; one is enough.
        keep = (lengths > 1e-9) & (lengths < 1.01 * (outer[first] + outer[second])) & (first <= second)
        return self._gaps(first[keep], second[keep], separations[keep])

    def _gaps(self, first, second, separations):
        radii = self.radii[first] + self.radii[second]
        lower, upper = np.zeros(len(first)), np.zeros(len(first))
        for of_first, of_second in itertools.product((False, True), repeat=2):
            rows = ((self.half_edges[first] > 0) == of_first) & ((self.half_edges[second] > 0) == of_second)
            parts = [
                np.swapaxes(self.rotations[who[rows]], 1, 2) * self.half_edges[who[rows], None, None]
                for who, cube in ((first, of_first), (second, of_second))
                if cube
            ]
            segments = np.concatenate(parts, axis=1) if parts else np.zeros((rows.sum(), 0, 3))
            if len(parts) == 2:  # parallel axes are one longer axis, with which the descent converges at once
                segments = _merged(segments)
            lower[rows], upper[rows] = core_distances(separations[rows], segments)
        return lower - radii, upper - radii, radii == 0


def _merged(segments):
    """Segments of the second body added to parallel ones of the first; what is left of them gets no length."""
    segments = segments.copy()
    for i, j in itertools.product(range(3), range(3, 6)):
        one, other = segments[:, i], segments[:, j]
        area = np.linalg.norm(np.cross(one, other), axis=1)
        same = area < 1e-12 * np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        same &= np.linalg.norm(other, axis=1) > 1e-6
        grow = 1 + np.linalg.norm(other, axis=1) / np.linalg.norm(one, axis=1)
        segments[same, i] *= grow[same, None]
        segments[same, j] = 1e-15 * np.array([1.0, 0.0, 0.0])
    return segments


def bodies_of(packing, structure):
    """The conventional cell of a ``Packing`` of a ``Structure`` in its arrangement, read from the sites alone."""
    a, values = packing.lattice_constant, packing.parameters
    hexagonal = structure.system == "hexagonal"
    lattice = a * np.array(
        [[1, 0, 0], [-0.5, math.sqrt(3) / 2, 0] if hexagonal else [0, 1, 0], [0, 0, packing.c_over_a]]
    )
    positions, rotations, half_edges, radii = [], [], [], []
    for site in structure.sites:
        place = np.array(site.position)
        if site.slide:
            place = place + values[site.slide[0]] * np.array(site.slide[1])
        rotation = Rotation.from_quat(site.orientation, scalar_first=True)
        if site.turn:
            rotation = Rotation.from_rotvec(np.array(site.turn[1]) * values[site.turn[0]], degrees=True) * rotation
        positions.append(place @ lattice)
        rotations.append(rotation.as_matrix())
        half, radius = extent(site.species, packing.size_ratio, packing.ligand_length, packing.second_edge)
        half_edges.append(half)
        radii.append(radius)
    return Bodies(lattice, np.array(positions), np.array(rotations), np.array(half_edges), np.array(radii))


def extent(species, size_ratio, rounding, second_edge=None):
    """Half the core edge and the radius of a particle, in cube edges."""
    if species == "sphere":
        return 0.0, 0.5 / size_ratio
    return (second_edge if species == "second_cube" else 1.0) / 2 - rounding, rounding


def bodies_in(configuration, size_ratio, rounding, second_edge=None):
    """The bodies of a ``Configuration`` in its rectangular box."""
    extents = [extent(kind, size_ratio, rounding, second_edge) for kind in configuration.species]
    half_edges, radii = np.array([extents[kind] for kind in configuration.typeid]).T
    rotations = Rotation.from_quat(configuration.orientations, scalar_first=True).as_matrix()
    return Bodies(np.diag(configuration.box[:3]), configuration.positions, rotations, half_edges, radii)


def assert_touching(bodies):
    """Free of overlap, exactly; 0.1 % smaller it overlaps and 0.1 % larger nothing touches.

    Two sharp cubes that overlap are at distance 0, so for them contact itself says nothing and the shrunk cell only
    that they do meet; the wider cell then shows that the contact is not deep.
    """
    lower, _, sharp = bodies.bounds_of_gaps()
    # The distances are certified to 1e-10; the edge itself has rounding errors of 1e-15 times a few edges.
    assert (lower[~sharp] > -1e-9).all(), lower[~sharp].min()
    lower, _, _ = bodies.scaled(1.001).bounds_of_gaps()
    # A gap opens by 0.1 % of the distance along its normal, at least 0.1 % of the inner diameter; half of it is asked.
    inner = 2 * (bodies.half_edges + bodies.radii).min()
    assert (lower > 5e-4 * inner).all(), lower.min()
    _, upper, sharp = bodies.scaled(0.999).bounds_of_gaps()
    assert (upper < np.where(sharp, 1e-8, -5e-4 * inner)).any(), upper.min()

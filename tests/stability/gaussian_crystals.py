"""Crystals whose bodies move by a Gaussian of known covariance, and its entropy by one large determinant."""

import numpy as np
from scipy.spatial.transform import Rotation

from supercube.configuration import box_matrix, wrap
from supercube.order.symmetry import CUBE_GROUP

#: Translations of a face-centred cell in its edges.
FACES = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2


def images_of(crystal, cells, points=FACES[:1]):
    """(T, N) rows of the bodies moved by whole cells and by the points in them, from comparing all pairs of places."""
    edges = crystal.box[:3] / cells
    rows = []
    for cell in (np.array(cell) + point for cell in np.ndindex(cells) for point in points):
        moved = crystal.positions + cell * edges
        apart = crystal.minimum_image(moved[:, None] - crystal.positions[None])
        rows.append(np.linalg.norm(apart, axis=2).argmin(axis=1))
    return np.array(rows)


def periodic_covariance(images, n_cubes, seed, reach=0.3, scales=(0.02, 0.02)):
    """(6 N_c + 3 N_s) square covariance that every translation leaves as it is: C = A A^T with A such a matrix.

    Coordinates: x, y, z of every body, then the rotation vector of every cube.
    """
    rng = np.random.default_rng(seed)
    n = images.shape[1]
    size = 3 * (n + n_cubes)

    def moved(image):  # what a translation does with the coordinates
        rows = np.concatenate([image, n + image[:n_cubes]])
        return (3 * rows[:, None] + np.arange(3)).ravel()

    factor = rng.normal(size=(size, size)) * reach / np.sqrt(size)
    places = [moved(image) for image in images]
    average = np.zeros_like(factor)
    for place in places:
        average += factor[np.ix_(place, place)]
    average = average / np.sqrt(len(images)) + np.eye(size)
    scale = np.repeat(scales, [3 * n, 3 * n_cubes])
    return scale[:, None] * (average @ average.T) * scale


def exact_entropy(covariance, n_bodies):
    """1/2 ln det(2 pi e C) without uniform translations, which an orthonormal basis leaves out."""
    pattern = np.zeros((len(covariance), 3))
    pattern[: 3 * n_bodies] = np.tile(np.eye(3), (n_bodies, 1))
    rest = np.linalg.svd(pattern)[0][:, 3:]
    return 0.5 * np.linalg.slogdet(2 * np.pi * np.e * rest.T @ covariance @ rest)[1]


def coordinates(covariance, n_frames, seed, memory=0.0):
    """(F, size) Gaussian frames; each is ``memory`` times the one before plus noise, at the same covariance."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n_frames, len(covariance)))
    for i in range(1, n_frames):
        noise[i] = memory * noise[i - 1] + np.sqrt(1 - memory**2) * noise[i]
    return noise @ np.linalg.cholesky(covariance).T


def moving(crystal, moves, seed=0, breathing=0.0, drift=0.0):
    """Frames of a crystal; cubes are labelled by any of their 24 orientations, the box breathes, and all drift."""
    rng = np.random.default_rng(seed)
    n, cubes = len(crystal), crystal.is_species("cube")
    turned = Rotation.from_quat(crystal.orientations[:, [1, 2, 3, 0]])
    frames = []
    for number, row in enumerate(moves):
        scale = 1 + breathing * rng.normal(size=3)
        box = np.concatenate([crystal.box[:3] * scale, np.zeros(3)])
        fractional = (crystal.positions + row[: 3 * n].reshape(n, 3)) @ np.linalg.inv(box_matrix(crystal.box)).T
        positions, images = wrap((fractional + drift * number) @ box_matrix(box).T, box)
        turns = np.zeros((n, 3))
        turns[cubes] = row[3 * n :].reshape(-1, 3)
        labels = Rotation.from_matrix(CUBE_GROUP[rng.integers(24, size=n)])
        quaternions = (Rotation.from_rotvec(turns) * turned * labels).as_quat()[:, [3, 0, 1, 2]]
        frames.append(crystal.with_(box=box, positions=positions, images=images, orientations=quaternions, step=number))
    return frames

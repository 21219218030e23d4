"""Light, shadow, ambient occlusion and depth haze for a traced picture.

One mechanism makes all shadows: the scene is traced from the light as well, and a point is lit if nothing is nearer to
the light than itself. The key light uses one fine map; ambient occlusion is the same from four dozen directions around
the viewer with coarse maps. Everything is worked off in bands of rows, so that memory stays small.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._trace import BOX_LINE, Array, Buffers, Camera, Solids, blocks, dot, look_along, rotate, trace

Image = NDArray[np.float32]

AMBIENT_DIRECTIONS = 48
AMBIENT_MAP = 256  #: pixels along an edge of an ambient shadow map
KEY_MAP = 1000  #: pixels along an edge of the key light's shadow map
#: View coordinates (right, up, toward the viewer): over the viewer's left shoulder.
KEY_DIRECTION = np.array([-0.36, 0.60, 0.71]) / np.linalg.norm([-0.36, 0.60, 0.71])
#: Halfway between the key light and the viewer: a surface that faces there gleams.
HALFWAY = (KEY_DIRECTION + np.eye(3)[2]) / np.linalg.norm(KEY_DIRECTION + np.eye(3)[2])
#: A weak light without shadow from the viewer's right, for the faces that the key light does not reach.
FILL_DIRECTION = np.array([0.85, 0.10, 0.52])
AMBIENT, KEY, FILL, GLOSS = (
    0.70,
    0.42,
    0.12,
    0.10,
)  #: weights; a face that the key light meets squarely gets about its own colour
HAZE = 0.22  #: how far the farthest body is faded into the background
OUTLINE = 0.55  #: brightness of a pixel where one body ends and another, or the background, begins
LINE_COLOUR = (0.25, 0.25, 0.28)
#: Width in map pixels over which ambient shadows are smeared: their steps would otherwise show as facets on spheres.
JITTER = np.float32(3.0)
PIXELS_PER_BAND = 120_000


@dataclass(frozen=True)
class Lights:
    """Shadow maps.

    Attributes:
        directions: (M, 3) unit vectors to the lights in space; the first is the key light.
        cameras: M cameras that sit at the lights.
        maps: M arrays of the depth seen from there.
    """

    directions: Array
    cameras: list[Camera]
    maps: list[NDArray[np.float32]]


def light_scene(solids: Solids, rotation: Array) -> Lights:
    """Trace the scene from the key light and from the ambient directions.

    Args:
        solids: the opaque bodies.
        rotation: (3, 3) of the viewer's camera, since the lights are fixed to the viewer.
    """
    directions = np.vstack([KEY_DIRECTION, _ambient_directions()]) @ rotation
    reach = np.linalg.norm(solids.half, axis=1) + solids.radius
    centre = (solids.centres.min(axis=0) + solids.centres.max(axis=0)) / 2
    span = 2.02 * float((np.linalg.norm(solids.centres - centre, axis=1) + reach).max())
    cameras = []
    for i, direction in enumerate(directions):
        pixels = AMBIENT_MAP if i else KEY_MAP
        cameras.append(Camera(look_along(direction), centre, pixels / span, pixels, pixels))
    # A tenth of a map pixel is exact enough for a shadow and saves most of the iterations.
    maps = [trace(solids, c, normals=False, tolerance=0.1 / c.scale).depth for c in cameras]
    return Lights(directions, cameras, maps)


def _ambient_directions() -> Array:
    # A Fibonacci spiral over the sphere, without the part far behind the picture, which no visible surface sees.
    i = np.arange(AMBIENT_DIRECTIONS) + 0.5
    z = 1.0 - 1.25 * i / AMBIENT_DIRECTIONS
    angle = np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - z**2)
    return np.stack([r * np.cos(angle), r * np.sin(angle), z], axis=1)


def shade(buffers: Buffers, colours: Image, camera: Camera, lights: Lights | None) -> Image:
    """Colours of all pixels.

    Args:
        buffers: what each pixel shows.
        colours: (N, 3) colour of each body, 0..1.
        camera: the viewer.
        lights: shadow maps; None if there is no opaque body.

    Returns:
        (height, width, 3) float32, 0..1, white where nothing is.
    """
    image = np.ones((*buffers.body.shape, 3), dtype=np.float32)
    image[buffers.body == BOX_LINE] = LINE_COLOUR
    if lights is not None:
        for band in _bands(buffers):
            rows, columns = np.nonzero(buffers.body[band] >= 0)
            where = (rows + band.start, columns)
            if len(rows):
                image[where] = _lit(buffers, where, colours, camera, lights)
    image[_outlines(buffers.body)] *= OUTLINE
    _haze(image, buffers)
    return image


def _bands(buffers: Buffers) -> Iterator[slice]:
    height, width = buffers.body.shape
    step = max(PIXELS_PER_BAND // width, 1)
    for start in range(0, height, step):
        yield slice(start, min(start + step, height))


def _lit(
    buffers: Buffers,
    where: tuple[NDArray[np.int64], NDArray[np.int64]],
    colours: Image,
    camera: Camera,
    lights: Lights,
) -> Image:
    rows, columns = where
    view = np.stack([camera.x_of(columns), camera.y_of(rows), buffers.depth[where]])
    points = (rotate(camera.rotation.T, view) + camera.centre[:, None]).astype(np.float32)
    normal = np.ascontiguousarray(buffers.normal[where].T, dtype=np.float32)
    space_normal = rotate(camera.rotation.T, normal)
    sky, all_sky = np.zeros((2, len(rows)), dtype=np.float32)
    jitter = _jitter(rows, columns)
    for m in range(1, len(lights.maps)):
        facing = np.maximum(dot(lights.directions[m], space_normal), 0.0)
        # Another shift for each direction, so that what is left of the noise averages out.
        shifted = jitter + np.float32(m * 0.618 % 1)
        shift = JITTER * (shifted - np.floor(shifted) - np.float32(0.5))
        sky += facing * _visible(points, space_normal, lights.cameras[m], lights.maps[m], 1, shift)
        all_sky += facing
    # Light from above a little brighter than from below, so that parallel faces of a cube differ in the shade too.
    ambient = AMBIENT * sky / np.maximum(all_sky, 1e-6) * (0.92 + 0.08 * normal[1])
    key = np.maximum(dot(KEY_DIRECTION, normal), 0.0) * _visible(
        points, space_normal, lights.cameras[0], lights.maps[0], 3
    )
    fill = np.maximum(dot(FILL_DIRECTION, normal), 0.0)
    gloss = np.maximum(dot(HALFWAY, normal), 0.0) ** 40 * (key > 0)
    lit = colours[buffers.body[where]] * (ambient + KEY * key + FILL * fill)[:, None] + GLOSS * gloss[:, None]
    return np.asarray(np.clip(lit, 0.0, 1.0), dtype=np.float32)


def _jitter(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Image:
    """(2, M) evenly scattered numbers in 0..1 that differ most between neighbouring pixels (an R2 sequence)."""
    first = (rows * 0.7548776662 + columns * 0.5698402910) % 1.0
    second = (rows * 0.3819660113 + columns * 0.8191725134) % 1.0
    return np.stack([first, second]).astype(np.float32)


def _visible(
    points: Image,
    normals: Array | Image,
    light: Camera,
    depth: NDArray[np.float32],
    taps: int,
    shift: Image | None = None,
) -> Image:
    """Share of ``taps`` x ``taps`` neighbouring map pixels in which nothing is nearer to the light than the point.

    A point is lifted off its own surface by about a map pixel, else the coarse map would shadow the surface itself.
    ``shift``, (2, M) in map pixels, blurs the edges of the coarse shadows into fine grain, which supersampling removes.
    """
    lift = np.float32(1.2 / light.scale)
    right, up, toward = rotate(light.rotation, points + lift * normals - light.centre.astype(np.float32)[:, None])
    x, y = light.columns(right), light.rows(up)
    if shift is not None:
        x, y = x + shift[0], y + shift[1]
    columns = np.clip(x.astype(np.int32), taps, light.width - 1 - taps)
    rows = np.clip(y.astype(np.int32), taps, light.height - 1 - taps)
    toward = toward + lift
    reach = taps // 2
    lit = np.zeros(len(toward), dtype=np.float32)
    for i in range(-reach, reach + 1):
        for j in range(-reach, reach + 1):
            lit += depth[rows + i, columns + j] <= toward
    return lit / np.float32(taps * taps)


def _outlines(body: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels of bodies beside a pixel that shows something else."""
    edge = np.zeros(body.shape, dtype=bool)
    across, down = body[:, :-1] != body[:, 1:], body[:-1] != body[1:]
    edge[:, :-1] |= across
    edge[:, 1:] |= across
    edge[:-1] |= down
    edge[1:] |= down
    return edge & (body >= 0)


def _haze(image: Image, buffers: Buffers) -> None:
    seen = buffers.depth > -np.inf
    if not seen.any():
        return
    near, far = float(buffers.depth[seen].max()), float(buffers.depth[seen].min())
    for band in _bands(buffers):
        depth = np.where(seen[band], buffers.depth[band], near)
        amount = (HAZE * (near - depth) / max(near - far, 1e-9))[..., None]
        image[band] += (1.0 - image[band]) * amount


def draw_lines(buffers: Buffers, camera: Camera, starts: Array, ends: Array, width: float) -> None:
    """Draw straight lines into the buffers where no surface is nearer.

    Args:
        buffers: changed in place.
        camera: the viewer.
        starts: (N, 3) in space.
        ends: (N, 3) in space.
        width: pixels.
    """
    reach = int(np.ceil(width / 2))
    brush = [
        (i, j) for i in range(-reach, reach + 1) for j in range(-reach, reach + 1) if i * i + j * j <= width**2 / 4
    ]
    for start, end in zip(camera.to_view(starts), camera.to_view(ends), strict=True):
        samples = int(2 * camera.scale * float(np.linalg.norm((end - start)[:2]))) + 2
        points = start + np.linspace(0.0, 1.0, samples)[:, None] * (end - start)
        columns, rows = camera.columns(points[:, 0]).astype(int), camera.rows(points[:, 1]).astype(int)
        for i, j in brush:
            r, c = rows + i, columns + j
            inside = (r >= 0) & (r < camera.height) & (c >= 0) & (c < camera.width)
            inside[inside] = points[inside, 2] > buffers.depth[r[inside], c[inside]]
            buffers.depth[r[inside], c[inside]] = points[inside, 2]
            buffers.body[r[inside], c[inside]] = BOX_LINE


def blend_spheres(
    image: Image, depth: NDArray[np.float32], solids: Solids, colours: Image, camera: Camera, opacity: float
) -> None:
    """Draw glass balls over the opaque picture: translucent in the middle, denser towards the rim.

    Spheres that do not overlap are met by a ray in the order of their centres, so they are drawn from back to front.

    Args:
        image: (height, width, 3), changed in place.
        depth: what is nearer than this hides a sphere.
        solids: spheres only.
        colours: (N, 3).
        camera: the viewer.
        opacity: of one sphere seen through its middle, 0..1.
    """
    centres = camera.to_view(solids.centres)
    for k in np.argsort(centres[:, 2], kind="stable"):
        radius = solids.radius[k]
        for rows, columns in blocks(camera, centres[k], np.full(3, radius)):
            x, y = camera.x_of(columns) - centres[k, 0], camera.y_of(rows) - centres[k, 1]
            view = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            square = radius**2 - x[None, :] ** 2 - y[:, None] ** 2
            up = np.sqrt(np.maximum(square, 0.0))
            seen = (square > 0) & (centres[k, 2] + up > depth[view])
            normal = np.stack(np.broadcast_arrays(x[None, :], y[:, None], up)) / radius
            _blend(image[view], seen, normal, colours[k], opacity)


def _blend(image: Image, seen: NDArray[np.bool_], normal: Array, colour: Image, opacity: float) -> None:
    alpha = seen * (opacity + (1.0 - opacity) * 0.75 * (1.0 - normal[2]) ** 3)
    light = 0.74 + 0.30 * np.maximum(dot(KEY_DIRECTION, normal), 0.0)
    gloss = seen * 0.5 * np.maximum(dot(HALFWAY, normal), 0.0) ** 60
    image += alpha[..., None] * (colour * light[..., None] - image)
    image += gloss[..., None] * (1.0 - image)

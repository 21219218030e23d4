"""A configuration that can be turned with the mouse, in a notebook or a file, without any network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration
from ..errors import InputError
from . import palette
from ._scene import box_edges, check, cut_at_gaps, solids_of
from ._trace import Array, Solids, look_from
from .render import VIEW

if TYPE_CHECKING:
    import plotly.graph_objects as go

#: Most triangles of a view: browsers turn so many smoothly, and the notebook grows by 2 MB at most.
MOST_TRIANGLES = 60_000
#: Levels of detail, finest first: points of one octant of a rounded cube, in units of its rounding away from the corner
#: of its inner box; and how often the faces of an icosahedron are divided.
_FACE = tuple((1.0 * (k == 0), 1.0 * (k == 1), 1.0 * (k == 2)) for k in range(3))
_EDGE = tuple(tuple(np.sqrt(0.5) * (k != axis) for k in range(3)) for axis in range(3))
_CORNER = ((np.sqrt(1 / 3),) * 3,)
_CUBES = ((*_FACE, *_EDGE, *_CORNER), _FACE, ((1.0, 1.0, 1.0),))
_DIVISIONS = (2, 1, 0)


def view3d(configuration: Configuration, labels: Sequence[str] | None = None, *, title: str | None = None) -> go.Figure:
    """All bodies in the periodic box as solids, coloured by label, to be turned and zoomed; its legend hides labels.

    Cubes are rounded boxes of triangles, finer where there are few bodies. Beyond ``MOST_TRIANGLES`` at the coarsest
    level only the bodies nearest to the middle of the box are drawn, and the title says so. As in ``render`` the box
    may be drawn from another periodic origin.

    Args:
        configuration: what to draw.
        labels: a structure label for each body, in file order; None colours by species.
        title: a line of text above the view.

    Returns:
        plotly.graph_objects.Figure: ``write_html(path)`` saves it as a page that needs no network.

    Raises:
        InputError: nothing to draw, a wrong number of labels, or a shape that cannot be drawn.
    """
    check(configuration)
    if labels is not None and len(labels) != len(configuration):
        raise InputError(f"There are {len(labels)} labels for {len(configuration)} bodies; expected one for each.")
    solids, _ = solids_of(configuration, 1.0)
    solids = cut_at_gaps(solids, configuration.box, look_from(*VIEW)[2])
    level, shown = _level(solids)
    names = _names(configuration, labels)
    traces = list(_meshes(solids, names, level, shown))
    words = [title] if title else []
    if not shown.all():
        words.append(f"the {int(shown.sum())} bodies nearest to the middle, of {len(shown)}")
    return _figure([*traces, _box(configuration.box)], "; ".join(words))


def _names(configuration: Configuration, labels: Sequence[str] | None) -> list[tuple[str, str]]:
    """Label (empty if there are none) and species of each body."""
    species = [configuration.species[index] for index in configuration.typeid.tolist()]
    return list(zip(map(str, labels) if labels is not None else [""] * len(species), species, strict=True))


def _level(solids: Solids) -> tuple[int, NDArray[np.bool_]]:
    """The finest level of detail within the limit, and which bodies are drawn."""
    spheres = int(solids.is_sphere.sum())
    cubes = len(solids.centres) - spheres
    for level in range(len(_CUBES)):
        each_cube, each_sphere = (len(mesh[1]) for mesh in (_cube(level, 0.1), _sphere(level)))
        if cubes * each_cube + spheres * each_sphere <= MOST_TRIANGLES:
            return level, np.ones(cubes + spheres, dtype=bool)
    per_body = np.where(solids.is_sphere, each_sphere, each_cube)
    order = np.argsort(np.linalg.norm(solids.centres, axis=1), kind="stable")
    shown = np.zeros(cubes + spheres, dtype=bool)
    shown[order[np.cumsum(per_body[order]) <= MOST_TRIANGLES]] = True
    return level, shown


def _hull(points: Array) -> NDArray[np.int32]:
    """(T, 3) triangles of the convex hull of points, seen from outside in the order of the clock's opposite."""
    from scipy.spatial import ConvexHull

    hull = ConvexHull(points)
    triangles = hull.simplices.astype(np.int32)
    a, b, c = (points[triangles[:, k]] for k in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), hull.equations[:, :3]) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    return np.asarray(triangles, dtype=np.int32)


def _cube(level: int, rounding: float) -> tuple[Array, NDArray[np.int32]]:
    """Points of a rounded cube as (V, 3) signs of the inner corner and (V, 3) directions from it, joined to (V, 6)."""
    signs, away = (np.array(part) for part in zip(*product(product((-1.0, 1.0), repeat=3), _CUBES[level]), strict=True))
    return np.hstack([signs, signs * away]), _hull(signs * (1.0 + rounding * away))


@cache
def _sphere(level: int) -> tuple[Array, NDArray[np.int32]]:
    """(V, 3) points of a unit sphere and (T, 3) triangles: an icosahedron with divided faces."""
    golden = (1 + np.sqrt(5)) / 2
    points = np.array(
        [np.roll([0.0, one, two * golden], turn) for turn in range(3) for one, two in product((-1.0, 1.0), repeat=2)]
    )
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    for _ in range(_DIVISIONS[level]):
        triangles = _hull(points)
        edges = np.unique(
            np.sort(np.vstack([triangles[:, list(p)] for p in permutations(range(3), 2)]), axis=1), axis=0
        )
        middles = points[edges].mean(axis=1)
        points = np.vstack([points, middles / np.linalg.norm(middles, axis=1, keepdims=True)])
    return points, _hull(points)


def _meshes(solids: Solids, names: list[tuple[str, str]], level: int, shown: NDArray[np.bool_]) -> Iterator[Any]:
    import plotly.graph_objects as go

    groups = list(dict.fromkeys(names))
    labels = palette.legend_order({label for label, _ in groups if label})
    groups.sort(key=lambda group: (labels.index(group[0]) if group[0] else 0, group[1]))
    for label, species in groups:
        rows = np.flatnonzero([name == (label, species) for name in names] & shown)
        if not len(rows):
            continue
        points, triangles = _solids_mesh(solids, rows, level)
        colour = palette.body_colour(label, species) if label else palette.species_colour(species)
        count = sum(name == (label, species) for name in names)
        word = f"{species}s" if not label else f"{_plain(label)} ({species}s)"
        yield go.Mesh3d(
            **{axis: points[:, k].astype(np.float32) for k, axis in enumerate("xyz")},
            **{corner: triangles[:, k] for k, corner in enumerate("ijk")},
            color=colour, name=f"{word}: {count}", showlegend=True, hoverinfo="name",
            flatshading=not bool(solids.is_sphere[rows[0]]),
            lighting={"ambient": 0.55, "diffuse": 0.7, "specular": 0.12, "roughness": 0.7, "fresnel": 0.05},
            lightposition={"x": 1e4, "y": -2e4, "z": 3e4},
        )  # fmt: skip


def _solids_mesh(solids: Solids, rows: NDArray[np.intp], level: int) -> tuple[Array, NDArray[Any]]:
    """(V, 3) points and (T, 3) triangles of several bodies of one shape."""
    if solids.is_sphere[rows[0]]:
        unit, triangles = _sphere(level)
        local = unit * solids.radius[rows, None, None]
    else:
        half, radius = solids.half[rows], solids.radius[rows]
        places, triangles = _cube(level, float(radius[0] / half[0].min()))
        local = places[:, :3] * half[:, None] + places[:, 3:] * radius[:, None, None]
    points = np.einsum("nij,nvj->nvi", solids.axes[rows], local) + solids.centres[rows, None]
    each = points.shape[1]
    # Two bytes an index where they suffice: the indices are most of what is sent to the browser.
    kind = np.uint16 if each * len(rows) < 2**16 else np.int32
    numbers = (triangles[None] + each * np.arange(len(rows))[:, None, None]).astype(kind)
    return points.reshape(-1, 3), numbers.reshape(-1, 3)


def _box(box: Array) -> Any:
    import plotly.graph_objects as go

    starts, ends = box_edges(box)
    gaps = np.full_like(starts, np.nan)
    lines = np.stack([starts, ends, gaps], axis=1).reshape(-1, 3)
    places = {axis: lines[:, k] for k, axis in enumerate("xyz")}
    style = {"color": "#666666", "width": 2}
    return go.Scatter3d(**places, mode="lines", line=style, hoverinfo="skip", showlegend=False, name="box")


def _figure(traces: Sequence[Any], title: str) -> go.Figure:
    import plotly.graph_objects as go

    toward = look_from(*VIEW)[2] * 1.8
    hidden = {"visible": False}
    figure = go.Figure(traces)
    figure.update_layout(
        template="none",
        title={"text": title, "font": {"size": 15}, "x": 0.02} if title else None,
        scene={
            "xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "aspectmode": "data",
            # In perspective, for plotly's orthographic camera switches its lights off.
            "camera": {"eye": dict(zip("xyz", toward.tolist(), strict=True)), "center": {"x": 0, "y": 0, "z": -0.08}},
        },
        legend={"itemsizing": "constant", "x": 0.02, "y": 0.98},
        modebar={"orientation": "v"},
        margin={"l": 0, "r": 0, "t": 40 if title else 0, "b": 0},
        width=760, height=620,
    )  # fmt: skip
    return figure


def _plain(label: str) -> str:
    """The label as HTML: digits of a formula are subscripts."""
    if label not in palette.STYLES:
        return label
    return palette.STYLES[label].name.replace("$_", "<sub>").replace("$", "</sub>")

"""The view in the browser: solids where the bodies are, of their size, in the colours of their labels."""

import re

import numpy as np
import pytest

from supercube.configuration import Configuration, cube_shape, sphere_shape
from supercube.errors import InputError
from supercube.model.shapes import body_volume
from supercube.observe import palette, view3d
from supercube.observe._view3d import MOST_TRIANGLES, _cube, _sphere

BOX = [6.0, 6.0, 6.0, 0.0, 0.0, 0.0]


def pair(rounding=0.1, diameter=2.0, turn=(1.0, 0.0, 0.0, 0.0)):
    """A cube and a sphere, well inside the box."""
    return Configuration(
        box=BOX,
        positions=[[1.5, 1.0, 0.5], [-1.5, -1.0, -0.5]],
        orientations=[turn, [1.0, 0.0, 0.0, 0.0]],
        species=("cube", "sphere"),
        typeid=[0, 1],
        shapes=(cube_shape(rounding), sphere_shape(diameter)),
    )


def many(n):
    rng = np.random.default_rng(0)
    places = rng.uniform(-3, 3, (n, 3))
    turns = np.tile([1.0, 0.0, 0.0, 0.0], (n, 1))
    return Configuration(BOX, places, turns, ("cube",), np.zeros(n), shapes=(cube_shape(0.1),))


def meshes(figure):
    return [trace for trace in figure.data if trace.type == "mesh3d"]


def points(trace):
    return np.stack([trace.x, trace.y, trace.z], axis=1).astype(np.float64)


def volume(trace):
    """By the divergence theorem; negative if the triangles are seen from inside."""
    a, b, c = (points(trace)[np.asarray(side, dtype=int)] for side in (trace.i, trace.j, trace.k))
    return float(np.einsum("ij,ij->", a - points(trace).mean(axis=0), np.cross(b - a, c - a)) / 6)


def test_solids_have_the_size_and_the_volume_of_the_bodies():
    cube, sphere = meshes(view3d(pair()))
    np.testing.assert_allclose(np.ptp(points(cube), axis=0), 1.0, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(points(sphere) - points(sphere).mean(axis=0), axis=1), 1.0, rtol=1e-5)
    # Inscribed: N triangles of edge l, l^2 sqrt3/4 = 4 pi/N, lie l^2/8 below the sphere on average, and three times
    # that is missing in the volume; the triangles are not quite equal.
    edge_squared = 16 * np.pi / np.sqrt(3) / len(sphere.i)
    assert volume(sphere) / (4 / 3 * np.pi) == pytest.approx(1 - 3 * edge_squared / 8, abs=2e-3)
    assert 0.985 < volume(cube) / body_volume(1, 0, 1.0, 0.1) < 1.0


def test_bodies_keep_their_distance_and_turn():
    turned = meshes(view3d(pair(turn=(np.cos(np.pi / 8), 0.0, 0.0, np.sin(np.pi / 8)))))  # 45 degrees about z
    middles = [points(trace).mean(axis=0) for trace in turned]
    apart = middles[0] - middles[1]
    apart -= 6.0 * np.round(apart / 6.0)
    np.testing.assert_allclose(np.abs(apart), [3.0, 2.0, 1.0], atol=1e-5)
    width = np.ptp(points(turned[0]), axis=0)
    diagonal = 2 * (0.4 * np.sqrt(2) + 0.1)  # of the inner square, and the rounding on both sides
    np.testing.assert_allclose(width, [diagonal, diagonal, 1.0], rtol=2e-3)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_meshes_are_closed_and_seen_from_outside(level):
    for vertices, triangles in (_cube(level, 0.2), _sphere(level)):
        sides = np.sort(np.vstack([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
        _, counts = np.unique(sides, axis=0, return_counts=True)
        assert (counts == 2).all()
        assert len(vertices) - len(counts) + len(triangles) == 2  # Euler
        assert len(np.unique(triangles)) == len(vertices)


def test_colours_and_names_are_those_of_labels_and_species():
    traces = meshes(view3d(pair(), ["ABO3", "ABO3"], title="a title"))
    assert [trace.name for trace in traces] == ["ABO<sub>3</sub> (cubes): 1", "ABO<sub>3</sub> (spheres): 1"]
    assert [trace.color for trace in traces] == [palette.body_colour("ABO3", kind) for kind in ("cube", "sphere")]
    plain = meshes(view3d(pair()))
    assert [trace.name for trace in plain] == ["cubes: 1", "spheres: 1"]
    assert [trace.color for trace in plain] == [palette.species_colour(kind) for kind in ("cube", "sphere")]


def triangles_of(figure):
    return sum(len(trace.i) for trace in meshes(figure))


def test_detail_and_size_stay_within_limits():
    counts = {n: triangles_of(view3d(many(n))) for n in (10, 1000, 3000)}
    assert counts[10] / 10 > counts[1000] / 1000 > counts[3000] / 3000 == 12
    assert max(counts.values()) <= MOST_TRIANGLES


def test_of_very_many_bodies_those_in_the_middle_are_drawn():
    figure = view3d(many(8000), title="dense")
    assert triangles_of(figure) == MOST_TRIANGLES
    assert figure.layout.title.text == "dense; the 5000 bodies nearest to the middle, of 8000"
    assert len(figure.to_json()) < 4e6


def test_a_saved_page_needs_no_network(tmp_path):
    view3d(pair()).write_html(tmp_path / "view.html")
    page = (tmp_path / "view.html").read_text()
    assert re.findall(r"<(?:script|link)[^>]+(?:src|href)=\"?http", page) == []


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="3 labels for 2 bodies"):
        view3d(pair(), ["SC"] * 3)
    with pytest.raises(InputError, match="holds no bodies"):
        view3d(many(0))

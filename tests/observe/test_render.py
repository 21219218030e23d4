"""Pictures: areas against closed formulas, symmetry, hiding, colours, and refusals."""

import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from matplotlib.image import imread
from scipy.spatial.transform import Rotation

from supercube.configuration import Configuration, cube_shape, sphere_shape
from supercube.errors import InputError
from supercube.observe import palette, render
from supercube.observe._light import blend_spheres, draw_lines
from supercube.observe._scene import box_edges, check, cut_at_gaps, solids_of
from supercube.observe._trace import BACKGROUND, BOX_LINE, Camera, Solids, look_along, look_from, trace
from supercube.observe.render import frame_scene, percent

IDENTITY = (1.0, 0.0, 0.0, 0.0)
TOWARD = look_from(28.0, 20.0)[2]


def bodies(cubes=(), spheres=(), *, quaternion=IDENTITY, rounding=0.1, diameter=2.0, box=6.0, shapes=True):
    positions = np.array([*cubes, *spheres], dtype=float).reshape(-1, 3)
    return Configuration(
        box=[box, box, box, 0, 0, 0],
        positions=positions,
        orientations=np.tile(quaternion, (len(positions), 1)),
        species=("cube", "sphere"),
        typeid=[0] * len(cubes) + [1] * len(spheres),
        shapes=(cube_shape(rounding), sphere_shape(diameter)) if shapes else (),
    )


def seen(configuration, camera):
    return trace(solids_of(configuration, 1.0)[0], camera)


def front(pixels=400, scale=100.0):
    """Along +y, z upwards; ``scale`` pixels a unit of length."""
    return Camera(look_from(0.0, 0.0), np.zeros(3), scale, pixels, pixels)


def rounded_square(edge, radius):
    return edge**2 - (4 - np.pi) * radius**2


@pytest.mark.parametrize("rounding", [0.0, 0.1, 0.25, 0.45])
def test_cube_along_an_axis_covers_a_rounded_square(rounding):
    area = (seen(bodies([(0, 0, 0)], rounding=rounding), front()).body >= 0).sum()
    # A pixel counts if its centre is covered: of the perimeter's 4 * 100 pixels at most half are miscounted, and the
    # grid lines up with the straight edges, whose pixel centres lie half a pixel off.
    assert area == pytest.approx(rounded_square(100, 100 * rounding), abs=60)


def test_cube_along_a_diagonal_covers_a_rounded_hexagon():
    toward = np.ones(3) / np.sqrt(3)
    camera = Camera(look_along(toward), np.zeros(3), 100.0, 400, 400)
    rounding, inner = 0.2, 0.6
    # Shadow of the inner cube (regular hexagon of side s sqrt(2/3)) grown by the radius: area + perimeter r + pi r^2.
    side = inner * np.sqrt(2 / 3)
    area = 1.5 * np.sqrt(3) * side**2 + 6 * side * rounding + np.pi * rounding**2
    pixels = (seen(bodies([(0, 0, 0)], rounding=rounding), camera).body >= 0).sum()
    assert pixels == pytest.approx(area * 100**2, rel=0.003)  # lattice-point error ~ perimeter^(2/3) / area


def test_sphere_covers_a_disc_and_bulges_by_its_radius():
    buffers = seen(bodies([], [(0, 0, 0)]), front(scale=90.0))
    # Gauss circle problem: the miscount is far below the perimeter, 2 pi r.
    assert (buffers.body >= 0).sum() == pytest.approx(np.pi * 90**2, abs=0.1 * 2 * np.pi * 90)
    assert buffers.depth.max() == pytest.approx(1.0, abs=1e-4)  # (half a pixel)^2 / 2r below the pole


def test_rounded_cube_surface_is_at_distance_radius_of_the_inner_cube():
    quaternion = Rotation.from_rotvec([0.3, -0.7, 0.4]).as_quat()[[3, 0, 1, 2]]
    camera = front(200, 80.0)
    buffers = seen(bodies([(0, 0, 0)], quaternion=quaternion, rounding=0.2), camera)
    rows, columns = np.nonzero(buffers.body >= 0)
    view = np.stack([camera.x_of(columns), camera.y_of(rows), buffers.depth[rows, columns]], axis=1)
    local = Rotation.from_rotvec([0.3, -0.7, 0.4]).inv().apply(view @ camera.rotation)
    beyond = np.linalg.norm(np.maximum(np.abs(local) - 0.3, 0), axis=1)
    assert len(rows) > 5000
    np.testing.assert_allclose(beyond, 0.2, atol=1e-6)  # Newton's tolerance and single-precision depth
    # The normal points away from the nearest point of the inner cube.
    outward = Rotation.from_rotvec([0.3, -0.7, 0.4]).apply(local - np.clip(local, -0.3, 0.3)) @ camera.rotation.T / 0.2
    np.testing.assert_allclose(buffers.normal[rows, columns], outward, atol=2e-3)  # half precision


@pytest.mark.parametrize("axis", range(3))
def test_quarter_turn_of_a_cube_changes_nothing(axis):
    camera = Camera(look_from(28.0, 20.0), np.zeros(3), 50.0, 120, 120)
    turned = Rotation.from_rotvec(np.pi / 2 * np.eye(3)[axis]).as_quat()[[3, 0, 1, 2]]
    plain, other = seen(bodies([(0, 0, 0)]), camera), seen(bodies([(0, 0, 0)], quaternion=turned), camera)
    assert (plain.body != other.body).sum() <= 2  # rays that graze the edge, by rounding
    both = (plain.body >= 0) & (other.body >= 0)
    np.testing.assert_allclose(plain.depth[both], other.depth[both], atol=1e-3)


def test_eighth_turn_of_a_cube_is_seen():
    camera = front(120, 50.0)
    turned = Rotation.from_rotvec([0, np.pi / 4, 0]).as_quat()[[3, 0, 1, 2]]
    plain, other = seen(bodies([(0, 0, 0)]), camera), seen(bodies([(0, 0, 0)], quaternion=turned), camera)
    assert (plain.body != other.body).sum() > 200


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_nearer_body_hides_farther_one(order):
    positions = [(0, -2, 0), (0, 2, 0)]  # the viewer is at -y
    buffers = seen(bodies([positions[i] for i in order]), front())
    assert set(np.unique(buffers.body)) == {BACKGROUND, order.index(0)}


def test_block_size_does_not_matter(monkeypatch):
    configuration = bodies([(0.2, 0, 0), (-0.5, 0.4, 0.3)], [(0.5, 1, -0.5)])
    whole = seen(configuration, front(150, 30.0))
    monkeypatch.setattr("supercube.observe._trace.RAYS_PER_BLOCK", 100)
    pieces = seen(configuration, front(150, 30.0))
    np.testing.assert_array_equal(whole.body, pieces.body)
    np.testing.assert_array_equal(whole.depth, pieces.depth)


def test_box_line_is_hidden_by_a_body_in_front_only():
    camera = front(200, 50.0)
    for y, visible in ((-1.0, False), (1.0, True)):
        buffers = seen(bodies([(0, y, 0)]), camera)
        draw_lines(buffers, camera, np.array([[-2.0, 0, 0]]), np.array([[2.0, 0, 0]]), width=1.0)
        assert buffers.body[100, 100] == (BOX_LINE if visible else 0)
        assert buffers.body[100, 10] == BOX_LINE


def test_glass_sphere_tints_what_is_behind_and_leaves_what_is_in_front():
    camera = front(100, 20.0)
    solids = solids_of(bodies([], [(0, 0, 0)]), 1.0)[0]
    red = np.array([[1.0, 0.0, 0.0]], dtype=np.float32)
    for height, changed in ((-5.0, True), (5.0, False)):
        image = np.ones((100, 100, 3), dtype=np.float32)
        blend_spheres(image, np.full((100, 100), height, dtype=np.float32), solids, red, camera, 0.4)
        assert (image[50, 50, 1] < 0.8) == changed
        assert image[0, 0, 1] == 1.0


def test_cut_keeps_bodies_and_distances_but_moves_lattice_planes_off_the_faces():
    rng = np.random.default_rng(1)
    sites = np.array(list(product((-3.0, -1.5, 0.0, 1.5), repeat=3))) + rng.normal(scale=0.02, size=(64, 3))
    configuration = bodies(sites)
    solids = cut_at_gaps(solids_of(configuration, 1.0)[0], configuration.box, TOWARD)
    before = configuration.minimum_image(configuration.positions[:, None] - configuration.positions)
    after = configuration.minimum_image(solids.centres[:, None] - solids.centres)
    np.testing.assert_allclose(np.linalg.norm(after, axis=-1), np.linalg.norm(before, axis=-1), atol=1e-9)
    # Planes are 1.5 apart: the best cut is 0.75 from the nearest, less a step of the search (6/96) and the noise.
    assert np.abs(solids.centres).max() < 3.0 - 0.75 + 6 / 96 + 0.1


def test_cut_shows_the_viewer_the_sphere_layers():
    planes = np.arange(-3.0, 3.0, 1.5)
    cubes, spheres = [(x, x, x) for x in planes + 0.75], [(x, x, x) for x in planes]
    configuration = bodies(cubes, spheres, diameter=1.0)
    solids = cut_at_gaps(solids_of(configuration, 1.0)[0], configuration.box, TOWARD)
    for axis, side in enumerate(np.sign(TOWARD)):
        outermost = int(np.argmax(side * solids.centres[:, axis]))
        assert configuration.typeid[outermost] == 1


def test_whole_scene_is_in_the_frame():
    configuration = bodies([(2.9, 2.9, 2.9)], [(-2.9, 0, 0)], box=6.0)
    solids = solids_of(configuration, 1.0)[0]
    buffers = trace(solids, frame_scene(solids, configuration.box, (300, 200), (28, 20)))
    draw_lines(
        buffers, frame_scene(solids, configuration.box, (300, 200), (28, 20)), *box_edges(configuration.box), 2.0
    )
    assert set(np.unique(buffers.body)) == {BACKGROUND, BOX_LINE, 0, 1}
    border = np.concatenate([buffers.body[0], buffers.body[-1], buffers.body[:, 0], buffers.body[:, -1]])
    assert (border == BACKGROUND).all()


def test_triclinic_box_has_twelve_edges_of_three_kinds():
    starts, ends = box_edges(np.array([2.0, 3.0, 4.0, 0.5, 0.0, 0.0]))
    lengths = np.sort(np.linalg.norm(ends - starts, axis=1))
    np.testing.assert_allclose(lengths, np.repeat([2.0, 3.0 * np.hypot(1, 0.5), 4.0], 4))


def colour_share(path, colour):
    """Share of saturated pixels whose hue is within 8 degrees of the colour's."""
    from matplotlib.colors import rgb_to_hsv

    image = rgb_to_hsv(imread(path)[..., :3])
    hue = rgb_to_hsv(np.array(palette.rgb(colour)))[0]
    near = np.abs((image[..., 0] - hue + 0.5) % 1 - 0.5) < 8 / 360
    return float((near & (image[..., 1] > 0.25) & (image[..., 2] > 0.2)).mean())


def test_label_colours_are_in_the_picture_and_others_are_not(tmp_path):
    configuration = bodies([(-1.5, 0, 0), (0, 0, 0), (1.5, 0, 0)], box=5.0)
    render(configuration, tmp_path / "a.png", ["SC", "NaCl", "disordered"], size=(150, 150))
    assert colour_share(tmp_path / "a.png", palette.STYLES["SC"].colour) > 0.01
    assert colour_share(tmp_path / "a.png", palette.STYLES["NaCl"].colour) > 0.01
    assert colour_share(tmp_path / "a.png", palette.STYLES["ABO3"].colour) == 0
    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"]  # nothing temporary stays behind


@pytest.mark.parametrize("size", [(160, 120), (121, 157)])
@pytest.mark.parametrize("title", [None, "a title"])
def test_png_has_the_size_asked_for(tmp_path, size, title):
    render(bodies([(0, 0, 0)], [(2, 0, 0)]), tmp_path / "a.png", size=size, title=title)
    assert imread(tmp_path / "a.png").shape[:2] == (size[1], size[0])


def test_glass_and_shrunken_spheres_render(tmp_path):
    configuration = bodies([(0, 0, 0)], [(2, 0, 0)])
    render(configuration, tmp_path / "a.png", size=(100, 100), sphere_opacity=0.4, sphere_scale=0.5)
    render(bodies([], [(2, 0, 0)]), tmp_path / "b.png", ["fcc"], size=(100, 100), sphere_opacity=0.4)
    assert (imread(tmp_path / "b.png")[..., :3] < 0.95).any()


def test_picture_is_reproducible(tmp_path):
    for name in ("a", "b"):
        render(bodies([(0, 0, 0)], [(2, 0, 0)]), tmp_path / name, ["SC", "SC"], size=(80, 80))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_missing_shapes_get_documented_sizes_and_a_note():
    solids, notes = solids_of(bodies([(0, 0, 0)], [(-1, 2, 0), (0.5, 2, 0)], shapes=False), 1.0)
    np.testing.assert_allclose(solids.half[0] + solids.radius[0], 0.5)
    np.testing.assert_allclose(solids.radius, [0.1, 0.75, 0.75])  # spheres 1.5 apart touch
    assert len(notes) == 2


@pytest.mark.parametrize(("apart", "edge"), [(0.6, 1.0), (2.9, 1.0), (12.0, 12.0), (1.1e-9, 1.1e-9)])
def test_missing_cube_sizes_follow_a_foreign_unit_of_length(apart, edge):
    places = apart * np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
    solids, _ = solids_of(bodies(places, box=5 * apart, shapes=False), 1.0)
    np.testing.assert_allclose(solids.half[0] + solids.radius[0], edge / 2)
    np.testing.assert_allclose(solids.radius, edge / 10)


def test_unknown_orientations_take_a_line_of_the_legend(tmp_path):
    known = bodies([(0, 0, 0)])
    for name, configuration in (("known", known), ("unknown", known.with_(oriented=False))):
        render(configuration, tmp_path / f"{name}.png", size=(120, 120))
    pictures = [imread(tmp_path / f"{name}.png") for name in ("known", "unknown")]
    # The line stands in the lowest tenth, where the other picture has its legend, higher up.
    assert not np.array_equal(*(picture[-12:] for picture in pictures))


def test_sphere_scale_is_admitted():
    solids, notes = solids_of(bodies([(0, 0, 0)], [(2, 0, 0)]), 0.6)
    np.testing.assert_allclose(solids.radius[1], 0.6)
    assert notes == ["spheres drawn at 60 % of their diameter"]


@pytest.mark.parametrize(("name", "row"), [("positions", 1), ("orientations", 0), ("box", 2)])
def test_nan_is_refused_by_name_and_row(name, row):
    configuration = bodies([(0, 0, 0), (1.5, 0, 0)])
    values = getattr(configuration, name).copy()
    values[row] = np.nan
    with pytest.raises(InputError, match=rf"{name} has NaN.* {row}"):
        check(configuration.with_(**{name: values}))


def test_bad_input_is_refused(tmp_path):
    configuration = bodies([(0, 0, 0)])
    target = tmp_path / "a.png"
    with pytest.raises(InputError, match="2 labels for 1 bodies"):
        render(configuration, target, ["SC", "SC"])
    with pytest.raises(InputError, match="too small"):
        render(configuration, target, size=(10, 10))
    with pytest.raises(InputError, match="sphere_scale"):
        render(configuration, target, sphere_scale=0.0)
    with pytest.raises(InputError, match="sphere_opacity"):
        render(configuration, target, sphere_opacity=2.0)
    with pytest.raises(InputError, match="no bodies"):
        render(bodies([]), target)
    tetrahedron = {"type": "ConvexPolyhedron", "vertices": [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]}
    with pytest.raises(InputError, match="'cube' cannot be drawn"):
        render(configuration.with_(shapes=(tetrahedron, {})), target)
    assert not target.exists()


def test_percent_never_rounds_to_nothing_or_all():
    assert [percent(n, 1000) for n in (0, 1, 500, 999, 1000)] == ["0 %", "<1 %", "50 %", ">99 %", "100 %"]


def test_importing_the_room_loads_no_plotting_library():
    code = "import sys, supercube.observe; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_solids_extent_is_the_support_function():
    turn = Rotation.from_rotvec([0, 0, np.pi / 4]).as_matrix()[None]
    solids = Solids(np.zeros((1, 3)), turn, np.full((1, 3), 0.4), np.array([0.1]))
    np.testing.assert_allclose(solids.extent(np.eye(3)), [[0.4 * 2**0.5 + 0.1, 0.4 * 2**0.5 + 0.1, 0.5]])

import gsd.hoomd
import numpy as np
import pytest

from supercube.configuration import (
    BOX_TOLERANCE,
    Configuration,
    box_matrix,
    cube_shape,
    in_mean_box,
    read_frames,
    read_gsd,
    sphere_shape,
    wrap,
    write_gsd,
)
from supercube.errors import FileFormatError, InputError

TRICLINIC = [4.0, 5.0, 6.0, 0.1, -0.2, 0.3]


@pytest.fixture
def mixed():
    rng = np.random.default_rng(4)
    fractional = rng.uniform(-0.5, 0.5, (5, 3))
    q = rng.normal(size=(5, 4))
    return Configuration(
        box=TRICLINIC,
        positions=fractional @ box_matrix(TRICLINIC).T,
        orientations=q / np.linalg.norm(q, axis=1)[:, None],
        species=("cube", "sphere"),
        typeid=[0, 0, 1, 0, 1],
        images=rng.integers(-3, 3, (5, 3)),
        shapes=(cube_shape(0.1), sphere_shape(2.0)),
        step=77,
    )


def frame(**changes):
    f = gsd.hoomd.Frame()
    f.configuration.box = [5, 5, 5, 0, 0, 0]
    f.particles.N = 2
    f.particles.types = ["cube", "sphere"]
    f.particles.typeid = [0, 1]
    f.particles.position = [[0, 0, 0], [1, 1, 1]]
    f.particles.orientation = [[1, 0, 0, 0], [1, 0, 0, 0]]
    for name, value in changes.items():
        setattr(f.configuration if name in ("box", "dimensions", "step") else f.particles, name, value)
    return f


def write(path, *frames):
    with gsd.hoomd.open(path, "w") as trajectory:
        trajectory.extend(frames)
    return path


def test_wrap_undoes_itself():
    rng = np.random.default_rng(1)
    positions = rng.uniform(-20, 20, (50, 3))
    wrapped, images = wrap(positions, TRICLINIC)
    np.testing.assert_allclose(wrapped + images @ box_matrix(TRICLINIC).T, positions, atol=1e-12)
    assert np.abs(wrapped @ np.linalg.inv(box_matrix(TRICLINIC)).T).max() <= 0.5 + 1e-12


def test_box_matrix_is_hoomds():
    # a = (Lx, 0, 0), b = (xy Ly, Ly, 0), c = (xz Lz, yz Lz, Lz); columns.
    expected = [[4.0, 0.1 * 5, -0.2 * 6], [0, 5.0, 0.3 * 6], [0, 0, 6.0]]
    np.testing.assert_allclose(box_matrix(TRICLINIC), expected)
    assert np.linalg.det(box_matrix(TRICLINIC)) == pytest.approx(4 * 5 * 6)


def test_gsd_round_trip(tmp_path, mixed):
    write_gsd(tmp_path / "a.gsd", mixed)
    found = read_gsd(tmp_path / "a.gsd")
    # GSD holds single precision: 6e-8 of the largest length.
    np.testing.assert_allclose(found.unwrapped, mixed.unwrapped, atol=3e-6)
    np.testing.assert_allclose(found.orientations, mixed.orientations, atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(found.orientations, axis=1), 1.0, rtol=1e-15)
    np.testing.assert_array_equal(found.typeid, mixed.typeid)
    assert found.species == mixed.species
    assert found.step == 77
    assert found.shapes[0]["rounding_radius"] == pytest.approx(0.1)
    assert found.shapes[1]["diameter"] == 2.0
    assert not (tmp_path / "a.gsd.part").exists()


def test_a_particle_on_the_face_is_read_back_inside(tmp_path):
    edge = Configuration([5, 5, 5, 0, 0, 0], [[2.5, -2.5, 2.4999999999]], [[1, 0, 0, 0]], ("cube",), [0])
    write_gsd(tmp_path / "a.gsd", edge)
    with gsd.hoomd.open(tmp_path / "a.gsd") as trajectory:
        assert np.abs(trajectory[0].particles.position).max() <= np.float32(2.5)


def test_frames_are_chosen_by_index(tmp_path):
    path = write(tmp_path / "a.gsd", frame(), frame(position=[[0.5, 0, 0], [1, 1, 1]]))
    assert read_gsd(path).positions[0, 0] == 0.5
    assert read_gsd(path, 0).positions[0, 0] == 0.0
    with pytest.raises(FileFormatError, match="has 2 frames; frame 2 does not exist"):
        read_gsd(path, 2)


def test_listed_types_without_particles_are_ignored(tmp_path):
    path = write(tmp_path / "a.gsd", frame(types=["bead", "cube", "sphere"], typeid=[1, 2]))
    assert read_gsd(path).species == ("cube", "sphere")
    assert read_gsd(path).count("cube") == 1


def test_slightly_outside_is_wrapped(tmp_path):
    inside = 2.5 + 5 * BOX_TOLERANCE * 0.5
    path = write(tmp_path / "a.gsd", frame(position=[[inside, 0, 0], [1, 1, 1]]))
    assert read_gsd(path).positions[0, 0] == pytest.approx(-2.5, abs=1e-4)
    assert read_gsd(path).images[0].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"typeid": [0, 7]}, r"\(1\) have a type number beyond the 2 listed types"),
        ({"types": ["cube", "rod"]}, "type rod; expected cube and/or sphere"),
        ({"position": [[np.nan, 0, 0], [1, 1, 1]]}, r"1 particle\(s\) \(0\) have NaN"),
        ({"position": [[0, 0, 0], [2.6, 1, 1]]}, r"\(1\) lie outside the box by up to 0\.02 of its length"),
        ({"orientation": [[0, 0, 0, 0], [1, 0, 0, 0]]}, "no valid orientation"),
        ({"box": [5, 5, 0, 0, 0, 0]}, "three-dimensional"),
        ({"dimensions": 2}, "is two-dimensional; expected a three-dimensional"),
        ({"N": 0, "typeid": [], "position": np.zeros((0, 3)), "orientation": np.zeros((0, 4))}, "no particles"),
    ],
)
def test_what_is_refused(tmp_path, changes, words):
    path = write(tmp_path / "a.gsd", frame(**changes))
    with pytest.raises(FileFormatError, match=words) as caught:
        read_gsd(path)
    assert "a.gsd" in str(caught.value)


def test_spheres_need_no_valid_orientation(tmp_path):
    path = write(tmp_path / "a.gsd", frame(orientation=[[0, 0, 0, 2], [0, 0, 0, 0]]))
    assert read_gsd(path).orientations.tolist() == [[0, 0, 0, 1], [1, 0, 0, 0]]


def test_orientations_that_were_never_written_are_unknown(tmp_path):
    bare = [frame(orientation=None, step=step) for step in (0, 10)]
    assert not read_gsd(write(tmp_path / "bare.gsd", *bare), 1).oriented
    # gsd leaves out what equals its default.
    assert not read_gsd(write(tmp_path / "aligned.gsd", frame())).oriented
    assert read_gsd(write(tmp_path / "turned.gsd", frame(orientation=[[0, 1, 0, 0], [1, 0, 0, 0]]))).oriented
    # Those of later frames tell that the writer knew them, and that the first frame was aligned.
    path = write(tmp_path / "later.gsd", frame(), frame(orientation=[[0, 1, 0, 0], [1, 0, 0, 0]]))
    assert [c.oriented for c in read_frames(path, slice(None))] == [True, True]
    assert read_gsd(path, 0).orientations[0].tolist() == [1, 0, 0, 0]


def test_files_of_spheres_lack_no_orientation(tmp_path):
    assert read_gsd(write(tmp_path / "a.gsd", frame(typeid=[1, 1]))).oriented


def test_our_writer_keeps_aligned_and_unknown_apart(tmp_path):
    aligned = Configuration([5, 5, 5, 0, 0, 0], [[0, 0, 0]], [[1, 0, 0, 0]], ("cube",), [0])
    for known in (True, False):
        write_gsd(tmp_path / "a.gsd", aligned.with_(oriented=known))
        assert read_gsd(tmp_path / "a.gsd").oriented is known


def numbered(path, count):
    return write(path, *(frame(position=[[0.1 * k, 0, 0], [1, 1, 1]]) for k in range(count)))


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (slice(None), [0, 1, 2, 3, 4]),
        (slice(1, 4, 2), [1, 3]),
        (slice(-2, None), [3, 4]),
        (slice(3, 100), [3, 4]),
        (slice(None, None, -2), [4, 2, 0]),
    ],
)
def test_frames_are_chosen_as_from_a_list(tmp_path, part, expected):
    found = read_frames(numbered(tmp_path / "a.gsd", 5), part)
    assert [round(10 * c.positions[0, 0]) for c in found] == expected


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (slice(5, 9), "has 5 frames, of which 5:9: takes none"),
        (slice(3, 2), "takes none"),
        (slice(0, 5, 0), "0:5:0 have a step of 0"),
    ],
)
def test_parts_without_frames(tmp_path, part, words):
    with pytest.raises(InputError, match=words):
        read_frames(numbered(tmp_path / "a.gsd", 5), part)


def test_only_the_chosen_frames_are_read(tmp_path):
    path = write(tmp_path / "a.gsd", frame(), frame(position=[[np.nan, 0, 0], [1, 1, 1]]), frame(step=9))
    assert len(read_frames(path, slice(None, None, 2))) == 2
    with pytest.raises(FileFormatError, match="frame 1: 1 particle"):
        read_frames(path, slice(None))


def test_files_that_are_no_gsd(tmp_path, mixed):
    with pytest.raises(FileFormatError, match="does not exist"):
        read_gsd(tmp_path / "absent.gsd")
    (tmp_path / "empty.gsd").touch()
    with pytest.raises(FileFormatError, match="is empty"):
        read_gsd(tmp_path / "empty.gsd")
    (tmp_path / "text.gsd").write_text("no gsd " * 100)
    with pytest.raises(FileFormatError, match="not a whole GSD file"):
        read_gsd(tmp_path / "text.gsd")
    for read in (read_gsd, lambda path: read_frames(path, slice(None))):
        with pytest.raises(FileFormatError, match="holds no frame"):
            read(write(tmp_path / "none.gsd"))
    write_gsd(tmp_path / "cut.gsd", mixed)
    whole = (tmp_path / "cut.gsd").read_bytes()
    for cut in (10, len(whole) // 2, len(whole) - 8):
        (tmp_path / "cut.gsd").write_bytes(whole[:cut])
        with pytest.raises(FileFormatError):
            read_gsd(tmp_path / "cut.gsd")


def test_rows_must_agree():
    with pytest.raises(InputError, match="typeid has 1 rows for 2 positions"):
        Configuration([1, 1, 1, 0, 0, 0], np.zeros((2, 3)), np.ones((2, 4)), ("cube",), [0])


def test_minimum_image():
    configuration = Configuration([4, 4, 4, 0, 0, 0], [[0, 0, 0]], [[1, 0, 0, 0]], ("cube",), [0])
    np.testing.assert_allclose(configuration.minimum_image(np.array([3.0, -3.0, 1.0])), [-1.0, 1.0, 1.0])


def test_frames_of_a_breathing_box_are_told_in_the_mean_box():
    fractional = np.array([[0.1, 0.2, -0.3], [0.4, -0.4, 0.0]])
    boxes = np.array([[8.0, 9, 10, 0.1, 0, 0], [10.0, 9, 12, 0.3, 0, 0.2]])
    frames = [
        Configuration(box, fractional @ box_matrix(box).T, np.tile([1.0, 0, 0, 0], (2, 1)), ("cube",), np.zeros(2))
        for box in boxes
    ]
    first, second = in_mean_box(frames)
    np.testing.assert_allclose(first.box, [9, 9, 11, 0.2, 0, 0.1])
    np.testing.assert_allclose(first.positions, fractional @ box_matrix(first.box).T)
    np.testing.assert_allclose(second.positions, first.positions)
    assert in_mean_box(frames[:1])[0] is frames[0]

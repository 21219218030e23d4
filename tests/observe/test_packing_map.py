"""The infinite-pressure phase map: areas, texts and experiments that have to be on it."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text

from supercube.crystals.diagram import Diagram, diagram, packing_table
from supercube.crystals.library import STRUCTURES
from supercube.crystals.phases import BINARY
from supercube.errors import InputError
from supercube.model.nanocrystals import MEASURED_RANGE, experiments
from supercube.observe import palette, plot_packing_map
from supercube.observe._packing_map import (
    DOTS,
    experiment_bars,
    packing_map_figure,
    shell_curve,
)
from supercube.observe._places import Raster
from supercube.observe._regions import partition

#: Structures whose closest packing is a formula here, so that a table takes no time.
POOL_OF_FORMULAS = ("SC", "NaCl", "ABO3", "ReO3", "fcc", "bcc", "hcp", "hexagonal")


@pytest.fixture(scope="module")
def table():
    held = {"ABO3": {"o_site_angle_deg": 45.0}}
    return packing_table(np.linspace(0.3, 0.7, 21), np.linspace(0.0, 0.25, 11), POOL_OF_FORMULAS, held)


def drawn(labels, gammas=(0.3, 0.7), lams=(0.0, 0.25), margin=0.05):
    """A diagram of given winners, each with the next label of its row as the runner-up."""
    labels = np.array(labels)
    gammas, lams = (np.linspace(*ends, n) for ends, n in zip((gammas, lams), labels.shape[::-1], strict=True))
    same = np.full(labels.shape, margin)
    return Diagram(4.0, gammas, lams, labels, same, same, np.roll(labels, 1, axis=1), same)


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def note(figure):
    """The lines below the map as one."""
    return figure.texts[-1].get_text().replace("\n", " ")


def artists(figure, kind):
    found = figure.findobj(lambda artist: str(artist.get_gid() or "").startswith(kind + ":"))
    return {artist.get_gid().split(":", 1)[1]: artist for artist in found}


def area(loops):
    """Signed, by the shoelace formula."""
    return sum(0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) for x, y in (loop.T for loop in loops))


# --- experiments ------------------------------------------------------------------------------------------------------


def test_shell_curve_is_the_formula():
    shells = np.array([0.8, 1.0, 1.5])
    gammas, lams = shell_curve(8.6, 19.5, shells)
    np.testing.assert_allclose(gammas, (8.6 + 2 * shells) / (19.5 + 2 * shells), rtol=1e-12)
    np.testing.assert_allclose(lams, shells / (8.6 + 2 * shells), rtol=1e-12)
    assert (gammas[1], lams[1]) == pytest.approx((0.493, 0.094), abs=5e-4)  # the digits of physics.md


def test_bars_are_the_experiments_with_stated_sizes():
    bars = experiment_bars(experiments())
    found = [(bar.cube, bar.sphere, bar.structure) for bar in bars]
    assert found == [
        (("CsPbBr3", 8.6), ("Fe3O4", 19.5), "ABO3"),
        (("CsPbBr3", 8.6), ("Fe3O4", 19.8), "NaCl"),
    ]
    for bar in bars:
        assert (bar.shells[0], bar.shells[-1]) == MEASURED_RANGE
        assert np.isin(DOTS, bar.shells).all()
    # A range of sizes is no size, and a structure has to be known.
    row = experiments()[0]
    assert not experiment_bars([replace(row, partner_size=(19.0, 20.0)), replace(row, structure="")])
    assert not experiment_bars([replace(row, cube_edge=None), replace(row, partner_shape="disk")])


def test_every_experiment_is_on_the_map_or_counted(table):
    figure = packing_map_figure(diagram(table, 4))
    lines = artists(figure, "experiment")
    bars = experiment_bars(experiments())
    assert len(lines) == len(bars) == 2
    for line, bar in zip(lines.values(), bars, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), bar.size_ratios)
        np.testing.assert_array_equal(line.get_ydata(), bar.ligand_lengths)
    words = texts(figure)
    assert r"CsPbBr$_{3}$ 8.6 nm + Fe$_{3}$O$_{4}$ 19.5 nm:" + "\nABO$_3$ found" in words
    assert r"CsPbBr$_{3}$ 8.6 nm + Fe$_{3}$O$_{4}$ 19.8 nm:" + "\nNaCl found" in words
    for shell in DOTS:
        assert words.count(f"{shell:.1f} nm") == 1
    assert "2 of 12 placed, nothing fitted; 2 state no single size of the spheres; 8 have other" in note(figure)


def test_experiments_outside_the_map_are_counted_and_not_drawn():
    figure = packing_map_figure(drawn([["ABO3", "SC + fcc"]] * 2, gammas=(0.6, 0.9)))
    assert not artists(figure, "experiment")
    assert "0 of 12 placed, nothing fitted; 2 lie outside the map" in note(figure)
    half = packing_map_figure(drawn([["ABO3", "SC + fcc"]] * 2, gammas=(0.5, 0.9)))
    assert len(artists(half, "experiment")) == 2
    assert "1.5 nm" in texts(half)
    assert "0.8 nm" not in texts(half)  # at gamma 0.483


# --- areas ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stoichiometry", [0.5, 1, 2, 4, 6])
@pytest.mark.parametrize("pool", [POOL_OF_FORMULAS, ("SC", "NaCl", "bcc"), ("SC", "fcc")], ids=len)
def test_areas_carry_their_phases(table, stoichiometry, pool):
    result = diagram(table, stoichiometry, pool)
    figure = packing_map_figure(result, structures=pool)
    labels = set(np.unique(result.labels).tolist())
    assert set(artists(figure, "area")) == labels
    names = [text.replace("\n", " ") for text in texts(figure)]
    for label in labels:
        assert palette.fill(label).name in names
    among = ", ".join(name.replace("O3", "O₃") for name in palette.legend_order(set(pool)))
    cubes = "1 cube" if stoichiometry == 1 else f"{stoichiometry:g} cubes"
    assert f"{cubes} per sphere, among {among};" in note(figure)


@pytest.mark.parametrize("empty", [False, True])
def test_texts_do_not_cover_each_other_or_leave_the_figure(table, empty):
    # Without boundaries that push them away, texts would come nearest to the bars.
    figure = packing_map_figure(drawn([["ABO3"] * 2] * 2) if empty else diagram(table, 2), title="a title")
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    whole = figure.bbox
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in figure.findobj(Text) if t.get_text()]
    ticks = {text.get_text() for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis) for text in axis.get_ticklabels()}
    boxes = [(words, box) for words, box in boxes if words not in ticks]
    assert len(boxes) > 10
    for number, (words, box) in enumerate(boxes):
        assert whole.x0 <= box.x0, words
        assert box.x1 <= whole.x1, words
        assert whole.y0 <= box.y0, words
        assert box.y1 <= whole.y1, words
        for others, other in boxes[number + 1 :]:
            assert not box.overlaps(other), (words, others)


def test_boundary_is_where_the_volumes_are_equal():
    labels, margins = np.array([["ABO3", "SC + fcc"]] * 2), np.array([[0.01, 0.03], [0.02, 0.02]])
    areas = partition(np.array([0.0, 1.0]), np.array([0.0, 1.0]), labels, labels[:, ::-1], margins)
    (loop,) = areas.outline("ABO3")
    # Margins of 1 and 3 % vanish at a quarter of the way, equal ones half-way: a trapezium.
    assert area([loop]) == pytest.approx((0.25 + 0.5) / 2)
    assert area(areas.outline("SC + fcc")) == pytest.approx(1 - (0.25 + 0.5) / 2)
    # With a third phase as runner-up nothing is known in between.
    apart = partition(np.array([0.0, 1.0]), np.array([0.0, 1.0]), labels, np.full((2, 2), "NaCl"), margins)
    assert area(apart.outline("ABO3")) == pytest.approx(0.5)


def test_areas_fill_the_map_without_overlap():
    rng = np.random.default_rng(0)
    labels = rng.choice(["a", "b", "c"], (9, 12))
    areas = partition(
        np.linspace(0.3, 0.7, 12),
        np.linspace(0, 0.25, 9),
        labels,
        rng.choice(["a", "b", "c"], (9, 12)),
        rng.random((9, 12)),
    )
    corners = areas.points[areas.triangles]
    sides = corners[:, 1:] - corners[:, :1]
    sizes = 0.5 * (sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0])
    assert (sizes > -1e-15).all()  # all counter-clockwise: none is folded over another
    assert sizes.sum() == pytest.approx(0.4 * 0.25)
    for label in "abc":
        assert area(areas.outline(label)) == pytest.approx(sizes[areas.labels == label].sum())


def test_an_area_inside_another_leaves_a_hole():
    labels = np.full((5, 5), "SC + fcc")
    labels[2, 2] = "ABO3"
    x = np.arange(5.0)
    areas = partition(x, x, labels, np.where(labels == "ABO3", "SC + fcc", "ABO3"), np.full((5, 5), 0.1))
    outside, hole = sorted(areas.outline("SC + fcc"), key=lambda loop: -area([loop]))
    assert area([outside]) == pytest.approx(16)
    assert area([hole]) == pytest.approx(-0.5)  # a square on its corner, half a step around the point
    raster = Raster(
        np.array([[0.0, 0.0], [400.0, 400.0]]),
        {name: [100 * p for p in areas.outline(name)] for name in set(labels.flat)},
    )
    assert raster.area[100, 100] == raster.labels.index("ABO3")
    # The outside is widest beside the hole, not in it.
    assert np.abs(raster.widest(raster.parts("SC + fcc")[0]) - 200).max() > 50
    np.testing.assert_allclose(raster.widest(raster.parts("ABO3")[0]), [200, 200], atol=3)


def test_small_area_is_named_beside_itself():
    labels = np.full((30, 40), "SC + fcc", dtype="<U20")
    labels[15, 25] = "SC + AlB2"
    figure = packing_map_figure(drawn(labels))
    name = next(t for t in figure.findobj(Text) if t.get_text() == "SC + AlB$_2$")
    ax = figure.axes[0]
    place = ax.transData.transform([0.3 + 0.4 * 25 / 39, 0.25 * 15 / 29])
    away = np.abs(np.array(name.get_position()) - place)
    assert 10 < np.hypot(*away) < 150  # pixels: beside it, and a line leads there
    ends = [line.get_xydata() for line in ax.lines if line.get_transform().transform([0.0, 0.0]).tolist() == [0, 0]]
    assert any(np.linalg.norm(points - place, axis=1).min() < 6 for points in ends if len(points) == 2)


def test_text_avoids_what_is_taken():
    raster = Raster(np.array([[0.0, 0.0], [200.0, 100.0]]), {"a": [np.array([[0, 0], [200, 0], [200, 100], [0, 100]])]})
    (part,) = raster.parts("a")
    extent = np.array([60.0, 20.0])
    np.testing.assert_allclose(raster.inside(part, extent), [100, 50], atol=60)
    raster.take_box(np.array([[80.0, 0.0], [200.0, 100.0]]))
    assert raster.inside(part, extent)[0] < 50
    assert raster.near(np.array([150.0, 50.0]), extent)[0] < 50
    raster.take_line(np.array([[40.0, 0.0], [40.0, 100.0]]), 4)
    assert raster.inside(part, extent) is None
    assert raster.near(np.array([150.0, 50.0]), extent) is None


# --- the figure -------------------------------------------------------------------------------------------------------


def test_file_is_a_small_picture(table, tmp_path):
    plot_packing_map(diagram(table, 4), tmp_path / "map.png", title="a title")
    content = (tmp_path / "map.png").read_bytes()
    assert content.startswith(b"\x89PNG\r\n")
    assert 20_000 < len(content) < 200_000
    assert [file.name for file in tmp_path.iterdir()] == ["map.png"]


@pytest.mark.parametrize("labels", [[["ABO3"] * 2] * 2, [["ABO3", "SC + fcc"], ["SC + NaCl", "ABO3"]]])
def test_smallest_grid(labels):
    figure = packing_map_figure(drawn(labels))
    assert set(artists(figure, "area")) == {label for row in labels for label in row}


def test_every_structure_has_a_look(tmp_path):
    both = [name for name in BINARY if len(STRUCTURES[name].species) > 1]
    labels = np.repeat([*(f"SC + {name}" for name in both), *both, "SC + fcc", "SC + Laves"], 3)
    plot_packing_map(drawn(np.repeat(labels.reshape(1, -1), 4, axis=0)), tmp_path / "map.png")
    names = texts(packing_map_figure(drawn(np.repeat(labels.reshape(1, -1), 4, axis=0))))
    assert {palette.fill(label).name for label in labels} <= {name.replace("\n", " ") for name in names}


def test_narrow_margins_are_marked():
    wide, narrow = (packing_map_figure(drawn([["ABO3"] * 3] * 3, margin=margin)) for margin in (0.02, 0.005))
    assert not any("< 1 % more volume" in text for text in texts(wide))
    assert any("< 1 % more volume" in text for text in texts(narrow))


@pytest.mark.parametrize("shape", [(1, 5), (5, 1)])
def test_lines_are_no_maps(tmp_path, shape):
    with pytest.raises(InputError, match="expected at least two of each"):
        plot_packing_map(drawn(np.full(shape, "ABO3")), tmp_path / "map.png")
    assert not list(tmp_path.iterdir())


def test_margins_have_to_be_numbers(tmp_path):
    with pytest.raises(InputError, match="no finite numbers"):
        plot_packing_map(drawn([["ABO3"] * 2] * 2, margin=np.nan), tmp_path / "map.png")

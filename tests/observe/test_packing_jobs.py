"""Jobs over the packing theory."""

import numpy as np
import pytest

from supercube.crystals.diagram import Diagram
from supercube.errors import InputError
from supercube.model.nanocrystals import experiments
from supercube.observe import PACKING_JOBS_COLUMNS, packing_jobs_figure


@pytest.fixture(scope="module")
def packing():
    """NaCl with excess cubes on the left, ABO3 on the right."""
    gammas, lams = np.linspace(0.36, 0.56, 5), np.linspace(0.06, 0.22, 4)
    shape = (len(lams), len(gammas))
    left = np.broadcast_to(gammas < 0.48, shape)
    labels, others = np.where(left, "SC + NaCl", "ABO3"), np.where(left, "ABO3", "SC + NaCl")
    return Diagram(4.0, gammas, lams, labels, np.full(shape, 0.7), np.zeros(shape), others, np.full(shape, 0.1))


def job(**changes):
    return dict(zip(PACKING_JOBS_COLUMNS, (0.49, 0.18, 0.0, "ABO3", "ABO3", 1.0), strict=True)) | changes


def marked(ax, start):
    return [line for line in ax.lines if (line.get_gid() or "").startswith(start)]


def test_one_panel_for_each_pressure_and_one_for_the_rest(packing):
    rows = [job(), job(pressure=40.0), job(pressure=120.0, structure="NaCl"), job(initial="fluid")]
    axes = packing_jobs_figure(rows, packing).axes
    assert [ax.get_title() for ax in axes] == ["dried, or at constant volume", "P = 40 kT/e³", "P = 120 kT/e³"]
    assert [len(marked(ax, "job:")) for ax in axes] == [2, 1, 1]
    assert [line.get_gid() for line in marked(axes[2], "job:")] == ["job:NaCl"]


def test_many_pressures_make_several_lines_of_panels(packing):
    axes = packing_jobs_figure([job(pressure=float(p)) for p in range(1, 6)], packing).axes
    assert len(axes) == 5
    assert len({round(ax.get_position().y0, 3) for ax in axes}) == 2


def test_areas_of_the_theory_and_experiments_are_there(packing):
    ax = packing_jobs_figure([job()], packing).axes[0]
    assert {patch.get_gid() for patch in ax.patches if patch.get_gid()} == {"theory:ABO3", "theory:SC + NaCl"}
    assert [line.get_gid() for line in marked(ax, "experiment:")] == ["experiment:0", "experiment:1"]


def test_jobs_of_one_place_are_pushed_apart_around_it(packing):
    figure = packing_jobs_figure([job(), job(initial="fluid", structure="disordered"), job(size_ratio=0.4)], packing)
    ax = figure.axes[0]
    places = np.array([[line.get_xdata()[0], line.get_ydata()[0]] for line in marked(ax, "job:")])
    pixels = ax.transData.transform(places)
    assert np.linalg.norm(pixels[0] - pixels[1]) > 10
    np.testing.assert_allclose(places[:2].mean(axis=0), [0.49, 0.18], atol=1e-9)
    np.testing.assert_allclose(places[2], [0.4, 0.18])  # alone, so in its place


def test_the_size_of_a_marker_is_the_share_of_the_structure(packing):
    ax = packing_jobs_figure([job(size_ratio=0.4), job(structure_fraction=0.5)], packing).axes[0]
    whole, half = (line.get_markersize() for line in marked(ax, "job:"))
    assert half == pytest.approx(whole * (0.4 + 0.6 * 0.5))


def test_without_jobs_theory_and_experiments_stand_alone(packing):
    figure = packing_jobs_figure([], packing, experiments()[:1])
    assert marked(figure.axes[0], "job:") == []
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["theory: ABO$_3$", "theory: SC + NaCl", "experiment: ABO$_3$"]


@pytest.mark.parametrize(
    ("row", "words"),
    [({"size_ratio": 0.4}, "row 0 of the map lacks ligand_length"), (job(structure=None), "expected finished jobs")],
)
def test_bad_input_is_refused(packing, row, words):
    with pytest.raises(InputError, match=words):
        packing_jobs_figure([row], packing)


def test_a_start_from_a_file_is_not_called_a_crystal(packing):
    rows = [job(initial="file:0123"), job(size_ratio=0.4), job(size_ratio=0.45, initial="fluid")]
    figure = packing_jobs_figure(rows, packing)
    edges = [line.get_markeredgecolor() for line in marked(figure.axes[0], "job:")]
    assert edges[1] == "black"
    assert len(set(edges)) == 3
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"from the fluid", "from a crystal", "from a file"} <= legend

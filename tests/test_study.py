"""Coverage, replicates and drying of hand-made tables, whose answers follow by hand."""

import math
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from supercube import study
from supercube.errors import InputError
from supercube.model.units import Units
from supercube.progress import STAGES
from supercube.statepoint import StatePoint


def table(*rows):
    """A table as ``supercube.load`` makes it, of state points and results."""
    lines = []
    for row in rows:
        results = {key: row.pop(key) for key in list(row) if key not in StatePoint.model_fields}
        point = StatePoint.parse({"ligand_length": 0.2, "n_cubes": 27} | row, "a test").to_dict()
        lines.append(point | {"stage": "finished", "structure": "SC", "structure_fraction": 0.9} | results)
    frame = pd.DataFrame(lines, index=pd.Index([f"job{k}" for k in range(len(lines))], name="job"))
    frame["stage"] = pd.Categorical(frame["stage"], STAGES, ordered=True)
    for key in ("structure", "initial", "geometry"):
        frame[key] = frame[key].astype("category")
    frame.attrs = {"units": dict.fromkeys(frame.columns, "1") | {"pressure": "kT/e^3"}, "project": "nowhere"}
    return frame


def dry(rate, replicate=0, **results):
    found = {"cubatic_order": 0.5, "fractions.SC": 0.9, "fractions.hcp": 0.0, "fractions.disordered": 0.1} | results
    return {"evaporation_rate": rate, "target_packing_fraction": 0.7, "replicate": replicate} | found


def test_coverage_counts_each_replicate_once():
    frame = table(
        {"ligand_length": 0.1},
        {"ligand_length": 0.1, "replicate": 1, "structure": None},
        {"ligand_length": 0.1, "replicate": 2, "structure": None, "stage": "failed"},
        {"ligand_length": 0.2, "structure": None, "stage": "waiting"},
    )
    found = study.coverage(frame)
    assert found.index.names == ["ligand_length"]
    assert found.loc[0.1].to_dict() == {"replicates": 3, "classified": 1, "failed": 1, "open": 1}
    assert found.loc[0.2].to_dict() == {"replicates": 1, "classified": 0, "failed": 0, "open": 1}
    assert study.varied(frame) == ["ligand_length"]


def test_coverage_of_one_point():
    assert study.coverage(table({}, {"replicate": 1}))["replicates"].tolist() == [2]


def test_coverage_map_takes_any_two_columns():
    frame = table({"pressure": 40.0, "initial": "SC"}, {"initial": "fcc", "stage": "failed"})
    (ax, _) = study.coverage_map(frame, "initial", "pressure").axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["SC", "fcc"]
    assert ax.get_ylabel() == "pressure  (kT/e³)"
    assert [text.get_text() for text in ax.texts] == ["0/1", "1 failed", "1/1"]
    with pytest.raises(InputError, match="'gamma' is no column"):
        study.coverage_map(frame, x="gamma")


def test_structures_by_start():
    frame = table({}, {"replicate": 1, "structure": "hcp"}, {"initial": "SC"}, {"initial": "fcc", "structure": None})
    assert study.structure_counts(frame).to_dict("index") == {"SC": {"SC": 1, "hcp": 0}, "fluid": {"SC": 1, "hcp": 1}}


def test_means_and_standard_errors_of_replicates():
    values = [0.2, 0.5, 0.8, 0.9]
    frame = table(*({"replicate": k, "cubatic_order": value} for k, value in enumerate(values)))
    row = study.replicate_means(frame, ["ligand_length"], ["cubatic_order"]).loc[0.2]
    assert row["n"] == 4
    assert row["cubatic_order"] == pytest.approx(0.6)
    spread = math.sqrt(sum((value - 0.6) ** 2 for value in values) / 3)
    assert row["cubatic_order_sem"] == pytest.approx(spread / math.sqrt(4))


def test_missing_values_do_not_count_and_one_repeat_has_no_error():
    frame = table({"cubatic_order": 0.4}, {"replicate": 1, "cubatic_order": math.nan})
    row = study.replicate_means(frame, ["ligand_length"], ["cubatic_order"]).loc[0.2]
    assert (row["n"], row["cubatic_order"]) == (2, 0.4)
    assert math.isnan(row["cubatic_order_sem"])


def test_drying_follows_the_leading_crystal_of_a_series_through_all_its_jobs():
    frame = table(
        dry(1.0, 0, **{"fractions.SC": 0.8, "cubatic_order": 1.0}),
        dry(1.0, 1, **{"fractions.SC": 0.6, "cubatic_order": 0.8}),
        # Here hcp is ahead, further than SC ever is, but not on average over the series.
        dry(100.0, **{"fractions.SC": 0.0, "fractions.hcp": 0.95, "structure": "hcp"}),
    )
    found = study.drying(frame)
    (name,) = set(found.index.get_level_values("series"))
    assert name == "27 cubes, λ = 0.2"
    slow, fast = found.loc[(name, 1.0)], found.loc[(name, 100.0)]
    assert (slow["crystal"], fast["crystal"]) == ("SC", "SC")
    assert slow["crystal_share"] == pytest.approx(0.7)
    assert slow["crystal_share_sem"] == pytest.approx(0.1)  # half the difference of two
    assert slow["cubatic_order"] == pytest.approx(0.9)
    assert (slow["n"], fast["n"], fast["crystal_share"]) == (2, 1, 0.0)
    assert len(study.drying_map(frame).axes) == 2


def test_series_differ_in_everything_but_rate_and_replicate():
    both = {"n_spheres": 8, "size_ratio": 0.5}
    frame = table(dry(1.0), dry(1.0) | {"ligand_length": 0.1}, dry(2.0) | both, {"initial": "SC"})
    names = set(study.drying(frame).index.get_level_values("series"))
    assert names == {"27 cubes, λ = 0.2", "27 cubes, λ = 0.1", "27 cubes + 8 spheres, γ = 0.5, λ = 0.2"}


def test_series_of_equal_words_are_told_apart():
    frame = table(dry(1.0), dry(2.0) | {"roughness": 0.01}, dry(1.0) | {"target_packing_fraction": 0.6})
    assert len(set(study.drying(frame).index.get_level_values("series"))) == 3


def test_without_order_there_is_no_crystal():
    found = study.drying(table(dry(1.0, **{"fractions.SC": 0.0, "fractions.disordered": 1.0}))).iloc[0]
    assert found["crystal"] is None
    assert found["crystal_share"] == 0.0


@pytest.mark.parametrize(
    ("row", "ask", "words"),
    [
        ({}, study.drying, "no job of this data space dries"),
        (dry(1.0, structure=None), study.drying, "no job that dried .* has a result"),
        ({"structure": None, "stage": "waiting"}, study.classified, r"no job has a result \(1 waiting\)"),
        ({"structure": None, "stage": "running"}, study.pick_job, "no job has a result"),
        ({}, lambda frame: study.pick_job(frame, "x"), "0 jobs have an id that begins with 'x'"),
        ({}, lambda frame: study.theory_map(frame, grid=(1, 5)), r"grid is \(1, 5\)"),
        ({}, lambda frame: study.peclet_table(frame, 1.0, [1.0]), "no size of the cubes in nm"),
    ],
)
def test_what_cannot_be_answered_is_said(row, ask, words):
    with pytest.raises(InputError, match=words):
        ask(table(row))


def test_the_theory_map_shows_mixtures_with_a_result_only():
    both = {"n_spheres": 27, "size_ratio": 0.49, "ligand_length": 0.18}
    frame = table(
        {"structure": "SC"},
        both | {"structure": "ABO3", "initial": "ABO3"},
        both | {"structure": None, "replicate": 1},
        both | {"structure": "disordered", "pressure": 40.0},
    )
    figure = study.theory_map(frame, grid=(3, 3))
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["dried, or at constant volume", "P = 40 kT/e³"]
    jobs = [[line.get_gid() for line in ax.lines if re.match("job:", line.get_gid() or "")] for ax in figure.axes]
    assert jobs == [["job:ABO3"], ["job:disordered"]]
    low, high = figure.axes[0].get_xlim()
    assert low < 0.36  # the experiments are on the map wherever the jobs are
    assert high > 0.56


def test_jobs_of_one_place_stand_around_it_in_one_order_everywhere():
    both = {"n_spheres": 27, "ligand_length": 0.18, "initial": "NaCl", "structure": "NaCl"}
    other = both | {"initial": "ABO3", "structure": "ABO3"}
    left, right = {"size_ratio": 0.45}, {"size_ratio": 0.5}
    ax = study.theory_map(table(both | left, other | left, other | right, both | right), grid=(2, 2)).axes[0]
    found = {line.get_gid(): set() for line in ax.lines if re.match("job:", line.get_gid() or "")}
    for line in ax.lines:
        if line.get_gid() in found:
            found[line.get_gid()].add(round(float(line.get_ydata()[0] - 0.18), 9))
    assert set(found) == {"job:ABO3", "job:NaCl"}
    assert [len(places) for places in found.values()] == [1, 1]


def test_pick_job_refuses_what_is_ambiguous():
    with pytest.raises(InputError, match="2 jobs have an id"):
        study.pick_job(table({}, {"replicate": 1}), "job")


def test_peclet_of_a_film():
    # Pe = v H0/D0 with v = H0/t: the time to diffuse over the film's height, over the drying time.
    diffusion = Units(10.6).diffusion_m2_per_s
    assert study.peclet(1.0, 1.0, 10.6) == pytest.approx(1e-6 / diffusion / 3600)
    assert study.peclet(2.0, 4.0, 10.6) == pytest.approx(study.peclet(1.0, 1.0, 10.6))
    frame = table({})
    frame.attrs["cube_edge_nm"] = 10.6
    np.testing.assert_allclose(
        study.peclet_table(frame, 1.0, [1.0, 2.0])["Pe"], [study.peclet(1, t, 10.6) for t in (1, 2)]
    )
    with pytest.raises(InputError, match="hours is 0"):
        study.peclet(1.0, 0.0, 10.6)


def test_experiments_as_a_table():
    found = study.experiment_table()
    assert found.loc[1, "structure"] == "ABO3"
    assert found.loc[1, "cube_edge"] == 8.6


def test_what_a_job_does_not_have_is_a_dash_and_the_frame_keeps_its_numbers():
    frame = table(
        {"pressure": 40.0, "initial": "SC", "done": 1.0, "cubatic_order": 0.9, "packing_fraction": 0.7},
        {"n_spheres": 9, "size_ratio": 0.4, "done": 0.0, "structure": None} | dry(20.0, cubatic_order=float("nan")),
        {"initial": "file:" + 16 * "0123", "done": 0.0},
    )
    shown = study.overview(frame)
    assert shown["pressure"].tolist() == [40.0, "–", "–"]
    assert shown["evaporation_rate"].tolist() == ["–", 20.0, "–"]
    assert shown["size_ratio"].tolist() == ["–", 0.4, "–"]
    assert shown["initial"].tolist() == ["SC", "fluid", "file 0123"]
    assert shown["structure"].tolist() == ["SC", "–", "SC"]
    assert shown["cubatic_order"].tolist() == [0.9, "–", "–"]
    assert shown["replicate"].tolist() == [0, 0, 0]  # a number like any other
    assert frame["pressure"].tolist() == [40.0, 0.0, 0.0]
    assert frame["size_ratio"].tolist()[0] == 1.0


def job_frame(**results):
    frame = table({"initial": "SC", "expansion": 1.02, "done": 1.0} | results)
    frame.attrs["units"] = dict.fromkeys(frame.columns, "1") | {"lattice_constant": "e"}
    frame.attrs["descriptions"] = dict.fromkeys(frame.columns, "words")
    return frame


def read(frame):
    return study.job_table(frame, SimpleNamespace(id="job0"))


def test_the_table_of_a_job_holds_what_is_worth_reading():
    frame = job_frame(
        **{
            "lattice_constant": 1.234, "lattice_constant_sem": 0.011, "lattice_constant_nm": 12.34,
            "lattice_constant_sem_nm": 0.11, "vacancy_fraction": 0.0, "fractions.SC": 0.9, "fractions.hcp": 0.0,
            "model.beads": 44, "model.sigma": 0.4, "cell_lengths.a": 1.234, "cell_angles_deg.alpha": 90.0,
            "sublattices.A.particles": 27, "sublattices.A.lindemann": 0.0301, "o_site_angle_deg": float("nan"),
        }
    )  # fmt: skip
    frame.attrs["cube_edge_nm"] = 10.0
    about = read(frame)
    assert about.loc[("result", "lattice_constant"), ["value", "nm"]].tolist() == ["1.234 ± 0.011", "12.34 ± 0.11"]
    assert about.loc[("result", "vacancy_fraction"), "value"] == "0"  # none is a result
    assert about.loc[("sublattices", "A"), "value"] == "particles 27, lindemann 0.0301"
    assert about.loc["shares"].index.tolist() == ["fractions.SC"]
    assert about.loc["run"].index.tolist() == ["stage", "model.beads"]
    names = about.index.get_level_values("name")
    assert not {"size_ratio", "n_spheres", "pressure", "cell_lengths.a", "o_site_angle_deg"} & set(names)
    assert not [name for name in names if name.endswith(("_sem", "_nm"))]


def test_cells_that_are_not_cubic_are_shown():
    cell = {"cell_lengths.a": 1.2, "cell_lengths.c": 1.4, "cell_angles_deg.alpha": 90.0}
    assert "cell" not in read(job_frame(**cell)).index.get_level_values("group")
    assert read(job_frame(c_over_a=1.17, **cell)).loc["cell"].index.tolist() == list(cell)
    assert "cell" in read(job_frame(**cell | {"cell_angles_deg.alpha": 60.0})).index.get_level_values("group")

"""From jobs to the stability map: which jobs count, what is compared, and what is written."""

from dataclasses import replace

import pytest
import signac
from finished_jobs import BASE, finished, one_degree

from supercube.errors import InputError
from supercube.stability import PurePhase, load_csv, stability_map, survey
from supercube.stability.survey import PICTURE, TABLE, compared, survey_of


@pytest.fixture
def project(tmp_path):
    return signac.init_project(tmp_path)


def test_stability_map_writes_table_and_picture(project, tmp_path, monkeypatch):
    # Without ABO3, whose closest packing takes a search at each of its points, the theory takes no time.
    monkeypatch.setattr(survey, "_THEORY", ("SC", "NaCl", "fcc"))
    both = {"size_ratio": 0.41, "n_spheres": 32}
    jobs = [
        finished(project),
        finished(project, initial="NaCl", n_cubes=32, **both),
        finished(project, initial="fcc", n_cubes=0, **both),
        finished(project, initial="SC", pressure=0.0, frames=False),
        finished(project, initial="SC", pressure=21.0, frames=False),
        finished(project, initial="SC", size_dispersity=0.05, frames=False),
    ]
    jobs[-1].doc["volume"] *= 2  # were it a repeat of the first, it would show
    open_job = project.open_job(BASE | {"replicate": 5})
    open_job.init()
    points = stability_map([*jobs, open_job], tmp_path).points
    assert [(point.size_ratio, point.pressure) for point in points] == [(0.41, 20.0)]
    assert {phase.name for phase in points[0].phases} == {"SC", "NaCl", "fcc"}
    nacl = next(phase for phase in points[0].phases if phase.name == "NaCl")
    assert nacl.entropy == pytest.approx(9 * one_degree(0.02), abs=0.3)
    assert nacl.volume == pytest.approx(jobs[1].doc["volume"] / 32)
    cubes = next(phase for phase in points[0].phases if phase.name == "SC")
    assert cubes.volume == pytest.approx(jobs[0].doc["volume"] / 27)
    read = load_csv(tmp_path / TABLE)
    assert read[0].by_gibbs.winner == points[0].by_gibbs.winner == "SC + NaCl"
    assert (points[0].missing, points[0].by_gibbs.undecided) == (("ABO3",), True)
    assert (tmp_path / PICTURE).read_bytes()[:4] == b"\x89PNG"


def test_without_points_an_empty_table_tells_that_it_was_done(project, tmp_path):
    (tmp_path / PICTURE).write_bytes(b"of an older state")
    assert stability_map([finished(project, frames=False)], tmp_path).points == []
    assert load_csv(tmp_path / TABLE) == []
    assert not (tmp_path / PICTURE).exists()


def test_different_cubes_of_one_ligand_length_are_refused(project):
    one, same = (finished(project, frames=False, roughness=value) for value in (0.02, 0.01))
    assert survey_of([one, same]).points == []  # asked for differently, but the same beads
    longer = finished(project, frames=False, ligand_length=0.2, model={"beads": 39, "roughness": 0.0187})
    spheres = finished(project, frames=False, initial="fcc", n_cubes=0, n_spheres=32, model={"beads": 0})
    survey_of([one, longer, spheres])
    other = finished(project, frames=False, roughness=0.005, model={"beads": 98, "roughness": 0.0031})
    with pytest.raises(InputError, match=r"length 0\.15 have 56 beads \(roughness 0\.0064\) in job .* and 98 beads"):
        survey_of([one, longer, other])


def test_a_crystal_whose_rows_slid_still_competes_by_enthalpy(project):
    both = {"size_ratio": 0.41, "n_spheres": 32}
    jobs = [
        finished(project, width=0.15),  # too wide for a Gaussian; the classifier calls it SC
        finished(project, initial="NaCl", n_cubes=32, frames=False, **both),
        finished(project, initial="fcc", n_cubes=0, frames=False, **both),
    ]
    point = survey_of(jobs).points[0]
    cubes = next(phase for phase in point.phases if phase.name == "SC")
    assert (cubes.lost, cubes.entropy) == ("", None)
    assert "leave their places" in cubes.note
    assert "SC: " + cubes.note in point.notes
    assert point.by_enthalpy.winner == "SC + NaCl"
    assert point.by_gibbs.reason.startswith("no entropy of ")


def test_cubes_alone_serve_all_size_ratios_and_spheres_alone_one():
    def run(name, cubes, spheres, gamma, **values):
        phase = PurePhase(name, cubes, spheres, 5.0, 0.01, 1.0, 0.01, 101.0, 0.01, -1.0)
        return BASE | {"size_ratio": gamma, "n_spheres": spheres} | values, phase

    runs = [run("SC", 1, 0, 1.0), run("NaCl", 1, 1, 0.45), run("ABO3", 4, 1, 0.45), run("ABO3", 4, 1, 0.5)]
    runs += [run("fcc", 0, 1, 0.5), run("fcc", 0, 1, 0.55), run("SC", 1, 0, 1.0, ligand_length=0.2)]
    runs += [run("ABO3", 4, 1, 0.5, attraction=2.0), run("ABO3", 4, 1, 0.5, pressure=60.0)]
    values, phase = run("ABO3", 4, 1, 0.5, replicate=1)
    runs.append((values, replace(phase, energy=3.0)))
    points = compared(runs).points
    found = {(p.size_ratio, p.pressure, p.attraction): {phase.name: phase.energy for phase in p.phases} for p in points}
    assert found == {
        (0.45, 20.0, 0.0): {"NaCl": 1.0, "ABO3": 1.0, "SC": 1.0},
        (0.5, 20.0, 0.0): {"ABO3": 2.0, "fcc": 1.0, "SC": 1.0},
        (0.5, 20.0, 2.0): {"ABO3": 1.0},
        (0.5, 60.0, 0.0): {"ABO3": 1.0},
    }


def test_pressures_of_one_crystal_are_compared_whether_or_not_it_stands_at_a_point():
    def run(name, cubes, spheres, gamma, pressure, entropy):
        phase = PurePhase(name, cubes, spheres, 5.0, 0.0, 0.0, 0.0, 5.0 * pressure, 0.0, entropy)
        return BASE | {"size_ratio": gamma, "n_spheres": spheres, "pressure": pressure}, phase

    # V does not depend on P, so G has to rise by 5 (P2 - P1); SC is off by 1, NaCl of 0.5 by -2.
    runs = [run("SC", 1, 0, 1.0, 20.0, -1.0), run("SC", 1, 0, 0.7, 22.0, -2.0), run("NaCl", 1, 1, 0.5, 20.0, -9.0)]
    runs += [run("NaCl", 1, 1, 0.5, 22.0, -7.0), run("NaCl", 1, 1, 0.45, 22.0, -9.0)]
    found = compared(runs)
    # Without a thermal part V is flat; with all of it, V would fall by f/P, which two pressures cannot tell.
    values = {(m.name, m.size_ratio): m.value for m in found.mismatches}
    assert values == pytest.approx({("SC", 0.0): 1.0, ("NaCl", 0.5): -2.0}, abs=0.01)
    points = {(p.size_ratio, p.pressure): {phase.name: phase for phase in p.phases} for p in found.points}
    assert points[0.5, 22.0]["NaCl"].mismatch == pytest.approx(-2.0, abs=0.01)
    assert points[0.5, 20.0]["NaCl"].mismatch is None
    assert points[0.5, 20.0]["NaCl"].allowance == pytest.approx(2.0, abs=0.01)
    assert points[0.45, 22.0]["SC"].mismatch == pytest.approx(1.0, abs=0.01)
    assert points[0.45, 22.0]["NaCl"].mismatch is None

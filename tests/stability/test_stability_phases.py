"""Gibbs free energies of pure phases, the lever rule, and when a winner is called one."""

import math
from dataclasses import replace

import pytest

from supercube.errors import InputError
from supercube.stability import Entropy, PurePhase, Refusal, stability_point
from supercube.stability.phases import DECIDED, GAUSSIAN, merged, pure_phase

PRESSURE = 10.0
COUNTS = {"ABO3": (4, 1), "NaCl": (1, 1), "SC": (1, 0), "fcc": (0, 1), "CsCl": (1, 1)}


def phase(name, enthalpy, entropy=0.0, error=0.0, **others):
    """A phase of a given H and its error at the pressure, half of it P V."""
    return PurePhase(
        name,
        *COUNTS[name],
        enthalpy / 2 / PRESSURE,
        0.0,
        enthalpy / 2,
        0.0,
        enthalpy,
        error,
        entropy,
        **{"entropy_error": 0.0} | others,
    )


def point(*phases, stoichiometry=4.0, pressure=PRESSURE):
    return stability_point(0.5, 0.15, pressure, phases, stoichiometry)


def document(**values):
    base = {
        "n_cubes": 108, "n_spheres": 27, "structure": "ABO3", "structure_fraction": 1.0, "volume": 270.0,
        "volume_sem": 0.27, "potential_energy": 540.0, "potential_energy_sem": 2.7, "enthalpy": 3240.0,
        "enthalpy_sem": 1.35, "molten": {"cube": False, "sphere": False},
    }  # fmt: skip
    return base | values


ENTROPY = Entropy(-1100.0, 20.0, -1000.0, 1.62, 2.16, 300, 200.0, 27)


def test_gibbs_is_per_formula_unit():
    found = pure_phase("ABO3", document(), ENTROPY)
    assert (found.enthalpy, found.enthalpy_error) == pytest.approx((540 / 27 + 10 * 270 / 27, 1.35 / 27))
    value, error = found.gibbs
    assert value == pytest.approx((540 + 10 * 270 + 1080) / 27)
    # 27 coordinates of one sphere and four cubes.
    assert error == pytest.approx(math.hypot(1.35 / 27, 2.7 / 27, GAUSSIAN * 27))
    assert replace(found, mismatch_largest=3.0).gibbs[1] == pytest.approx(math.hypot(1.35 / 27, 2.7 / 27, 3.0))
    assert replace(found, mismatch_largest=0.5).gibbs[1] == error


@pytest.mark.parametrize(
    ("changes", "entropy", "lost"),
    [
        ({"structure": "CuAu"}, ENTROPY, "became CuAu"),
        ({"molten": {"cube": True, "sphere": False}}, ENTROPY, "cubes left their sites"),
        ({"structure_fraction": 0.7}, Refusal("3 of 135 bodies leave their places"), ""),
        ({}, Refusal("40 frames are too few"), ""),
        ({"molten": None}, ENTROPY, ""),
    ],
)
def test_phases_that_did_not_survive_are_no_candidates(changes, entropy, lost):
    found = pure_phase("ABO3", document(**changes), entropy)
    assert found.lost == lost
    assert (found.entropy is None) == (bool(lost) or isinstance(entropy, Refusal))
    others = (phase("NaCl", 1e6), phase("SC", 1e6), phase("fcc", 1e7))
    here = point(found, *others)
    assert ("ABO3" in here.by_enthalpy.winner) == (not lost)
    assert bool([note for note in here.notes if note.startswith("ABO3: ")]) == (bool(lost) or entropy is not ENTROPY)


def test_a_damaged_crystal_is_noted():
    assert pure_phase("ABO3", document(), ENTROPY).note == ""
    found = pure_phase("ABO3", document(structure_fraction=0.72), Refusal("8 bodies leave"))
    assert found.note == "72 % of the bodies are still ABO3; 8 bodies leave"


def test_broken_formula_units_are_refused():
    with pytest.raises(InputError, match="whole number of formula units"):
        pure_phase("ABO3", document(n_cubes=107, n_spheres=28), ENTROPY)
    with pytest.raises(InputError, match="expected numbers per formula unit, 4 and 1"):
        point(replace(phase("ABO3", 10.0), cubes=8, spheres=2))


def test_lever_rule_at_any_composition():
    # h: SC 2 a cube, fcc 3 a sphere, NaCl 4.5, ABO3 10.5, so per sphere at x cubes: separation 3 + 2 x;
    # NaCl + SC 4.5 + 2 (x - 1) = 2.5 + 2 x; ABO3 + SC 10.5 + 2 (x - 4) = 2.5 + 2 x, the same line, but for -0.1.
    phases = phase("SC", 2.0), phase("fcc", 3.0), phase("NaCl", 4.5), phase("ABO3", 10.4)
    found = {x: point(*phases, stoichiometry=x).by_enthalpy for x in (0.5, 1.0, 2.0, 4.0, 6.0)}
    assert [verdict.winner for verdict in found.values()] == ["NaCl + fcc", "NaCl", "NaCl + ABO3", "ABO3", "SC + ABO3"]
    assert found[4.0].runner_up == "SC + NaCl"
    assert found[4.0].margin == pytest.approx(0.1)
    # At 2 cubes 2/3 NaCl + 1/3 ABO3, against separation, which needs neither.
    assert found[2.0].runner_up == "SC + fcc"
    assert found[2.0].margin == pytest.approx(3 + 2 * 2 - (2 / 3 * 4.5 + 1 / 3 * 10.4))
    # At 1/2 half of the spheres are left over; without NaCl, an eighth of ABO3 is better than separation.
    assert found[0.5].margin == pytest.approx(10.4 / 8 + 3 * 7 / 8 - (4.5 + 3) / 2)


def test_entropy_decides_where_enthalpy_says_otherwise():
    phases = phase("SC", 2.0, -5.0), phase("fcc", 3.0, -3.0), phase("NaCl", 4.5, -9.0), phase("ABO3", 10.0, -30.0)
    here = point(*phases)
    assert (here.by_enthalpy.winner, here.by_gibbs.winner) == ("ABO3", "SC + fcc")
    # fcc + 4 SC: 3 + 8 + 3 + 20; NaCl + 3 SC: 4.5 + 6 + 9 + 15; the runner-up needs a structure of both species.
    assert here.by_gibbs.runner_up == "SC + NaCl"
    assert here.by_gibbs.margin == pytest.approx(34.5 - 34.0)


def test_negative_free_energies_are_compared_as_well():
    lowered = [phase(name, h, 1000.0 * sum(COUNTS[name])) for name, h in (("SC", 2.0), ("fcc", 3.0), ("NaCl", 4.5))]
    plain = [replace(one, entropy=0.0) for one in lowered]
    assert point(*lowered).by_gibbs.winner == point(*plain).by_gibbs.winner == "SC + NaCl"
    assert point(*lowered).by_gibbs.margin == pytest.approx(0.5, rel=1e-9)


def test_a_phase_in_both_mixtures_adds_no_error():
    # NaCl + 3 SC against fcc + 4 SC: one SC is the difference.
    phases = phase("SC", 2.0, error=0.3), phase("fcc", 3.0, error=0.1), phase("NaCl", 4.5, error=0.2)
    verdict = point(*phases).by_enthalpy
    assert verdict.error == pytest.approx(math.sqrt(0.3**2 + 0.1**2 + 0.2**2))
    assert verdict.margin == pytest.approx(0.5)
    assert point(*phases, stoichiometry=1.0).by_enthalpy.error == pytest.approx(verdict.error)


def test_undecided_below_two_errors():
    for error, undecided in ((0.5 / DECIDED * 1.01, True), (0.5 / DECIDED * 0.99, False)):
        phases = phase("SC", 2.0), phase("fcc", 3.0), phase("NaCl", 4.5, error=error), phase("ABO3", 99.0)
        assert point(*phases).by_enthalpy.undecided is undecided


def test_a_rival_that_was_never_run_leaves_it_undecided_and_a_lost_one_does_not():
    everyone = [phase("SC", 2.0, 0.0), phase("fcc", 30.0), phase("NaCl", 40.5), phase("ABO3", 10.4)]
    here = point(*everyone)
    assert (here.by_gibbs.winner, here.by_gibbs.undecided, here.by_enthalpy.undecided) == ("ABO3", False, False)
    assert (here.missing, here.absent, here.notes) == ((), (), ())
    for name in ("SC", "NaCl", "fcc"):
        others = [one for one in everyone if one.name != name]
        without = point(*others)
        assert without.missing == without.by_gibbs.missing == (name,)
        assert without.by_gibbs.winner == "ABO3"
        assert without.by_gibbs.undecided
        assert without.by_enthalpy.undecided
        assert without.notes == (f"{name} not run",)
    lost = point(*everyone[:2], replace(everyone[2], lost="became disordered", note="no more"), everyone[3])
    assert (lost.missing, lost.by_gibbs.undecided) == ((), False)
    assert lost.absent == lost.notes == ("NaCl: became disordered",)
    nothing = point(*(replace(one, lost="melted") for one in everyone))
    assert (nothing.by_gibbs.winner, nothing.by_gibbs.reason) == ("", "no crystal survived")


def test_no_gibbs_answer_without_every_entropy():
    phases = phase("SC", 2.0), phase("fcc", 3.0), phase("NaCl", 4.5, None), phase("ABO3", 9.0, lost="melted")
    here = point(*phases)
    assert here.by_enthalpy.winner == "SC + NaCl"
    assert (here.by_gibbs.winner, here.by_gibbs.reason) == ("", "no entropy of NaCl")
    assert here.by_gibbs.undecided


def test_what_cannot_hold_the_bodies_is_said():
    assert "SC for cubes" in point(phase("NaCl", 4.5)).by_enthalpy.reason
    alone = point(phase("ABO3", 9.0)).by_enthalpy
    assert (alone.winner, alone.runner_up, alone.undecided) == ("ABO3", "", True)
    without_fcc = point(phase("ABO3", 9.0), phase("NaCl", 4.5), phase("SC", 2.0)).by_enthalpy
    assert (without_fcc.winner, without_fcc.runner_up) == ("ABO3", "SC + NaCl")
    with pytest.raises(InputError, match="expected each structure once"):
        point(phase("SC", 2.0), phase("SC", 2.0))
    with pytest.raises(InputError, match="positive numbers"):
        point(phase("SC", 2.0), pressure=0.0)


def test_repeats_are_averaged_and_their_scatter_counts():
    one, two = phase("SC", 2.0, -5.0, error=0.1), phase("SC", 4.0, -7.0, error=0.1)
    both = merged([one, two])
    assert (both.energy, both.enthalpy) == pytest.approx((1.5, 3.0))
    assert both.enthalpy_error == pytest.approx(1.0)  # |2 - 4|/2, more than 0.1/sqrt 2
    assert merged([one, one]).enthalpy_error == pytest.approx(0.1 / math.sqrt(2))
    assert both.entropy == pytest.approx(-6.0)


def test_half_of_the_repeats_have_to_survive():
    good, bad = phase("SC", 2.0), phase("SC", 9.0, lost="became disordered")
    assert merged([good, bad, bad]).lost == "became disordered"
    assert merged([bad]).lost == "became disordered"
    kept = merged([good, good, bad])
    assert (kept.lost, kept.energy) == ("", 1.0)
    assert "1 of 3 repeats lost" in kept.note

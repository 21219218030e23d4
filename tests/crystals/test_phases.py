"""Competing phases: the envelope against linear programming, the windows of ABO3 and NaCl, ties, and refusals."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import brentq, linprog

from supercube.crystals.library import O_SITE_ANGLE, STRUCTURES, structure
from supercube.crystals.packing import close_packing, packing_fraction_of, volume_of_cell
from supercube.crystals.phases import (
    BINARY,
    QUICK,
    Mixture,
    Phase,
    densest,
    largest_packing_fraction,
    pure_phases,
)
from supercube.errors import InputError
from supercube.model.shapes import body_volume

FCC = math.pi / math.sqrt(18)
#: The pool of the published windows, with the O cubes at 45 degrees.
POOL, TURNED = ("SC", "NaCl", "ABO3", "fcc"), {"ABO3": {O_SITE_ANGLE: 45.0}}

# --- the envelope -----------------------------------------------------------------------------------------------------


def programme(phases, n_cubes, n_spheres):
    """The least volume, by linear programming over all phases at once."""
    counts = np.array([[phase.cubes, phase.spheres] for phase in phases]).T
    result = linprog([phase.volume for phase in phases], A_eq=counts, b_eq=[n_cubes, n_spheres], method="highs")
    assert result.success
    return result.fun


@pytest.mark.parametrize("seed", range(40))
def test_envelope_is_the_linear_programme(seed):
    rng = np.random.default_rng(seed)
    names = list(BINARY)[: rng.integers(2, len(BINARY))]
    counts = rng.integers(0, 9, (len(names), 2))
    counts[:2] = [[1, 0], [0, 1]]
    counts[counts.sum(axis=1) == 0] = [2, 3]
    # Volumes about that of separation, so that neither the structures nor separation always win.
    volumes = (counts @ [1.0, 2.0]) * rng.uniform(0.8, 1.3, len(names))
    phases = [Phase(name, int(c), int(s), float(v)) for name, (c, s), v in zip(names, counts, volumes, strict=True)]
    for n_cubes, n_spheres in [(0, 3), (5, 0), (1, 1), (4, 1), (7.5, 0.3), tuple(rng.uniform(0, 10, 2))]:
        mixture = densest(phases, n_cubes, n_spheres)
        assert mixture.volume == pytest.approx(programme(phases, n_cubes, n_spheres), rel=1e-9)  # highs ends at 1e-9
        assert sum(mixture.shares) == pytest.approx(1.0, rel=1e-12)
        assert min(mixture.shares) > 0
        assert list(mixture.shares) == sorted(mixture.shares, reverse=True)
        # The shares hold the particles and give the volume.
        by_name = {phase.name: phase for phase in phases}
        held = np.zeros(3)
        for name, share in zip(mixture.names, mixture.shares, strict=True):
            phase = by_name[name]
            cells = share * (n_cubes + n_spheres) / (phase.cubes + phase.spheres)
            held += cells * np.array([phase.cubes, phase.spheres, phase.volume])
        assert held == pytest.approx([n_cubes, n_spheres, mixture.volume], rel=1e-9, abs=1e-9)


def test_holding_a_structure():
    phases = [Phase("SC", 1, 0, 1.0), Phase("fcc", 0, 1, 1.0), Phase("NaCl", 4, 4, 9.0), Phase("CsCl", 1, 1, 2.5)]
    assert densest(phases, 1, 1).names == ("SC", "fcc")
    assert densest(phases, 1, 1, holding="NaCl") == Mixture(("NaCl",), (1.0,), 2.25)
    with_rest = densest(phases, 3, 1, holding="CsCl")
    assert set(with_rest.names) == {"CsCl", "SC"}
    assert with_rest.volume == pytest.approx(2.5 + 2.0)
    with pytest.raises(InputError, match="1 cubes and 0 spheres cannot hold any NaCl"):
        densest(phases, 1, 0, holding="NaCl")


def test_ties():
    separated = [Phase("SC", 1, 0, 1.0), Phase("fcc", 0, 1, 1.0)]
    # A structure goes before a mixture of the same volume, also where rounding makes it 1e-12 larger.
    assert densest([*separated, Phase("NaCl", 4, 4, 8.0 * (1 + 1e-12))], 1, 1).names == ("NaCl",)
    assert densest([*separated, Phase("NaCl", 4, 4, 8.0 * (1 + 1e-8))], 1, 1).label == "SC + fcc"
    # Among structures the earlier one.
    same = [Phase("CsCl", 1, 1, 1.9), Phase("CuAu", 2, 2, 3.8 * (1 - 1e-12))]
    assert densest([*separated, *same], 1, 1).names == ("CsCl",)
    assert densest([*separated, *reversed(same)], 1, 1).names == ("CuAu",)


def test_labels_are_in_the_order_of_the_library():
    order = list(STRUCTURES)
    for one, other in itertools.permutations(("fcc", "NaCl", "SC", "MgZn2"), 2):
        first, second = sorted((one, other), key=order.index)
        assert Mixture((one, other), (0.6, 0.4), 1.0).label == f"{first} + {second}"
    assert Mixture(("ABO3",), (1.0,), 1.0).label == "ABO3"


@pytest.mark.parametrize(
    ("names", "n_cubes", "n_spheres", "message"),
    [
        (("SC",), 1, 1, r"^SC cannot hold 1 cubes and 1 spheres; add a phase"),
        (("fcc", "bcc"), 1, 0, r"^fcc, bcc cannot hold 1 cubes and 0 spheres; add a phase"),
        (("NaCl", "SC"), 1, 2, "cannot hold 1 cubes and 2 spheres"),
        ((), 1, 1, "cannot hold"),
        (("SC", "fcc"), 0, 0, "expected at least one particle, not 0 cubes and 0 spheres"),
        (("SC", "fcc"), -1, 2, "expected at least one particle, not -1 cubes"),
        (("SC", "fcc"), math.nan, 2, "expected at least one particle"),
        (("SC", "fcc"), 1, math.inf, "expected at least one particle"),
    ],
)
def test_impossible_pools_are_refused(names, n_cubes, n_spheres, message):
    with pytest.raises(InputError, match=message):
        densest(pure_phases(0.5, 0.1, names), n_cubes, n_spheres)


# --- pure phases ------------------------------------------------------------------------------------------------------


def test_pure_phases_are_the_closest_packings():
    phases = pure_phases(0.45, 0.1, BINARY, TURNED)
    assert [phase.name for phase in phases] == list(BINARY)
    for phase in phases:
        entry = structure(phase.name)
        assert (phase.cubes, phase.spheres) == (entry.count("cube"), entry.count("sphere"))
        packing = close_packing(phase.name, 0.45, 0.1, held=TURNED.get(phase.name))
        assert body_volume(phase.cubes, phase.spheres, 0.45, 0.1) / phase.volume == pytest.approx(
            packing.packing_fraction, rel=1e-12
        )


def test_pools():
    assert set(STRUCTURES) - set(BINARY) == {"ABO3-ternary", "ABO6-cubes"}
    assert set(QUICK) == {"SC", "NaCl", "ReO3", "fcc", "bcc", "hcp", "hexagonal"}


def test_two_species_of_cubes_are_refused():
    with pytest.raises(InputError, match=r"^ABO3-ternary needs cubes of two sizes; a mixture here has one"):
        pure_phases(0.5, 0.1, ("NaCl", "ABO3-ternary"))


# --- the windows ------------------------------------------------------------------------------------------------------


def winner(gamma, rounding, n_cubes, n_spheres, names=POOL):
    return densest(pure_phases(gamma, rounding, names, TURNED), n_cubes, n_spheres).label


@pytest.mark.parametrize(
    ("rounding", "low", "high"), [(0.15, 0.483, 0.506), (0.20, 0.483, 0.553), (0.25, 0.483, 0.561), (0.3, 0.483, 0.561)]
)
def test_window_of_abo3_at_one_to_four(rounding, low, high):
    # Three digits are published, so the ends are within half of the last one.
    gammas = np.arange(low + 0.0006, high - 0.0005, 0.002)
    assert {winner(gamma, rounding, 4, 1) for gamma in gammas} == {"ABO3"}
    for gamma in (low - 0.0006, high + 0.0006, 0.3, 0.45, 0.6, 0.8):
        assert winner(gamma, rounding, 4, 1) != "ABO3"
    assert winner(low - 0.0006, rounding, 4, 1) == "SC + NaCl"


@pytest.mark.parametrize("rounding", [0.0, 0.05, 0.10])
def test_no_abo3_without_rounding(rounding):
    assert not {winner(gamma, rounding, 4, 1) for gamma in np.arange(0.3, 0.8, 0.002)} & {"ABO3"}


def test_free_angle_opens_the_window_between_012_and_013():
    def wins(rounding):
        for gamma in np.arange(0.47, 0.5, 0.002):
            phases = pure_phases(gamma, rounding, POOL)
            if densest(phases, 4, 1).label == "ABO3":
                return True
        return False

    assert not wins(0.12)
    assert wins(0.13)


def test_nacl_gives_way_to_separation():
    """Below the root of 4 (1/sqrt2 + g^3) = (1 + g)^3, sharp cubes: published as 0.488."""
    limit = brentq(lambda g: (1 + g) ** 3 - 4 * (1 / math.sqrt(2) + g**3), 0.45, 0.6, xtol=1e-14)
    assert limit == pytest.approx(0.488, abs=5e-4)
    for gamma in (0.42, 0.45, limit - 1e-6):
        assert winner(gamma, 0.0, 1, 1, ("SC", "NaCl", "fcc")) == "NaCl"
    for gamma in (limit + 1e-6, 0.6, 0.9):
        assert winner(gamma, 0.0, 1, 1, ("SC", "NaCl", "fcc")) == "SC + fcc"


# --- the densest a mixture gets ---------------------------------------------------------------------------------------


def test_one_species():
    assert largest_packing_fraction(0, 7, 0.5, 0.1) == pytest.approx(FCC, rel=1e-14)
    assert largest_packing_fraction(5, 0, 1.0, 0.0) == pytest.approx(1.0, rel=1e-14)


def test_cubes_become_fcc_spheres():
    def height(rounding):
        return volume_of_cell("bct", 1.0, rounding) / 2  # two layers of cubes of edge 1

    assert height(0.25) == pytest.approx(1.0, rel=1e-14)
    assert height(0.2) == 1.0
    assert largest_packing_fraction(5, 0, 1.0, 0.5) == pytest.approx(FCC, rel=1e-14)
    # Between, the staggered layers touch: their cores are 2 lambda apart (Pythagoras over the shift by half an edge).
    for rounding in (0.3, 0.4):
        s = 1 - 2 * rounding
        apart = math.sqrt(2 * (0.5 - s) ** 2 + (height(rounding) - s) ** 2)
        assert apart == pytest.approx(2 * rounding, rel=1e-14)
        assert height(rounding) < 1


def test_winner_at_one_to_four():
    """A bound by the formulas of 45 degrees alone; the library's free angle only raises it."""
    inside, below, above = 0.49, 0.47, 0.52
    assert largest_packing_fraction(4, 1, inside, 0.15) >= packing_fraction_of("ABO3", inside, 0.15) * (1 - 1e-12)
    assert largest_packing_fraction(4, 1, inside, 0.15, ("ABO3",)) == pytest.approx(
        close_packing("ABO3", inside, 0.15).packing_fraction, rel=1e-12
    )
    for gamma in (below, above):
        assert largest_packing_fraction(4, 1, gamma, 0.15) > packing_fraction_of("ABO3", gamma, 0.15) + 1e-3


def test_leftover_is_packed_beside_the_crystal():
    # At the octahedral-hole size NaCl wins; twice the cubes leave as many over, in a simple cubic crystal.
    gamma = math.sqrt(2) - 1
    volume = math.sqrt(2) ** 3 / gamma**3 / 4
    expected = (2 + math.pi / 6 / gamma**3) / (volume + 1)
    assert largest_packing_fraction(200, 100, gamma, 0.0) == pytest.approx(expected, rel=1e-12)
    # Above gamma = 0.488 separation is denser than NaCl for sharp cubes.
    gamma = 0.6
    separated = (math.pi / 6 + gamma**3) / (1 / math.sqrt(2) + gamma**3)
    assert largest_packing_fraction(100, 100, gamma, 0.0, QUICK) == pytest.approx(separated, rel=1e-12)


@pytest.mark.parametrize(("cubes", "spheres"), [(1, 1), (4, 1), (1, 3), (6, 1), (20, 3)])
@pytest.mark.parametrize(("gamma", "rounding"), [(0.4, 0.0), (0.55, 0.2), (0.8, 0.45), (0.7, 0.5)])
def test_no_known_crystal_is_denser_than_the_bound(cubes, spheres, gamma, rounding):
    bound = largest_packing_fraction(cubes, spheres, gamma, rounding)
    assert bound <= 1
    assert bound >= largest_packing_fraction(cubes, spheres, gamma, rounding, QUICK) * (1 - 1e-12)
    for name in BINARY:
        if rounding < 0.5 and structure(name).stoichiometry == (cubes, spheres):
            assert bound >= close_packing(name, gamma, rounding).packing_fraction * (1 - 1e-9)


@pytest.mark.parametrize(("cubes", "spheres"), [(0, 0), (-1, 3)])
def test_no_particles_are_refused(cubes, spheres):
    with pytest.raises(InputError, match="at least one particle"):
        largest_packing_fraction(cubes, spheres, 0.5, 0.1)

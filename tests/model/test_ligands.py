"""Chain lengths and shells against the volumes they stand for, their limits, and each other."""

import math

import pytest

from supercube.errors import InputError
from supercube.model.ligands import (
    CHAIN_ERROR,
    CIS_ERROR,
    LIGANDS,
    chain_length,
    coverage,
    facet_shell,
    find_ligand,
    ocm_shell,
    opm_shell,
)


@pytest.mark.parametrize(("carbons", "length"), [(6, 0.968), (12, 1.736), (18, 2.504)])
def test_chains_have_the_lengths_of_the_formula(carbons, length):
    assert chain_length(carbons) == pytest.approx(length, rel=1e-12)


def test_a_chain_has_a_carbon():
    with pytest.raises(InputError, match="0 carbons"):
        chain_length(0)


def test_every_name_means_one_ligand():
    names = [name for ligand in LIGANDS for name in (ligand.name, *ligand.aliases)]
    assert len(names) == len(set(names)) > 40
    for ligand in LIGANDS:
        for name in (ligand.name, *ligand.aliases):
            assert find_ligand(name) is ligand


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Oleic Acid", "oleic-acid"),
        ("OLEATE", "oleic-acid"),
        ("OLA", "oleylamine"),
        ("DDAB", "ddab"),
        ("didodecyldimethylammonium_bromide", "ddab"),
        ("soy_lecithin", "lecithin"),
        ("SCN", "thiocyanate"),
    ],
)
def test_spelling_does_not_matter(written, name):
    assert find_ligand(written).name == name


def test_lengths_come_from_the_formula_or_are_wide_estimates():
    estimates = [ligand for ligand in LIGANDS if ligand.carbons is None]
    assert {ligand.name for ligand in estimates} == {"thiocyanate", "lecithin"}
    for ligand in estimates:
        assert ligand.source.startswith("estimate")
        assert ligand.length.error >= 0.2 * ligand.length.value
    for ligand in set(LIGANDS) - set(estimates):
        assert ligand.length.value == chain_length(ligand.carbons)
        assert ligand.length.error == (CIS_ERROR if "cis bond" in ligand.source else CHAIN_ERROR)
    assert {ligand.name for ligand in LIGANDS if "cis bond" in ligand.source} == {"oleic-acid", "oleylamine"}
    # Two arms of half the length that meet at 130 degrees, as a cis bond bends a chain.
    assert pytest.approx(chain_length(18) * (1 - math.sin(math.radians(65))), abs=0.02) == CIS_ERROR


def test_an_unknown_ligand_is_answered_with_the_nearest_or_with_all():
    with pytest.raises(InputError, match=r"ligand 'oleil acid' is not known; did you mean oleic-acid\?"):
        find_ligand("oleil acid")
    with pytest.raises(InputError, match=r"expected one of oleic-acid, .* lecithin"):
        find_ligand("zzz")


def test_coverage_is_one_at_dense_grafting():
    assert coverage(5.5) == 1
    assert coverage(2.2) == pytest.approx(0.4, rel=1e-14)


@pytest.mark.parametrize("radius", [2.0, 9.75])
@pytest.mark.parametrize("xi", [0.6, 1.0])
def test_shells_hold_the_volume_of_the_chains(radius, xi):
    length = 1.736
    # OPM: a concentric shell of the volume that the chains of the whole core have.
    outer = radius + opm_shell(length, xi, radius)
    assert 4 / 3 * math.pi * (outer**3 - radius**3) == pytest.approx(4 * math.pi * radius**2 * xi * length, rel=1e-12)
    # OCM: a cone of height tau R and slant R + L holds the sector of the core within it and the chains of its cap.
    height, slant = radius + ocm_shell(length, xi, radius), radius + length
    cap = 2 * math.pi * radius**2 * (1 - height / slant)
    cone = math.pi / 3 * height * (slant**2 - height**2)
    assert cone == pytest.approx(cap * (radius / 3 + xi * length), rel=1e-12)


def test_flat_limits():
    length, xi, radius = 1.736, 0.8, 1e6
    # First order in L/R: the next term is of the order of L^2/R = 3e-6 nm; single digits are lost to cancellation.
    assert opm_shell(length, xi, radius) == pytest.approx(facet_shell(length, xi), abs=1e-5)
    assert ocm_shell(length, xi, radius) == pytest.approx((2 * xi - 1) * length, abs=1e-5)


def test_no_shell_is_thicker_than_stretched_chains_and_ocm_is_below_opm():
    for radius in (2.0, 5.0, 20.0):
        for xi in (0.3, 0.6, 1.0):
            thin, thick = ocm_shell(2.504, xi, radius), opm_shell(2.504, xi, radius)
            assert thin < thick < facet_shell(2.504, xi) <= 2.504


def test_ocm_has_no_shell_at_half_coverage_on_a_large_core():
    assert ocm_shell(2.504, 0.5, 9.75) < 0 < ocm_shell(2.504, 0.6, 9.75)

"""Effective sizes against numbers worked out by hand, and their uncertainties against Monte Carlo."""

import dataclasses
import math

import numpy as np
import pytest

from supercube.errors import InputError
from supercube.model.ligands import Quantity, chain_length, find_ligand, opm_shell
from supercube.model.nanocrystals import (
    CUBE_GRAFTING,
    MEASURED_RANGE,
    OPM_LIMIT,
    SHELL_ERROR,
    SPHERE_GRAFTING,
    Nanocrystal,
    effective_sizes,
    experiments,
    find_preset,
    presets,
    propagate,
)

DDAB, OLEATE = find_ligand("ddab"), find_ligand("oleate")


def measured(cube_shell=1.0, sphere_shell=1.0, diameter=19.5):
    cube = Nanocrystal(shape="cube", core=Quantity(8.6), shell=Quantity(cube_shell, 0.2))
    sphere = Nanocrystal(shape="sphere", core=Quantity(diameter), shell=Quantity(sphere_shell, 0.2))
    return effective_sizes(cube, sphere, "measured")


def modelled(model, shrink=1.0, grafting=SPHERE_GRAFTING):
    """The first experiment with all its default uncertainties times ``shrink``."""

    def less(given):
        return Quantity(given.value, given.error * shrink)

    def species(shape, core, ligand, chains):
        ligand = dataclasses.replace(ligand, length=less(ligand.length))
        return Nanocrystal(shape=shape, core=less(core), ligand=ligand, grafting=less(chains))

    cube = species("cube", Quantity(8.6, 0.086), DDAB, CUBE_GRAFTING)
    return effective_sizes(cube, species("sphere", Quantity(19.5, 0.195), OLEATE, grafting), model)


@pytest.mark.parametrize(("diameter", "core", "gamma"), [(19.5, 0.441, 0.493), (19.8, 0.434, 0.486)])
def test_the_two_experiments_with_shells_of_1_nm(diameter, core, gamma):
    sizes = measured(diameter=diameter)
    # Half a unit of the last digit that the literature gives.
    assert sizes.core_ratio.value == pytest.approx(core, abs=5e-4)
    assert sizes.size_ratio.value == pytest.approx(gamma, abs=5e-4)
    assert sizes.size_ratio.value == pytest.approx(10.6 / (diameter + 2), rel=1e-14)


def test_what_a_fifth_of_a_nanometre_does():
    gamma = measured().size_ratio.value
    assert measured(cube_shell=1.2).size_ratio.value - gamma == pytest.approx(0.019, abs=5e-4)
    assert measured(cube_shell=1.2, sphere_shell=1.2).size_ratio.value - gamma == pytest.approx(0.009, abs=7e-4)
    assert measured(sphere_shell=1.2).size_ratio.value < gamma


@pytest.mark.parametrize(("shell", "expected"), [(0.8, 0.078), (1.0, 0.094), (1.2, 0.109), (1.5, 0.129)])
def test_shells_as_lambda(shell, expected):
    assert measured(cube_shell=shell).ligand_length.value == pytest.approx(expected, abs=6e-4)
    assert measured(cube_shell=shell).ligand_length.value == pytest.approx(shell / (8.6 + 2 * shell), rel=1e-14)


def test_cubes_take_the_facet_shell_in_every_model_and_spheres_do_not():
    facet, opm, ocm = (modelled(model) for model in ("facet", "opm", "ocm"))
    xi = CUBE_GRAFTING.value / 5.5
    for sizes in (facet, opm, ocm):
        assert sizes.cube.shell.value == pytest.approx(xi * chain_length(12), rel=1e-14)
        assert sizes.cube.size.value == pytest.approx(8.6 + 2 * xi * chain_length(12), rel=1e-14)
    assert ocm.sphere.shell.value < opm.sphere.shell.value < facet.sphere.shell.value
    xi = SPHERE_GRAFTING.value / 5.5
    assert opm.sphere.shell.value == pytest.approx(opm_shell(chain_length(18), xi, 19.5 / 2), rel=1e-14)
    assert opm.size_ratio.value > OPM_LIMIT


def sampled(model, shrink, n=200_000):
    """Gamma, lambda and sphere diameter of n draws from the inputs, by formulas of their own."""
    rng = np.random.default_rng(20210526)
    edge, diameter = rng.normal(8.6, 0.086 * shrink, n), rng.normal(19.5, 0.195 * shrink, n)
    t_cube = rng.normal(2.9, 0.8 * shrink, n) / 5.5 * rng.normal(1.736, 0.05 * shrink, n)
    chains = rng.normal(3.5, 0.8 * shrink, n) / 5.5 * rng.normal(2.504, 0.25 * shrink, n)
    edge = edge + 2 * t_cube
    sphere = diameter * (1 + 6 * chains / diameter) ** (1 / 3) if model == "opm" else diameter + 2 * chains
    return edge / sphere, t_cube / edge, sphere


@pytest.mark.parametrize("model", ["opm", "facet"])
def test_uncertainties_are_those_of_monte_carlo(model):
    # At a tenth of the default uncertainties, what linear propagation leaves out is a hundredth of its full size (next
    # test: under 3 %), hence 0.03 %, below the noise of the sample.
    sizes, n = modelled(model, shrink=0.1), 200_000
    gamma, lam, sphere = sampled(model, 0.1, n)
    # 4 standard errors of normal samples: u/sqrt(2n) of a standard deviation, (1-r^2)/sqrt(n) of a correlation.
    within = 4 / math.sqrt(2 * n)
    assert sizes.size_ratio.error == pytest.approx(gamma.std(), rel=within)
    assert sizes.ligand_length.error == pytest.approx(lam.std(), rel=within)
    assert sizes.sphere.size.error == pytest.approx(sphere.std(), rel=within)
    r = np.corrcoef(gamma, lam)[0, 1]
    assert sizes.correlation == pytest.approx(r, abs=4 * (1 - r**2) / math.sqrt(n))
    assert 0.1 < r < 0.9


def test_the_default_uncertainties_are_linear_enough():
    sizes = modelled("opm")
    gamma, lam, _ = sampled("opm", 1.0)
    # Curvature: relative to the slope it is of the order of (28 %)^2 t/e, some per cent.
    assert sizes.size_ratio.error == pytest.approx(gamma.std(), rel=0.03)
    assert sizes.ligand_length.error == pytest.approx(lam.std(), rel=0.03)


def test_a_ligand_on_both_species_is_one_input():
    def exact(given):
        return Quantity(given.value)

    cube = Nanocrystal(shape="cube", core=Quantity(8.6), ligand=DDAB, grafting=exact(CUBE_GRAFTING))
    sphere = Nanocrystal(shape="sphere", core=Quantity(19.5), ligand=DDAB, grafting=exact(SPHERE_GRAFTING))
    sizes = effective_sizes(cube, sphere, "facet")
    xi_cube, xi_sphere, D = 2.9 / 5.5, 3.5 / 5.5, sizes.sphere.size.value
    slope = 2 * xi_cube / D - sizes.cube.size.value * 2 * xi_sphere / D**2
    assert sizes.size_ratio.error == pytest.approx(abs(slope) * DDAB.length.error, rel=1e-6)
    # One input alone makes gamma and lambda move together, or against each other, entirely.
    assert sizes.correlation == pytest.approx(1, abs=1e-6)


def test_propagation_is_exact_for_linear_functions():
    def function(values):
        return {"sum": values["a"] + 2 * values["b"], "difference": values["a"] - values["b"], "fixed": values["c"]}

    inputs = {"a": Quantity(5.0, 3.0), "b": Quantity(-1.0, 2.0), "c": Quantity(7.0)}
    found, errors, correlations = propagate(function, inputs)
    assert found == {"sum": 3, "difference": 6, "fixed": 7}
    assert errors["sum"] == pytest.approx(math.hypot(3, 4), rel=1e-10)
    assert errors["difference"] == pytest.approx(math.hypot(3, 2), rel=1e-10)
    assert errors["fixed"] == 0
    assert correlations[("sum", "difference")] == pytest.approx((9 - 8) / (5 * math.sqrt(13)), rel=1e-9)
    assert not any("fixed" in pair for pair in correlations)


def test_the_default_error_of_a_shell_is_that_of_an_even_spread_over_the_measured_range():
    low, high = MEASURED_RANGE
    assert pytest.approx((high - low) / math.sqrt(12), abs=0.005) == SHELL_ERROR


def test_exact_inputs_have_no_errors_and_no_correlation():
    cube = Nanocrystal(shape="cube", core=Quantity(8.6), shell=Quantity(1.0))
    sphere = Nanocrystal(shape="sphere", core=Quantity(19.5), shell=Quantity(1.0))
    sizes = effective_sizes(cube, sphere, "measured")
    assert (sizes.size_ratio.error, sizes.ligand_length.error, sizes.correlation) == (0, 0, None)


def test_cubes_alone_have_a_lambda_only():
    sizes = effective_sizes(Nanocrystal(shape="cube", core=Quantity(8.6, 0.1), ligand=DDAB))
    assert sizes.sphere is sizes.size_ratio is sizes.core_ratio is sizes.correlation is None
    assert sizes.ligand_length.value == modelled("opm").ligand_length.value


def test_ocm_is_refused_where_it_finds_no_shell():
    with pytest.raises(InputError, match=r"ocm finds no shell on the spheres \(-0\.1\d nm\) .* 2\.75 nm\^-2"):
        modelled("ocm", grafting=Quantity(2.75, 0.1))
    assert modelled("opm", grafting=Quantity(2.75, 0.1)).sphere.shell.value > 1


def test_dense_grafting_itself_is_allowed():
    assert modelled("facet", grafting=Quantity(5.5, 0.8)).sphere.shell.value == pytest.approx(2.504, rel=1e-14)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"shape": "disk", "core": Quantity(8.6)}, "'disk'; expected cube or sphere"),
        ({"core": Quantity(0.0)}, "core size of the cubes is 0 nm; expected 0.5 to 1000 nm"),
        ({"core": Quantity(math.nan)}, "core size of the cubes is nan nm"),
        ({"core": Quantity(-8.6)}, "is -8.6 nm"),
        ({"core": Quantity(8.6e-9)}, "is 8.6e-09 nm"),
        ({"core": Quantity(8.6, -1)}, "uncertainty of the core size of the cubes is -1 nm"),
        ({"core": Quantity(8.6, math.nan)}, "uncertainty of the core size of the cubes is nan nm"),
        ({"shell": Quantity(0.0)}, "shell of the cubes is 0 nm"),
        ({"shell": Quantity(300.0)}, "shell of the cubes is 300 nm"),
        ({"grafting": Quantity(6.0)}, "grafting density of the cubes is 6 chains per nm.2; .* at most 5.5"),
    ],
)
def test_impossible_nanocrystals_are_refused(values, words):
    with pytest.raises(InputError, match=words):
        Nanocrystal(**{"shape": "cube", "core": Quantity(8.6)} | values)


def test_what_a_model_needs_is_asked_for():
    bare = Nanocrystal(shape="cube", core=Quantity(8.6))
    with pytest.raises(InputError, match=r"no measured shell.*--cube-shell 1\.0"):
        effective_sizes(bare, model="measured")
    with pytest.raises(InputError, match="ligand of the cubes is missing, which opm needs"):
        effective_sizes(bare)
    with pytest.raises(InputError, match="'opn' is not known; did you mean opm"):
        effective_sizes(bare, model="opn")


def test_experiments_are_read_with_their_types():
    rows = experiments()
    assert [row.system for row in rows] == list(range(1, 13))
    first, disks, lone, platelets = rows[0], rows[7], rows[10], rows[11]
    assert (first.cube, first.cube_edge, first.partner_size, first.structure) == ("CsPbBr3", 8.6, (19.5, 19.5), "ABO3")
    assert disks.partner_size == (9.2, 28.4)
    assert lone.partner == ""
    assert lone.cube_edge is lone.partner_size is platelets.cube_edge is None
    assert all(row.source for row in rows)


def test_presets_are_the_experiments_with_cubes_and_spheres_of_stated_sizes():
    found = presets()
    assert list(found) == ["cspbbr3-8.6nm+fe3o4-19.5nm", "cspbbr3-8.6nm+fe3o4-19.8nm", "cspbbr3-8.6nm"]
    assert [one.structure for one in found.values()] == ["ABO3", "NaCl", "SC"]
    assert [one.sphere_core for one in found.values()] == [19.5, 19.8, None]
    assert all(one.cube_core == 8.6 and "Nature" in one.source for one in found.values())
    assert find_preset("CsPbBr3-8.6nm") is found["cspbbr3-8.6nm"]


def test_an_unknown_preset_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"did you mean cspbbr3-8\.6nm\+fe3o4-19\.8nm\?"):
        find_preset("cspbbr3-8.6nm+fe3o4-19.7nm")

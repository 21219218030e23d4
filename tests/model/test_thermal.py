"""Thermal sizes: what a fit has to give back, limits, and what a rough cube does to it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from supercube.errors import InputError
from supercube.model import thermal
from supercube.model.particles import build_model
from supercube.model.shapes import Sphere, Spherocube
from supercube.model.thermal import ThermalSizes, fit_cube, probe_radii, thermal_diameter, thermal_sizes
from supercube.model.virial import convex_b2, cube_sphere_b2, sphere_sphere_b2


@pytest.fixture
def model(make_state_point):
    return build_model(make_state_point(n_spheres=3, size_ratio=0.5))


@pytest.mark.parametrize("growth", [0.0, 0.008])
def test_fit_gives_back_the_spherocube_that_was_measured(monkeypatch, model, growth):
    # B2 of hard spherocubes; with growth the volume of the body inflated unevenly, by integration over its normal map.
    core, rounding, shell = 0.62, 0.17, model.sigma / 2

    def hard(positions, radii, sigma):
        return tuple(_inflated_volume(core, rounding, growth, shell, float(probe), sigma) / 2 for probe in probes)

    probes = probe_radii(shell)
    monkeypatch.setattr(thermal, "_measure", hard)
    fit = fit_cube(model.bodies[0], model.sigma)
    assert fit.edge == pytest.approx(core + 2 * rounding, abs=1e-6)  # least squares stops within the root of 1e-14
    assert fit.rounding == pytest.approx(rounding, abs=1e-6)
    assert fit.growth == pytest.approx(growth, abs=1e-6)
    assert fit.residual < 1e-8
    plain = fit_cube(model.bodies[0], model.sigma, growing=False)
    assert (plain.residual < 1e-8) == (growth == 0)


def _inflated_volume(core, rounding, growth, shell, probe, sigma):
    radius = rounding + thermal_diameter(probe, sigma) / 2
    out = growth * math.log((probe + shell) / (2 * shell))
    if growth == 0:
        return 2 * convex_b2(
            Spherocube(edge=core + 2 * rounding, rounding=rounding), Sphere(thermal_diameter(probe, sigma))
        )
    slabs = 6 * core**2 * (radius + out)
    cylinders = 12 * core * math.pi / 4 * (radius + out / 2) ** 2
    return core**3 + slabs + cylinders + 8 * math.pi / 6 * radius**3


def test_sphere_diameter_has_the_b2_of_the_spheres(model):
    sizes = thermal_sizes(model)
    assert 2 / 3 * math.pi * sizes.sphere_diameter**3 == pytest.approx(
        sphere_sphere_b2(1.0, 1.0, model.sigma), rel=1e-13
    )
    # Barker-Henderson's integral of 1 - exp(-U) over s gives sigma (1.0165...) for a wall without curvature.
    s = np.linspace(1e-3, 2 ** (1 / 6), 20_001)
    with np.errstate(over="ignore"):
        flat = np.trapezoid(1 - np.exp(-(4 * (s**-12.0 - s**-6.0) + 1)), s) + 1e-3
    # Curvature adds the spread of the shell, 0.04 sigma squared over D: 3e-4 sigma.
    assert (sizes.sphere_diameter - 2.0) / model.sigma == pytest.approx(flat - 1, abs=5e-4)


def test_a_large_sphere_shifts_as_little_as_a_small_one():
    shifts = [thermal_diameter(radius, 0.2) - 2 * radius for radius in (0.1, 0.5, 1.5)]
    assert max(shifts) - min(shifts) < 0.002 * 0.2


def test_sizes_and_volume(model):
    sizes = thermal_sizes(model)
    assert 0.95 < sizes.cube_edge < 1.05
    assert 0.5 * model.sigma / 2 < sizes.rounding < 1.3 * model.sigma / 2
    assert sizes.size_ratio == sizes.cube_edge / sizes.sphere_diameter
    assert sizes.ligand_length == sizes.rounding / sizes.cube_edge
    cube = Spherocube(edge=sizes.cube_edge, rounding=sizes.rounding).volume
    sphere = math.pi / 6 * sizes.sphere_diameter**3
    assert sizes.volume_of({"cube": 8, "sphere": 3}) == pytest.approx(8 * cube + 3 * sphere, rel=1e-14)
    assert sizes.volume_of({"cube": 8, "sphere": 0}) == pytest.approx(8 * cube, rel=1e-14)
    assert sizes.volume_of({}) == 0


def test_absent_species(make_state_point):
    cubes = thermal_sizes(build_model(make_state_point()))
    assert cubes.sphere_diameter is None
    assert cubes.size_ratio is None
    assert cubes.ligand_length is not None
    with pytest.raises(InputError, match="2 bodies of species sphere"):
        cubes.volume_of({"cube": 1, "sphere": 2})
    spheres = thermal_sizes(build_model(make_state_point(n_cubes=0, n_spheres=3, size_ratio=0.5)))
    assert spheres == ThermalSizes(None, None, spheres.sphere_diameter, None)
    assert spheres.size_ratio is None
    assert spheres.ligand_length is None


def test_wells_do_not_count(make_state_point, model):
    attractive = build_model(make_state_point(n_spheres=3, size_ratio=0.5, attraction=4.0))
    assert attractive.attracts
    assert thermal_sizes(attractive) == thermal_sizes(model)


def test_sizes_scale_with_the_cube(model):
    # The probes stay as they are, so this holds as far as one spherocube fits them all: residual 1e-4.
    cube, factor = model.bodies[0], 1.05
    scaled = replace(cube, positions=factor * cube.positions, radii=factor * cube.radii)
    before, after = fit_cube(cube, model.sigma), fit_cube(scaled, factor * model.sigma)
    assert after.edge / before.edge == pytest.approx(factor, rel=5e-4)
    assert after.rounding / before.rounding == pytest.approx(factor, rel=5e-3)


def test_roughness_makes_the_cube_smaller_and_grow_more(make_state_point):
    fits = [
        fit_cube(build_model(make_state_point(ligand_length=0.1, roughness=roughness)).bodies[0], 0.2)
        for roughness in (0.02, 0.04)
    ]
    assert fits[0].edge > fits[1].edge + 0.01
    assert fits[0].growth < fits[1].growth
    assert fits[1].edge_against(1.0) > fits[1].edge
    assert fits[1].edge_against(fits[1].shell) == pytest.approx(fits[1].edge, rel=1e-14)


def test_growth_is_needed(model):
    fit, plain = (fit_cube(model.bodies[0], model.sigma, growing=growing) for growing in (True, False))
    assert plain.growth == 0
    assert fit.residual < 2e-4 < plain.residual


def test_growth_predicts_a_sphere_that_was_not_fitted(model):
    cube, fit, probe = model.bodies[0], fit_cube(model.bodies[0], model.sigma), 2.5
    core, radius = fit.edge - 2 * fit.rounding, fit.rounding + thermal_diameter(probe, model.sigma) / 2
    out = (fit.edge_against(probe) - fit.edge) / 2
    volume = core**3 + 6 * core**2 * (radius + out) + 3 * math.pi * core * (radius + out / 2) ** 2
    predicted = (volume + 4 / 3 * math.pi * radius**3) / 2
    # The residual of the fit is 1e-4 for the spheres that it knows.
    assert cube_sphere_b2(cube.positions, cube.radii, probe, model.sigma) == pytest.approx(predicted, rel=5e-4)


@pytest.mark.parametrize("ligand_length", [0.3, 0.4])
def test_round_cubes(make_state_point, ligand_length):
    # Probes are never smaller than a shell.
    sizes = thermal_sizes(build_model(make_state_point(ligand_length=ligand_length)))
    assert probe_radii(ligand_length)[0] == pytest.approx(ligand_length)
    assert sizes.residual < 1e-4
    assert sizes.ligand_length == pytest.approx(ligand_length, rel=0.1)

from __future__ import annotations

import numpy as np
import pytest
from order_samples import configuration, crystal, only, random_fluid

from supercube.order import LABELS, classify
from supercube.order.samples import Defects, crystal_sample, entry_of, generator, random_lattice


@pytest.mark.parametrize("name", LABELS[:-1])
def test_vacancies_of_every_structure_are_counted(name):
    sample = crystal_sample(name, 0.03, 5, Defects(vacancies=0.03, fwhm_deg=5))
    missing = sample.facts["vacancies"]
    sites = len(sample.configuration) + missing
    order = classify(sample.configuration)
    # Several vacancies side by side may hide one another: one in ten, and never one that is not there.
    assert missing - max(1, missing // 10) <= order.vacancy_fraction * sites <= missing + 1e-9
    assert order.substituted_fraction == 0.0


@pytest.mark.parametrize("name", ["SC", "NaCl", "ABO3", "AlB2", "CuAu", "fcc"])
def test_substituted_sites_are_not_vacant(name):
    species = "cube" if name == "fcc" else "sphere"
    sample = crystal_sample(name, 0.02, 1, Defects(excess=0.05, species=species, substitution=True))
    order = classify(sample.configuration)
    assert order.substituted_fraction * len(sample.configuration) == pytest.approx(sample.facts["substituted"], abs=1)
    assert order.vacancy_fraction == 0.0


@pytest.mark.parametrize("name", ["SC", "NaCl", "ABO3"])
def test_one_missing_particle_is_one_vacancy(name):
    c = crystal(name, 4 if name != "NaCl" else 3)
    keep = np.arange(len(c)) != len(c) // 2
    assert classify(c).vacancy_fraction == 0.0
    assert classify(only(c, keep)).vacancy_fraction == pytest.approx(1 / len(c))


@pytest.mark.parametrize(("name", "cells"), [("SC", 2), ("NaCl", 1), ("ABO3", 2)])
def test_a_box_so_small_that_particles_meet_their_own_images_has_none(name, cells):
    order = classify(crystal(name, cells))
    assert (order.vacancy_fraction, order.substituted_fraction, order.n_grains) == (0.0, 0.0, 1)


@pytest.mark.parametrize("name", ["SC", "NaCl", "ABO3"])
def test_a_surface_is_no_vacancy(name):
    c = crystal(name, 5 if name == "SC" else 3, rms_cube=0.02, rms_sphere=0.02)
    box = np.array([*(2 * c.box[:3]), 0, 0, 0])
    assert classify(configuration(c.unwrapped, c.orientations, c.typeid, box)).vacancy_fraction == 0.0


def test_the_error_of_the_vacancies_is_that_of_counting():
    c = crystal("SC", 6)
    order = classify(only(c, ~np.isin(np.arange(len(c)), [10, 100, 150])))
    share = 3 / 216
    assert order.vacancy_fraction == pytest.approx(share)
    assert order.vacancy_fraction_sem == pytest.approx(np.sqrt(share * (1 - share) / 216))
    assert classify(c).vacancy_fraction_sem == 0.0


@pytest.mark.parametrize("name", LABELS[:-1])
def test_displacement_is_the_noise(name):
    sample = crystal_sample(name, 0.03, 4, Defects())
    order = classify(sample.configuration)
    lattice = random_lattice(entry_of(name), generator("crystal", name, 4))
    true = 0.03 * lattice.nearest / sample.facts["lattice_constant"]
    # Seven parameters of each fit are taken off in the mean of many; neighbours share particles, so that the scatter is
    # that of some 3 N / 15 components: 6 % at 200 particles.
    assert order.displacement_rms == pytest.approx(true, rel=0.12)


def test_displacement_of_a_perfect_crystal_and_of_none():
    assert classify(crystal("SC", 4)).displacement_rms == pytest.approx(0.0, abs=1e-6)
    assert classify(random_fluid(64, 0)).displacement_rms is None

from __future__ import annotations

import numpy as np
import pytest
from order_samples import configuration, crystal, only

from supercube.order import LABELS, classify
from supercube.order.samples import Defects, crystal_sample


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

import math
from types import SimpleNamespace

import numpy as np
import pytest

from supercube.model.sums import evaluate
from supercube.validation import parity
from supercube.validation.dynamics import model_of
from supercube.validation.parity import (
    CONTACTS,
    GAPS,
    TILTS,
    Scales,
    deviations,
    parity_checks,
    samples,
    scales,
    touching,
)


class Formula:
    """An engine that computes the formula, but for the factors it is given."""

    device = "cpu"

    def __init__(self, name, energy=1.0, forces=1.0, torques=1.0):
        self.name, self.factors = name, (energy, forces, torques)

    def single_point(self, model, configuration):
        found = evaluate(model, configuration)
        values = (found.energy, found.forces, found.torques)
        return tuple(factor * value for factor, value in zip(self.factors, values, strict=True))


@pytest.fixture
def few_samples(monkeypatch):
    monkeypatch.setattr(parity, "label", lambda machine: machine.name)
    monkeypatch.setattr(parity, "samples", lambda kind: [touching("corner-face", -0.05, "cubic", 4.0)])


def test_right_engines_pass(few_samples):
    checks = parity_checks([Formula("one"), Formula("two")])
    # Three kinds of samples, three quantities: each engine with the formula, and both with each other.
    assert len(checks) == 27
    assert all(check.passed for check in checks)
    assert {check.engine for check in checks} == {"one", "two"}


@pytest.mark.parametrize("what", ["energy", "forces", "torques"])
def test_one_part_in_a_million_is_found_where_it_is(few_samples, what):
    checks = parity_checks([Formula("right"), Formula("wrong", **{what: 1 + 1e-6})])
    failed = [check for check in checks if not check.passed]
    assert {(check.name.split()[0], check.engine) for check in failed} == {(what, "wrong"), (what, "right")}
    assert all(check.engine == "wrong" or "against wrong" in check.name for check in failed)


def test_a_force_that_is_none_fails(few_samples):
    checks = parity_checks([Formula("wrong", forces=math.nan)])
    assert [check.passed for check in checks] == [True, False, True] * 3


def test_differences_are_relative_to_the_scales():
    nothing = np.zeros((2, 3))
    force, torque = nothing.copy(), nothing.copy()
    force[1, 2], torque[0, 1] = -0.5, 0.25
    found = deviations((1.0, force, torque), (3.0, nothing, nothing), Scales(energy=4.0, force=10.0))
    assert found == pytest.approx((0.5, 0.05, 0.025))


def test_scales_of_two_spheres_are_their_energy_and_force():
    model, pair = touching("sphere-sphere", -0.1, "tilted", 0.0)
    found, sums = scales(model, pair), evaluate(model, pair)
    assert found.energy == pytest.approx(sums.energy)
    assert found.force == pytest.approx(np.linalg.norm(sums.forces[0]))
    assert found.force > 1


@pytest.mark.parametrize("kind", ["fluids", "crystals", "touching pairs"])
def test_there_are_samples_with_and_without_attraction_in_both_boxes(kind, monkeypatch):
    # Pressing bodies together takes seconds, and building models with attraction too.
    monkeypatch.setattr(parity, "model_of", lambda *values: SimpleNamespace(attracts=values[-1] > 0))
    monkeypatch.setattr(parity, "dense", lambda name, box: (name, box))
    monkeypatch.setattr(
        parity, "touching", lambda name, gap, box, depth: (model_of(1, 1, 0.49, 0.18, 0.05, depth), (name, box))
    )
    found = list(samples(kind))
    names, boxes = ({what[k] for _, what in found} for k in range(2))
    assert boxes == set(TILTS)
    assert {model.attracts for model, _ in found} == {True, False}
    if kind == "touching pairs":
        assert names == set(CONTACTS)
        assert len(found) == len(CONTACTS) * len(GAPS) * len(TILTS)
    else:
        assert names == {name for name in parity.SYSTEMS if name.endswith(kind.removesuffix("s"))}

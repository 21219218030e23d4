from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from signac.job import calc_id

from supercube.errors import InputError
from supercube.statepoint import LARGEST_SEED, SCHEMA_VERSION, ProtocolSettings, StatePoint

CUBES = {"n_cubes": 64, "ligand_length": 0.1}
MIXTURE = {"n_cubes": 108, "n_spheres": 27, "size_ratio": 0.49, "ligand_length": 0.18}

KEYS = [
    "size_ratio",
    "ligand_length",
    "evaporation_rate",
    "n_cubes",
    "n_spheres",
    "attraction",
    "initial",
    "expansion",
    "geometry",
    "target_packing_fraction",
    "pressure",
    "roughness",
    "size_dispersity",
    "replicate",
]


def parse(**changes: Any) -> StatePoint:
    return StatePoint.parse({**CUBES, **changes}, "demo.yaml, jobs[2]")


# --- the schema -------------------------------------------------------------------------------------------------------


def test_job_ids_are_pinned():
    # A change here orphans every job that users have. It needs a new SCHEMA_VERSION and a migration.
    drying = StatePoint.parse({**MIXTURE, "evaporation_rate": 20, "target_packing_fraction": 0.55}, "here")
    assert SCHEMA_VERSION == 1
    assert calc_id(parse().to_dict()) == "c63c82ff5ccc2280e07c34a10e9b83c0"
    assert calc_id(drying.to_dict()) == "d7a7236a5264bf36716a0669c4abb6a0"


def test_every_key_is_always_present_with_plain_types_in_a_fixed_order():
    found = StatePoint.parse(dict(reversed(MIXTURE.items())), "here").to_dict()
    assert list(found) == KEYS
    assert {type(value) for value in found.values()} == {int, float, str}
    assert json.loads(json.dumps(found)) == found


def test_defaults():
    assert parse().to_dict() == {
        "size_ratio": 1.0,
        "ligand_length": 0.1,
        "evaporation_rate": 0.0,
        "n_cubes": 64,
        "n_spheres": 0,
        "attraction": 0.0,
        "initial": "fluid",
        "expansion": 1.0,
        "geometry": "bulk",
        "target_packing_fraction": 0.0,
        "pressure": 0.0,
        "roughness": 0.02,
        "size_dispersity": 0.0,
        "replicate": 0,
    }


def test_to_dict_round_trips():
    point = parse(initial="SC", expansion=1.05)
    assert StatePoint.parse(point.to_dict(), "here") == point


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"ligand_length": 0.1 + 0.2}, {"ligand_length": 0.3}),
        ({"evaporation_rate": -0.0}, {"evaporation_rate": 0}),
        ({"ligand_length": np.float64(0.2)}, {"ligand_length": 0.2}),
        ({"initial": "SC", "expansion": 1}, {"initial": "SC", "expansion": 1.0}),
        ({"size_ratio": 1}, {}),
        ({"n_spheres": 0}, {}),
    ],
)
def test_equal_physics_has_equal_ids(one: dict[str, Any], other: dict[str, Any]):
    assert calc_id(parse(**one).to_dict()) == calc_id(parse(**other).to_dict())


def test_every_key_changes_the_id():
    # Pairs, not single changes, where a rule ties two keys together.
    changes: list[dict[str, Any]] = [
        {},
        {"ligand_length": 0.1 + 1e-11},
        {"n_cubes": 65},
        {"n_spheres": 64, "size_ratio": 0.5},
        {"n_spheres": 64, "size_ratio": 0.51},
        {"initial": "SC"},
        {"initial": "SC", "expansion": 1.05},
        {"evaporation_rate": 2.4, "target_packing_fraction": 0.6},
        {"evaporation_rate": 2.4, "target_packing_fraction": 0.61},
        {"evaporation_rate": 2.5, "target_packing_fraction": 0.6},
        {"roughness": 0.05},
        {"attraction": 2.0},
        {"replicate": 1},
    ]
    assert len({calc_id(parse(**change).to_dict()) for change in changes}) == len(changes)


def test_a_state_point_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        parse().n_cubes = 65  # type: ignore[misc]


def test_an_attraction_is_taken():
    assert parse(attraction=2).to_dict()["attraction"] == 2.0


def test_derived_quantities():
    mixture = StatePoint.parse(MIXTURE, "here")
    assert mixture.sphere_diameter == 1 / 0.49
    assert mixture.n_bodies == 108 + 27


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ligand_lenght": 0.1}, "ligand_lenght is not a known key; did you mean ligand_length"),
        ({"N_cubes": 3}, "did you mean n_cubes"),
        ({"qqq": 0.1}, "qqq is not a known key; expected one of size_ratio"),
        ({7: 0.1}, "7 is not a known key"),
        ({"n_cubes": True}, "n_cubes is True; expected a whole number"),
        ({"n_spheres": False}, "n_spheres is False; expected a whole number"),
        ({"n_cubes": 64.0}, "n_cubes is 64.0; expected a whole number"),
        ({"n_cubes": "64"}, "n_cubes is '64'; expected a whole number"),
        ({"n_cubes": None}, "n_cubes is empty; expected a whole number"),
        ({"n_cubes": [1, 2]}, r"n_cubes is \[1, 2\]; expected a whole number"),
        ({"n_cubes": -1}, "n_cubes is -1; expected 0 or more"),
        ({"n_cubes": 10**400}, "n_cubes is a huge number; expected 1e.09 or less"),
        ({"replicate": -1}, "replicate is -1; expected 0 or more"),
        ({"replicate": 0.5}, "replicate is 0.5; expected a whole number"),
        ({"ligand_length": 0}, "ligand_length is 0; expected more than 0"),
        ({"ligand_length": -0.1}, "ligand_length is -0.1; expected more than 0"),
        ({"ligand_length": 0.5}, "ligand_length is 0.5; expected less than 0.5"),
        ({"ligand_length": 0.4999999999999}, "expected less than 0.5"),  # rounds to 0.5
        ({"ligand_length": True}, "ligand_length is True; expected a number"),
        ({"ligand_length": "0.1"}, "ligand_length is '0.1'; expected a number"),
        ({"ligand_length": 10**400}, "ligand_length is a huge number"),
        ({"ligand_length": math.nan}, "ligand_length is nan; expected a finite number"),
        ({"roughness": math.inf}, "roughness is inf; expected a finite number"),
        ({"roughness": 0}, "roughness is 0; expected more than 0"),
        ({"evaporation_rate": -1.0}, "evaporation_rate is -1.0; expected 0 or more"),
        ({"size_ratio": 0.5}, "size_ratio is 0.5 but there are no spheres; expected 1.0"),
        ({"n_spheres": 1}, "size_ratio is missing: spheres need a size_ratio"),
        ({"n_spheres": 1, "size_ratio": 0}, "size_ratio is 0; expected more than 0"),
        ({"n_spheres": 1, "size_ratio": -0.5}, "size_ratio is -0.5; expected more than 0"),
        ({"n_spheres": 1, "size_ratio": 1e-300}, "size_ratio is 1e-300; expected 0.001 or more"),
        ({"n_cubes": 0}, "n_cubes and n_spheres are both 0"),
        ({"geometry": "film"}, "film and droplet come later"),
        ({"geometry": "droplet"}, "film and droplet come later"),
        ({"geometry": "slab"}, "geometry is 'slab'; expected bulk"),
        ({"attraction": -2}, "attraction is -2; expected 0 or more"),
        ({"attraction": math.inf}, "attraction is inf; expected a finite number"),
        ({"pressure": -0.5}, "pressure is -0.5; expected 0 or more"),
        (
            {"pressure": 0.5, "evaporation_rate": 8, "target_packing_fraction": 0.6},
            "pressure is 0.5 and evaporation_rate 8; expected one of them to be 0",
        ),
        ({"size_dispersity": 0.05}, "size_dispersity 0.05 is not supported yet"),
        ({"expansion": 1.03}, "expansion is 1.03 with initial fluid; expected 1.0"),
        ({"initial": "SC", "expansion": 0}, "expansion is 0; expected more than 0"),
        ({"initial": "file:" + "a" * 64, "expansion": 1.03}, "expansion is 1.03 with initial file"),
        ({"initial": "file:" + "a" * 63}, "64 hexadecimal"),
        ({"initial": "file:" + "g" * 64}, "64 hexadecimal"),
        ({"initial": "start.gsd"}, "only a space file may give a path"),
        ({"initial": ""}, "initial is ''; expected fluid"),
        ({"initial": "simple cubic"}, "expected fluid, a structure's name"),
        ({"initial": 1}, "initial is 1; expected a text"),
        ({"evaporation_rate": 2.4}, "target_packing_fraction is missing or 0, but evaporation_rate is 2.4"),
        ({"target_packing_fraction": 0.6}, "evaporation_rate 0 means no drying"),
        ({"evaporation_rate": 2.4, "target_packing_fraction": 1}, "target_packing_fraction is 1; expected less than 1"),
    ],
)
def test_bad_values_are_refused_in_one_sentence_that_names_the_place(changes: dict[Any, Any], words: str):
    with pytest.raises(InputError, match=words) as caught:
        StatePoint.parse({**CUBES, **changes}, "demo.yaml, jobs[2]")
    message = str(caught.value)
    assert message.startswith("demo.yaml, jobs[2]: ")
    assert "\n" not in message
    assert "pydantic" not in message


@pytest.mark.parametrize("key", ["n_cubes", "ligand_length"])
def test_missing_keys_are_named(key: str):
    with pytest.raises(InputError, match=f"{key} is missing: the "):
        StatePoint.parse({name: value for name, value in CUBES.items() if name != key}, "here")


@pytest.mark.parametrize("found", [None, [1], "n_cubes", 3])
def test_what_is_no_mapping_is_refused(found: object):
    with pytest.raises(InputError, match=r"here: found .*; expected a mapping"):
        StatePoint.parse(found, "here")


def test_crystal_names_are_not_judged_here():
    assert parse(initial="Unobtainium").initial == "Unobtainium"


def test_parsing_leaves_the_mapping_alone():
    mapping = dict(CUBES)
    StatePoint.parse(mapping, "here")
    assert mapping == CUBES


# --- seeds ------------------------------------------------------------------------------------------------------------


def test_seeds_differ_by_stage_and_replicate_and_repeat():
    points = [parse(replicate=replicate) for replicate in range(10)]
    seeds = [point.seed(stage) for point, stage in itertools.product(points, ("build", "velocities", "noise"))]
    assert len(set(seeds)) == len(seeds) == 30
    assert all(isinstance(seed, int) and 1 <= seed <= LARGEST_SEED < 900_000_000 for seed in seeds)
    assert parse(replicate=3).seed("build") == points[3].seed("build")


def test_seeds_are_pinned():
    # A run that is built again must come out the same on another machine and in another version.
    assert parse().seed("build") == 804537554


# --- the protocol -----------------------------------------------------------------------------------------------------


def test_protocol_defaults():
    expected = {"initial_packing_fraction": 0.15, "equilibration_time": 10.0, "hold_time": 20.0}
    expected |= {"initial_pressure": 0.0, "ramp_time": 0.0, "box": "auto"}
    assert ProtocolSettings().to_dict() == expected
    assert ProtocolSettings.parse({}, "here") == ProtocolSettings()


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"hold": 3}, "hold is not a known key; did you mean hold_time"),
        ({"initial_pressure": 10}, "initial_pressure is 10 and ramp_time 0; expected both above 0"),
        ({"ramp_time": 4}, "initial_pressure is 0 and ramp_time 4; expected both above 0"),
        ({"hold_time": -1}, "hold_time is -1; expected 0 or more"),
        ({"equilibration_time": "10"}, "equilibration_time is '10'; expected a number"),
        ({"initial_packing_fraction": 0}, "expected more than 0"),
        ({"initial_packing_fraction": 0.31}, "expected 0.3 or less"),
    ],
)
def test_bad_protocols_are_refused(mapping: dict[str, Any], words: str):
    with pytest.raises(InputError, match=f"^here: .*{words}"):
        ProtocolSettings.parse(mapping, "here")

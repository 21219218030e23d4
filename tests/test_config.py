from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from supercube.config import Config, load_config, read_yaml
from supercube.errors import InputError

PROJECT = Path(__file__).resolve().parents[1] / "project"


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_documented_file_holds_every_key_at_its_default():
    found = read_yaml(PROJECT / "config.yaml")
    assert list(found) == list(Config.model_fields)
    assert load_config(PROJECT / "config.yaml") == Config()


def test_every_key_of_the_documented_file_has_a_comment():
    text = (PROJECT / "config.yaml").read_text(encoding="utf-8")
    for key in Config.model_fields:
        line = next(line for line in text.splitlines() if line.startswith(f"{key}:"))
        assert "#" in line


def test_missing_and_empty_files_mean_the_defaults(tmp_path: Path, written: Any):
    assert load_config(tmp_path / "nothing.yaml") == Config()
    assert load_config(written("# only a comment\n")) == Config()


def test_values_are_read(written: Any):
    found = load_config(written("engine: hoomd\nranks: 4\nwalltime_minutes: 30\n"))
    assert (found.engine, found.ranks, found.walltime_minutes) == ("hoomd", 4, 30.0)
    assert found.frames == Config().frames


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rank: 4", "rank is not a known key; did you mean ranks"),
        ("engine: gromacs", "engine is 'gromacs'; expected 'auto', 'hoomd' or 'lammps'"),
        ("device: tpu", "device is 'tpu'; expected 'auto', 'cpu' or 'gpu'"),
        ("ranks: 0", "ranks is 0; expected 1 or more"),
        ("ranks: true", "ranks is True; expected a whole number"),
        ("ranks: 1.0", "ranks is 1.0; expected a whole number"),
        (
            "{walltime_margin_minutes: 10, cluster: {analysis: {walltime_hours: 0.1}}}",
            "cluster.analysis.walltime_hours is 0.1, which the walltime_margin_minutes of 10 uses up",
        ),
        ("frames: many", "frames is 'many'; expected a whole number"),
        ("log_period: 0", "log_period is 0; expected 1 or more"),
        ("checkpoint_seconds: 0", "checkpoint_seconds is 0; expected more than 0"),
        ("checkpoint_seconds:", "checkpoint_seconds is empty; expected a number"),
        ("walltime_minutes: 0", "walltime_minutes is 0; expected more than 0"),
        ("walltime_minutes: 2", "walltime_minutes is 2, which the walltime_margin_minutes of 2 uses up"),
        ("walltime_margin_minutes: -1", "walltime_margin_minutes is -1; expected 0 or more"),
        ("- engine: auto", "expected a mapping"),
        ("just words", "expected a mapping"),
        ("ranks: 1\nranks: 2", "line 2: the key ranks is given twice"),
        ("ranks: [1", "line .*expected valid YAML"),
        ("ranks: 1\n\tframes: 2", "line 2: .*expected valid YAML"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(written: Any, text: str, words: str):
    path = written(text)
    with pytest.raises(InputError, match=words) as caught:
        load_config(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_binary_files_and_folders_are_refused(tmp_path: Path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match=r"binary\.yaml.*expected"):
        read_yaml(tmp_path / "binary.yaml")
    with pytest.raises(InputError, match="does not exist"):
        read_yaml(tmp_path)


def test_numbers_follow_yaml_1_2(written: Any):
    text = "[1e-3, 2.5E+2, 010, 1:4, 0.1, -3, .5, 1_000, 3., +7, .inf, 1.2.3]"
    expected = [0.001, 250.0, 10, "1:4", 0.1, -3, 0.5, "1_000", 3.0, 7, float("inf"), "1.2.3"]
    found = read_yaml(written(text))
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


def test_merged_keys_may_be_overridden(written: Any):
    found = read_yaml(written("base: &base {a: 1, b: 2}\nother: {<<: *base, b: 3}\n"))
    assert found["other"] == {"a": 1, "b": 3}

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
import signac

from supercube.cli import main
from supercube.errors import EngineError, InputError
from supercube.validation import run
from supercube.validation.dynamics import Machine
from supercube.validation.results import Check
from supercube.validation.run import Findings, Group, Request, perform, perform_all, select, tasks_of, validate

LAMMPS, HOOMD = Machine("lammps"), Machine("hoomd")


def check_of(machines, value=1.0):
    engine = ", ".join(map(str, machines)) or "formula"
    return Check("A group", "one", engine, value, 0.0, 1.0, "counting", 0.0, "exact")


def right(machines, quick):
    return [check_of(machines)]


def wrong(machines, quick):
    return Findings([check_of(machines, 2.0)], tables="more", figures={"a.png": b"png"})


def raises(machines, quick):
    raise EngineError("the engine is ill; expected health.")


def breaks(machines, quick):
    return [1 / 0]


def empty(machines, quick):
    return []


def dies(machines, quick):
    os._exit(3)


def process(machines, quick):
    return [replace(check_of(machines), value=float(os.getpid()), target=float(os.getppid()))]


def group(function, engines="none", minutes=1.0):
    return Group(function.__name__, "A group", "Some text.", function, engines, minutes)


def test_a_task_for_each_engine_or_one_for_all():
    groups = [group(right), group(wrong, "each"), group(raises, "together")]
    tasks = tasks_of(groups, [LAMMPS, HOOMD], quick=False)
    assert [task.machines for task in tasks] == [(), (LAMMPS,), (HOOMD,), (LAMMPS, HOOMD)]
    assert [str(task) for task in tasks] == [
        "right",
        "wrong (LAMMPS)",
        "wrong (HOOMD-blue)",
        "raises (LAMMPS, HOOMD-blue)",
    ]


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (raises, "the engine is ill; expected health"),
        (breaks, "ZeroDivisionError: division by zero"),
        (empty, "it made no checks; expected at least one"),
    ],
)
def test_an_error_is_a_failed_check(function, sentence):
    (task,) = tasks_of([group(function)], [], quick=False)
    (check,) = perform(task).findings.checks
    assert not check.passed
    assert math.isnan(check.value)
    assert check.why == sentence


def test_quick_reaches_the_function():
    asked = []

    def function(machines, quick):
        asked.append(quick)
        return [check_of(machines)]

    for quick in (True, False):
        perform(tasks_of([group(function)], [], quick=quick)[0])
    assert asked == [True, False]


def test_groups_are_selected_by_name():
    groups = [group(right), group(wrong)]
    assert select(groups, []) == groups
    assert select(groups, ["wrong"]) == groups[1:]
    with pytest.raises(InputError, match="--only wron is no group of the validation; did you mean wrong"):
        select(groups, ["wron"])


@pytest.mark.validate  # four processes that import the package: several seconds
def test_a_process_that_dies_loses_its_own_result_only():
    told = []
    tasks = tasks_of([group(right), group(dies), group(process), group(wrong, minutes=9.0)], [], quick=False)
    outcomes = perform_all(tasks, 2, told.append)
    assert [o.task.group.name for o in outcomes] == ["right", "dies", "process", "wrong"]
    assert [o.findings.checks[0].passed for o in outcomes] == [True, False, False, False]
    assert "BrokenProcessPool" in outcomes[1].findings.checks[0].why
    assert outcomes[2].findings.checks[0].target == os.getpid()  # it ran in a child of this process
    assert len(told) == 4


def test_a_figure_is_the_bytes_of_its_file():
    assert run.drawn(lambda path: path.write_bytes(b"png")) == b"png"


@pytest.fixture
def in_this_process(monkeypatch):
    monkeypatch.setattr(run, "_isolated", perform)


def test_the_report_holds_what_passed_and_what_failed(tmp_path, in_this_process):
    told = []
    groups = [group(right), group(wrong), group(raises)]
    summary, passed = validate(Request(tmp_path / "out"), told.append, groups)
    assert not passed
    lines = summary.splitlines()
    assert lines[0].startswith("FAIL A group: one (formula): 2 instead of 1")
    assert lines[1] == "FAIL A group: the task ran (formula): no number came out; the engine is ill; expected health."
    assert lines[2].startswith("FAIL: 2 of 3 checks failed in 0.0 minutes; see ")
    assert len(json.loads((tmp_path / "out" / "checks.json").read_text())) == 3
    assert (tmp_path / "out" / "a.png").read_bytes() == b"png"
    assert len(told) == 4  # what there is to do, and a line for each task done


def test_a_good_run_says_pass(tmp_path, in_this_process):
    summary, passed = validate(Request(tmp_path, quick=True), print, [group(right)])
    assert passed
    assert summary.startswith("PASS: all 1 checks passed")
    assert "quick run" in (tmp_path / "report.md").read_text()


def test_one_section_holds_all_engines(tmp_path, in_this_process, monkeypatch):
    monkeypatch.setattr(run, "engines_of", lambda name: (LAMMPS, HOOMD))
    monkeypatch.setattr(run, "label", lambda machine: f"{machine} 1.0")
    validate(Request(tmp_path), print, [group(wrong, "each")])
    text = (tmp_path / "report.md").read_text()
    assert text.count("## A group") == 1
    assert text.count("\nmore\n") == 1  # equal tables are shown once
    assert "LAMMPS 1.0; HOOMD-blue 1.0" in text


def test_bad_requests_are_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"--output .* is a file"):
        validate(Request(tmp_path / "file"), print, [group(right)])
    with pytest.raises(InputError, match="--jobs is -1; expected"):
        validate(Request(tmp_path, jobs=-1), print, [group(right)])


def test_an_absent_engine_is_refused(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EngineError, match="not installed"):
        run.engines_of("lammps")
    with pytest.raises(EngineError, match="not installed"):
        run.engines_of("all")


def test_the_groups_have_names_and_run_what_they_say():
    names = [one.name for one in run.GROUPS]
    assert len(set(names)) == len(names)
    assert {"virial", "spheres", "parity", "dynamics"} <= set(names)


@pytest.mark.parametrize(("name", "what"), [("campaign-crystals", "crystal"), ("campaign-melting", "pressure ramp")])
def test_a_project_without_finished_jobs_says_so(tmp_path, in_this_process, name, what):
    signac.init_project(tmp_path)
    request = Request(tmp_path / "out", only=[name], project=tmp_path)
    summary, passed = validate(request, print, [group(right)])
    assert not passed
    assert f"no finished jobs of validation.yaml in {tmp_path}; expected at least one classified {what}" in summary


def test_the_command_exits_with_one_when_a_check_fails(tmp_path, capsys, in_this_process, monkeypatch):
    for function, code, word in ((right, 0, "PASS"), (wrong, 1, "FAIL")):
        chosen = (group(function),)
        monkeypatch.setattr(run.validate, "__defaults__", (chosen,))
        assert main(["validate", "--output", str(tmp_path / word), "--jobs", "1"]) == code
        out, err = capsys.readouterr()
        assert out.startswith(word)
        assert "validate: [1/1]" in err
        assert Path(tmp_path / word / "report.md").is_file()


def test_the_command_refuses_unknown_groups(capsys):
    assert main(["validate", "--only", "spehres"]) == 2
    assert "did you mean spheres?" in capsys.readouterr().err

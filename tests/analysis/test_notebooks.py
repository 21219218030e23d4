"""The notebooks of ``analysis/``: executed by a real kernel on sound, empty and damaged data spaces, and kept clean."""

import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
import signac
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from supercube import operations
from supercube.spaces import fill

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "analysis").glob("*.ipynb"))
#: Seconds after which a cell hangs; the slowest takes a few.
LONGEST = 120
#: The theory on few points, so that it takes a second.
FEW = {"02-phase-map": "GRID = (4, 3)"}

SPACE = """
description: a tiny space
protocol: {initial_packing_fraction: 0.2, equilibration_time: 0.1, hold_time: 0.3}
defaults: {ligand_length: 0.2, roughness: 0.05}
jobs:
  - {n_cubes: 27, initial: SC, expansion: 1.02}
  - {n_cubes: 27, evaporation_rate: [2000, 5000], target_packing_fraction: 0.4, replicate: [0, 1]}
  - {n_cubes: 32, n_spheres: 8, size_ratio: 0.49, ligand_length: 0.18, initial: ABO3, expansion: 1.02}
"""


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """Six jobs that were built, simulated and classified, one of them drawn too, and one that waits."""
    folder = tmp_path_factory.mktemp("notebooks")
    (folder / "space.yaml").write_text(SPACE)
    fill(folder / "project", folder / "space.yaml")
    (folder / "project" / "config.yaml").write_text("device: cpu\nlog_period: 50\nframes: 5\n")
    project = signac.get_project(folder / "project")
    for job in project:
        for step in (operations.build, operations.equilibrate, operations.evaporate, operations.classify):
            step(job)
    # The one that 04-one-job takes by itself; pictures of the others would only take time.
    (crystal,) = project.find_jobs({"initial": "ABO3"})
    operations.scatter(crystal)
    operations.render(crystal)
    waiting = next(iter(project.find_jobs({"evaporation_rate": 2000}))).statepoint() | {"replicate": 7}
    project.open_job(waiting).init()
    return folder / "project"


@pytest.fixture
def empty(tmp_path):
    signac.init_project(tmp_path / "project")
    (tmp_path / "project" / "workspace").mkdir(exist_ok=True)
    return tmp_path / "project"


@pytest.fixture(scope="session")
def damaged(study, tmp_path_factory):
    """The same with one document cut off and one job of another program."""
    folder = tmp_path_factory.mktemp("damaged") / "project"
    shutil.copytree(study, folder)
    project = signac.get_project(folder)
    victim = next(iter(project.find_jobs({"evaporation_rate": 2000, "replicate": 1})))
    Path(victim.fn("signac_job_document.json")).write_text('{"structure": ')
    project.open_job({"temperature": 300}).init()
    return folder


def execute(path, project, monkeypatch):
    """The notebook after all its cells ran, or up to the one that stopped it, and the error."""
    monkeypatch.setenv("SUPERCUBE_PROJECT", str(project))
    monkeypatch.delenv("SUPERCUBE_JOB", raising=False)
    notebook = nbformat.read(path, as_version=4)
    if path.stem in FEW:  # after the cell that it changes, as papermill does
        (index,) = (k for k, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
        notebook.cells.insert(index + 1, nbformat.v4.new_code_cell(FEW[path.stem]))
    where = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=LONGEST, kernel_name="python3", resources=where)
    try:
        client.execute()
    except CellExecutionError as error:
        return notebook, error
    return notebook, None


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def kinds(notebook):
    """MIME types of the results, richest first."""
    return [next(iter(sorted(output.data, reverse=True))) for output in outputs(notebook) if "data" in output]


def words(notebook):
    return "".join(output.text for output in outputs(notebook) if output.output_type == "stream")


def figures(notebook):
    return sum("image/png" in output.data for output in outputs(notebook) if "data" in output)


def ids(paths):
    return [path.stem for path in paths]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids(NOTEBOOKS))
def test_a_notebook_runs_through_on_a_finished_data_space(path, study, monkeypatch):
    notebook, error = execute(path, study, monkeypatch)
    assert error is None
    # No warnings either; columns in nm of other shells are said.
    in_nm = "preset=PRESET" in nbformat.writes(notebook)
    assert re.fullmatch(r"Note: Columns in nm .*\n" if in_nm else "", words(notebook))
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert sum(len(cell.outputs) > 0 for cell in code) >= len(code) - 2  # all but the parameters say something
    expected = {"01-data-space": 1, "02-phase-map": 2, "03-evaporation": 1, "04-one-job": 3}
    assert figures(notebook) == expected[path.stem]
    text = nbformat.writes(notebook)
    assert len(text) < 4e6
    assert "<script" not in text
    assert re.findall(r"//cdn\.|jsdelivr|unpkg|cdnjs", text) == []
    if path.stem == "04-one-job":
        assert "application/vnd.plotly.v1+json" in [kind for out in outputs(notebook) for kind in out.get("data", {})]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids(NOTEBOOKS))
def test_on_an_empty_project_it_says_what_to_do_in_one_sentence(path, empty, monkeypatch):
    notebook, error = execute(path, empty, monkeypatch)
    assert error is not None
    assert error.ename == "InputError"
    (shown,) = outputs(notebook)
    sentence = f"{empty} holds no job of supercube; expected at least one - fill it with: python init.py"
    assert shown.traceback == [sentence]
    ran = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert ran[-1] is None  # the rest did not run into the same trouble


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids(NOTEBOOKS))
def test_damaged_and_foreign_jobs_do_not_stop_it(path, damaged, monkeypatch):
    notebook, error = execute(path, damaged, monkeypatch)
    assert error is None
    assert words(notebook).count("cannot be read and are left out") == 1
    if path.stem == "01-data-space":
        tables = "".join(output.data.get("text/plain", "") for output in outputs(notebook) if "data" in output)
        assert tables.count("cannot be read") == 2


def test_there_are_four():
    assert ids(NOTEBOOKS) == ["01-data-space", "02-phase-map", "03-evaporation", "04-one-job"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids(NOTEBOOKS))
def test_notebooks_are_kept_without_results_and_traces_of_a_machine(path):
    content = json.loads(path.read_text())
    nbformat.validate(nbformat.from_dict(content))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert [cell["outputs"] for cell in code] == [[]] * len(code)
    assert {cell["execution_count"] for cell in code} == {None}
    assert set(content["metadata"]) == {"kernelspec", "language_info"}
    assert content["metadata"]["language_info"] == {"name": "python"}
    assert all(set(cell["metadata"]) <= {"tags"} for cell in content["cells"])
    assert re.findall(r"/(?:home|root|tmp|work|Users|usr|opt)\b|[A-Z]:\\", path.read_text()) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids(NOTEBOOKS))
def test_notebooks_hold_no_logic_of_their_own(path):
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    (first, *others) = ["".join(cell["source"]) for cell in code]
    assert 'PROJECT = os.environ.get("SUPERCUBE_PROJECT", "../project")' in first
    for source in others:
        assert re.findall(r"^\s*(?:def|class|for|while|if|with|lambda)\b", source, flags=re.MULTILINE) == []
        assert len(re.findall(r"\w\(", source)) <= 3, source

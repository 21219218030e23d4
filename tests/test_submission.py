"""Submission scripts: what `workflow.py submit` renders, compared with kept files, and what they do in a real shell."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import signac

from supercube.operations import EQUILIBRATED, EVAPORATED, INITIAL
from supercube.spaces import fill

ROOT = Path(__file__).resolve().parent.parent
#: Written anew where SUPERCUBE_UPDATE_GOLDEN is set; look at the difference before it is committed.
GOLDEN = Path(__file__).resolve().parent / "golden"

SPACE = """
protocol: {equilibration_time: 0.2, hold_time: 0.5}
defaults: {ligand_length: 0.2, roughness: 0.05}
jobs: [{n_cubes: 27, initial: SC, expansion: 1.02, replicate: [0, 1, 2, 3, 4, 5]}]
"""

#: Name of the golden file: config.yaml, options of submit, markers that the jobs have.
PROFILES = {
    "slurm-cpu": ("cluster: {scheduler: slurm}", ["-n", "1"], False),
    "slurm-gpu": (
        """
        engine: hoomd
        device: gpu
        cluster:
          scheduler: slurm
          account: nano42
          simulation:
            {partition: gpu, walltime_hours: 24, gpus: 1, memory_gb: 7.5, options: [--constraint=a100, --nice=100]}
          analysis: {partition: cpu, walltime_hours: 0.5, memory_gb: 4}
          setup: [module load micromamba, 'eval "$(micromamba shell hook -s bash)"', micromamba activate supercube]
          python: python3
        """,
        ["-n", "1"],
        False,
    ),
    "slurm-analysis-bundle": (
        "{device: gpu, cluster: {scheduler: slurm, simulation: {gpus: 1}, analysis: {partition: cpu, memory_gb: 4}}}",
        ["-o", "analyse", "-b", "3", "-n", "3"],
        True,
    ),
    "slurm-shared-gpu": (
        "{device: gpu, cluster: {scheduler: slurm, simulation: {gpus: 1, jobs_per_gpu: 3, memory_gb: 2}}}",
        ["-n", "3"],
        False,
    ),
    "slurm-ranks": (
        "{engine: hoomd, device: cpu, ranks: 8, walltime_margin_minutes: 0, cluster: {scheduler: slurm}}",
        ["-o", "all", "-b", "2", "-n", "2"],
        False,
    ),
    "pbs-gpu": (
        """
        engine: hoomd
        device: gpu
        cluster:
          scheduler: pbs
          account: nano42
          simulation: {partition: gpuq, walltime_hours: 24, gpus: 1, memory_gb: 8, options: [-l place=excl]}
          python: apptainer exec --nv supercube.sif python3
        """,
        ["-n", "1"],
        False,
    ),
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A data space of six jobs, beside it the repository's workflow."""
    folder = tmp_path_factory.mktemp("filled")
    shutil.copy(ROOT / "workflow.py", folder / "workflow.py")
    shutil.copytree(ROOT / "project" / "templates", folder / "project" / "templates")
    (folder / "some.yaml").write_text(SPACE)
    fill(folder / "project", folder / "some.yaml")
    return folder


@pytest.fixture
def campaign(filled, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(filled, tmp_path / "campaign"))


def configure(campaign, text):
    (campaign / "project" / "config.yaml").write_text(textwrap.dedent(text))


def workflow(campaign, *arguments, path=None, code=0):
    # A PATH without schedulers, unless the test brings its own: nothing here may reach one of this machine.
    plain = campaign / "plain"
    if not plain.exists():
        plain.mkdir()
        for name in ("bash", "cat", "touch"):
            (plain / name).symlink_to(shutil.which(name))
    environment = os.environ | {"PATH": os.pathsep.join([*([str(path)] if path else []), str(plain)])}
    command = [sys.executable, "workflow.py", *arguments]
    done = subprocess.run(command, cwd=campaign, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def submitted(campaign, options, **keywords):
    """The script, with what differs between machines given a name."""
    text = workflow(campaign, "submit", "--pretend", *options, **keywords).stdout
    for found, name in ((sys.executable, "PYTHON"), (str(campaign), "ROOT")):
        text = text.replace(found, name)
    # Which jobs come first depends on the file system; the ids of submissions hold a hash of the project's path.
    appeared = dict.fromkeys(re.findall(r"\b[0-9a-f]{32}\b", text))
    jobs = {job.id for job in signac.get_project(campaign / "project")}
    for number, found in enumerate(one for one in appeared if one in jobs):
        text = text.replace(found, f"JOB{number}")
    return re.sub(r"(Supercube-\S+-)[0-9a-f]{32,40}\b", r"\1HASH", text)


@pytest.mark.parametrize("name", PROFILES)
def test_scripts_are_those_that_were_looked_at(campaign, name):
    config, options, simulated = PROFILES[name]
    configure(campaign, config)
    if simulated:
        for job in signac.get_project(campaign / "project"):
            Path(job.fn("checkpoint")).mkdir()
            for marker in (INITIAL, EQUILIBRATED, EVAPORATED):
                Path(job.fn(marker)).touch()
    found = submitted(campaign, options)
    golden = GOLDEN / f"{name}.sh"
    if os.environ.get("SUPERCUBE_UPDATE_GOLDEN"):
        golden.write_text(found)
    wanted = golden.read_text()
    assert found == wanted, "".join(difflib.unified_diff(wanted.splitlines(True), found.splitlines(True)))
    checked = subprocess.run(["bash", "-n"], input=found, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    ("config", "options", "words"),
    [
        ("cluster: {scheduler: sge}", [], "cluster.scheduler is 'sge'; expected 'auto', 'slurm' or 'pbs'"),
        ("cluster: {simulation: {gpu: 1}}", [], "cluster.simulation.gpu is not a known key; did you mean gpus?"),
        ("cluster: {simulation: {gpus: 2}}", [], "cluster.simulation.gpus is 2; expected 1 or less"),
        ("{engine: lammps, cluster: {simulation: {gpus: 1}}}", [], "but engine is lammps, which may leave it idle"),
        ("cluster: {simulation: {gpus: 1}}", [], "but device is auto, which may leave it idle"),
        ("cluster: {simulation: {jobs_per_gpu: 4}}", [], "jobs_per_gpu is 4, but gpus is 0"),
        ("{device: gpu, ranks: 4, cluster: {simulation: {gpus: 1}}}", [], "ranks is 4 and cluster.simulation.gpus 1"),
        ("cluster: {simulation: {walltime_hours: 0.03}}", [], "which the walltime_margin_minutes of 2 uses up"),
        ('cluster: {account: "a\\nrm -rf b"}', [], "cluster.account is"),
        ("{ranks: 4, engine: lammps}", [], "ranks is 4, but engine is lammps"),
        ("cluster: 3", [], "cluster is 3; expected"),
        ("{device: gpu, cluster: {scheduler: slurm}}", [], "device is gpu, but cluster.simulation.gpus is 0"),
        (
            "{device: gpu, cluster: {scheduler: slurm, simulation: {gpus: 1}}}",
            ["-b", "2", "-p"],
            "2 simulations at a time on one GPU, but cluster.simulation.jobs_per_gpu is 1",
        ),
        (
            "{device: gpu, cluster: {scheduler: slurm, simulation: {gpus: 1, jobs_per_gpu: 3}}}",
            ["-b", "6", "-p"],
            "6 simulations at a time on one GPU; expected at most the 3",
        ),
        ("cluster: {scheduler: auto}", [], "there is no scheduler here: neither sbatch"),
    ],
)
def test_profiles_that_cannot_be_are_refused_in_one_sentence(campaign, config, options, words):
    configure(campaign, config)
    answer = workflow(campaign, "submit", "--pretend", *options, code=2)
    said = [line for line in answer.stderr.splitlines() if not line.startswith((" - Group", "Submitting", "Querying"))]
    assert len(said) == 1
    assert words in said[0]
    assert "Traceback" not in answer.stderr


def test_a_bundle_of_simulations_and_analyses_is_refused(campaign):
    configure(campaign, "cluster: {scheduler: slurm}")
    job = min(signac.get_project(campaign / "project"), key=lambda job: job.id)
    Path(job.fn("checkpoint")).mkdir()
    for marker in (INITIAL, EQUILIBRATED, EVAPORATED):
        Path(job.fn(marker)).touch()
    answer = workflow(campaign, "submit", "--pretend", "-o", "simulate", "analyse", "-b", code=2)
    assert "this bundle mixes simulations and analyses" in answer.stderr


# --- the script in a real shell ---------------------------------------------------------------------------------------

#: Stands in for Python on a node: says that it began, and leaves as a simulation does when it is told to.
ACTOR = """#!/bin/bash
echo "began $5" >> log
trap 'echo "told $5" >> log; exit 75' USR1
[ -n "$LEAVE" ] && exit "$LEAVE"
echo $SUPERCUBE_DEADLINE > deadline
for _ in $(seq 600); do sleep 0.05; done
exit 3
"""


@pytest.fixture
def script(campaign):
    """A script of two simulations, one after the other, played by ACTOR."""
    actor = campaign / "project" / "actor"
    actor.write_text(ACTOR)
    actor.chmod(0o755)

    def made(*options):
        configure(campaign, f"cluster: {{scheduler: slurm, simulation: {{walltime_hours: 2}}, python: {actor}}}")
        path = campaign / "script.sh"
        path.write_text(workflow(campaign, "submit", "--pretend", "-b", "2", "-n", "2", *options).stdout)
        return path

    return made


def begin(script, **environment):
    log = script.parent / "project" / "log"
    process = subprocess.Popen(
        ["bash", str(script)], stdout=subprocess.PIPE, text=True, env=os.environ | environment, process_group=0
    )
    return process, log


def lines_of(log, number):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if log.exists() and len(log.read_text().splitlines()) >= number:
            return log.read_text().splitlines()
        time.sleep(0.02)
    pytest.fail(f"{log} did not get {number} lines")


def test_a_warning_reaches_the_simulation_and_nothing_new_is_begun(script):
    before = time.time()
    process, log = begin(script())
    lines_of(log, 1)
    deadline = script().parent / "project" / "deadline"
    while not deadline.exists() or not deadline.read_text():
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGUSR1)
    assert "To be continued: submit again." in process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["began", "told"]
    assert 4 * 3600 <= float(deadline.read_text()) - before + 1 < 4 * 3600 + 60  # two hours each


def test_parallel_simulations_are_all_told(script):
    process, log = begin(script("--parallel"))
    lines_of(log, 2)
    time.sleep(0.3)  # both have set their traps
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert sorted(line.split()[0] for line in log.read_text().splitlines()) == ["began", "began", "told", "told"]


@pytest.mark.parametrize(("code", "wanted"), [("0", 0), ("75", 0), ("1", 1), ("139", 1)])
def test_the_script_fails_if_a_command_does_and_goes_on_with_the_next(script, code, wanted):
    process, log = begin(script(), LEAVE=code)
    process.communicate(timeout=60)
    assert process.returncode == wanted
    assert len(log.read_text().splitlines()) == 2


def test_a_command_that_is_stopped_before_it_listens_has_not_failed(campaign, script):
    path = script()
    (campaign / "project" / "actor").write_text("#!/bin/bash\necho began >> log\nexec sleep 30\n")
    process, log = begin(path)
    lines_of(log, 1)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGUSR1)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(log.read_text().splitlines()) == 1


def test_a_setup_that_sets_e_and_u_keeps_nothing_from_running(campaign, script):
    path = script()
    config = (campaign / "project" / "config.yaml").read_text()
    configure(campaign, config.replace("python:", "setup: ['set -eu', 'export FROM_SETUP=yes'], python:"))
    path.write_text(workflow(campaign, "submit", "--pretend", "-b", "2", "-n", "2").stdout)
    process, log = begin(path, LEAVE="75")
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(log.read_text().splitlines()) == 2


def test_simulations_share_a_gpu_under_mps_which_ends_with_the_script(campaign, script):
    script()
    actor = campaign / "project" / "actor"
    # The daemon has the visible device; its clients count from 0, so they must not have it too.
    actor.write_text('#!/bin/bash\necho "${CUDA_VISIBLE_DEVICES-none} $CUDA_MPS_PIPE_DIRECTORY" >> log\n')
    gpu = "simulation: {gpus: 1, jobs_per_gpu: 2}"
    configure(campaign, f"{{device: gpu, cluster: {{scheduler: slurm, {gpu}, python: {actor}}}}}")
    path = campaign / "script.sh"
    path.write_text(workflow(campaign, "submit", "--pretend", "-n", "2").stdout)
    tools, daemon = campaign / "tools", campaign / "daemon"
    tool(
        tools,
        "nvidia-cuda-mps-control",
        f'if [ "$1" = -d ]; then echo "$CUDA_VISIBLE_DEVICES"; else cat; fi >> {daemon}',
    )
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": "3"}
    process, log = begin(path, **environment)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert daemon.read_text().split() == ["3", "quit"]
    seen = {tuple(line.split()) for line in log.read_text().splitlines()}
    ((device, pipes),) = seen
    assert len(log.read_text().splitlines()) == 2
    assert device == "none"
    assert not Path(pipes).exists()
    (tools / "nvidia-cuda-mps-control").unlink()
    process, _ = begin(path, **environment)
    process.communicate(timeout=60)
    assert process.returncode == 1


# --- schedulers that are asked ----------------------------------------------------------------------------------------


def tool(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("#!/bin/bash\n" + text)
    (folder / name).chmod(0o755)


def first_id(campaign):
    return min(job.id for job in signac.get_project(campaign / "project"))


@pytest.mark.parametrize(("scheduler", "others"), [("slurm", 5), ("pbs", 5)])
def test_what_is_in_the_queue_is_not_submitted_again(campaign, scheduler, others):
    configure(campaign, f"cluster: {{scheduler: {scheduler}}}")
    tools, queue = campaign / "tools", campaign / "queue"
    tool(tools, "squeue", "cat queue")
    tool(tools, "qstat", "cat queue")
    for name in ("sbatch", "qsub"):
        tool(tools, name, 'cat "${@: -1}" >> submitted')
    queue.touch()
    tool(tools, "qselect", "[ -s queue ] && echo 11.server; exit 0")
    script = workflow(campaign, "submit", "--pretend", "-j", first_id(campaign), path=tools).stdout
    name = re.search(r"Supercube-\S+-[0-9a-f]{32}", script).group()
    # Configuring, with SLURM, which signac-flow takes for ended; running, with PBS.
    queue.write_text(f"CF {name}\n" if scheduler == "slurm" else f"    Job_Name = {name}\n    job_state = R\n")
    workflow(campaign, "submit", path=tools)
    begun = re.findall(r"^begin ", (campaign / "submitted").read_text(), re.MULTILINE)
    assert len(begun) == others
    assert (campaign / "project" / "logs").is_dir()


def test_a_queue_that_does_not_answer_stops_submissions_and_nothing_else(campaign):
    configure(campaign, "cluster: {scheduler: slurm}")
    tools = campaign / "tools"
    tool(tools, "squeue", "exit 1")
    tool(tools, "sbatch", "touch submitted")
    answer = workflow(campaign, "submit", path=tools, code=2)
    assert answer.stderr.count("squeue does not answer") == 1
    assert not (campaign / "submitted").exists()
    answer = workflow(campaign, "status", path=tools)
    assert "What is in the queue is not known." in answer.stderr
    assert "6 waiting" in answer.stdout


def test_what_the_scheduler_refuses_is_one_sentence(campaign):
    configure(campaign, "cluster: {scheduler: slurm, simulation: {partition: nowhere}}")
    tools = campaign / "tools"
    tool(tools, "squeue", "exit 0")
    tool(tools, "sbatch", "echo 'sbatch: error: invalid partition specified: nowhere' >&2; exit 1")
    answer = workflow(campaign, "submit", "-n", "1", path=tools, code=1)
    assert "the scheduler refused the submission" in answer.stderr
    assert "invalid partition specified: nowhere" in answer.stderr
    assert "Traceback" not in answer.stderr

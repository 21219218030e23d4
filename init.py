"""Fill the data space: python init.py [SPACE]."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from supercube.errors import InputError, SupercubeError
from supercube.spaces import FillReport, fill

ROOT = Path(__file__).resolve().parent
SPACES = ROOT / "project" / "spaces"

EPILOG = """\
examples:
  python init.py                        the demo
  python init.py phase-map              project/spaces/phase-map.yaml
  python init.py my-study.yaml          a file of your own (copy one of project/spaces and edit it)

Running it again adds only what is missing. Then: python workflow.py run
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        report = fill(ROOT / options.project, space_file(options.space))
    except SupercubeError as error:
        print(f"init.py: {error}", file=sys.stderr)
        return error.exit_code
    print(_sentence(report))
    for problem in report.problems:
        print(f"init.py: {problem}", file=sys.stderr)
    return 1 if report.problems else 0


def space_file(space: str) -> Path:
    """The file of a space given by its name, or by a path relative to this file's folder.

    Raises:
        InputError: there is no such file.
    """
    is_path = space.endswith((".yaml", ".yml")) or "/" in space
    path = ROOT / Path(space).expanduser() if is_path else SPACES / f"{space}.yaml"
    if path.is_file():
        return path
    if is_path:
        raise InputError(f"{path} does not exist; expected a space file, relative to {ROOT}.")
    names = sorted(found.stem for found in SPACES.glob("*.yaml"))
    close = difflib.get_close_matches(space, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(names)}, or a path to a YAML file."
    raise InputError(f"there is no space {space} in {_short(SPACES)}; {hint}")


def _sentence(report: FillReport) -> str:
    jobs = "1 job" if report.total == 1 else f"{report.total} jobs"
    return f"{report.name}: {jobs} - {report.added} added, {report.present} already there ({_short(report.workspace)})"


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="init.py",
        description="Fill the data space: make one job for every state point of a parameter space.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "space",
        nargs="?",
        default="demo",
        metavar="SPACE",
        help="name of a space in project/spaces/, or path to a YAML file (default: demo)",
    )
    parser.add_argument(
        "--project",
        default="project",
        metavar="DIR",
        help="root of the signac project (default: project; relative to the folder of init.py)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

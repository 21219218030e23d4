"""The ``supercube`` console script: classifier, renderer, energies and doctor on plain files, and help with jobs.

stdout holds the answer (with ``--json`` only the JSON); errors go to stderr as one sentence, with exit code 2 for bad
input and 1 for a failed run.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from . import __version__
from .errors import InputError, SupercubeError

#: What ``--device`` takes.
DEVICES = ("auto", "cpu", "gpu")
#: The option that takes a slice.
FRAMES = "--frames"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(_slices_joined(sys.argv[1:] if arguments is None else arguments))
    try:
        code = options.run(options)
    except SupercubeError as error:
        print(f"supercube: {error}", file=sys.stderr)
        return error.exit_code
    except PermissionError as error:
        print(f"supercube: {error.filename} cannot be written or read: {error.strerror}", file=sys.stderr)
        return InputError.exit_code
    except BrokenPipeError:  # the reader (head, less) has seen enough
        return 0
    except OSError as error:
        print(f"supercube: {error.filename}: {error.strerror}", file=sys.stderr)
        return InputError.exit_code
    except KeyboardInterrupt:
        print("supercube: stopped.", file=sys.stderr)
        return 130
    return int(code or 0)


def _slices_joined(arguments: Sequence[str]) -> list[str]:
    """``--frames -20:`` as ``--frames=-20:``; argparse takes what begins with a minus for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == FRAMES and re.match(r"-\d|-?:", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="supercube", description="Which superlattice do these nanocubes form?")
    parser.add_argument("--version", action="version", version=f"supercube {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    _add_classify(commands)
    _add_scatter(commands)
    _add_energy(commands)
    _add_packing(commands)
    _add_phases(commands)
    _add_preset(commands)

    doctor = commands.add_parser("doctor", help="what is installed, and whether the engines compute right")
    doctor.add_argument("--device", default="auto", choices=DEVICES, help="what has to be usable (default: auto)")
    doctor.add_argument("--json", action="store_true", help="print JSON only")
    doctor.set_defaults(run=_doctor)

    _add_bench(commands)
    _add_validate(commands)

    _add_project(commands)
    return parser


def _add_classify(commands: Any) -> None:
    classify = commands.add_parser("classify", help="name the order in a GSD file, and say how good it is")
    classify.add_argument("file", type=Path, metavar="FILE.gsd")
    classify.add_argument("--frame", type=int, help="frame index, negative from the end (default: last)")
    classify.add_argument(
        FRAMES, metavar="START:STOP:STEP", help="several frames at once, as a Python slice: mean positions, mobility"
    )
    classify.add_argument("--labels", type=Path, metavar="OUT.npy", help="save one label a particle")
    classify.add_argument("--picture", type=Path, metavar="OUT.png", help="draw the (last) frame, coloured by label")
    classify.add_argument("--json", action="store_true", help="print JSON only")
    classify.set_defaults(run=_classify)

    render = commands.add_parser("render", help="draw a GSD file, coloured by local order")
    render.add_argument("file", type=Path, metavar="FILE.gsd")
    render.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.png")
    render.add_argument("--frame", type=int, default=-1, help="frame index, negative from the end (default: last)")
    render.add_argument("--size", type=int, default=900, help="width and height in pixels (default: 900)")
    render.set_defaults(run=_render)


def _add_scatter(commands: Any) -> None:
    scatter = commands.add_parser("scatter", help="S(q), scattered intensity, Bragg peaks and a pattern of a GSD file")
    scatter.add_argument("file", type=Path, metavar="FILE.gsd")
    scatter.add_argument("-o", "--output", type=Path, metavar="OUT.png", help="draw the curves and the pattern")
    scatter.add_argument("--csv", type=Path, metavar="OUT.csv", help="write the curves")
    scatter.add_argument("--frame", type=int, help="frame index, negative from the end (default: last)")
    scatter.add_argument(FRAMES, metavar="START:STOP:STEP", help="mean over several frames, as a Python slice")
    scatter.add_argument(
        "--zone", type=int, nargs=3, default=[0, 0, 1], metavar=("U", "V", "W"), help="axis of the pattern (0 0 1)"
    )
    scatter.add_argument("--q-max", type=float, metavar="Q", help="largest q, in 1/nm with a preset or a cube edge")
    scatter.add_argument(
        "--resolution", type=float, metavar="DQ", help="full width of a powder line (default: as the box allows)"
    )
    scatter.add_argument("--preset", metavar="NAME", help="real nanocrystals: q in 1/nm, their cores and materials")
    scatter.add_argument("--cube-edge-nm", type=float, metavar="E", help="effective edge of a cube: q in 1/nm")
    for shape in ("cube", "sphere"):
        scatter.add_argument(
            f"--contrast-{shape}", type=float, metavar="C", help=f"electron density of a {shape} over the ligands'"
        )
    scatter.add_argument("--ligand-length", type=float, metavar="L", help="shell in cube edges, if the file lacks it")
    scatter.add_argument("--size-ratio", type=float, metavar="G", help="gamma, if the file lacks the spheres' diameter")
    scatter.add_argument(
        "--cube-edge", type=float, metavar="X", help="effective edge in the file's unit, if the file lacks it (1)"
    )
    scatter.add_argument("--json", action="store_true", help="print JSON only, with the curves")
    scatter.set_defaults(run=_scatter)


def _add_project(commands: Any) -> None:
    table = commands.add_parser("table", help="one row a job of the data space")
    table.add_argument("--project", type=Path, default=Path("project"), help="signac project (default: project)")
    table.add_argument("--markdown", action="store_true", help="as a Markdown table")
    table.set_defaults(run=_table)

    cost = commands.add_parser("estimate", help="what the jobs that are left will cost, at the speeds measured so far")
    cost.add_argument("--project", type=Path, default=Path("project"), help="signac project (default: project)")
    cost.add_argument("--at-a-time", type=int, default=1, metavar="N", help="jobs that will run at a time (default: 1)")
    cost.add_argument("--measure", action="store_true", help="run three kinds of jobs for some seconds, to know speeds")
    cost.add_argument("--seconds", type=float, default=5.0, help="with --measure: for each of them (default: 5)")
    cost.add_argument("--json", action="store_true", help="print JSON only")
    cost.set_defaults(run=_estimate)

    moved = commands.add_parser("migrate", help="bring the jobs of a data space to the present schema")
    moved.add_argument("--project", type=Path, default=Path("project"), help="signac project (default: project)")
    moved.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
    moved.set_defaults(run=_migrate)

    go_on = commands.add_parser("continue", help="run a finished job on: a longer hold, or a denser target")
    go_on.add_argument("job", metavar="JOB", help="job id, or its first characters")
    what = go_on.add_mutually_exclusive_group(required=True)
    what.add_argument("--hold", type=float, metavar="T", help="new hold time, in units of e^2/D0")
    what.add_argument("--target", type=float, metavar="PHI", help="denser packing fraction (makes a new job)")
    go_on.add_argument("--project", type=Path, default=Path("project"), help="signac project (default: project)")
    go_on.set_defaults(run=_continue)


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser(
        "bench", help="speed, as ratios measured in one run; classify, limits: how often labels are right"
    )
    bench.add_argument(
        "what",
        choices=("overhead", "engines", "packing", "classify", "limits", "campaign"),
        nargs="?",
        default="overhead",
    )
    bench.add_argument("--steps", type=int, default=20_000, help="overhead: MD steps of each run (default: 20000)")
    bench.add_argument("--seconds", type=float, default=60.0, help="engines: longest time a row (default: 60)")
    bench.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[135, 1000, 8000, 64000],
        metavar="N",
        help="engines: numbers of bodies (default: 135 1000 8000 64000)",
    )
    bench.add_argument(
        "--samples", type=int, metavar="N", help="classify, limits: of each class (default: 200, and 10 for limits)"
    )
    bench.add_argument(
        "--structures", nargs="+", default=(), metavar="NAME", help="classify: crystals and kinds of disorder (all)"
    )
    bench.add_argument("--seed", type=int, default=1, help="classify, limits: gives other samples (default: 1)")
    bench.add_argument("--workers", type=int, default=0, metavar="N", help="the same: processes (default: one a core)")
    bench.add_argument("--no-speed", dest="speed", action="store_false", help="classify: do not measure the speed")
    bench.add_argument("--project", type=Path, help="classify: also the last frames of this signac project")
    bench.add_argument("--jobs", type=int, default=10_000, help="campaign: jobs of the data space (default: 10000)")
    bench.add_argument(
        "--checkout", type=Path, default=Path(), metavar="DIR", help="campaign: where workflow.py is (default: here)"
    )
    bench.add_argument("--json", action="store_true", help="classify, limits: print JSON only")
    bench.set_defaults(run=_bench)


def _add_validate(commands: Any) -> None:
    validate = commands.add_parser(
        "validate", help="check the physics against theory, literature and the other engine; writes a report"
    )
    validate.add_argument(
        "-o", "--output", type=Path, default=Path("validation"), metavar="DIR", help="folder (default: validation)"
    )
    validate.add_argument(
        "--only", nargs="+", default=(), metavar="GROUP", help="groups of checks, such as spheres (default: all)"
    )
    validate.add_argument("--quick", action="store_true", help="a tenth of the statistics: does everything run?")
    validate.add_argument(
        "--engine", default="all", choices=("all", "hoomd", "lammps"), help="(default: all that are here)"
    )
    validate.add_argument("--jobs", type=int, default=0, metavar="N", help="tasks at a time (default: one a core)")
    validate.add_argument(
        "--project",
        type=Path,
        metavar="DIR",
        help="judge the finished jobs of project/spaces/validation.yaml there too",
    )
    validate.set_defaults(run=_validate)


def _add_energy(commands: Any) -> None:
    energy = commands.add_parser("energy", help="energy, forces and torques of a GSD file, as an engine computes them")
    energy.add_argument("file", type=Path, metavar="FILE.gsd")
    energy.add_argument("--size-ratio", type=float, metavar="G", help="cube edge over sphere diameter; with spheres")
    energy.add_argument("--ligand-length", type=float, required=True, metavar="L", help="ligand shell, in cube edges")
    energy.add_argument(
        "--attraction", type=float, default=0.0, metavar="E", help="face-to-face well in kT (default: 0)"
    )
    energy.add_argument("--roughness", type=float, metavar="R", help="allowed roughness of a face, in cube edges")
    energy.add_argument("--frame", type=int, default=-1, help="frame index, negative from the end (default: last)")
    energy.add_argument("--engine", default="auto", choices=("auto", "hoomd", "lammps"), help="(default: auto)")
    energy.add_argument("--device", default="auto", choices=DEVICES, help="(default: auto)")
    energy.add_argument("--json", action="store_true", help="print JSON only")
    energy.set_defaults(run=_energy)


def _add_packing(commands: Any) -> None:
    packing = commands.add_parser("packing", help="closest packing of a structure; no structure lists them")
    packing.add_argument("structure", nargs="?", metavar="STRUCTURE", help="such as ABO3, NaCl, AlB2")
    packing.add_argument("--size-ratio", type=float, metavar="G", help="cube edge over sphere diameter; with spheres")
    packing.add_argument(
        "--ligand-length", type=float, default=0.0, metavar="L", help="rounding radius of a cube in edges (default: 0)"
    )
    packing.add_argument(
        "--model", default="hard", choices=("hard", "otm"), help="hard shapes, or the orbifold model (default: hard)"
    )
    packing.add_argument(
        "--o-site-angle", metavar="free|DEG", help="angle of the O cubes about their B-O axis (default: free)"
    )
    packing.add_argument("--second-edge", type=float, metavar="K", help="edge of the second cubes over the first")
    packing.add_argument("--cube-edge-nm", type=float, metavar="E", help="effective edge of a cube: lengths in nm too")
    packing.add_argument("--json", action="store_true", help="print JSON only")
    packing.set_defaults(run=_packing)


def _add_phases(commands: Any) -> None:
    phases = commands.add_parser("phases", help="which structures win at infinite pressure: at a point, or a map")
    phases.add_argument(
        "--stoichiometry", type=float, default=4.0, metavar="X", help="cubes per sphere (default: 4, as in ABO3)"
    )
    phases.add_argument("--size-ratio", type=float, metavar="G", help="rank the structures at this point ...")
    phases.add_argument("--ligand-length", type=float, metavar="L", help="... instead of drawing a map")
    phases.add_argument("--cube-edge-nm", type=float, metavar="E", help="effective edge of a cube: lengths in nm too")
    phases.add_argument(
        "--pressure", type=float, metavar="P", help="at a point: by enthalpy of the bead model at P kT/e^3 and T = 0"
    )
    phases.add_argument("--attraction", type=float, default=0.0, metavar="E", help="with --pressure: kT (default: 0)")
    phases.add_argument("--roughness", type=float, default=0.02, metavar="R", help="with --pressure (default: 0.02)")
    phases.add_argument(
        "--box", default="lengths", metavar="WHAT", help="with --pressure: isotropic, lengths or all may change"
    )
    phases.add_argument("-o", "--output", type=Path, metavar="MAP.png", help="draw the map")
    phases.add_argument("--csv", type=Path, metavar="MAP.csv", help="write the map's table")
    phases.add_argument("--from", dest="source", type=Path, metavar="MAP.csv", help="draw from a table of before")
    axis = {"type": float, "nargs": 3}
    names = ("LOW", "HIGH", "N")
    phases.add_argument("--size-ratios", **axis, metavar=names, help="axis of the map (default: 0.3 0.7 60)")
    phases.add_argument("--ligand-lengths", **axis, metavar=names, help="axis of the map (default: 0 0.25 40)")
    phases.add_argument("--structures", nargs="+", metavar="NAME", help="those that compete (default: all)")
    phases.add_argument("--o-site-angle", default="free", metavar="free|DEG", help="of the O cubes (default: free)")
    phases.add_argument("--workers", type=int, default=0, metavar="N", help="processes (default: one a core)")
    phases.add_argument("--json", action="store_true", help="at a point: print JSON only")
    phases.set_defaults(run=_phases)


def _add_preset(commands: Any) -> None:
    preset = commands.add_parser("preset", help="real nanocrystals and ligands as a state point; no name lists them")
    preset.add_argument("name", nargs="?", metavar="NAME", help="such as cspbbr3-8.6nm+fe3o4-19.5nm")
    preset.add_argument("--cube", type=float, metavar="NM", help="core edge of your own cubes")
    preset.add_argument("--sphere", type=float, metavar="NM", help="core diameter of your own spheres")
    preset.add_argument("--ligand", metavar="NAME", help="ligand of cubes and spheres, such as ddab, oleic-acid")
    for shape in ("cube", "sphere"):
        preset.add_argument(f"--{shape}-ligand", metavar="NAME", help=f"ligand of the {shape}s")
    preset.add_argument(
        "--shell",
        choices=("opm", "ocm", "facet", "measured"),
        help="model of the shell (default: measured where its thickness is given, else opm)",
    )
    for shape, chains in (("cube", 2.9), ("sphere", 3.5)):
        preset.add_argument(f"--{shape}-shell", type=float, metavar="NM", help=f"measured shell of the {shape}s")
        preset.add_argument(
            f"--{shape}-grafting", type=float, metavar="N", help=f"chains per nm^2 of the {shape}s (default: {chains})"
        )
        preset.add_argument(
            f"--{shape}-error", type=float, metavar="NM", help=f"uncertainty of the {shape}s' core (default: 1 %%)"
        )
    preset.add_argument("--grafting-error", type=float, metavar="N", help="uncertainty of graftings (default: 0.8)")
    preset.add_argument("--shell-error", type=float, metavar="NM", help="that of measured shells (default: 0.2)")
    preset.add_argument("--json", action="store_true", help="print JSON only")
    preset.set_defaults(run=_preset)


def _classify(options: argparse.Namespace) -> None:
    from .classification import classification_answer, classification_text, classified, read, save_labels

    for path in filter(None, (options.labels, options.picture)):
        _writable(path)
    frames = read(options.file, options.frame, _part(options))
    order = classified(frames, options.file)
    if options.labels:
        save_labels(options.labels, order)
    if options.picture:
        from .observe import render

        render(frames[-1], options.picture, order.labels.tolist())
    answer = classification_answer(order)
    print(json.dumps(answer, allow_nan=False) if options.json else classification_text(answer))


def _part(options: argparse.Namespace) -> slice | None:
    from .classification import slice_of

    if options.frames is not None and options.frame is not None:
        raise InputError(f"--frame {options.frame} and {FRAMES} {options.frames} exclude each other; give one of them.")
    return None if options.frames is None else slice_of(options.frames, FRAMES)


def _scatter(options: argparse.Namespace) -> None:
    from dataclasses import fields

    from . import scattering
    from .classification import classified, read

    for path in filter(None, (options.output, options.csv)):
        _writable(path)
    request = scattering.Request(**{one.name: getattr(options, one.name) for one in fields(scattering.Request)})
    frames = read(options.file, options.frame, _part(options))
    sizes = scattering.sizes_of(frames[-1], request)
    order = classified(frames, options.file)
    found = scattering.scattered(frames, order, sizes, request)
    if options.output:
        from .observe import plot_scattering

        counts = {"cubes": order.n_cubes, "spheres": order.n_spheres}
        title = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
        plot_scattering(found, options.output, unit=sizes.unit, scale=sizes.scale, title=title)
    if options.csv:
        scattering.write_curves(options.csv, found, sizes)
    answer = scattering.scattering_answer(found, order, sizes)
    print(json.dumps(answer, allow_nan=False) if options.json else scattering.scattering_text(answer))


def _render(options: argparse.Namespace) -> None:
    from .classification import classified, read
    from .observe import render

    _writable(options.output)
    if not 50 <= options.size <= 8000:
        raise InputError(f"--size is {options.size}; expected 50 to 8000 pixels.")
    frames = read(options.file, options.frame)
    labels: list[str] | None
    try:
        labels = classified(frames, options.file).labels.tolist()
    except InputError as error:
        print(f"supercube: coloured by species, since order is undefined here: {error}", file=sys.stderr)
        labels = None
    render(frames[-1], options.output, labels, size=(options.size, options.size))


def _writable(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} cannot be written: it is a folder; expected a file name.")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: the folder {path.parent} does not exist.")


def _energy(options: argparse.Namespace) -> None:
    from .configuration import read_gsd
    from .energy import model_of, single_point_answer, summary

    configuration = read_gsd(options.file, options.frame)
    model = model_of(
        configuration,
        ligand_length=options.ligand_length,
        size_ratio=options.size_ratio,
        attraction=options.attraction,
        roughness=options.roughness,
    )
    answer = single_point_answer(configuration, model, options.engine, options.device)
    print(json.dumps(answer, allow_nan=False) if options.json else summary(answer))


def _packing(options: argparse.Namespace) -> None:
    from .theory import library_answer, library_text, packing_answer, packing_text

    if options.structure is None:
        print(json.dumps(library_answer()) if options.json else library_text(library_answer()))
        return
    answer = packing_answer(
        options.structure,
        size_ratio=options.size_ratio,
        ligand_length=options.ligand_length,
        model=options.model,
        o_site_angle=options.o_site_angle,
        second_edge=options.second_edge,
        cube_edge_nm=options.cube_edge_nm,
    )
    print(json.dumps(answer, allow_nan=False) if options.json else packing_text(answer))


def _phases(options: argparse.Namespace) -> None:
    from .theory import MapRequest, draw_map, enthalpy_ranking, enthalpy_text, ranking, ranking_text

    point, files = (options.size_ratio, options.ligand_length), (options.output, options.csv)
    if point != (None, None):
        if None in point or files != (None, None) or options.source:
            raise InputError(
                "--size-ratio and --ligand-length rank the structures at one point, and go together and without -o, "
                "--csv and --from, which draw a map (its axes: --size-ratios, --ligand-lengths)."
            )
        if options.pressure is not None:
            choices = ("pressure", "stoichiometry", "attraction", "roughness", "box")
            found = enthalpy_ranking(*point, **{name: getattr(options, name) for name in choices})
            print(json.dumps(found, allow_nan=False) if options.json else enthalpy_text(found))
            return
        answer = ranking(
            *point,
            options.stoichiometry,
            structures=options.structures,
            o_site_angle=options.o_site_angle,
            cube_edge_nm=options.cube_edge_nm,
        )
        print(json.dumps(answer, allow_nan=False) if options.json else ranking_text(answer))
        return
    if options.json or options.cube_edge_nm is not None or options.pressure is not None:
        raise InputError(
            "--json, --cube-edge-nm and --pressure belong to one point; give --size-ratio and --ligand-length too."
        )
    for path in filter(None, files):
        _writable(path)
    names = ("stoichiometry", "output", "csv", "source", "structures", "o_site_angle", "workers")
    axes = {name: getattr(options, name) for name in ("size_ratios", "ligand_lengths")}
    print(draw_map(MapRequest(**{name: getattr(options, name) for name in names}, **axes)))


def _preset(options: argparse.Namespace) -> None:
    from dataclasses import fields

    from .preset import Request, listing, listing_text, preset_answer, summary

    request = Request(**{one.name: getattr(options, one.name) for one in fields(Request)})
    answer = preset_answer(request) if request.given else listing()
    text = summary if request.given else listing_text
    print(json.dumps(answer, allow_nan=False) if options.json else text(answer))


def _doctor(options: argparse.Namespace) -> int:
    from .doctor import examine, lines

    report = examine(options.device)
    print(json.dumps(report) if options.json else "\n".join(lines(report)))
    return 0 if report["healthy"] else 1


def _bench(options: argparse.Namespace) -> None:
    if options.what == "engines":
        _bench_engines(options)
        return
    if options.what == "packing":
        from .bench_packing import print_table

        print_table(partial(print, flush=True))
        return
    if options.what == "classify":
        from .bench_classify import OPTIONS, Request, answer, text

        chosen = {name: getattr(options, name) for name in OPTIONS if getattr(options, name) is not None}
        found = answer(Request(**chosen))
        print(json.dumps(found, allow_nan=False) if options.json else text(found))
        return
    if options.what == "campaign":
        from .bench_campaign import campaign

        campaign(options.jobs, options.checkout, partial(print, flush=True))
        return
    if options.what == "limits":
        from . import bench_limits

        samples = bench_limits.SAMPLES if options.samples is None else options.samples
        rates = bench_limits.answer(samples, options.seed, options.workers)
        print(json.dumps(rates, allow_nan=False) if options.json else bench_limits.text(rates))
        return
    from .bench import overhead

    if options.steps < 1000:
        raise InputError(f"--steps is {options.steps}; expected at least 1000, or the rates mean nothing.")
    found = overhead(options.steps)
    print(f"64 cubes drying, {found['steps']:.0f} steps, {found['rounds']:.0f} rounds in alternating order, medians:")
    print(f"  through supercube   {found['package']:8.0f} steps/s")
    print(f"  plain LAMMPS input  {found['plain']:8.0f} steps/s")
    print(f"  ratio               {found['ratio']:8.3f}   (target >= 0.95)")


def _validate(options: argparse.Namespace) -> int:
    from .validation.run import Request, validate

    names = ("output", "only", "quick", "engine", "jobs", "project")
    request = Request(**{name: getattr(options, name) for name in names})
    summary, passed = validate(request, partial(print, "validate:", file=sys.stderr, flush=True))
    print(summary)
    return 0 if passed else 1


def _bench_engines(options: argparse.Namespace) -> None:
    from .bench_engines import LARGEST, SHORTEST, print_table

    if not options.seconds >= SHORTEST:  # also refuses nan
        raise InputError(f"--seconds is {options.seconds:g}; expected at least {SHORTEST:g}, or no row can finish.")
    wrong = [size for size in options.sizes if not 1 <= size <= LARGEST]
    if wrong:
        raise InputError(f"--sizes holds {wrong[0]}; expected numbers of bodies from 1 to {LARGEST}.")
    print_table(options.sizes, options.seconds, partial(print, flush=True))  # a row takes up to a minute


def _table(options: argparse.Namespace) -> None:
    from .dataspace import problem_lines, read_data_space
    from .operations import rows

    space = read_data_space(options.project).with_documents()
    print(format_table(rows(space.jobs), markdown=options.markdown))
    for line in problem_lines(space.problems):
        print(f"supercube: {line}", file=sys.stderr)


#: Heading, key of the row and format of each column.
_COLUMNS = (
    ("job", "job", ".8"),
    ("cubes", "n_cubes", "d"),
    ("spheres", "n_spheres", "d"),
    ("gamma", "size_ratio", "g"),
    ("lambda", "ligand_length", "g"),
    ("Pe", "evaporation_rate", "g"),
    ("P", "pressure", "g"),
    ("start", "start", ""),
    ("repl", "replicate", "d"),
    ("beads", "beads", "d"),
    ("roughness", "measured_roughness", ".3f"),
    ("phi", "packing_fraction", ".3f"),
    ("phi(kT)", "thermal_packing_fraction", ".3f"),
    ("structure", "structure", ""),
    ("fraction", "structure_fraction", ".2f"),
    ("cubatic", "cubatic_order", ".3f"),
    ("steps/s", "steps_per_second", ".0f"),
)


def _cell(value: Any, pattern: str) -> str:
    return "-" if value is None else format(value, pattern)


def format_table(rows: Sequence[dict[str, Any]], *, markdown: bool = False) -> str:
    """Rows of ``operations.rows`` as text, one line a job; a failed job shows its error beneath."""
    body = []
    for row in rows:
        start = row["initial"] if not row["initial"].startswith("file:") else "file"
        shown = row | {"start": start + (f" x{row['expansion']:g}" if row["expansion"] != 1.0 else "")}
        shown["size_ratio"] = row["size_ratio"] if row["n_spheres"] else None
        shown["pressure"] = row["pressure"] or None  # 0 is no pressure
        body.append([_cell(shown[key], pattern) for _, key, pattern in _COLUMNS])
    heads = [head for head, _, _ in _COLUMNS]
    widths = [max(len(line[k]) for line in [heads, *body]) for k in range(len(heads))]
    edge, gap = ("| ", " | ") if markdown else ("", "  ")
    lines = [edge + gap.join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in [heads, *body]]
    if markdown:
        lines = [line + " |" for line in lines]
        lines.insert(1, "|" + "|".join("-" * (w + 1) + ":" for w in widths) + "|")
    errors = [f"{row['job'][:8]}: {row['error']}" for row in rows if row["error"]]
    return "\n".join([*lines, *errors])


def _estimate(options: argparse.Namespace) -> None:
    from .dataspace import problem_lines
    from .estimate import answer, estimate, lines

    if not 0 < options.seconds <= 600:  # also refuses nan
        raise InputError(f"--seconds is {options.seconds:g}; expected more than 0 and at most 600.")
    seconds = options.seconds if options.measure else None
    found = estimate(options.project, at_a_time=options.at_a_time, measure=seconds)
    print(json.dumps(answer(found), allow_nan=False) if options.json else "\n".join(lines(found)))
    for line in problem_lines(found.problems):
        print(f"supercube: {line}", file=sys.stderr)


def _migrate(options: argparse.Namespace) -> int:
    from .dataspace import problem_lines
    from .migration import lines, migrate

    report = migrate(options.project, dry_run=options.dry_run)
    print("\n".join(lines(report, dry_run=options.dry_run)))
    for line in problem_lines(report.problems):
        print(f"supercube: {line}", file=sys.stderr)
    return 1 if report.problems else 0


def _continue(options: argparse.Namespace) -> None:
    from .dataspace import open_project
    from .operations import densify, prolong, run_all

    project = open_project(options.project)
    try:
        job = project.open_job(id=options.job)
    except (KeyError, LookupError) as error:
        raise InputError(f"no single job matches {options.job!r}; expected the first characters of one id.") from error
    if options.hold is not None:
        prolong(job, options.hold)
    else:
        job = densify(job, options.target)
    run_all(job)
    print(f"{job.id}: {job.doc['structure']} ({100 * job.doc['structure_fraction']:.1f} %)")

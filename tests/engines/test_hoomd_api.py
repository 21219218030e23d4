"""What we use of HOOMD-blue is no more than 4.8 to 7 share: read off the source, and asked of the version installed.

The lists below are the public interface that 4.8.2 and 7.0.1 have in common as far as we need it. A new entry has to be
looked up in both; this file runs with either.
"""

import ast
import functools
import inspect
from pathlib import Path

import pytest

import supercube.engines

ENGINES = Path(supercube.engines.__file__).parent
SOURCES = ("hoomd.py", "hoomd_world.py", "hoomd_tune.py", "hoomd_ranks.py")

#: Of the package itself: dotted name -> keywords that may be given (``None``: not called, looked at or derived from).
CALLS = {
    "hoomd.Box": ("Lx", "Ly", "Lz", "xy", "xz", "yz"),
    "hoomd.Simulation": ("device", "seed"),
    "hoomd.Snapshot": ("communicator",),
    "hoomd.communicator.Communicator": (),
    "hoomd.device.CPU": ("notice_level",),
    "hoomd.device.GPU": ("notice_level",),
    "hoomd.device.GPU.get_available_devices": (),
    "hoomd.device.GPU.get_unavailable_device_reasons": (),
    "hoomd.filter.All": (),
    "hoomd.filter.Rigid": ("flags",),
    "hoomd.md.Integrator": ("dt", "methods", "forces", "rigid", "integrate_rotational_dof"),
    "hoomd.md.compute.ThermodynamicQuantities": ("filter",),
    "hoomd.md.constrain.Rigid": (),
    "hoomd.md.methods.ConstantPressure": (
        "filter",
        "S",
        "tauS",
        "couple",
        "box_dof",
        "thermostat",
    ),
    "hoomd.md.methods.ConstantVolume": ("filter",),
    "hoomd.md.methods.Langevin": ("filter", "kT"),
    "hoomd.md.methods.thermostats.Bussi": ("kT", "tau"),
    "hoomd.md.nlist.Cell": ("buffer", "exclusions"),
    "hoomd.md.nlist.Stencil": ("cell_width", "buffer", "exclusions"),
    "hoomd.md.nlist.Tree": ("buffer", "exclusions"),
    "hoomd.md.pair.ExpandedGaussian": ("nlist", "default_r_cut", "mode"),
    "hoomd.md.pair.ExpandedLJ": ("nlist", "default_r_cut", "mode"),
    "hoomd.trigger.Periodic": ("period",),
    "hoomd.update.BoxResize": ("trigger", "box", "filter"),
    "hoomd.variant.box.Interpolate": ("initial_box", "final_box", "variant"),
    "hoomd.variant.Constant": ("value",),
    "hoomd.variant.Ramp": ("A", "B", "t_start", "t_ramp"),
    "hoomd.variant.Variant": None,
    "hoomd.version.gpu_enabled": None,
    "hoomd.version.mpi_enabled": None,
    "hoomd.version.version": None,
}

#: Of the objects that those return: class -> members used, a method with its arguments (``None``: no signature to ask).
MEMBERS = {
    "hoomd.Simulation": {
        "always_compute_pressure": None,
        "create_state_from_snapshot": ("snapshot",),
        "operations": None,
        "run": ("steps",),
        "state": None,
        "timestep": None,
    },
    "hoomd.State": {"box": None, "cpu_local_snapshot": None, "get_snapshot": ()},
    "hoomd.Operations": {"computes": None, "integrator": None, "tuners": None, "updaters": None},
    "hoomd.Box": {"Lx": None, "Ly": None, "Lz": None, "volume": None, "xy": None, "xz": None, "yz": None},
    "hoomd.Snapshot": {"configuration": None, "particles": None},
    "hoomd.communicator.Communicator": {"num_ranks": None, "rank": None, "walltime": None},
    "hoomd.device.CPU": {"communicator": None},
    "hoomd.device.GPU": {"communicator": None, "device": None, "is_available": ()},
    "hoomd.md.compute.ThermodynamicQuantities": {"pressure": None},
    "hoomd.md.constrain.Rigid": {"create_bodies": ("state",)},
    "hoomd.md.pair.ExpandedLJ": {"energy": None},
    "hoomd.variant.Variant": {"__call__": None, "_max": None, "_min": None},
}

#: Keywords that one end of the range has and the other not, or that changed their meaning; for no call at all.
NEVER = {"masses", "charges", "num_cpu_threads", "gpu_id", "gpu_ids", "precision", "r_min", "box1", "box2", "variant1"}


# --- what the source uses ---------------------------------------------------------------------------------------------


def chain(node):
    """``hoomd.md.pair`` of an expression that begins with ``hoomd`` or ``self._hoomd``, else None."""
    if isinstance(node, ast.Name) and node.id == "hoomd":
        return "hoomd"
    if not isinstance(node, ast.Attribute):
        return None
    if node.attr == "_hoomd":
        return "hoomd"
    before = chain(node.value)
    return None if before is None else f"{before}.{node.attr}"


@functools.cache
def used(source):
    """Longest dotted names in a source; and all calls: name, number of positional arguments, keywords, line."""
    tree = ast.parse((ENGINES / source).read_text())
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names = {chain(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and id(node) not in inner}
    calls = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            keywords = tuple(keyword.arg for keyword in node.keywords)
            calls.append((chain(node.func), len(node.args), keywords, node.lineno))
    return names - {None, "hoomd"}, calls


@pytest.mark.parametrize("source", SOURCES)
def test_the_source_uses_nothing_beyond_the_list(source):
    names, _ = used(source)
    assert names or source == "hoomd_tune.py"  # which asks only what hoomd_world made
    assert names - set(CALLS) == set()


def test_the_list_holds_nothing_that_is_not_used():
    names = set.union(*(used(source)[0] for source in SOURCES))
    assert set(CALLS) - names == set()


@pytest.mark.parametrize("source", SOURCES)
def test_calls_give_only_arguments_of_the_list(source):
    for name, positional, keywords, line in used(source)[1]:
        if name is None:
            continue
        allowed = CALLS[name]
        assert allowed is not None, f"{source}:{line} calls {name}"
        # **common: what it holds is asked of the real signature by the runs of test_hoomd.py.
        assert set(keywords) - {None} <= set(allowed), f"{source}:{line} {name}"
        assert "Box" in name or positional <= 1, f"{source}:{line} {name}: name the arguments"


@pytest.mark.parametrize("source", SOURCES)
def test_no_call_at_all_has_a_keyword_that_only_some_versions_take(source):
    for _, _, keywords, line in used(source)[1]:
        assert not NEVER & set(keywords), f"{source}:{line}"


def test_no_name_of_the_package_is_built_from_text():
    # What getattr fetches, the lists above cannot see.
    for source in SOURCES:
        tree = ast.parse((ENGINES / source).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr":
                assert chain(node.args[0]) is None, f"{source}:{node.lineno}"


def test_pairs_of_types_are_set_one_at_a_time():
    # hoomd 6 changed what a list of two types in a key means; a tuple of two strings is one pair in all versions.
    tree = ast.parse((ENGINES / "hoomd_world.py").read_text())
    keys = [
        node.slice
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr in ("params", "r_cut")
    ]
    assert keys
    for key in keys:
        assert isinstance(key, ast.Tuple), key.lineno
        assert all(isinstance(element, ast.Name) for element in key.elts), key.lineno


# --- what the installed version has -----------------------------------------------------------------------------------


def found(name):
    """The object of a dotted name in the installed package."""
    from supercube.engines.hoomd import load

    value = load()
    for part in name.split(".")[1:]:
        value = getattr(value, part)
    return value


def accepts(function, arguments):
    parameters = inspect.signature(function).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return True
    return set(arguments) <= set(parameters)


@pytest.mark.hoomd
@pytest.mark.parametrize("name", CALLS)
def test_this_version_has_what_is_called(name):
    value, arguments = found(name), CALLS[name]
    if arguments is None:
        return
    assert callable(value)
    assert accepts(value, arguments), inspect.signature(value)
    required = {
        key
        for key, parameter in inspect.signature(value).parameters.items()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    }
    assert required <= set(arguments), f"{name} of this version also needs {required - set(arguments)}"


@pytest.mark.hoomd
@pytest.mark.parametrize(("owner", "member"), [(owner, member) for owner in MEMBERS for member in MEMBERS[owner]])
def test_this_version_has_the_members(owner, member):
    arguments = MEMBERS[owner][member]
    kind = found(owner)
    # Parameters of operations live in dictionaries of their instances; those are used by every run in test_hoomd.py.
    value = inspect.getattr_static(kind, member)
    if arguments is not None:
        assert accepts(getattr(kind, member), arguments)
    assert value is not None

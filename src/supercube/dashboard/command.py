"""``python dashboard.py run``: options, the login address, and serving."""

from __future__ import annotations

import argparse
import contextlib
import logging
import secrets
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..dataspace import open_project
from ..errors import InputError, SupercubeError

HOST, PORT = "127.0.0.1", 8888
#: Ports that are tried for a suggestion when the wanted one is taken.
_TRIED = 20
#: A shorter token is guessed too easily by whoever can reach the port.
_SHORTEST_TOKEN = 8

EPILOG = """\
The address that is printed holds the token; whoever has it can log in. On a cluster, leave the host as it is, and
on your own machine run:  ssh -N -L 8888:127.0.0.1:8888 the.cluster   and open the address there.
"""


def main(arguments: Sequence[str] | None = None, *, project: Path | None = None) -> int:
    """Run the command line.

    Args:
        arguments: of the command line (default: those of this process).
        project: the default of ``--project``.

    Returns:
        int: 0 after Ctrl-C or SIGTERM; 2 if there is nothing to show, an option is wrong or the port is taken.
    """
    options = _parser(project or Path("project")).parse_args(arguments)
    try:
        return _run(options)
    except SupercubeError as error:
        print(f"dashboard.py: {error}", file=sys.stderr)
        return error.exit_code


def _run(options: argparse.Namespace) -> int:
    token = _token(options.token)
    path = open_project(options.project).path
    with _bound(options.host, options.port) as listening:
        port = int(listening.getsockname()[1])
        dashboard = _dashboard(str(path), token, options.host, port)
        if not dashboard.live.snapshot().entries:
            print(f"dashboard.py: {path} has no readable jobs yet; fill it with: python init.py", file=sys.stderr)
        address = f"http://{_in_address(options.host)}:{port}/"
        print(f"The dashboard of {path}:\n\n    {address}{f'login?token={token}' if token else ''}\n")
        print("Stop it with Ctrl-C.", flush=True)
        _serve(dashboard.app, options.host, port, listening)
    return 0


def _dashboard(path: str, token: str | None, host: str, port: int) -> Any:
    try:
        from .app import SupercubeDashboard
    except ImportError as error:
        raise InputError(
            f"the dashboard needs {error.name}, which is not installed; install it with: pip install -e '.[dashboard]'"
        ) from error
    return SupercubeDashboard(path, token=token, host=host, port=port)


def _token(asked: str | None) -> str | None:
    """The token to ask for: a random one, the user's own, or none."""
    if asked is None:
        return secrets.token_hex(24)
    if asked == "none":
        return None
    if len(asked) < _SHORTEST_TOKEN or not asked.isascii() or not asked.isalnum():
        raise InputError(
            f"--token has {len(asked)} characters; expected {_SHORTEST_TOKEN} or more letters and digits, or none."
        )
    return asked


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens there, closed at the end.

    Raises:
        InputError: the host is not one of this machine, or the port is taken or not allowed.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"--port is {port}; expected 0 to 65535 (0 = any that is free).")
    try:
        listening = _listen(host, port)
    except PermissionError as error:
        raise InputError(f"port {port} is not allowed ({error.strerror}); expected one from 1024 on.") from error
    except OSError as error:
        free = _free_port(host, port)
        if free is None:
            raise InputError(f"--host {host} cannot be served ({error.strerror}); expected {HOST}.") from error
        raise InputError(f"port {port} of {host} is in use; try: python dashboard.py run --port {free}") from error
    with listening:
        yield listening


def _listen(host: str, port: int) -> socket.socket:
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind)
    try:
        # Else the port would stay taken for a minute after the last dashboard there has ended.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening


def _free_port(host: str, after: int) -> int | None:
    """The next port that is free; None if none can be had there at all."""
    for port in (*range(after + 1, min(after + 1 + _TRIED, 65536)), 0):
        with contextlib.suppress(OSError), _listen(host, port) as free:
            return int(free.getsockname()[1])
    return None


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _serve(app: Any, host: str, port: int, listening: socket.socket) -> None:
    from werkzeug.serving import make_server

    # One line a request, the token of the login among them, is noise on the user's terminal.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server(host, port, app, threaded=True, fd=listening.fileno())
    # What ends a service ends this like Ctrl-C, which a process that a script has put into the background ignores.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    server.server_close()


def _parser(project: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dashboard.py",
        description="The data space in a browser.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run = parser.add_subparsers(required=True, metavar="run").add_parser(
        "run", help="serve the pages until Ctrl-C", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    run.add_argument(
        "--project", type=Path, default=project, metavar="DIR", help=f"root of the signac project (default: {project})"
    )
    run.add_argument(
        "--host",
        default=HOST,
        help=f"address to serve at (default: {HOST}, this machine only; 0.0.0.0 = the whole network, unencrypted)",
    )
    run.add_argument("--port", type=int, default=PORT, help=f"port to serve at (default: {PORT}; 0 = any free one)")
    run.add_argument(
        "--token",
        help="what users have to know, letters and digits (default: a new random one; none = no login; other users of "
        "this machine can see options)",
    )
    return parser

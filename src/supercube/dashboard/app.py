"""The signac-dashboard application: its login, modules and routes, with this package's pages and data."""

from __future__ import annotations

import logging
from typing import Any

import flask
import flask_login
import jinja2
import signac
from signac_dashboard import Dashboard
from signac_dashboard.pagination import Pagination
from signac_dashboard.util import LazyView
from signac_dashboard.version import __version__ as signac_dashboard_version

from .. import __version__
from ..errors import SupercubeError
from ..observe import palette
from .live import LiveSpace
from .modules import default_modules
from .readable import number, percent

logger = logging.getLogger(__name__)

PER_PAGE = 24
#: More jobs on one page help nobody, and their pictures take long.
MOST_PER_PAGE = 120
LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: What a stranger may have: the login page and what it is styled with.
_OPEN = {"login", "static"}
#: signac-dashboard's pages that are replaced by those in ``views``.
_REPLACED = ("home", "search", "project_info", "jobs_list", "show_job")
_ADDED = {
    "thumbnail": "/jobs/<jobid>/thumbnail.jpg",
    "log_curve": "/jobs/<jobid>/log.svg",
    "jobs_json": "/project/jobs.json",
}
#: Nothing is loaded from elsewhere, no script runs that is not a file of ours, and no address leaks the token.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class TolerantProject(signac.Project):
    """A signac project whose cache is only speed: a damaged job or a read-only disk must not stop the dashboard."""

    def update_cache(self) -> Any:
        """Write the cache of state points if that can be done."""
        try:
            return super().update_cache()
        except (signac.errors.JobsCorruptedError, OSError) as error:
            logger.info("The cache of state points was not written (%s).", error)
            return None


class SupercubeDashboard(Dashboard):
    """The pages of one data space.

    Args:
        path: root of the signac project.
        token: what a user has to know to log in; None lets everyone in who can reach the port.
        host: address that it is served at.
        port: port that it is served at; distinguishes the cookies of two dashboards of one host.
    """

    def __init__(self, path: str, *, token: str | None, host: str = LOOPBACK[0], port: int = 0) -> None:
        project = TolerantProject(path)
        self.live = LiveSpace(project)
        config: dict[str, Any] = {
            "ACCESS_TOKEN": token,
            "HOST": host,
            "PORT": port,
            "PER_PAGE": PER_PAGE,
            "SESSION_COOKIE_NAME": f"supercube-{port}",
            "SESSION_COOKIE_SAMESITE": "Lax",
        }
        if token is None and host in LOOPBACK:
            # Without a token, a page of any other site could reach this port under a name that it made point here.
            config["TRUSTED_HOSTS"] = list(LOOPBACK)
        super().__init__(config=config, project=project, modules=default_modules())

    def job_title(self, job: Any) -> str:
        """A job in words, with the structure found."""
        entry = self.live.snapshot().entries.get(job.id)
        return entry.title if entry else str(job.id)

    def job_sorter(self, job: Any) -> Any:
        """Cubes before mixtures, then along the parameters; jobs that cannot be read last."""
        entry = self.live.snapshot().entries.get(job.id)
        return (0, entry.order) if entry else (1, job.id)

    def pagination(self, total: int) -> Pagination:
        """The page that the address asks for, or the nearest there is."""
        per_page = _whole(flask.request.args.get("per_page"), self.config["PER_PAGE"], MOST_PER_PAGE)
        pages = max(1, -(-total // per_page))
        return Pagination(_whole(flask.request.args.get("page"), 1, pages), per_page, total)

    def _create_app(self, config: dict[str, Any] | None = None) -> flask.Flask:
        app: flask.Flask = super()._create_app(config or {})
        # signac-dashboard's own style sheet and scripts are compiled into site-packages by the first request (seconds,
        # and impossible where that is read-only); these pages come with their own.
        app.static_folder = str(flask.helpers.get_root_path(__package__)) + "/static"
        ours = jinja2.PackageLoader(__package__)
        app.jinja_loader = jinja2.ChoiceLoader([ours, app.jinja_loader])  # type: ignore[list-item]
        app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
        app.jinja_env.filters |= {
            "number": number,
            "percent": percent,
            "whole": lambda text: text.replace(" = ", "\u00a0=\u00a0"),  # no line ends within "γ = 0.49"
            "colour": lambda label: palette.style(label).colour,
        }
        return app

    def _register_routes(self) -> None:
        super()._register_routes()
        for name in _REPLACED:
            self.app.view_functions[name] = LazyView(self, f"{__package__}.views.{name}")
        for name, rule in _ADDED.items():
            self.add_url(f"views.{name}", [rule], import_file=__package__)
        self.app.before_request(self._refuse_strangers)
        self.app.after_request(_add_headers)
        self.app.context_processor(lambda: {"version": __version__, "signac_dashboard": signac_dashboard_version})
        self.app.register_error_handler(404, lambda error: self.error_page(error.description, 404))
        self.app.register_error_handler(405, lambda error: self.error_page(error.description, 405))
        self.app.register_error_handler(500, lambda _: self.error_page("This page failed; the terminal says why.", 500))
        self.app.register_error_handler(SupercubeError, lambda error: self.error_page(str(error), 503))

    def _refuse_strangers(self) -> Any:
        # For every address, also those that a module adds or that do not exist.
        if flask.request.endpoint in _OPEN or flask_login.current_user.is_authenticated:
            return None
        return self.login_manager.unauthorized(), 401

    def error_page(self, sentence: str, code: int) -> tuple[str, int]:
        """A page that says one sentence."""
        return flask.render_template("error.html", title="Sorry", sentence=sentence), code

    def _render_error(self, error: object) -> Any:
        return self.error_page(str(error), 400)


def _add_headers(response: flask.Response) -> flask.Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _whole(text: str | None, default: int, most: int) -> int:
    """A whole number from 1 to ``most`` out of an address."""
    return min(max(int(text), 1), most) if text and text.isdecimal() and len(text) < 10 else min(default, most)

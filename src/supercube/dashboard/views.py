"""The pages. signac-dashboard calls each with the dashboard, after the login has been checked."""

from __future__ import annotations

import logging
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Response, abort, g, jsonify, redirect, render_template, request, session, url_for

from ..errors import InputError
from ..operations import PICTURE
from ..progress import duration
from . import search as searching
from .entries import Entry
from .live import Snapshot
from .log_curve import log_svg
from .modules import fill_rows
from .readable import number
from .table import table

if TYPE_CHECKING:
    from .app import SupercubeDashboard

logger = logging.getLogger(__name__)

#: Longest edge of a small picture, pixels: sharp on dense screens at half that size.
_THUMBNAIL = 420


def home(dashboard: SupercubeDashboard) -> Any:
    """The project page."""
    return redirect(url_for("project_info"))


def project_info(dashboard: SupercubeDashboard) -> str:
    """Summary, maps and the table of all jobs."""
    g.active_page = "project"
    path = Path(dashboard.project.path)
    return render_template(
        "project.html",
        title=path.name if path.name != "project" else f"{path.parent.name} / project",
        subtitle=str(path),
        cards=_cards(dashboard, "ProjectContext", dashboard.project),
        snapshot=dashboard.live.snapshot(),
    )


def jobs_list(dashboard: SupercubeDashboard) -> str:
    """All jobs, with small pictures."""
    return _gallery(dashboard, list(dashboard.live.snapshot().entries.values()), "Jobs")


def search(dashboard: SupercubeDashboard) -> Any:
    """The jobs that a query finds."""
    g.query = request.args.get("q", "").strip()
    if not g.query:
        return redirect(url_for("jobs_list"))
    try:
        found, meaning = searching.search(g.query, dashboard.live.snapshot().entries.values())
    except InputError as error:
        return dashboard.error_page(str(error), 400)
    return _gallery(dashboard, found, g.query, meaning)


def _gallery(dashboard: SupercubeDashboard, entries: list[Entry], title: str, meaning: str = "") -> str:
    g.active_page = "jobs"
    page = dashboard.pagination(len(entries))
    return render_template(
        "jobs.html",
        title=title,
        subtitle=_counted(page) + (f" · {meaning}" if meaning else ""),
        entries=page.paginate(entries),
        pagination=page,
        page_url=_page_url,
        unreadable=len(dashboard.live.snapshot().problems) if not meaning else 0,
    )


def _page_url(page: int) -> str:
    """The address of another page of the same list."""
    arguments: dict[str, Any] = {**request.args.to_dict(), "page": page}
    return url_for(request.endpoint or "jobs_list", **arguments)


def _counted(page: Any) -> str:
    if page.pages > 1:
        return f"{number(page.first_item + 1)} to {number(page.last_item)} of {number(page.total_count)} jobs"
    return "1 job" if page.total_count == 1 else f"{page.total_count} jobs"


def show_job(dashboard: SupercubeDashboard, jobid: str) -> Any:
    """One job; of one that cannot be read, the reason."""
    g.active_page = "jobs"
    snapshot = dashboard.live.snapshot()
    full = _known(snapshot, jobid)
    entry = dashboard.live.entry(full)
    if entry is None:
        sentence = snapshot.problems.get(full, f"job {full} has just gone; look at the list of jobs again.")
        return render_template("error.html", title=f"Job {full[:8]}", sentence=sentence)
    g.entry, g.snapshot = entry, snapshot
    before, after = _beside(snapshot, full)
    return render_template(
        "job.html",
        title=entry.title,
        entry=entry,
        cards=_cards(dashboard, "JobContext", dashboard.project.open_job(id=full)),
        before=before,
        after=after,
        left=_time_left(entry),
        modules=list(enumerate(dashboard._modules_by_context["JobContext"])),
        shown=_shown_modules(dashboard)["JobContext"],
    )


def _known(snapshot: Snapshot, jobid: str) -> str:
    full = snapshot.expand(jobid)
    if full is None:
        abort(404, f"There is no job {jobid[:40]}, or more than one begins so; look at the list of jobs.")
    return full


def _beside(snapshot: Snapshot, job_id: str) -> tuple[str | None, str | None]:
    order = list(snapshot.entries)
    at = order.index(job_id) if job_id in snapshot.entries else -1
    before = order[at - 1] if at > 0 else None
    return before, order[at + 1] if 0 <= at < len(order) - 1 else None


def _time_left(entry: Entry) -> str | None:
    left = entry.progress.seconds_left if entry.state == "running" else None
    return duration(left) if left is not None else None


def _shown_modules(dashboard: SupercubeDashboard) -> dict[str, list[int]]:
    # Whoever unticks a module has it so on every job, until the session ends.
    found: dict[str, list[int]] = session.setdefault(
        "enabled_module_indices", dashboard._setup_enabled_module_indices()
    )
    return found


def _cards(dashboard: SupercubeDashboard, context: str, job_or_project: Any) -> list[dict[str, Any]]:
    """Cards of all modules that are switched on; one that fails says so, and hides no other."""
    session["context"] = context
    cards: list[dict[str, Any]] = []
    for index, module in enumerate(dashboard._modules_by_context.get(context, [])):
        if index not in _shown_modules(dashboard).get(context, []):
            continue
        try:
            cards += list(module.get_cards(job_or_project))
        except Exception as error:  # a module may be anybody's, and a job's files may be in any state
            logger.warning("module %s failed", module.name, exc_info=True)
            cards.append({"name": module.name, "failed": f"This card failed ({type(error).__name__}: {error})."})
    fill_rows(cards)
    return cards


def thumbnail(dashboard: SupercubeDashboard, jobid: str) -> Any:
    """The structure picture, small."""
    path = _job_folder(dashboard, jobid) / PICTURE
    try:
        content = _small(path, path.stat().st_mtime_ns)
    except (OSError, ValueError):  # not there, or cut short
        abort(404, "This job has no picture.")
    return _conditional(content, "image/jpeg")


@lru_cache(maxsize=2000)
def _small(path: Path, _changed: int) -> bytes:
    from PIL import Image

    with Image.open(path) as picture:
        width, height = picture.size
        # Title and legend are too small to read here, and stand beside the picture as text.
        middle = picture.convert("RGB").crop((0, round(0.045 * height), width, round(0.945 * height)))
    middle.thumbnail((_THUMBNAIL, _THUMBNAIL))
    buffer = BytesIO()
    middle.save(buffer, "JPEG", quality=88)  # half the time and size of a PNG, no difference to see
    return buffer.getvalue()


def log_curve(dashboard: SupercubeDashboard, jobid: str) -> Any:
    """The log of a job as a picture."""
    full = _known(dashboard.live.snapshot(), jobid)
    entry = dashboard.live.entry(full)
    if entry is None:
        abort(404, "This job cannot be read.")
    bodies = entry.state_point["n_cubes"] + entry.state_point["n_spheres"]
    return _conditional(log_svg(entry.path, bodies), "image/svg+xml")


def _job_folder(dashboard: SupercubeDashboard, jobid: str) -> Path:
    return Path(dashboard.project.workspace) / _known(dashboard.live.snapshot(), jobid)


def _conditional(content: bytes, mimetype: str) -> Any:
    """An answer that the browser keeps and asks about."""
    response = Response(content, mimetype=mimetype)
    response.headers["Cache-Control"] = "private, max-age=0"
    response.add_etag()
    return response.make_conditional(request)


def jobs_json(dashboard: SupercubeDashboard) -> Response:
    """The table of all jobs, which the browser filters and sorts."""
    return jsonify(table(dashboard.live.snapshot().entries.values()))

"""Routes of the dashboard page and of its data, below `/_local/`."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from local_engine.cloudwatch.metrics import MINUTES_KEPT
from local_engine.cloudwatch.monitoring import Monitoring

DASHBOARD_PATH = "/_local/dashboard"
_MINUTES = 60
_FILES = {"dashboard.css": "text/css", "dashboard.js": "text/javascript"}
_DIRECTORY = Path(__file__).parent
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


def create_dashboard_routes(monitoring: Monitoring) -> list[Route]:
    """Return the routes of the page, its files, and its data as JSON: panels, alarms and metrics."""

    async def show_page(_: Request) -> Response:
        return FileResponse(_DIRECTORY / "dashboard.html", media_type="text/html", headers=_HEADERS)

    async def show_file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _FILES:
            return Response(status_code=404)
        return FileResponse(_DIRECTORY / name, media_type=_FILES[name], headers=_HEADERS)

    async def show_panels(request: Request) -> Response:
        minutes = request.query_params.get("minutes", str(_MINUTES))
        is_number = minutes.isascii() and minutes.isdecimal() and len(minutes) < 5
        if not is_number or not 1 <= int(minutes) <= MINUTES_KEPT:
            problem = {"error": f"minutes is {minutes!r}; it must be a number from 1 to {MINUTES_KEPT}."}
            return JSONResponse(problem, status_code=400, headers=_HEADERS)
        return JSONResponse(await monitoring.describe_dashboards(int(minutes)), headers=_HEADERS)

    async def show_alarms(_: Request) -> Response:
        return JSONResponse({"alarms": monitoring.describe_alarms()}, headers=_HEADERS)

    async def show_metrics(_: Request) -> Response:
        return JSONResponse(monitoring.describe_metrics(), headers=_HEADERS)

    return [
        Route(DASHBOARD_PATH, show_page),
        Route(f"{DASHBOARD_PATH}/{{name}}", show_file),
        Route("/_local/dashboard.json", show_panels),
        Route("/_local/alarms.json", show_alarms),
        Route("/_local/metrics.json", show_metrics),
    ]

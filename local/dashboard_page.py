"""The stack's dashboard below `/_local/`, and what it is drawn from."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.monitoring import Monitoring

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def create_dashboard_routes(monitoring: Monitoring) -> list[Route]:
    """Return the routes of the dashboard's page and of what a program reads: metrics and alarms, in JSON."""

    async def show_metrics(_: Request) -> Response:
        return JSONResponse(monitoring.describe_metrics(), headers=_HEADERS)

    async def show_alarms(_: Request) -> Response:
        return JSONResponse({"alarms": monitoring.describe_alarms()}, headers=_HEADERS)

    return [Route("/_local/metrics.json", show_metrics), Route("/_local/alarms.json", show_alarms)]

"""The clock of schedules at `/_local/clock`: GET shows it, and POST turns it forward.

POST takes JSON: `{"seconds": 60}` or `{"time": "2026-12-24T18:00:00Z"}`. It answers when everything that came due
has been handed to its targets.
"""

import http.client
import urllib.parse

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local_engine.event_bus.installation import CLOCK_PATH

_TIMEOUT = 60.0


class ClockApi:
    """Passes requests on to the process of the AWS services."""

    def __init__(self, endpoint: str) -> None:
        """Take the URL of the services."""
        self._host = urllib.parse.urlsplit(endpoint).netloc

    async def answer(self, request: Request) -> Response:
        """Answer a request. Web pages are rejected: none can send JSON to another origin without a preflight."""
        if request.method == "POST" and (
            "origin" in request.headers or request.headers.get("content-type") != "application/json"
        ):
            return JSONResponse({"message": "The clock takes application/json, and nothing from web pages."}, 403)
        try:
            status, content = await run_in_threadpool(self._pass_on, request.method, await request.body())
        except (OSError, http.client.HTTPException) as error:
            return JSONResponse({"message": f"The AWS services do not answer ({error})."}, 503)
        return Response(content, status, media_type="application/json")

    def _pass_on(self, method: str, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._host, timeout=_TIMEOUT)
        try:
            connection.request(method, CLOCK_PATH, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

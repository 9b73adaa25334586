"""Pages of the project, beside the engine's own: `--page NAME=FILE` serves a file at `/_local/NAME`.

A page finds the files of its folder below its own address, and the APIs of the stack at paths of its own origin, so it
needs no CORS. `/_local/pages.json` has both; `/_local/session.js` gets tokens of the users that the reader chooses.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from local_engine.page.local_pages import HEADERS
from local_engine.page.project_page import ProjectPage

APIS_PATH = "/_local/apis"
PAGES_PATH = "/_local/pages.json"
_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

type Scope = MutableMapping[str, Any]
type Application = Callable[[Scope, Any, Any], Awaitable[None]]


def create_project_pages(
    pages: Sequence[ProjectPage], apis: Mapping[str, tuple[int, str]], find_gateway: Callable[[int], Application | None]
) -> list[BaseRoute]:
    """Return the routes of pages, and of the APIs at their origin.

    Args:
        pages: the pages.
        apis: the port and the base path of each API, by logical ID.
        find_gateway: returns what serves the API at a port.
    """

    async def describe(_: Request) -> Response:
        paths = {name: f"{APIS_PATH}/{port}{base_path}" for name, (port, base_path) in apis.items()}
        return JSONResponse({"pages": [page.name for page in pages], "apis": paths}, headers=HEADERS)

    async def pass_on(scope: Scope, receive: Any, send: Any) -> None:
        # `/_local/apis/<port>/<path of the API>`
        _, _, _, port, *rest = scope["raw_path"].split(b"/")
        gateway = find_gateway(int(port)) if port.isdigit() and len(port) <= 5 else None
        if gateway is None:
            await Response(status_code=404)(scope, receive, send)
            return
        raw_path = b"/" + b"/".join(rest)
        host, _ = scope["server"]
        path = unquote(raw_path.decode("latin-1"))
        await gateway(
            {**scope, "root_path": "", "raw_path": raw_path, "path": path, "server": (host, int(port))}, receive, send
        )

    routes: list[BaseRoute] = [Route(PAGES_PATH, describe), Mount(APIS_PATH, pass_on)]
    for page in pages:
        routes += [
            Route(f"/_local/{page.name}", _make_sender(page.file)),
            Route(f"/_local/{page.name}/{{name}}", _make_folder_sender(page.file.parent)),
        ]
    return routes


def _make_sender(file: Path) -> Callable[[Request], Awaitable[Response]]:
    async def send_page(_: Request) -> Response:
        return _send(file)

    return send_page


def _make_folder_sender(folder: Path) -> Callable[[Request], Awaitable[Response]]:
    async def send_file(request: Request) -> Response:
        name = request.path_params["name"]
        return _send(folder / name) if _FILE.fullmatch(name) else Response(status_code=404)

    return send_file


def _send(file: Path) -> Response:
    if file.suffix not in _MEDIA_TYPES or not file.is_file():
        return Response(status_code=404)
    return FileResponse(file, media_type=_MEDIA_TYPES[file.suffix], headers=HEADERS)

"""Local pages of an API: a start page, and the API page (Swagger UI, from a package). They load nothing from elsewhere.

Both know who sends their requests: the example user at first, and any other that the reader chooses.
"""

import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, Router

from local_engine.issuer.access_tokens import TOKEN_SECONDS
from local_engine.issuer.api_tokens import TOKEN_PATH, TokenSettings
from local_engine.page.api_document import describe_api, list_scopes
from local_engine.template.stack import Api

START_PATH = "/_local/"
_PAGES = {START_PATH: "start_page.html", "/_local/docs": "api_page.html"}
_FILES = {
    "style.css": "text/css",
    "start_page.css": "text/css",
    "start_page.js": "text/javascript",
    "api_page.css": "text/css",
    "api_page.js": "text/javascript",
    "header.js": "text/javascript",
    "session.js": "text/javascript",
}
_SWAGGER_FILES = {"swagger-ui.css": "css", "swagger-ui-bundle.js": "js"}
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}
"""Of every page: it loads and calls only what the engine serves."""
_LARGEST_REQUEST = 64 * 1024


def create_pages(
    api: Api,
    token_paths: Mapping[str, str],
    token_settings: TokenSettings,
    mint_token: Callable[[str, Sequence[str]], str],
    make_signed_call: Callable[[str], str],
) -> Router:
    """Return an ASGI application for the pages, their files, the API's document and the tokens of the pages' user.

    Args:
        api: the API that the gateway serves.
        token_paths: the local issuers' paths, by issuer or by the user pool's ARN. The reader authorizes schemes that
            trust another issuer.
        token_settings: what the API asks of a token.
        mint_token: returns a token of a user with the given scopes.
        make_signed_call: returns a command that signs a request to the API at an origin; empty if no route takes one.
    """

    async def show_page(request: Request) -> Response:
        return _send_file(_PAGES[request.url.path], "text/html")

    async def show_file(request: Request) -> Response:
        name = request.path_params["name"]
        return _send_file(name, _FILES[name]) if name in _FILES else Response(status_code=404)

    async def show_swagger_file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _SWAGGER_FILES:
            return Response(status_code=404)
        return FileResponse(_swagger_directory() / _SWAGGER_FILES[name] / name)

    async def show_document(request: Request) -> Response:
        return JSONResponse(describe_api(api.document, token_paths, _origin(request), api.base_path), headers=HEADERS)

    async def show_token_settings(_: Request) -> Response:
        return JSONResponse(asdict(token_settings), headers=HEADERS)

    async def give_signed_call(request: Request) -> Response:
        return JSONResponse({"command": make_signed_call(_origin(request))}, headers=HEADERS)

    async def give_token(request: Request) -> Response:
        known = list_scopes(describe_api(api.document, token_paths, _origin(request), api.base_path))
        try:
            subject, scopes = _read_user(await _read_body(request), known)
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=400, headers=HEADERS)
        token = {"access_token": mint_token(subject, scopes), "token_type": "Bearer", "expires_in": TOKEN_SECONDS}
        return JSONResponse(token, headers=HEADERS)

    return Router(
        [
            *(Route(path, show_page) for path in _PAGES),
            Route("/_local/openapi.json", show_document),
            Route(TOKEN_PATH, show_token_settings, methods=["GET"]),
            Route(TOKEN_PATH, give_token, methods=["POST"]),
            Route("/_local/signed-call", give_signed_call, methods=["POST"]),
            Route("/_local/docs/{name}", show_swagger_file),
            Route("/_local/{name}", show_file),
        ]
    )


def _send_file(name: str, media_type: str) -> Response:
    return FileResponse(Path(__file__).with_name(name), media_type=media_type, headers=HEADERS)


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_REQUEST:
            raise ValueError("The request is too large.")
    return bytes(body)


def _read_user(body: bytes, known: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the user and scopes of a request for a token.

    Raises:
        ValueError: the request is invalid. The message is a sentence.
    """
    try:
        user = json.loads(body)
    except (ValueError, RecursionError):
        user = None
    match user:
        case {"sub": str(subject), "scopes": [*scopes]} if subject.strip():
            if unknown := [scope for scope in scopes if scope not in known]:
                raise ValueError(f"No route of the API has the scope {unknown[0]!r}.")
            return subject, scopes
        case _:
            raise ValueError("A token needs a user and a list of scopes: {'sub': 'demo', 'scopes': []}.")


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _swagger_directory() -> Path:
    # Importing the package would import Flask and pydantic for static files.
    package = importlib.util.find_spec("flask_openapi3_swagger")
    if package is None or not package.submodule_search_locations:
        raise FileNotFoundError("The package flask-openapi3-swagger is not installed.")
    return Path(package.submodule_search_locations[0]) / "templates" / "swagger"

"""HTTP responses in the form that API Gateway takes from a function (payload format 2.0)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from serverless_api.http.errors import APIError
from serverless_api.storage.json_text import dump_json

# Each response depends on its caller, and the gateway's CORS headers in it depend on the origin.
_VARY = "Authorization, Origin"


class Response(NamedTuple):
    """An HTTP response.

    No cache stores it unless the handler sets `Cache-Control`, and none gives it to another caller: `Vary` always lists
    `Authorization`.

    Attributes:
        status: the HTTP status.
        body: the value of the JSON body, or None for no body.
        headers: the headers, except `Content-Type`, which follows from the body. `Vary` needs only what the house does
            not add.
    """

    status: int
    body: Any = None
    headers: Mapping[str, str] = MappingProxyType({})

    def to_event(self, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the response as the gateway takes it, with additional `headers`.

        >>> Response(204).to_event()
        {'statusCode': 204, 'headers': {'Cache-Control': 'no-store', 'Vary': 'Authorization, Origin'}, 'body': ''}
        """
        headers = {**_add_cache_headers(self.headers), **(headers or {})}
        if self.body is None:
            return {"statusCode": self.status, "headers": headers, "body": ""}
        headers = {"Content-Type": "application/json", **headers}
        return {"statusCode": self.status, "headers": headers, "body": dump_json(self.body)}


def _add_cache_headers(headers: Mapping[str, str]) -> dict[str, str]:
    given = {name.lower(): value for name, value in headers.items()}
    added = {} if "cache-control" in given else {"Cache-Control": "no-store"}
    kept = {name: value for name, value in headers.items() if name.lower() != "vary"}
    return {**kept, **added, "Vary": ", ".join(filter(None, (_VARY, given.get("vary"))))}


def make_error_response(error: APIError, request_id: str) -> Response:
    """Return the response for `error`."""
    body: dict[str, Any] = {"error": error.message, "requestId": request_id}
    if error.details:
        body["details"] = [problem._asdict() for problem in error.details]
    return Response(error.status, body, error.headers)

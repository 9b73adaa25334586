"""HTTP responses in the form that API Gateway takes from a function (payload format 2.0)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from serverless_api.http.errors import APIError
from serverless_api.storage.json_text import dump_json


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response.

    Attributes:
        status: the HTTP status.
        body: the value of the JSON body, or None for no body.
        headers: the headers, except `Content-Type`, which follows from the body.
    """

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def to_event(self, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the response as the gateway takes it, with additional `headers`.

        >>> Response(204).to_event()
        {'statusCode': 204, 'headers': {}, 'body': ''}
        """
        headers = {**self.headers, **(headers or {})}
        if self.body is None:
            return {"statusCode": self.status, "headers": headers, "body": ""}
        headers = {"Content-Type": "application/json", **headers}
        return {"statusCode": self.status, "headers": headers, "body": dump_json(self.body)}


def make_error_response(error: APIError, request_id: str) -> Response:
    """Return the response for `error`."""
    body: dict[str, Any] = {"error": error.message, "requestId": request_id}
    if error.details:
        body["details"] = [problem._asdict() for problem in error.details]
    return Response(error.status, body, {"Cache-Control": "no-store", **error.headers})

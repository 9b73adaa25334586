"""Answers, in the form that API Gateway takes from a function (payload format 2.0)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from serverless_api.http.errors import APIError
from serverless_api.storage.json_text import dump_json


@dataclass(frozen=True, slots=True)
class Response:
    """An answer.

    Attributes:
        status: the HTTP status.
        body: what becomes the JSON body; None for no body.
        headers: beside `Content-Type`, which follows from the body.
    """

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def to_event(self, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the answer as the gateway takes it, with `headers` beside its own.

        >>> Response(204).to_event()
        {'statusCode': 204, 'headers': {}, 'body': ''}
        """
        headers = {**self.headers, **(headers or {})}
        if self.body is None:
            return {"statusCode": self.status, "headers": headers, "body": ""}
        headers = {"Content-Type": "application/json", **headers}
        return {"statusCode": self.status, "headers": headers, "body": dump_json(self.body)}


def make_error_response(error: APIError, request_id: str) -> Response:
    """Return the answer that tells the caller of `error`."""
    body: dict[str, Any] = {"error": error.message, "requestId": request_id}
    if error.details:
        body["details"] = [problem._asdict() for problem in error.details]
    return Response(error.status, body, {"Cache-Control": "no-store", **error.headers})

"""Errors that a caller is told about, one class per HTTP status.

Raise an `APIError` for everything that the caller should know: `endpoint` turns it into the response. Any other
exception that leaves a handler becomes a 500, and only the log has its cause.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Problem(NamedTuple):
    """One invalid part of a request: a field by its path, a parameter or a header, and what is wrong with it."""

    field: str
    problem: str


class APIError(Exception):
    """A response other than the requested one.

    Args:
        message: what is wrong, for a person. The caller sees it, so it never includes a cause or a secret.
        details: the invalid parts of the request.
        headers: additional response headers.
    """

    status = 500

    def __init__(self, message: str, details: Iterable[Problem] = (), headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)
        self.headers = dict(headers or {})


class BadRequest(APIError):
    """The request is malformed or invalid (RFC 9110, section 15.5.1)."""

    status = 400


class Unauthorized(APIError):
    """The caller is unknown (RFC 9110, section 15.5.2)."""

    status = 401


class Forbidden(APIError):
    """The caller's token does not allow the request (RFC 9110, section 15.5.4)."""

    status = 403


class NotFound(APIError):
    """The caller has nothing at this address (RFC 9110, section 15.5.5)."""

    status = 404


class Conflict(APIError):
    """The request conflicts with another one or with the current state (RFC 9110, section 15.5.10)."""

    status = 409


class PreconditionFailed(APIError):
    """The current version is not one that `If-Match` lists (RFC 9110, section 15.5.13)."""

    status = 412


class ContentTooLarge(APIError):
    """The content is larger than can be stored (RFC 9110, section 15.5.14)."""

    status = 413


class UnprocessableContent(APIError):
    """The request is well formed but contradicts an earlier one (RFC 9110, section 15.5.21)."""

    status = 422


class ServiceUnavailable(APIError):
    """A dependency is throttled, down or out of time (RFC 9110, section 15.6.4).

    Args:
        retry_after: seconds after which the caller may try again (RFC 9110, section 10.2.3).
    """

    status = 503

    def __init__(self, message: str = "The service is busy, try again shortly", retry_after: int = 1) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after)})

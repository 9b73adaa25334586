"""What can go wrong with a request, as the caller is told of it.

Every error that is the caller's to know is an `APIError`: a status, a sentence and, where it helps, the faulty parts.
`endpoint` turns it into the answer. Anything else that leaves a handler is a 500, whose cause only the log has.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Problem(NamedTuple):
    """One faulty part of a request (a field by its path, a parameter, a header) and what is wrong with it."""

    field: str
    problem: str


class APIError(Exception):
    """An answer other than the one that was asked for.

    Args:
        message: what is wrong, for a person; it ends up in the answer, so it never quotes a cause or a secret.
        details: the faulty parts of the request.
        headers: what the answer carries beside the usual headers.
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
    """The caller is not known (RFC 9110, section 15.5.2)."""

    status = 401


class Forbidden(APIError):
    """The caller may not do this (RFC 9110, section 15.5.4)."""

    status = 403


class NotFound(APIError):
    """The caller has nothing under this address (RFC 9110, section 15.5.5)."""

    status = 404


class Conflict(APIError):
    """The same request is still running (RFC 9110, section 15.5.10)."""

    status = 409


class PreconditionFailed(APIError):
    """The resource is not in the state that `If-Match` asks for (RFC 9110, section 15.5.13)."""

    status = 412


class ContentTooLarge(APIError):
    """What the request brings is larger than can be kept (RFC 9110, section 15.5.14)."""

    status = 413


class UnprocessableContent(APIError):
    """The request is well formed but contradicts an earlier one (RFC 9110, section 15.5.21)."""

    status = 422


class ServiceUnavailable(APIError):
    """A dependency is busy, down or out of time (RFC 9110, section 15.6.4).

    Args:
        retry_after: seconds after which the caller may try again (RFC 9110, section 10.2.3).
    """

    status = 503

    def __init__(self, message: str = "The service is busy, try again shortly", retry_after: int = 1) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after)})

"""Errors that a caller is told about, one class per HTTP status.

Raise an `APIError` for everything that the caller should know: `endpoint` turns it into the response. Any other
exception that leaves a handler becomes a 500, and only the log has its cause.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import NamedTuple

MAX_DETAILS = 100
"""How many problems a response lists. With `MAX_TEXT` it keeps a response below Lambda's limit of 6 MB."""

MAX_TEXT = 300
"""How many characters the message, and each field and problem, may have in a response."""


class Problem(NamedTuple):
    """One invalid part of a request: a field by its path, a parameter or a header, and what is wrong with it."""

    field: str
    problem: str


def shorten(text: str) -> str:
    """Return a text, cut to `MAX_TEXT` characters: what a caller sent can be long."""
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


class APIError(Exception):
    """A response other than the requested one.

    Args:
        message: what is wrong, for a person. The caller sees it, so it never includes a cause or a secret.
        details: the invalid parts of the request. If there are more than `MAX_DETAILS`, the message says so.
        headers: additional response headers.
    """

    status = 500

    def __init__(self, message: str, details: Iterable[Problem] = (), headers: Mapping[str, str] | None = None) -> None:
        message = shorten(message)
        # The rest is not even looked for.
        problems = tuple(islice(details, MAX_DETAILS + 1))
        if len(problems) > MAX_DETAILS:
            message += f". There are more problems than the {MAX_DETAILS} listed here"
        super().__init__(message)
        self.message = message
        self.details = tuple(Problem(shorten(field), shorten(problem)) for field, problem in problems[:MAX_DETAILS])
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


class UnsupportedMediaType(APIError):
    """The content is encoded in a way that is not supported (RFC 9110, section 15.5.16)."""

    status = 415


class UnprocessableContent(APIError):
    """The request is well formed but contradicts an earlier one (RFC 9110, section 15.5.21)."""

    status = 422


class TooManyRequests(APIError):
    """The caller has used up a quota (RFC 6585, section 4).

    Args:
        message: which quota.
        retry_after: seconds after which the caller may try again.
    """

    status = 429

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after)})


class ServiceUnavailable(APIError):
    """A dependency is throttled, down or out of time (RFC 9110, section 15.6.4).

    Args:
        retry_after: seconds after which the caller may try again (RFC 9110, section 10.2.3).
    """

    status = 503

    def __init__(self, message: str = "The service is busy, try again shortly", retry_after: int = 1) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after)})

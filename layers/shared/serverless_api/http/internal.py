"""Handlers of routes for callers inside AWS, which sign their requests with IAM credentials.

The gateway has verified the signature and the caller's permissions for the path, which names the owner of what the
request is about.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, unquote

from serverless_api.http.endpoint import Exchange, Handler, make_handler
from serverless_api.http.errors import BadRequest, NotFound, Problem, Unauthorized
from serverless_api.http.identity import MAX_SUBJECT_LENGTH, Caller, find_origin
from serverless_api.http.request import Request
from serverless_api.http.response import Response

DOOR = "internal"


def internal_endpoint(function: Callable[[Request], Response]) -> Handler:
    """Make a function the handler of one route below `/users/{subject}`.

    The request's caller is the owner whom the path names. What the request writes names the IAM role or user as well.

    Example:
        >>> @internal_endpoint
        ... def handler(request: Request) -> Response:
        ...     return Response(200, {"hello": request.caller.subject})
    """
    return make_handler(function, _admit)


def _admit(exchange: Exchange) -> Request:
    if exchange.is_read:
        # The gateway may keep the response, and give it to other requests.
        exchange.headers.clear()
    return exchange.make_request(identify_owner(exchange.read_event()))


def identify_owner(event: Mapping[str, Any]) -> Caller:
    """Return the owner whom the path of a signed request names.

    Raises:
        Unauthorized: the gateway has verified no signature.
        NotFound: the path ends with a slash.
        BadRequest: the path names no subject.
    """
    identity = (event.get("requestContext") or {}).get("identity") or {}
    principal = identity.get("userArn")
    if not principal:
        raise Unauthorized("A request signed with IAM credentials is required")
    # The gateway ignores this slash, but policies do not: one for all items would allow the list too.
    if (event.get("path") or "").endswith("/"):
        raise NotFound("There is no such route")
    written = (event.get("pathParameters") or {}).get("subject") or ""
    subject = unquote(written)
    # One owner has one path: by it, policies allow requests and the gateway keeps responses. Policies are about the
    # decoded path, so with a slash a subject would have another one's paths.
    if not 0 < len(subject) <= MAX_SUBJECT_LENGTH or "/" in subject or quote(subject, safe="") != written:
        problem = (
            f"must be 1 to {MAX_SUBJECT_LENGTH} characters, percent-encoded except letters, digits and -._~, and no /"
        )
        raise BadRequest("The request is not valid", [Problem("subject", problem)])
    return Caller(subject, frozenset(), find_origin(event, DOOR, _name_principal(principal)))


def _name_principal(arn: str) -> str:
    """Return the ARN of a user, or of a role without the name of the session, which can be that of a person."""
    return arn.rpartition("/")[0] if ":assumed-role/" in arn else arn

"""Accepts or rejects a caller's token for a REST API, which verifies none itself.

API Gateway uses the answer for the same header for five minutes, on every route. So it allows exactly those routes
whose scopes the token has, and says until when the token is valid; the routes' functions check that.
"""

import json
from collections.abc import Mapping
from typing import Any

from serverless_api import logger, read_setting
from tokens import InvalidToken, IssuerKeys, TokenVerifier, list_scopes

ROUTES: Mapping[str, list[str]] = json.loads(read_setting("ROUTE_SCOPES"))
"""The scopes of each route, of which one is enough; a route as a method's ARN ends, such as `GET/api/v1/widgets`."""

_issuer = read_setting("ISSUER")
_verifier = TokenVerifier(_issuer, read_setting("AUDIENCES").split(","), IssuerKeys(_issuer))


class Unauthorized(Exception):
    """API Gateway answers 401 if an authorizer fails with exactly this message."""


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    headers: Mapping[str, list[str]] = event.get("multiValueHeaders") or {}
    values = [value for name, entries in headers.items() if name.lower() == "authorization" for value in entries]
    try:
        claims = _verifier.verify(",".join(values))
    except InvalidToken as error:
        logger.info("A token is rejected", reason=str(error), request_id=event["requestContext"]["requestId"])
        raise Unauthorized("Unauthorized") from None
    granted = list_scopes(claims)
    stage = "/".join(event["methodArn"].split("/")[:2])
    allowed = [f"{stage}/{route}" for route, scopes in ROUTES.items() if granted.intersection(scopes)]
    return {
        "principalId": claims["sub"],
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow" if allowed else "Deny",
                    "Resource": allowed or f"{stage}/*",
                }
            ],
        },
        "context": {
            "sub": claims["sub"],
            "scope": " ".join(sorted(granted)),
            "exp": str(int(claims["exp"])),
        },
    }

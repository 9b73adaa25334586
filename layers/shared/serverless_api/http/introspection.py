"""Asks the local issuer about a token, where `sam local` has no authorizer to do it (RFC 7662).

Never loaded by a deployed function: see `identity`.
"""

import json
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from serverless_api.environment import settings

TIMEOUT_SECONDS = 5


def introspect_token(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what an authorizer would pass on for the event's bearer token, or None where the token is not accepted.

    Raises:
        OSError: the issuer does not answer.
    """
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    form = urllib.parse.urlencode({"token": token.strip(), "token_type_hint": "access_token"}).encode()
    # The address is fixed by the local settings of `sam local`; no request can choose it.
    with urllib.request.urlopen(settings.TOKEN_INTROSPECTION_URL, form, TIMEOUT_SECONDS) as response:  # noqa: S310
        claims = json.load(response)
    return {"claims": claims, "scopes": None} if claims.get("active") is True else None

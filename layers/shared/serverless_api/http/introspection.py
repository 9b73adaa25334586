"""Token introspection at the local issuer (RFC 7662), because `sam local` has no authorizer.

Deployed functions never load this module: see `identity`.
"""

import json
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from serverless_api.environment import settings

TIMEOUT_SECONDS = 5


def introspect_token(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what an authorizer would pass on for the event's bearer token, or None if the token is not accepted.

    Raises:
        OSError: the issuer does not answer.
    """
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    form = urllib.parse.urlencode({"token": token.strip(), "token_type_hint": "access_token"}).encode()
    # The settings of `sam local` fix the address; no request can choose it.
    with urllib.request.urlopen(settings.TOKEN_INTROSPECTION_URL, form, TIMEOUT_SECONDS) as response:  # noqa: S310
        claims = json.load(response)
    return {"claims": claims, "scopes": None} if claims.get("active") is True else None

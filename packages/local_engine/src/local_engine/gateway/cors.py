"""CORS headers ("Configure CORS for HTTP APIs", API Gateway Developer Guide)."""

from collections.abc import Mapping, Sequence
from typing import Any

from local_engine.gateway.events import Headers
from local_engine.gateway.request_limits import Scope, find_header


class Cors:
    """An API's CORS configuration. It replaces all CORS headers of the functions."""

    def __init__(self, configuration: Mapping[str, Any]) -> None:
        """Take the value of `x-amazon-apigateway-cors`."""
        self._origins = _as_list(configuration.get("allowOrigins"))
        self._allows_credentials = str(configuration.get("allowCredentials")).lower() == "true"
        self._response = _listed("access-control-expose-headers", configuration.get("exposeHeaders"))
        self._preflight = [
            *_listed("access-control-allow-methods", configuration.get("allowMethods")),
            *_listed("access-control-allow-headers", configuration.get("allowHeaders")),
        ]
        if configuration.get("maxAge") is not None:
            self._preflight.append((b"access-control-max-age", str(configuration["maxAge"]).encode()))

    def replace_headers(self, headers: Headers, scope: Scope) -> Headers:
        """Return a response's headers with those of this configuration instead of the function's.

        Args:
            headers: of the response.
            scope: of the request.
        """
        headers = [pair for pair in headers if not pair[0].startswith(b"access-control-")]
        origin = find_header(scope["headers"], b"origin")
        if origin is None:
            return headers
        own = self.preflight_headers(origin) if is_preflight(scope) else self.response_headers(origin)
        return headers + own

    def preflight_headers(self, origin: str) -> Headers:
        """Return the headers of a preflight response; none for an origin that is not allowed."""
        headers = self.response_headers(origin)
        return [*headers, *self._preflight] if headers else []

    def response_headers(self, origin: str) -> Headers:
        """Return the headers of every response; none for an origin that is not allowed."""
        allowed = self._allowed_origin(origin)
        if allowed is None:
            return []
        headers = [(b"access-control-allow-origin", allowed.encode("latin-1")), *self._response]
        if self._allows_credentials:
            headers.append((b"access-control-allow-credentials", b"true"))
        return headers

    def _allowed_origin(self, origin: str) -> str | None:
        if origin in self._origins:
            return origin
        if any(entry.endswith("://*") and origin.startswith(entry[:-1]) for entry in self._origins):
            return origin
        return "*" if "*" in self._origins else None


def is_preflight(scope: Scope) -> bool:
    """Return whether a browser asks in advance if it may send a request ("CORS-preflight request", Fetch Standard)."""
    return (
        scope["method"] == "OPTIONS"
        and find_header(scope["headers"], b"origin") is not None
        and find_header(scope["headers"], b"access-control-request-method") is not None
    )


def _listed(name: str, values: Any) -> Headers:
    return [(name.encode(), ",".join(_as_list(values)).encode())] if values else []


def _as_list(values: Any) -> Sequence[str]:
    return [values] if isinstance(values, str) else list(values or [])

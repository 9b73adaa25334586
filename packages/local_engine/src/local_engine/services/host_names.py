"""Host names that mean this machine.

Anybody can make a name resolve to this machine (DNS rebinding). A page of that name then has the same origin as the
local server and can read its responses. Only the `Host` header gives the name away.
"""

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache

from local_engine.services.containers import Application, Receive, Scope, Send

_HOST = re.compile(
    r"(?P<name>\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::(?P<port>[0-9]*))?"
)
_LARGEST_PORT = 65535
_REJECTION = b'{"message":"Bad Request"}'
_CONTAINER_NAMES = ("host.docker.internal", "host.containers.internal")


@lru_cache(maxsize=64)
def read_host_name(host: str) -> str | None:
    """Return the name in a `Host` header (RFC 9110 section 7.2), in lower case and without brackets.

    Returns:
        None if the header is malformed.
    """
    parts = _HOST.fullmatch(host)
    if parts is None or len(parts["port"] or "") > 5 or int(parts["port"] or 0) > _LARGEST_PORT:
        return None
    name = parts["name"].lower()
    if not name.startswith("["):
        return name
    try:
        return ipaddress.IPv6Address(name[1:-1]).compressed
    except ValueError:
        return None


def is_loopback_name(name: str) -> bool:
    """Return whether a name always means loopback."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.removesuffix(".") == "localhost"


def is_machine_name(name: str) -> bool:
    """Return whether a name means this machine for programs and containers on it. An address cannot be rebound."""
    name = name.removesuffix(".")
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        # AWS's SDKs put the names of S3 buckets before the endpoint's.
        return name == "localhost" or name.endswith(".localhost") or name in _CONTAINER_NAMES


class LocalNamesOnly:
    """An ASGI application that rejects requests to other names."""

    def __init__(self, application: Application, accepts: Callable[[str], bool]) -> None:
        self._application = application
        self._accepts = accepts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, with 400 if its `Host` is missing, malformed or not accepted."""
        host = next((value.decode("latin-1") for header, value in scope["headers"] if header == b"host"), "")
        name = read_host_name(host)
        if name is not None and self._accepts(name):
            await self._application(scope, receive, send)
            return
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(_REJECTION)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 400, "headers": headers})
        await send({"type": "http.response.body", "body": _REJECTION})

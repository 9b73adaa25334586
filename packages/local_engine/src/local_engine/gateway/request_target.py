"""Targets of requests (RFC 9112 section 3.2)."""

import re
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote

_ABSOLUTE = re.compile(rb"https?://([^/]*)(/.*)?", re.IGNORECASE | re.DOTALL)


def resolve_target(scope: MutableMapping[str, Any]) -> None:
    """Replace an absolute target with its path, and `Host` with its authority, which takes precedence.

    Args:
        scope: the ASGI scope of a request, changed in place.
    """
    absolute = _ABSOLUTE.fullmatch(scope["raw_path"])
    if absolute is None:
        return
    path = absolute[2] or b"/"
    scope["raw_path"], scope["path"] = path, unquote(path.decode("latin-1"))
    others = [pair for pair in scope["headers"] if pair[0] != b"host"]
    scope["headers"] = [(b"host", absolute[1]), *others]

"""Identity sources of authorizers: where in a request the caller's proof is.

Sources: "IdentitySource" (API Gateway REST API and API Gateway V2 API References).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from local_engine.gateway.events import Request
from local_engine.template.errors import TemplateError

_SOURCE = re.compile(
    r"(?:\$request\.|method\.request\.|\$)?(?P<place>header|querystring|context|stageVariables)\.(?P<name>.+)"
)


class IdentitySources:
    """The identity sources of one authorizer."""

    def __init__(self, authorizer: str, written: Any, stage_variables: Mapping[str, str]) -> None:
        """Read the sources.

        Args:
            authorizer: the authorizer's name.
            written: as the document has them: a list, or text separated by commas.
            stage_variables: the stage's variables.

        Raises:
            TemplateError: API Gateway has no such source.
        """
        entries = written.split(",") if isinstance(written, str) else written or []
        self._stage_variables = stage_variables
        self._places: list[tuple[str, str]] = []
        for entry in entries if isinstance(entries, list) else [entries]:
            found = _SOURCE.fullmatch(entry.strip()) if isinstance(entry, str) else None
            if found is None:
                raise TemplateError(
                    f"The identity source of authorizer {authorizer} is {entry!r}; "
                    "it must be like $request.header.Authorization or method.request.header.Authorization."
                )
            self._places.append((found["place"], found["name"]))

    def __bool__(self) -> bool:
        return bool(self._places)

    def read(self, request: Request, context: Mapping[str, Any]) -> list[str] | None:
        """Return the value of each source, or None if one is missing or empty.

        Args:
            request: the request.
            context: the event's `requestContext`, for sources such as `context.identity.sourceIp`.
        """
        values = [self._find(place, name, request, context) for place, name in self._places]
        return [value for value in values if value] if all(values) else None

    def _find(self, place: str, name: str, request: Request, context: Mapping[str, Any]) -> str:
        match place:
            case "header":
                return find_joined_header(request.headers, name)
            case "querystring":
                return next((value for key, value in parse_qsl(request.query) if key == name), "")
            case "stageVariables":
                return self._stage_variables.get(name, "")
            case _:
                found: Any = context
                for part in name.split("."):
                    found = found.get(part) if isinstance(found, dict) else None
                return "" if found is None else str(found)


def find_joined_header(headers: Sequence[tuple[bytes, bytes]], name: str) -> str:
    """Return the values of the headers of a name, joined by commas, so that a second one makes a token invalid."""
    key = name.lower().encode()
    return b",".join(value for found, value in headers if found == key).decode("latin-1")

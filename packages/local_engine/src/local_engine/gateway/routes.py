"""Routes of an HTTP API and how requests match them ("Routes for HTTP APIs", API Gateway Developer Guide)."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from local_engine.template.intrinsics import REFUSAL

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
_INTEGRATION = "x-amazon-apigateway-integration"
_ANY_METHOD = "x-amazon-apigateway-any-method"
FUNCTION_NAME = re.compile(r"(?::function:|:path/[^/]+/functions/(?!arn:))([^:/]+)(?::([^:/]+))?")
"""Finds the name of a function, and its version or alias, in a URI with the function's ARN or name."""
_STAGE_VARIABLE = re.compile(r"\$\{stageVariables\.([^}]*)\}")
_DEFAULT_TIMEOUT = 30.0
_IAM = "AWS_IAM"


class _Unservable(Exception):
    """The engine cannot serve a route as AWS would. The message is a sentence."""


@dataclass(frozen=True)
class Route:
    """A route of an HTTP API and its integration."""

    method: str
    """`ANY` for every method."""
    path: str
    function_name: str
    qualifier: str | None
    """The function's alias or version. None if the integration names neither."""
    authorizer: str | None
    """The name of its security scheme. None if the route is open."""
    scopes: tuple[str, ...]
    timeout: float
    """Seconds that the integration may take."""
    refusal: str = ""
    """A sentence if the engine cannot serve the route as AWS would."""
    payload_format: str = "2.0"
    """Of the function's events: `1.0` or `2.0`."""
    credentials: str = ""
    """The integration's role; empty if the function's own policy lets the API invoke it."""
    pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pattern", _compile(self.path))

    @property
    def key(self) -> str:
        """The route key: `GET /items/{id}` or `$default`."""
        return self.path if self.path == "$default" else f"{self.method} {self.path}"


class ServedRoute(Protocol):
    """What authorizers need to know of a route of any kind of API."""

    @property
    def key(self) -> str:
        """The route key."""
        ...

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that it asks for."""
        ...

    @property
    def function_name(self) -> str:
        """The function behind it; empty if there is none."""
        ...

    @property
    def qualifier(self) -> str | None:
        """The function's alias or version."""
        ...

    @property
    def credentials(self) -> str:
        """The role of the integration; empty if the function's own policy lets the API invoke it."""
        ...


class Match[R: Route](NamedTuple):
    """A route with the values of its path variables."""

    route: R
    path_parameters: dict[str, str]


class RouteTable[R: Route]:
    """The routes of an API in order of precedence."""

    def __init__(self, routes: Iterable[R]) -> None:
        self.routes = sorted(routes, key=_precedence)

    def match(self, method: str, path: str) -> Match[R] | None:
        """Return the route for a request, or None.

        A full match comes before a greedy variable, and that before `$default`. A fixed segment comes before a
        variable, and a route with the method before one for any method.

        Args:
            method: the request's method.
            path: its path as sent, without the stage. The values of its variables stay percent-encoded.
        """
        for route in self.routes:
            if route.method in (method, "ANY") and (found := route.pattern.fullmatch(path)):
                return Match(route, _path_parameters(route, found))
        return None


def read_routes(document: Mapping[str, Any], stage_variables: Mapping[str, str] | None = None) -> Iterator[Route]:
    """Read the routes of an OpenAPI document with API Gateway's extensions.

    Args:
        document: the document.
        stage_variables: values of `${stageVariables.…}` in the URIs of integrations.
    """
    paths = document.get("paths")
    for written, operations in paths.items() if isinstance(paths, dict) else ():
        # API Gateway imports this path as the default route.
        path = "$default" if written == "/$default" else written
        for name, operation in operations.items() if isinstance(operations, dict) else ():
            method = "ANY" if name in (_ANY_METHOD, REFUSAL) else name.upper()
            if method not in ("ANY", *METHODS):
                continue
            try:
                if name == REFUSAL:
                    raise _Unservable(f"Path {path} cannot be served: {operation}")
                yield _read_route(method, path, operation, document, stage_variables or {})
            except _Unservable as error:
                yield Route(method, path, "", None, None, (), _DEFAULT_TIMEOUT, str(error))


def _read_route(
    method: str,
    path: str,
    operation: Mapping[str, Any],
    document: Mapping[str, Any],
    stage_variables: Mapping[str, str],
) -> Route:
    if not isinstance(operation, dict):
        raise _Unservable(f"Route {method} {path} is not a mapping.")
    if REFUSAL in operation:
        raise _Unservable(f"Route {method} {path} cannot be served: {operation[REFUSAL]}")
    integration = operation.get(_INTEGRATION)
    if not isinstance(integration, dict):
        raise _Unservable(f"Route {method} {path} has no integration.")
    uri = str(integration.get("uri"))
    try:
        function = FUNCTION_NAME.search(substitute_stage_variables(uri, stage_variables))
    except KeyError as error:
        reason = f"uses a stage variable that its stage does not have: {error}."
        raise _Unservable(f"Route {method} {path} {reason}") from None
    if str(integration.get("type")).lower() != "aws_proxy" or not function:
        raise _Unservable(
            f"Route {method} {path} does not invoke a function, and the local engine serves only functions."
        )
    payload_format = str(integration.get("payloadFormatVersion") or "1.0")
    if payload_format not in ("1.0", "2.0"):
        raise _Unservable(f"Route {method} {path} has the unknown payload format version {payload_format}.")
    try:
        authorizer, scopes = _read_security(operation.get("security", document.get("security")))
        if str((operation.get("x-amazon-apigateway-auth") or {}).get("type")).upper() == _IAM:
            authorizer, scopes = _IAM, ()
        timeout = float(integration.get("timeoutInMillis") or _DEFAULT_TIMEOUT * 1000) / 1000
    except (TypeError, ValueError, AttributeError):
        raise _Unservable(f"The security or the time-out of route {method} {path} is malformed.") from None
    return Route(
        method=method,
        path=path,
        function_name=function[1],
        qualifier=function[2],
        authorizer=authorizer,
        scopes=scopes,
        timeout=timeout,
        payload_format=payload_format,
    )


def substitute_stage_variables(text: str, values: Mapping[str, str]) -> str:
    """Return a text with `${stageVariables.…}` replaced.

    Raises:
        KeyError: the stage has no such variable.
    """
    return _STAGE_VARIABLE.sub(lambda match: values[match[1]], text)


def _read_security(security: Any) -> tuple[str | None, tuple[str, ...]]:
    if not isinstance(security, list | None):
        raise TypeError
    for requirement in security or []:
        for name, scopes in requirement.items():
            if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
                raise TypeError
            # SAM writes NONE for a route without the default authorizer.
            return (None, ()) if name == "NONE" else (name, tuple(scopes))
    return None, ()


def _compile(path: str) -> re.Pattern[str]:
    if path == "$default":
        return re.compile(".*", re.DOTALL)
    segments = []
    for segment in path.split("/"):
        if segment.startswith("{") and segment.endswith("+}"):
            segments.append("(.+)")
        elif _is_variable(segment):
            segments.append("([^/]+)")
        else:
            segments.append(re.escape(segment))
    return re.compile("/".join(segments), re.DOTALL)


def _is_variable(segment: str) -> bool:
    return segment.startswith("{") and segment.endswith("}")


def _path_parameters(route: Route, found: re.Match[str]) -> dict[str, str]:
    names = [segment.strip("{}+") for segment in route.path.split("/") if _is_variable(segment)]
    return dict(zip(names, found.groups(), strict=True))


def _precedence(route: Route) -> tuple[bool, bool, list[int], bool]:
    kinds = [2 if segment.endswith("+}") else 1 if segment.startswith("{") else 0 for segment in route.path.split("/")]
    # Of two greedy routes, the one with more segments is more specific.
    is_greedy = kinds[-1] == 2
    return route.path == "$default", is_greedy, [kind if kind < 2 else 9 for kind in kinds], route.method == "ANY"

"""The response cache of a REST API's stage.

Source: "Cache settings for REST APIs in API Gateway" and "Invalidate an API Gateway cache entry" (API Gateway Developer
Guide). Responses of any status are kept.
"""

import re
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

from local_engine.access.policies import Principal, decide
from local_engine.gateway.api_access import describe_conditions
from local_engine.gateway.events import Response
from local_engine.gateway.request_limits import Rejection
from local_engine.rest_api.methods import Method
from local_engine.rest_api.proxy_event import MethodRequest
from local_engine.template.errors import TemplateError
from local_engine.template.settings import is_true, read_integer
from local_engine.template.stack import RestApi

MAX_RESPONSE = 1_048_576
"""Most bytes of a response that is kept ("Quotas for configuring and running a REST API")."""
MAX_ENTRIES = 10_000
MAX_BYTES = 64 * 1024 * 1024
"""Most bytes of a stage's cache here. The smallest one in AWS has half a gigabyte."""
_INVALIDATE = "execute-api:InvalidateCache"
_PARAMETER = re.compile(r"method\.request\.(multivalue)?(?P<place>querystring|header|path)\.(?P<name>.+)")
_FAIL, _WARN = "FAIL_WITH_403", "SUCCEED_WITH_RESPONSE_HEADER"
STRATEGIES = (_FAIL, _WARN, "SUCCEED_WITHOUT_RESPONSE_HEADER")
_WARNING = (b"warning", b'199 - "Cache-Control is ignored: execute-api:InvalidateCache is not allowed"')
_NO_AGE = re.compile(r"(?:^|[\s,])max-age=0(?:$|[\s,])")


@dataclass(frozen=True)
class MethodCaching:
    """How responses of a method are kept."""

    ttl: int
    """Seconds."""
    parameters: tuple[tuple[str, str], ...]
    """The parameters in the key: `querystring`, `header` or `path`, and a name."""
    requires_permission: bool
    """Whether it takes a permission to refresh an entry."""
    strategy: str
    """What a request to refresh without the permission gets."""


def read_caching(api: RestApi, method: Method) -> MethodCaching | None:
    """Return how responses of a method are kept, or None if they are not.

    Settings for all methods apply to GET alone.

    Raises:
        TemplateError: a setting is wrong.
    """
    settings = api.find_method_settings(method.method, method.path)
    if (
        not api.has_cache
        or method.is_streamed
        or not is_true(settings.get("CachingEnabled"))
        or not (method.method in ("GET", "ANY") or api.has_own_settings(method.method, method.path))
    ):
        return None
    ttl = read_integer(settings, "CacheTtlInSeconds", 300, least=0, most=3600)
    strategy = str(settings.get("UnauthorizedCacheControlHeaderStrategy") or _WARN)
    if strategy not in STRATEGIES:
        raise TemplateError(f"its UnauthorizedCacheControlHeaderStrategy is {strategy}; {', '.join(STRATEGIES)} exist.")
    written = method.integration.get("cacheKeyParameters") or []
    found = [_PARAMETER.fullmatch(str(entry)) for entry in (written if isinstance(written, list) else [written])]
    if None in found:
        raise TemplateError(f"its cacheKeyParameters are {written!r}; each must be like method.request.querystring.q.")
    return (
        MethodCaching(
            ttl=ttl,
            parameters=tuple((entry["place"], entry["name"]) for entry in found if entry),
            requires_permission=is_true(settings.get("RequireAuthorizationForCacheControl", True)),
            strategy=strategy,
        )
        if ttl
        else None
    )


class ResponseCache:
    """The kept responses of a stage, the least recently used first."""

    def __init__(self) -> None:
        self.strategies: dict[tuple[str, str], str] = {}
        """What requests to refresh without the permission get, by path and method, if it was changed."""
        self._entries: OrderedDict[Hashable, tuple[float, Response]] = OrderedDict()
        self._size = 0

    def find(self, key: Hashable) -> Response | None:
        """Return the response with a key if it has not expired."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires_at, response = entry
        if expires_at <= time.monotonic():
            self.remove(key)
            return None
        self._entries.move_to_end(key)
        return response

    def keep(self, key: Hashable, response: Response, ttl: float) -> None:
        """Keep a response for some seconds, unless it is too large."""
        self.remove(key)
        if len(response.body) > MAX_RESPONSE:
            return
        self._entries[key] = (time.monotonic() + ttl, response)
        self._size += _size(response)
        while self._size > MAX_BYTES or len(self._entries) > MAX_ENTRIES:
            self.remove(next(iter(self._entries)))

    def remove(self, key: Hashable) -> None:
        """Remove the response with a key, if there is one."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= _size(entry[1])

    def flush(self) -> None:
        """Remove every response."""
        self._entries.clear()
        self._size = 0


def make_key(request: MethodRequest, caching: MethodCaching, *, decodes_body: bool) -> Hashable:
    """Return what requests with the same response have in common. The caller is not a part of it.

    Args:
        request: the request.
        caching: how the method's responses are kept.
        decodes_body: whether a body in base64 is decoded for the client.
    """
    headers = request.variables.headers
    values = []
    for place, name in caching.parameters:
        match place:
            case "querystring":
                value: Any = tuple(request.query.get(name, ()))
            case "header":
                value = tuple(headers.get(name.lower(), ()))
            case _:
                value = request.path_parameters.get(name)
        values.append(value)
    method = request.method
    namespace = method.integration.get("cacheNamespace") or method.path
    return str(namespace), request.http.method, tuple(values), decodes_body


def asks_to_refresh(request: MethodRequest) -> bool:
    """Return whether the client does not want a kept response."""
    return _NO_AGE.search(request.http.find_header(b"cache-control") or "") is not None


def may_refresh(request: MethodRequest, caching: MethodCaching, principal: Principal | None) -> bool:
    """Return whether a caller may refresh an entry.

    Args:
        request: the request.
        caching: how the method's responses are kept.
        principal: who signed the request. None if the method does not ask for signatures.

    Raises:
        Rejection: the caller may not, and the stage rejects such requests.
    """
    if not caching.requires_permission:
        return True
    policy = request.api.policy
    decision = decide(principal, _INVALIDATE, request.arn, describe_conditions(request.http), policy)
    if not decision.allowed and caching.strategy == _FAIL:
        user = principal.user_arn if principal else "anonymous"
        message = f"User: {user} is not authorized to perform: {_INVALIDATE} on resource: {request.arn}"
        raise Rejection(403, message, response_type="ACCESS_DENIED")
    return decision.allowed


def warn(response: Response, caching: MethodCaching) -> Response:
    """Return the response to a client whose wish for a new one is ignored."""
    return replace(response, headers=[*response.headers, _WARNING]) if caching.strategy == _WARN else response


def _size(response: Response) -> int:
    return len(response.body) + sum(len(name) + len(value) for name, value in response.headers)

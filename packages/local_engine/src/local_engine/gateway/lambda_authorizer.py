"""Lambda authorizers of REST APIs and HTTP APIs.

Sources: "Use API Gateway Lambda authorizers", "Input to an API Gateway Lambda authorizer", "Output from an API Gateway
Lambda authorizer" and "Control access to HTTP APIs with AWS Lambda authorizers" (API Gateway Developer Guide).
"""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from local_engine.access.conditions import UnsupportedPolicy
from local_engine.access.policies import Effect, evaluate_policies
from local_engine.functions.invocation import ConcurrencyExceeded, FunctionError
from local_engine.functions.pool import FunctionPool
from local_engine.gateway.api_access import INVOKE, EventSource, describe_conditions, method_arn
from local_engine.gateway.events import Request
from local_engine.gateway.identity_sources import IdentitySources
from local_engine.gateway.request_limits import AccessRefused
from local_engine.gateway.routes import ServedRoute
from local_engine.observer import Observer

_MOST_CACHED = 1000
# The function's words for a caller that has no valid proof.
_UNAUTHORIZED = "Unauthorized"


@dataclass(frozen=True)
class LambdaSettings:
    """Settings of a Lambda authorizer."""

    name: str
    kind: Literal["TOKEN", "REQUEST"]
    payload: str
    """`1.0` or `2.0`. REST APIs have `1.0`."""
    is_simple: bool
    """Whether the function returns `isAuthorized` and not a policy."""
    sources: IdentitySources
    validation: str | None
    """Regular expression that a token must match."""
    ttl: float
    """Seconds that a result is used for the same identity. 0 to call the function each time."""
    is_rest: bool


@dataclass(frozen=True)
class _Result:
    """What the function says of an identity."""

    policy: Mapping[str, Any] | None
    """None for a simple response."""
    is_authorized: bool
    context: dict[str, Any]


class _Malformed(Exception):
    """The function's answer has a wrong form. The message is a sentence."""


class LambdaAuthorizer:
    """Asks a function whether a caller may have what it wants, and remembers the answer."""

    kind = "lambda"
    reads_body = False
    refusal = ""

    def __init__(
        self,
        settings: LambdaSettings,
        function: FunctionPool,
        qualifier: str | None,
        observer: Observer,
    ) -> None:
        self._settings = settings
        self._function = function
        self._qualifier = qualifier
        self._observer = observer
        self._cache: dict[tuple[str, ...], tuple[float, _Result]] = {}

    async def authorize(self, request: Request, route: ServedRoute, describe: EventSource) -> dict[str, Any]:
        """Return the context that the function gives, with the caller's `principalId` on a REST API.

        Raises:
            AccessRefused: the function rejects the caller, or gives no usable answer.
        """
        settings = self._settings
        event = describe(settings.payload)
        identity = settings.sources.read(request, {**event["requestContext"], "routeKey": route.key})
        if identity is None or (settings.kind == "TOKEN" and not self._is_token(identity[0])):
            raise self._unauthorized()
        arn = method_arn(event, request)
        key = tuple(identity)
        result = self._recall(key) if settings.ttl and key else None
        latency = 0
        if result is None:
            started = time.monotonic()
            result = await self._ask(self._describe(event, arn, identity))
            latency = round((time.monotonic() - started) * 1000)
            if settings.ttl and key:
                self._remember(key, result)
        self._check_result(result, arn, request)
        return {**result.context, "integrationLatency": latency} if settings.is_rest else result.context

    def _is_token(self, token: str) -> bool:
        expression = self._settings.validation
        return expression is None or re.fullmatch(expression, token) is not None

    def _describe(self, event: dict[str, Any], arn: str, identity: list[str]) -> dict[str, Any]:
        """Return the function's event."""
        settings = self._settings
        if settings.kind == "TOKEN":
            return {"type": "TOKEN", "methodArn": arn, "authorizationToken": identity[0]}
        kept = {name: value for name, value in event.items() if name not in ("body", "isBase64Encoded")}
        kept["requestContext"] = {name: value for name, value in kept["requestContext"].items() if name != "authorizer"}
        if settings.is_rest:
            # Unlike in the event of a method, what is missing is empty here, not null.
            empty: dict[str, Any] = {name: {} for name, value in kept.items() if value is None}
            return {"type": "REQUEST", "methodArn": arn, **kept, **empty}
        if settings.payload == "2.0":
            return {"version": "2.0", "type": "REQUEST", "routeArn": arn, "identitySource": identity or None, **kept}
        joined = ",".join(identity)
        return {
            "version": "1.0",
            "type": "REQUEST",
            "methodArn": arn,
            "identitySource": joined,
            "authorizationToken": joined,
            **kept,
        }

    async def _ask(self, event: dict[str, Any]) -> _Result:
        encoded = json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass")
        try:
            invocation = await self._function.invoke(encoded, self._qualifier)
            return self._read_result(json.loads(invocation.payload))
        except FunctionError as error:
            if error.describe("")["errorMessage"] == _UNAUTHORIZED:
                raise self._unauthorized() from error
            raise self._failure(str(error)) from error
        except ConcurrencyExceeded as error:
            raise self._failure(str(error)) from error
        except (_Malformed, ValueError) as error:
            raise self._failure(f"The authorizer's answer is not valid: {error}") from error

    def _read_result(self, answer: Any) -> _Result:
        if not isinstance(answer, dict):
            raise _Malformed("it is not an object.")
        context = answer.get("context")
        context = {} if context is None else context
        if not isinstance(context, dict):
            raise _Malformed("its context is not an object.")
        if self._settings.is_simple:
            if not isinstance(answer.get("isAuthorized"), bool):
                raise _Malformed("isAuthorized is not a boolean.")
            return _Result(None, answer["isAuthorized"], context)
        policy = answer.get("policyDocument")
        if not isinstance(policy, dict) or "Statement" not in policy:
            raise _Malformed("it has no policyDocument with a Statement.")
        if self._settings.payload == "1.0":
            for name, value in context.items():
                if not isinstance(value, str | int | float | bool | None):
                    raise _Malformed(f"context has {name}, which is neither text, nor a number, nor a boolean.")
        return _Result(policy, True, self._add_principal(answer.get("principalId"), context))

    def _add_principal(self, principal: Any, context: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(principal, str | None):
            raise _Malformed("its principalId is not text.")
        if not self._settings.is_rest:
            return context
        texts = {name: _write_value(value) for name, value in context.items() if value is not None}
        return {**({} if principal is None else {"principalId": principal}), **texts}

    def _check_result(self, result: _Result, arn: str, request: Request) -> None:
        """Raise an AccessRefused if the result does not allow the request."""
        if result.policy is None:
            effect = Effect.ALLOW if result.is_authorized else Effect.IMPLICIT_DENY
        else:
            try:
                effect = evaluate_policies([result.policy], INVOKE, arn, describe_conditions(request))
            except UnsupportedPolicy as error:
                raise self._failure(f"The authorizer's policy cannot be evaluated: {error}") from error
        if effect is Effect.ALLOW:
            return
        if not self._settings.is_rest:
            raise AccessRefused(403, "Forbidden", "ACCESS_DENIED", reason="The authorizer denies the request.")
        explicit = " with an explicit deny" if effect is Effect.EXPLICIT_DENY else ""
        raise AccessRefused(
            403,
            f"User is not authorized to access this resource{explicit}",
            "ACCESS_DENIED",
            error_type="AccessDeniedException",
            key="Message",
        )

    def _unauthorized(self) -> AccessRefused:
        error_type = "UnauthorizedException" if self._settings.is_rest else ""
        return AccessRefused(401, "Unauthorized", "UNAUTHORIZED", error_type=error_type)

    def _failure(self, detail: str) -> AccessRefused:
        self._observer.fault_found(self._function.function.logical_id, detail)
        first = detail.partition("\n")[0]
        if not self._settings.is_rest:
            return AccessRefused(500, "Internal Server Error", "AUTHORIZER_FAILURE", reason=first)
        response_type = "AUTHORIZER_CONFIGURATION_ERROR"
        return AccessRefused(500, None, response_type, error_type="AuthorizerConfigurationException", reason=first)

    def _recall(self, key: tuple[str, ...]) -> _Result | None:
        expires, result = self._cache.get(key, (0.0, None))
        return result if expires > time.monotonic() else None

    def _remember(self, key: tuple[str, ...], result: _Result) -> None:
        self._cache.pop(key, None)
        while len(self._cache) >= _MOST_CACHED:
            # The oldest entry.
            del self._cache[next(iter(self._cache))]
        self._cache[key] = time.monotonic() + self._settings.ttl, result


def _write_value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

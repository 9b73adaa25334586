"""Who may invoke an API: IAM authorization, and the resource policy of a REST API.

Sources: "Control access to a REST API with IAM permissions", "How API Gateway resource policies affect authorization
workflow" and "Control access to HTTP APIs with IAM authorization" (API Gateway Developer Guide).
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import unquote

from local_engine.access.conditions import UnsupportedPolicy
from local_engine.access.policies import Decision, Effect, Policy, Principal, decide, evaluate_policies
from local_engine.access.principals import Principals
from local_engine.access.signatures import SignatureRefused, SignedRequest, verify_signature
from local_engine.account import ACCOUNT_ID, REGION
from local_engine.gateway.events import Request
from local_engine.gateway.request_limits import AccessRefused
from local_engine.gateway.routes import ServedRoute
from local_engine.observer import Observer

INVOKE = "execute-api:Invoke"
CALLER_CREDENTIALS = "arn:aws:iam::*:user/*"
"""Credentials of an integration that invokes its function as the caller. SAM writes them beside AWS_IAM."""
type EventSource = Callable[[str], dict[str, Any]]
"""Returns a request's event in a payload format, `1.0` or `2.0`, as a function behind its route gets it."""
_RESPONSE_TYPES = {
    "MissingAuthenticationTokenException": "MISSING_AUTHENTICATION_TOKEN",
    "ExpiredTokenException": "EXPIRED_TOKEN",
    "InvalidSignatureException": "INVALID_SIGNATURE",
    "IncompleteSignatureException": "INVALID_SIGNATURE",
    "UnrecognizedClientException": "ACCESS_DENIED",
}


class Authorizer(Protocol):
    """Lets a request pass, or raises `AccessRefused`."""

    @property
    def kind(self) -> str:
        """What its result is: `jwt`, `lambda`, `cognito`, `iam`, or `open`."""
        ...

    @property
    def reads_body(self) -> bool:
        """Whether it needs the request's body."""
        ...

    @property
    def refusal(self) -> str:
        """A sentence if the engine cannot serve it; empty otherwise."""
        ...

    async def authorize(self, request: Request, route: ServedRoute, describe: EventSource, /) -> dict[str, Any]:
        """Return what the event says of the caller.

        Args:
            request: the request, with its body if the authorizer reads it.
            route: the route that it matches.
            describe: returns the request's event.

        Raises:
            AccessRefused: the request does not pass.
        """
        ...


def find_method_arn(api_id: str, stage: str, method: str, path: str) -> str:
    """Return the ARN of a method with an actual path.

    Args:
        api_id: the API's ID.
        stage: the stage's name.
        method: the HTTP method.
        path: the request's path without the stage, decoded.
    """
    return f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{api_id}/{stage}/{method}/{path.lstrip('/')}"


def method_arn(event: Mapping[str, Any], request: Request) -> str:
    """Return the ARN of the method that a request with this event invokes."""
    context = event["requestContext"]
    path = unquote(request.raw_path)
    if context["stage"] != "$default":
        path = path.removeprefix(f"/{context['stage']}")
    return find_method_arn(context["apiId"], context["stage"], request.method, path)


def describe_conditions(request: Request) -> dict[str, str]:
    """Return a request's condition keys, in lower case ("AWS global condition context keys", IAM User Guide)."""
    values = {
        "aws:sourceip": request.source_ip,
        "aws:currenttime": datetime.fromtimestamp(time.time(), UTC).isoformat(),
        "aws:epochtime": str(int(time.time())),
        "aws:requestedregion": REGION,
        # API Gateway has no other.
        "aws:securetransport": "true",
        "aws:useragent": request.find_header(b"user-agent"),
        "aws:referer": request.find_header(b"referer"),
    }
    return {name: value for name, value in values.items() if value is not None}


def authenticate(request: Request, principals: Principals, service: str, *, shows_canonical_request: bool) -> Principal:
    """Return the principal that signed a request.

    Args:
        request: the request with its body.
        principals: who may sign.
        service: the service of the signature's scope.
        shows_canonical_request: whether the message about a wrong signature has what should have been signed.

    Raises:
        SignatureRefused: the signature is missing or not valid.
    """
    signed = SignedRequest(request.method, request.raw_path, request.query, request.headers, request.body)
    credentials = verify_signature(
        signed,
        service=service,
        region=REGION,
        find_credentials=principals.find_signer,
        shows_canonical_request=shows_canonical_request,
    )
    return principals.describe(credentials)


class IamAuthorizer:
    """Accepts requests that a principal has signed and may send."""

    kind = "iam"
    reads_body = True
    refusal = ""

    def __init__(
        self,
        principals: Principals,
        api_id: str,
        stage: str,
        observer: Observer,
        *,
        is_rest: bool,
        policy: Policy | None = None,
    ) -> None:
        """Guard one stage of an API.

        Args:
            principals: who may sign.
            api_id: the API's ID.
            stage: the stage's name.
            observer: told of policies that cannot be evaluated.
            is_rest: whether it is a REST API, whose answers give reasons.
            policy: the resource policy of a REST API.
        """
        self._principals = principals
        self._api_id = api_id
        self._stage = stage
        self._observer = observer
        self._is_rest = is_rest
        self._policy = policy

    async def authorize(self, request: Request, route: ServedRoute, _: EventSource) -> dict[str, Any]:
        """Return the caller's identity.

        Raises:
            AccessRefused: the request is not signed as it must be, or policies do not allow it.
        """
        try:
            principal = authenticate(request, self._principals, "execute-api", shows_canonical_request=self._is_rest)
        except SignatureRefused as error:
            if not self._is_rest:
                raise AccessRefused(403, "Forbidden", "", reason=str(error)) from error
            response_type = _RESPONSE_TYPES[error.error_type]
            raise AccessRefused(403, str(error), response_type, error_type=error.error_type) from error
        arn = _request_arn(request, self._api_id, self._stage)
        decision = decide(principal, INVOKE, arn, describe_conditions(request), self._policy)
        if decision.fault:
            self._observer.fault_found(self._api_id, decision.fault)
        if not decision.allowed:
            refused = refuse_access(principal.user_arn, arn, decision)
            if not self._is_rest:
                refused = AccessRefused(403, "Forbidden", "", reason=refused.reason)
            raise refused
        self._check_function(principal, request, route)
        return describe_rest_identity(principal) if self._is_rest else describe_iam(principal)

    def _check_function(self, principal: Principal, request: Request, route: ServedRoute) -> None:
        """Check that a caller may invoke the function, if the integration uses the caller's own credentials."""
        if route.credentials != CALLER_CREDENTIALS:
            return
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{route.function_name}"
        arn += f":{route.qualifier}" if route.qualifier else ""
        decision = decide(principal, "lambda:InvokeFunction", arn, describe_conditions(request), None)
        if not decision.allowed:
            self._observer.fault_found(
                route.function_name,
                f"{principal.user_arn} may not invoke it, and {route.key} uses the caller's credentials "
                f"({CALLER_CREDENTIALS}). Allow lambda:InvokeFunction, or set InvokeRole: NONE.",
            )
            raise AccessRefused(500, "Internal server error", "API_CONFIGURATION_ERROR")


class ResourcePolicyAuthorizer:
    """Applies a REST API's resource policy before another authorizer, or alone.

    IAM authorization is no case for it: there, both sides' policies are evaluated together.
    """

    def __init__(
        self, policy: Policy, api_id: str, stage: str, observer: Observer, authorizer: Authorizer | None = None
    ) -> None:
        self._policy = policy
        self._api_id = api_id
        self._stage = stage
        self._observer = observer
        self._authorizer = authorizer
        self.kind = authorizer.kind if authorizer else "open"
        self.reads_body = authorizer.reads_body if authorizer else False
        self.refusal = authorizer.refusal if authorizer else ""

    async def authorize(self, request: Request, route: ServedRoute, describe: EventSource) -> dict[str, Any]:
        """Return the other authorizer's result.

        Raises:
            AccessRefused: the policy or the other authorizer rejects the request.
        """
        arn = _request_arn(request, self._api_id, self._stage)
        effect = Effect.EXPLICIT_DENY
        decision = Decision(False, " with an explicit deny in a resource-based policy")
        try:
            effect = evaluate_policies(
                [self._policy], INVOKE, arn, describe_conditions(request), principal=None, has_owner=True
            )
        except UnsupportedPolicy as error:
            self._observer.fault_found(self._api_id, f"A policy cannot be evaluated, so it denies: {error}")
        # A Lambda authorizer's own policy can allow what the resource policy says nothing of.
        is_enough = effect is Effect.ALLOW or (effect is Effect.IMPLICIT_DENY and self.kind == "lambda")
        if not is_enough:
            if effect is Effect.IMPLICIT_DENY:
                decision = Decision(False, f" because no resource-based policy allows the {INVOKE} action")
            raise refuse_access("anonymous", arn, decision)
        return await self._authorizer.authorize(request, route, describe) if self._authorizer else {}


def refuse_access(user: str, arn: str, decision: Decision) -> AccessRefused:
    """Return the answer to a caller that policies do not allow to invoke a method."""
    masked = arn.replace(f":{ACCOUNT_ID}:", f":********{ACCOUNT_ID[-4:]}:")
    message = f"User: {user} is not authorized to perform: {INVOKE} on resource: {masked}{decision.reason}"
    return AccessRefused(403, message, "ACCESS_DENIED", error_type="AccessDeniedException", key="Message")


def describe_iam(principal: Principal) -> dict[str, Any]:
    """Return `requestContext.authorizer.iam` of payload format 2.0."""
    return {
        "accessKey": principal.access_key_id,
        "accountId": ACCOUNT_ID,
        "callerId": principal.user_id,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": principal.user_arn,
        "userId": principal.user_id,
    }


def describe_rest_identity(principal: Principal) -> dict[str, Any]:
    """Return the caller's fields of `requestContext.identity`."""
    return {
        "accessKey": principal.access_key_id,
        "accountId": ACCOUNT_ID,
        "caller": principal.user_id,
        "user": principal.user_id,
        "userArn": principal.user_arn,
    }


def _request_arn(request: Request, api_id: str, stage: str) -> str:
    path = unquote(request.raw_path)
    return find_method_arn(
        api_id, stage, request.method, path if stage == "$default" else path.removeprefix(f"/{stage}")
    )

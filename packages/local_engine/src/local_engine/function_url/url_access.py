"""Who may invoke a function through its URL.

Source: "Control access to Lambda function URLs" (AWS Lambda Developer Guide): it takes permission for two actions.
"""

import json
from typing import Any

from local_engine.access.policies import Principal, decide
from local_engine.access.principals import Principals
from local_engine.access.signatures import SignatureRefused
from local_engine.gateway.api_access import authenticate, describe_conditions, describe_iam
from local_engine.gateway.events import Headers, Request, Response
from local_engine.gateway.request_limits import Rejection
from local_engine.observer import Observer
from local_engine.template.stack import FunctionUrl

_ACTIONS = ("lambda:InvokeFunctionUrl", "lambda:InvokeFunction")
_MESSAGE = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)
_UNSIGNED = "MissingAuthenticationTokenException"


class UrlRejection(Rejection):
    """Lambda responds with its own error."""

    def __init__(self, status: int, body: dict[str, str], error_type: str, headers: Headers | None = None) -> None:
        """Take the body of the response and the value of `x-amzn-errortype`."""
        super().__init__(status, body.get("Message") or body.get("message", ""))
        pairs = [
            (b"content-type", b"application/json"),
            (b"x-amzn-errortype", error_type.encode()),
            *(headers or []),
        ]
        self.response = Response(status, pairs, json.dumps(body).encode())


def authorize(request: Request, url: FunctionUrl, principals: Principals, observer: Observer) -> dict[str, Any] | None:
    """Return `requestContext.authorizer`; None for a URL without signatures.

    Args:
        request: the request, with its body if the URL is signed.
        url: the function URL.
        principals: who may sign.
        observer: told of policies that cannot be evaluated.

    Raises:
        UrlRejection: the request is not signed as it must be, or policies do not allow it.
    """
    principal: Principal | None = None
    if url.is_signed:
        try:
            principal = authenticate(request, principals, "lambda", shows_canonical_request=False)
        except SignatureRefused as error:
            if error.error_type == _UNSIGNED:
                raise UrlRejection(403, {"Message": _MESSAGE}, "AccessDeniedException") from error
            raise UrlRejection(403, {"message": str(error)}, error.error_type) from error
    fault = _find_fault(url, principal, describe_conditions(request))
    if fault is not None:
        if fault:
            observer.fault_found(url.logical_id, fault)
        raise UrlRejection(403, {"Message": _MESSAGE}, "AccessDeniedException")
    return None if principal is None else {"iam": describe_iam(principal)}


def is_public(url: FunctionUrl) -> bool:
    """Return whether anybody may use a URL."""
    return not url.is_signed and _find_fault(url, None, {}) is None


def _find_fault(url: FunctionUrl, principal: Principal | None, conditions: dict[str, str]) -> str | None:
    """Return None if the request is allowed; else a sentence if a policy cannot be evaluated, or an empty string."""
    conditions |= {
        "lambda:functionurlauthtype": "AWS_IAM" if url.is_signed else "NONE",
        "lambda:invokedviafunctionurl": "true",
    }
    for action in _ACTIONS:
        decision = decide(principal, action, url.arn, conditions, url.policy)
        if not decision.allowed:
            return decision.fault
    return None

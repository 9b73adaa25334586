"""Amazon Bedrock's runtime: one signed POST for each call, over a kept connection.

Source: «InvokeModel» and «Common Errors», Amazon Bedrock API Reference.
"""

import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from http.client import HTTPResponse
from typing import Any
from urllib.parse import quote

from serverless_api import (
    AnswerUnreadable,
    CircuitBreaker,
    CircuitOpen,
    DeadlineExceeded,
    Dependency,
    DependencyUnavailable,
    HTTPCall,
    RetryBudget,
    RetryPolicy,
    current_deadline,
    settings,
)
from serverless_api.storage.fetch import read_json
from serverless_api.storage.signed_requests import SIGNATURE_ERRORS, SignedConnection, find_endpoint, regional_host

ATTEMPT_SECONDS = 3.0
"""Time limit of one attempt. Embedding models answer within a few hundred milliseconds."""

# While the circuit is open, one call in this time goes through as a probe.
_RESET_SECONDS = 5.0

_THROTTLED = {
    "ModelNotReadyException",
    "ServiceQuotaExceededException",
    "ThrottlingException",
    "TooManyRequestsException",
}
_REQUEST_TIMEOUT, _FAILED_DEPENDENCY, _TOO_MANY_REQUESTS = 408, 424, 429


class ModelUnavailable(DependencyUnavailable):
    """The model is down or out of time, or its circuit is open."""


class ModelThrottled(ModelUnavailable):
    """The model rejected a call because there are too many."""


class ModelError(Exception):
    """Bedrock rejected a request. It takes a change of the code, the permissions or the account's access to models.

    Attributes:
        code: an error code of the «Amazon Bedrock API Reference», such as `AccessDeniedException`.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(f"{code}: {message}")


_URL = find_endpoint(os.environ, "bedrock_runtime") or f"https://{regional_host('bedrock-runtime', settings.REGION)}"
_dependency = Dependency("model")
_policy = RetryPolicy()
_budget = RetryBudget()
_circuit = CircuitBreaker(reset=_RESET_SECONDS, on_transition=_dependency.report_transition)


def invoke_model(model: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's answer to one request, with retries within the invocation's deadline.

    Args:
        model: the ID of a model or inference profile.
        body: the request, as the model's provider documents it.

    Raises:
        ModelThrottled: the model rejects calls because there are too many.
        ModelUnavailable: the model is down or out of time, or its circuit is open.
        ModelError: Bedrock rejected the request.
    """
    content = json.dumps(body).encode()
    return call(lambda: _invoke(model, content))


def call[Result](attempt: Callable[[], Result]) -> Result:
    """Return the result of an attempt, repeated while the model is unavailable, unless its circuit is open.

    Raises:
        ModelUnavailable: the last attempt's error, or the circuit is open.
    """
    try:
        return _circuit.call(lambda: _policy.call(attempt, current_deadline(), _budget, _dependency.count_retry))
    except CircuitOpen as error:
        _dependency.count_refusal()
        raise ModelUnavailable("the circuit of the model is open", error.retry_after) from error


@cache
def connect(model: str, action: str) -> SignedConnection:
    """Return the kept connection for one action of a model, such as `invoke`."""
    return SignedConnection(f"{_URL}/model/{quote(model, safe='')}/{action}", settings.REGION, "bedrock")


def explain(response: HTTPResponse, document: Mapping[str, Any]) -> Exception:
    """Return the error of a response whose status is not 200."""
    code, status = find_code(response), response.status
    message = str(document.get("message") or document.get("Message") or "")
    if code in _THROTTLED or status == _TOO_MANY_REQUESTS:
        return ModelThrottled(f"{code}: {message}")
    # Credentials that have expired are replaced by Lambda.
    if status >= 500 or status in (_REQUEST_TIMEOUT, _FAILED_DEPENDENCY) or code.startswith("ExpiredToken"):
        return ModelUnavailable(f"{code}: {message}")
    return ModelError(code, message)


def find_code(response: HTTPResponse) -> str:
    """Return the error code of a response."""
    # `ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/`
    return response.getheader("x-amzn-ErrorType", str(response.status)).partition(":")[0]


def _invoke(model: str, content: bytes) -> dict[str, Any]:
    connection = connect(model, "invoke")
    response, document = _post(connection, content)
    if response.status != 200 and find_code(response) in SIGNATURE_ERRORS:
        # Rejected before anything was done.
        connection.renew(response)
        response, document = _post(connection, content)
    if response.status != 200:
        raise explain(response, document)
    return document


def _post(connection: SignedConnection, content: bytes) -> tuple[HTTPResponse, dict[str, Any]]:
    headers = {"accept": "application/json", "content-type": "application/json"}
    invocation = current_deadline()
    attempt = invocation.shorten(ATTEMPT_SECONDS)
    try:
        with HTTPCall("POST", connection.scheme, connection.host) as subsegment:
            # The timeout bounds each wait on the socket; the signal bounds a response that arrives byte by byte.
            with attempt.enforce():
                response, answer = connection.post(headers, content, attempt.cut(ATTEMPT_SECONDS))
            subsegment.response = response
            try:
                return response, read_json(connection.host, response, answer)
            except AnswerUnreadable:
                if response.status != 200:
                    # A proxy's error is no JSON.
                    return response, {}
                connection.hang_up()
                raise
    except DeadlineExceeded as error:
        invocation.cut(ATTEMPT_SECONDS)
        raise ModelUnavailable(f"no complete answer within {ATTEMPT_SECONDS} s") from error
    except OSError as error:
        raise ModelUnavailable(f"Bedrock cannot be reached: {type(error).__name__}") from error

"""Amazon Bedrock's runtime: one signed POST for each call, over a kept connection.

Source: «InvokeModel», Amazon Bedrock API Reference.
"""

from collections.abc import Mapping
from typing import Any

from serverless_api import DependencyUnavailable


class ModelUnavailable(DependencyUnavailable):
    """The model is down or out of time, or its circuit is open."""


class ModelThrottled(ModelUnavailable):
    """The model rejected a call because there are too many."""


class ModelError(Exception):
    """Bedrock rejected a request. It takes a change of the code, the permissions or the account's access to models.

    Attributes:
        code: an error code of «Amazon Bedrock API Reference», such as `AccessDeniedException`.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(f"{code}: {message}")


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
    raise NotImplementedError

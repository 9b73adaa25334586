"""Keeps execution environments of functions warm: the event that asks for nothing else, and who sends it.

Lambda starts another environment of a function when all that it has are busy. So a few events at once keep a few
environments, as long as they are answered at the same time; the answers say which environment each one came from.
"""

import os
from collections.abc import Mapping
from typing import Any

WARM_UP_EVENT = {"warmUp": True}
"""The whole event. The gateway's events always hold more, so that no HTTP request can look like it."""


def is_warm_up(event: object) -> bool:
    """Return whether an event asks for nothing but a warm environment.

    >>> is_warm_up({"warmUp": True, "requestContext": {}})
    False
    """
    return event == WARM_UP_EVENT


def answer_warm_up() -> dict[str, str]:
    """Return which environment this is: Lambda gives each one a log stream of its own."""
    return {"environment": os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")}


def read_environment(answer: Mapping[str, Any]) -> str:
    """Return which environment `answer_warm_up` has named."""
    return str(answer["environment"])

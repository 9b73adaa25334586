"""Warm-up events, which keep execution environments of a function alive.

Lambda starts another environment of a function when all existing ones are busy. Several events at the same time
therefore keep several environments warm. Each answer names the environment that it came from.
"""

import os
from collections.abc import Mapping
from typing import Any

WARM_UP_EVENT = {"warmUp": True}
"""The whole event. The gateway's events always have more members, so no HTTP request can look like it."""


def is_warm_up(event: object) -> bool:
    """Return whether an event is a warm-up event.

    >>> is_warm_up({"warmUp": True, "requestContext": {}})
    False
    """
    return event == WARM_UP_EVENT


def answer_warm_up() -> dict[str, str]:
    """Return the name of this environment: Lambda gives each one its own log stream."""
    return {"environment": os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")}


def read_environment(answer: Mapping[str, Any]) -> str:
    """Return the environment that an answer of `answer_warm_up` names."""
    return str(answer["environment"])

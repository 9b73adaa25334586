"""AWS clients of background functions."""

from typing import Any

import boto3
from botocore.config import Config


def make_client(service: str, *, read_seconds: float = 10, attempts: int = 4) -> Any:
    """Return a boto3 client that gives up soon enough for the function to say so.

    Args:
        service: the service's name in boto3.
        read_seconds: time limit of each wait for a part of an answer.
        attempts: how often a call is tried, with boto3's standard pauses.
    """
    retries = {"mode": "standard", "total_max_attempts": attempts}
    config = Config(connect_timeout=2, read_timeout=read_seconds, retries=retries)  # type: ignore[arg-type]
    return boto3.client(service, config=config)  # type: ignore[call-overload]

"""Keeps execution environments warm by sending warm-up events to functions, several at once."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from serverless_api import WARM_UP_EVENT, logger, read_environment

MAX_CONNECTIONS = 64

# The answer is so quick that an environment may be free again before the last event is sent. The first round opens
# connections and starts environments; the second and third find both ready.
ROUNDS = 3

_client = boto3.client(
    "lambda",
    config=Config(
        connect_timeout=2,
        read_timeout=15,
        max_pool_connections=MAX_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 1},
    ),
)
_payload = json.dumps(WARM_UP_EVENT)


def warm_functions(functions: Sequence[str], environments: int) -> dict[str, int]:
    """Send warm-up events until enough environments of each function have answered, or for three rounds.

    Args:
        functions: ARNs, including the alias.
        environments: how many to keep warm for each function.

    Returns:
        The number of different environments that answered, by function. It is lower than requested if a function fails,
        is throttled, or answers faster than the events arrive.
    """
    seen: dict[str, set[str]] = {function: set() for function in functions}
    with ThreadPoolExecutor(min(MAX_CONNECTIONS, len(functions) * environments)) as threads:
        for _ in range(ROUNDS):
            cold = [function for function in functions if len(seen[function]) < environments]
            targets = cold * environments
            for function, environment in zip(targets, threads.map(_invoke, targets), strict=True):
                if environment is not None:
                    seen[function].add(environment)
    return {function: len(answered) for function, answered in seen.items()}


def _invoke(function: str) -> str | None:
    """Send one event and return the environment that answered; None if there was no answer."""
    try:
        answer = _client.invoke(FunctionName=function, Payload=_payload)
    except (BotoCoreError, ClientError) as error:
        logger.warning("A function was not warmed", function=function, reason=str(error))
        return None
    content = answer["Payload"].read()
    if "FunctionError" in answer:
        logger.warning("A function failed when it was warmed", function=function, reason=content.decode())
        return None
    return read_environment(json.loads(content))

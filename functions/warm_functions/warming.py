"""Sends warm-up events to functions, so many at once that a few environments of each stay warm."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from serverless_api.http.warm_up import WARM_UP_EVENT, read_environment
from serverless_api.telemetry.observability import logger

MOST_CONNECTIONS = 64

# An answer is so quick that an environment may be free again before the last event has left. In the first round
# connections are still made and environments started; the second and third find both there.
ROUNDS = 3

_client = boto3.client(
    "lambda",
    config=Config(
        connect_timeout=2,
        read_timeout=15,
        max_pool_connections=MOST_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 1},
    ),
)
_payload = json.dumps(WARM_UP_EVENT)


def warm_functions(functions: Sequence[str], environments: int) -> dict[str, int]:
    """Have so many environments of each function answer a warm-up event.

    Args:
        functions: their ARNs, aliases included.
        environments: how many of each.

    Returns:
        How many different environments have answered, by function; fewer than asked for where a function fails, is
        throttled, or answered faster than the events arrived.
    """
    seen: dict[str, set[str]] = {function: set() for function in functions}
    with ThreadPoolExecutor(min(MOST_CONNECTIONS, len(functions) * environments)) as threads:
        for _ in range(ROUNDS):
            targets = [of for of in functions if len(seen[of]) < environments for _ in range(environments)]
            for function, environment in zip(targets, threads.map(_invoke, targets), strict=True):
                if environment is not None:
                    seen[function].add(environment)
    return {function: len(of) for function, of in seen.items()}


def _invoke(function: str) -> str | None:
    """Send one event; return the environment that answered, or None where there was no answer."""
    try:
        answer = _client.invoke(FunctionName=function, Payload=_payload)
    except (BotoCoreError, ClientError) as error:
        logger.warning("A function was not warmed", function=function, reason=str(error))
        return None
    content = answer["Payload"].read()
    if "FunctionError" in answer:
        logger.warning("A function fails when it is warmed", function=function, reason=content.decode())
        return None
    return read_environment(json.loads(content))

"""The environment variables that the functions read, once, when the environment starts."""

import math
import os


class SettingError(Exception):
    """An environment variable is missing or has a value that cannot be used."""


def read_setting(name: str) -> str:
    """Return the environment variable `name`.

    Raises:
        SettingError: it is not set, or empty.

    >>> read_setting("TABLE_NAME")
    'resources'
    """
    value = os.environ.get(name, "")
    if not value:
        raise SettingError(f"The environment variable {name} is not set; template.yaml gives it to every function.")
    return value


def read_number(name: str, default: float) -> float:
    """Return the environment variable `name` as a number above 0; `default` where it is not set.

    Raises:
        SettingError: it is no number above 0.
    """
    text = os.environ.get(name, "")
    if not text:
        return default
    number = _to_number(text)
    if not 0 < number < math.inf:
        raise SettingError(f"The environment variable {name} must be a number above 0, and is {text!r}.")
    return number


def read_count(name: str, default: int) -> int:
    """Return the environment variable `name` as a whole number above 0; `default` where it is not set.

    Raises:
        SettingError: it is no whole number above 0.
    """
    number = read_number(name, default)
    if number != int(number):
        raise SettingError(f"The environment variable {name} must be a whole number, and is {number}.")
    return int(number)


def read_share(name: str) -> float:
    """Return the environment variable `name` as a number from 0 to 1; 0 where it is not set.

    Raises:
        SettingError: it is no such number.
    """
    text = os.environ.get(name) or "0"
    share = _to_number(text)
    if not 0 <= share <= 1:
        raise SettingError(f"The environment variable {name} must be a number from 0 to 1, and is {text!r}.")
    return share


def _to_number(text: str) -> float:
    """Return the number that a text is, or one that is within no bounds."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def read_choice(name: str, choices: tuple[str, ...]) -> str:
    """Return the environment variable `name`, which is one of `choices`; the first one where it is not set.

    Raises:
        SettingError: it is none of them.
    """
    choice = os.environ.get(name) or choices[0]
    if choice not in choices:
        raise SettingError(f"The environment variable {name} must be one of {', '.join(choices)}, and is {choice!r}.")
    return choice


TABLE_NAME = read_setting("TABLE_NAME")
REGION = read_setting("AWS_REGION")
SERVICE_NAME = read_setting("POWERTOOLS_SERVICE_NAME")
METRICS_NAMESPACE = read_setting("POWERTOOLS_METRICS_NAMESPACE")
LOG_LEVEL = read_choice("POWERTOOLS_LOG_LEVEL", ("INFO", "DEBUG", "WARN", "ERROR"))
CALLER_IN_LOGS = read_choice("CALLER_IN_LOGS", ("hashed", "plain"))
DEBUG_SAMPLE_RATE = read_share("DEBUG_SAMPLE_RATE")

TRACES = read_choice("TRACES", ("on", "off")) == "on"
XRAY_DAEMON_ADDRESS = os.environ.get("AWS_XRAY_DAEMON_ADDRESS", "")

_INITIALIZATION_TYPE = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE")
STARTS_FROM_SNAPSHOT = _INITIALIZATION_TYPE == "snap-start"
IS_INITIALIZED_AHEAD = _INITIALIZATION_TYPE == "provisioned-concurrency"
RUNS_IN_SAM_LOCAL = os.environ.get("AWS_SAM_LOCAL") == "true"
TOKEN_INTROSPECTION_URL = os.environ.get("TOKEN_INTROSPECTION_URL", "")
if TOKEN_INTROSPECTION_URL and not RUNS_IN_SAM_LOCAL:
    raise SettingError(
        "TOKEN_INTROSPECTION_URL is set outside `sam local`. A deployed function takes its caller's identity from the"
        " gateway's authorizer alone; leave the variable empty."
    )

ENRICHMENT_URL = os.environ.get("ENRICHMENT_URL", "")
if ENRICHMENT_URL and STARTS_FROM_SNAPSHOT:
    raise SettingError(
        "A function with ENRICHMENT_URL cannot start from a snapshot: the SDK client in it looks for its credentials"
        " when it is made, and they would be frozen. Leave SnapStart to functions that do not enrich."
    )
ENRICHMENT_SECONDS = read_number("ENRICHMENT_SECONDS", default=2.0)
CIRCUIT_THRESHOLD = read_count("CIRCUIT_THRESHOLD", default=5)
CIRCUIT_RESET_SECONDS = read_count("CIRCUIT_RESET_SECONDS", default=30)

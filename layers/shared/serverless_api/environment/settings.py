"""Environment variables of the functions, read once when the environment starts."""

import math
import os


class SettingError(Exception):
    """An environment variable is missing or invalid."""


def read_setting(name: str) -> str:
    """Return the environment variable `name`.

    Raises:
        SettingError: it is missing or empty.

    >>> read_setting("TABLE_NAME")
    'table'
    """
    value = os.environ.get(name, "")
    if not value:
        raise SettingError(f"The environment variable {name} is not set; template.yaml gives it to every function.")
    return value


def read_number(name: str, default: float) -> float:
    """Return the environment variable `name` as a number above 0, or `default` if it is not set.

    Raises:
        SettingError: it is not a number above 0.
    """
    text = os.environ.get(name, "")
    if not text:
        return default
    number = _to_number(text)
    if not 0 < number < math.inf:
        raise SettingError(f"The environment variable {name} must be a number above 0, not {text!r}.")
    return number


def read_count(name: str, default: int) -> int:
    """Return the environment variable `name` as a whole number above 0, or `default` if it is not set.

    Raises:
        SettingError: it is not a whole number above 0.
    """
    number = read_number(name, default)
    if number != int(number):
        raise SettingError(f"The environment variable {name} must be a whole number, not {number}.")
    return int(number)


def _read_rate(name: str) -> float:
    """Return the environment variable `name` as a number from 0 to 1, or 0 if it is not set.

    Raises:
        SettingError: it is not a number from 0 to 1.
    """
    text = os.environ.get(name) or "0"
    rate = _to_number(text)
    if not 0 <= rate <= 1:
        raise SettingError(f"The environment variable {name} must be a number from 0 to 1, not {text!r}.")
    return rate


def _to_number(text: str) -> float:
    """Return the number that `text` spells, or NaN, which lies within no bounds."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _read_choice(name: str, choices: tuple[str, ...]) -> str:
    """Return the environment variable `name`, or the first of `choices` if it is not set.

    Raises:
        SettingError: it is not one of `choices`.
    """
    choice = os.environ.get(name) or choices[0]
    if choice not in choices:
        raise SettingError(f"The environment variable {name} must be one of {', '.join(choices)}, not {choice!r}.")
    return choice


TABLE_NAME = read_setting("TABLE_NAME")
REGION = read_setting("AWS_REGION")
FUNCTION_NAME = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
SERVICE_NAME = read_setting("POWERTOOLS_SERVICE_NAME")
METRICS_NAMESPACE = read_setting("POWERTOOLS_METRICS_NAMESPACE")
LOG_LEVEL = _read_choice("POWERTOOLS_LOG_LEVEL", ("INFO", "DEBUG", "WARN", "ERROR"))
ALLOWED_ORIGIN = os.environ.get("ALLOWED_ORIGIN", "")
CALLER_IN_LOGS = _read_choice("CALLER_IN_LOGS", ("hashed", "plain"))
PSEUDONYM_KEY = os.environ.get("PSEUDONYM_KEY", "")
DEBUG_SAMPLE_RATE = _read_rate("DEBUG_SAMPLE_RATE")

TRACES = _read_choice("TRACES", ("on", "off")) == "on"
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

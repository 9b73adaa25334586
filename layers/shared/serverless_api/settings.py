"""The environment variables that the functions read, once, when the environment starts."""

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


TABLE_NAME = read_setting("TABLE_NAME")
SERVICE_NAME = read_setting("POWERTOOLS_SERVICE_NAME")
METRICS_NAMESPACE = read_setting("POWERTOOLS_METRICS_NAMESPACE")

RUNS_IN_SAM_LOCAL = os.environ.get("AWS_SAM_LOCAL") == "true"
TOKEN_INTROSPECTION_URL = os.environ.get("TOKEN_INTROSPECTION_URL", "")
if TOKEN_INTROSPECTION_URL and not RUNS_IN_SAM_LOCAL:
    raise SettingError(
        "TOKEN_INTROSPECTION_URL is set outside `sam local`. A deployed function takes its caller's identity from the"
        " gateway's authorizer alone; leave the variable empty."
    )

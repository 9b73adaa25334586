"""Environments of the engine and its child processes. The developer's AWS settings reach none of them.

botocore would otherwise read a profile, the configuration and keys below `~/.aws`, or ask the metadata service of an
EC2 instance. moto reads its own variables.
"""

import os
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from local_engine.account import REGION

AWS_SETTINGS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_SESSION_TOKEN": "local",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    # The usual files would be read even if no variable names them.
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What AWS's libraries find instead of the developer's settings."""
X_RAY_DAEMON = "AWS_XRAY_DAEMON_ADDRESS"
"""The one AWS variable that the developer sets for functions: a running X-Ray daemon gets their traces."""
_FOREIGN_PREFIXES = ("AWS_", "BOTO_", "MOTO_")
_FOREIGN_NAMES = ("TEST_SERVER_MODE", "TEST_PROXY_MODE", "INITIAL_NO_AUTH_ACTION_COUNT")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_SOURCES = Path(__file__).resolve().parents[1]


def isolate_process() -> None:
    """Replace the AWS settings of this process. Call it before anything imports botocore.

    Proxies stay, because an issuer outside this machine may need one.
    """
    isolated = _replace_settings(os.environ)
    os.environ.clear()
    os.environ.update(isolated)


def service_environment() -> dict[str, str]:
    """Return the environment of the AWS services, which never connect to anything."""
    isolated = _replace_settings(child_environment())
    return {name: value for name, value in isolated.items() if name.lower() not in _PROXIES}


def child_environment() -> dict[str, str]:
    """Return this process's environment, changed so that a child can import this package from a source tree."""
    if str(_SOURCES) == sysconfig.get_path("purelib"):
        return dict(os.environ)
    paths = [str(_SOURCES), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _replace_settings(environment: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value
        for name, value in environment.items()
        if name == X_RAY_DAEMON or not (name.startswith(_FOREIGN_PREFIXES) or name in _FOREIGN_NAMES)
    }
    return {**kept, **AWS_SETTINGS}

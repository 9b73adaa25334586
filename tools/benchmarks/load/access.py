"""Finds the API that a run loads, and a token for it."""

import argparse
import base64
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tools.arguments import find_target
from tools.benchmarks.machine import BenchmarkError
from tools.profiles import OperationError
from tools.targets import check_url, is_local

_SPARE_SECONDS = 60
"""Before and after the stages."""
_SENDABLE = re.compile(r"[!-~]*")


@dataclass(frozen=True)
class Access:
    """An API and a token for all of its routes."""

    url: str
    token: str

    @property
    def local_port(self) -> int | None:
        """The API's port on this machine; None elsewhere."""
        return (urlsplit(self.url).port or 80) if is_local(self.url) else None


def find_access(options: argparse.Namespace, seconds: float, environment: Mapping[str, str]) -> Access:
    """Return the API, with the token in `TOKEN` or one by client credentials.

    Args:
        options: the command line's options, with those of `tools.arguments`.
        seconds: duration of the run.
        environment: `TOKEN` is for an API that is neither local nor a stack of this project.

    Raises:
        BenchmarkError: the API is not found, or there is no token that lasts until the run's end.
    """
    token = environment.get("TOKEN", "").strip()
    if not _SENDABLE.fullmatch(token):
        # The HTTP client would quote it in its error.
        raise BenchmarkError("TOKEN has characters that no token has; set it to an access token alone.")
    try:
        if options.url is not None and token:
            check_url(options.url)
            access = Access(options.url.rstrip("/"), token)
        else:
            target = find_target(options)
            access = Access(target.url, target.client.get_token())
    except OperationError as error:
        raise BenchmarkError(str(error)) from error
    if urlsplit(access.url).scheme == "http" and access.local_port is None:
        raise BenchmarkError(f"{access.url} is not https: the token would cross the network unencrypted.")
    _check_expiry(access.token, seconds + _SPARE_SECONDS)
    return access


def _check_expiry(token: str, needed: float) -> None:
    try:
        payload = token.split(".")[1]
        left = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"] - time.time()
    except (IndexError, KeyError, TypeError, ValueError):
        # The token may be opaque; the API will tell whether it accepts it.
        return
    if left < needed:
        raise BenchmarkError(
            f"The token expires in {max(left, 0):.0f} seconds and the run needs {needed:.0f}: take a shorter profile or"
            " tokens that last longer (with the stack's own user pool, MachineTokenMinutes in stacks/identity.yaml)."
        )

"""Where the API is, and the token that a run sends to it."""

import base64
import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from tools.benchmarks.machine import ROOT, BenchmarkError

_SPARE_SECONDS = 60
"""For what comes before and after the stages."""


@dataclass(frozen=True)
class Access:
    """An API and a token for all of its routes."""

    url: str
    token: str

    @property
    def local_port(self) -> int | None:
        """The port where the API is on this machine; None elsewhere."""
        parts = urlsplit(self.url)
        try:
            is_local = parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
        except ValueError:
            is_local = False
        return (parts.port or 80) if is_local else None


def find_access(url: str | None, target: Sequence[str], seconds: float, environment: Mapping[str, str]) -> Access:
    """Return the API with the token of `TOKEN` or, by client credentials, one that the smoke test would use.

    Args:
        url: of the API, where the command line has one.
        target: the command line's options that say which API, as `tools.access` takes them.
        seconds: how long the run lasts.
        environment: with `TOKEN`, for an API that is no stack of one's own.

    Raises:
        BenchmarkError: the API cannot be told, or there is no token that lasts until the run's end.
    """
    token = environment.get("TOKEN", "").strip()
    access = Access(_read_url(url), token) if url is not None and token else _ask_operations(target)
    if urlsplit(access.url).scheme == "http" and access.local_port is None:
        raise BenchmarkError(f"{access.url} is not https: the token would cross the network unencrypted.")
    _check_expiry(access.token, seconds + _SPARE_SECONDS)
    return access


def _ask_operations(target: Sequence[str]) -> Access:
    # With its own environment's AWS SDK and HTTP client.
    command = [str(ROOT / ".venv/bin/python"), "-m", "tools.access", *target]
    asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if asked.returncode:
        raise BenchmarkError(asked.stderr.strip())
    answer = json.loads(asked.stdout)
    return Access(_read_url(answer["url"]), answer["token"])


def _read_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BenchmarkError(f"URL is {text!r}; it must be one such as http://127.0.0.1:3000 or https://….")
    return text.rstrip("/")


def _check_expiry(token: str, needed: float) -> None:
    try:
        payload = token.split(".")[1]
        left = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"] - time.time()
    except (IndexError, KeyError, TypeError, ValueError):
        # What a token holds is its issuer's affair; the API will say whether it takes it.
        return
    if left < needed:
        raise BenchmarkError(
            f"The token expires in {max(left, 0):.0f} seconds and the run needs {needed:.0f}: take a shorter profile,"
            " or have the issuer give tokens that last (the stack's own user pool: parameter MachineTokenMinutes)."
        )

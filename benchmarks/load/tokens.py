"""The access token that a run sends."""

import base64
import json
import subprocess
import time
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from benchmarks.machine import ROOT, BenchmarkError

_SPARE_SECONDS = 60
"""For what comes before and after the stages."""
_SCOPES = "read:resources write:resources"


def find_token(url: str, seconds: float, environment: Mapping[str, str]) -> str:
    """Return the token of `TOKEN`, or one of the local engine's issuer where the URL is of this machine.

    Args:
        url: of the API.
        seconds: how long the run lasts.
        environment: with `TOKEN`, for a deployed API.

    Raises:
        BenchmarkError: there is none, or it expires before the run's end.
    """
    needed = seconds + _SPARE_SECONDS
    if token := environment.get("TOKEN", "").strip():
        _check_expiry(token, needed)
        return token
    port = find_local_port(url)
    if port is None:
        raise BenchmarkError(
            f"There is no token for {url}: give one with TOKEN=…, with the scopes to read and to write,"
            f" that is valid for {needed:.0f} seconds."
        )
    command = [str(ROOT / ".venv/bin/python"), "-m", "local", "token", "--port", str(port), "--sub", "load"]
    command += ["--scopes", _SCOPES, "--expires", str(round(needed))]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if printed.returncode:
        raise BenchmarkError(f"The local issuer gives no token: {printed.stderr.strip()}")
    return printed.stdout.strip()


def find_local_port(url: str) -> int | None:
    """Return the port of a URL of this machine, None for any other URL."""
    parts = urlsplit(url)
    try:
        is_local = parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        is_local = False
    return (parts.port or 80) if is_local else None


def _check_expiry(token: str, needed: float) -> None:
    try:
        payload = token.split(".")[1]
        left = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"] - time.time()
    except (IndexError, KeyError, TypeError, ValueError):
        # What a token holds is its issuer's affair; the API will say whether it takes it.
        return
    if left < needed:
        raise BenchmarkError(
            f"TOKEN expires in {max(left, 0):.0f} seconds and the run needs {needed:.0f}: take one that is valid for"
            " longer, or a shorter profile. (The stack's own user pool: parameter MachineTokenMinutes.)"
        )

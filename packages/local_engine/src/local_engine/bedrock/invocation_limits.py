"""The quota and the faults that a test sets on Bedrock's runtime."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local_engine.bedrock.bedrock_errors import STATUSES, STREAM_ERRORS, BedrockError, InvalidRequestError

OPERATIONS = ("InvokeModel", "InvokeModelWithResponseStream", "Converse", "ConverseStream", "CountTokens")
_MEMBERS = ("requestsPerSecond", "tokensPerSecond", "faults")


@dataclass
class _Fault:
    error: str
    operation: str | None
    left: int
    after_tokens: int | None


class InvocationLimits:
    """What `PUT /_local/bedrock` sets. Without it, there is no quota and no fault."""

    def __init__(self) -> None:
        self._rate: float | None = None
        self._allowed = 0.0
        self._counted_at = 0.0
        self._faults: list[_Fault] = []
        self.pause = 0.0
        """Seconds between two tokens."""

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Replace all settings.

        Args:
            settings: `requestsPerSecond`, `tokensPerSecond` of an answer, and `faults`: a list with `error`, and
                optionally `operation`, `count` (default 1) and `afterTokens`, for an error in the stream.

        Raises:
            InvalidRequestError: a setting is unknown or wrong.
        """
        if unknown := [name for name in settings if name not in _MEMBERS]:
            raise InvalidRequestError(f"{unknown[0]} is no setting. The settings are {', '.join(_MEMBERS)}.")
        rate, speed = settings.get("requestsPerSecond"), settings.get("tokensPerSecond")
        if rate is not None and (not _is_number(rate) or rate < 0):
            raise InvalidRequestError("requestsPerSecond must be a number from 0.")
        if speed is not None and (not _is_number(speed) or speed <= 0):
            raise InvalidRequestError("tokensPerSecond must be a positive number.")
        faults = [_read_fault(fault) for fault in settings.get("faults") or ()]
        self._rate, self._faults = rate, faults
        self._allowed, self._counted_at = max(1.0, rate) if rate else 0.0, time.monotonic()
        self.pause = 1 / speed if speed else 0.0

    def admit(self, operation: str) -> None:
        """Count a request.

        Raises:
            BedrockError: it exceeds the quota, or a fault is set.
        """
        if self._rate is not None:
            now = time.monotonic()
            self._allowed = min(max(1.0, self._rate), self._allowed + (now - self._counted_at) * self._rate)
            self._counted_at = now
            if self._allowed < 1:
                raise BedrockError("ThrottlingException", "Too many requests, please wait before trying again.")
            self._allowed -= 1
        if fault := self._take_fault(operation, in_stream=False):
            raise BedrockError(fault.error, f"{fault.error} was set for a test.")

    def find_stream_fault(self, operation: str) -> tuple[int, BedrockError] | None:
        """Return after how many tokens a stream fails, and the error. None if it does not."""
        fault = self._take_fault(operation, in_stream=True)
        if fault is None:
            return None
        return fault.after_tokens or 0, BedrockError(fault.error, f"{fault.error} was set for a test.")

    def _take_fault(self, operation: str, *, in_stream: bool) -> _Fault | None:
        for fault in self._faults:
            matches = fault.operation in (None, operation) and (fault.after_tokens is not None) == in_stream
            if fault.left and matches:
                fault.left -= 1
                return fault
        return None


def _read_fault(fault: Mapping[str, Any]) -> _Fault:
    error, operation, after = fault.get("error"), fault.get("operation"), fault.get("afterTokens")
    allowed = STATUSES if after is None else STREAM_ERRORS
    if error not in allowed:
        raise InvalidRequestError(f"error must be one of {', '.join(allowed)}.")
    if operation not in (None, *OPERATIONS):
        raise InvalidRequestError(f"operation must be one of {', '.join(OPERATIONS)}.")
    count = fault.get("count", 1)
    if not all(value is None or (isinstance(value, int) and value >= 0) for value in (count, after)):
        raise InvalidRequestError("count and afterTokens must be integers from 0.")
    return _Fault(str(error), operation, count, after)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""Terminal output of a running engine: a line per request, and warnings and errors of the functions.

With `verbose`, everything that the functions write appears as well.
"""

import contextlib
import io
import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO
from urllib.parse import unquote

from local_engine.observer import AnsweredRequest, Observer, TriggerRun
from local_engine.template.stack import Function

_INDENT = "    "
_COLORS = {"CRITICAL": 31, "ERROR": 31, "WARNING": 33, "INFO": 32, "DEBUG": 2}
_QUIET_LEVELS = ("INFO", "DEBUG")
_ID_LENGTH = 8
_LONGEST_SHOWN = 2000
"""How many characters of a path are shown. The gateway takes five times as many."""
# A JSON Web Token in its compact form (RFC 7519, section 3): base64url of `{"`, of claims, and a signature.
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
# Powertools sets these on every line. They are the same for all requests of a process, or stand at the line's start.
_HIDDEN_KEYS = {
    "cold_start",
    "function_arn",
    "function_memory_size",
    "function_name",
    "level",
    "message",
    "service",
    "timestamp",
    "xray_trace_id",
}


class Console(Observer):
    """Writes to the terminal."""

    def __init__(
        self,
        stream: TextIO = sys.stdout,
        *,
        is_verbose: bool = False,
        summarize_metrics: Callable[[Mapping[str, Any]], str | None] = json.dumps,
    ) -> None:
        """Take the terminal.

        Args:
            stream: where to write.
            is_verbose: whether to show log records below WARNING and metrics.
            summarize_metrics: returns a short form of a record with metrics, or None if it is malformed.
        """
        if isinstance(stream, io.TextIOWrapper):
            # A function may write characters that the terminal's encoding lacks.
            stream.reconfigure(errors="backslashreplace")
        self._stream = stream
        self._has_colors = stream.isatty()
        self._is_verbose = is_verbose
        self._summarize_metrics = summarize_metrics

    def show(self, text: str = "") -> None:
        """Write text at once."""
        # The reader of the output may be gone. The API still runs.
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(text + "\n")
            self._stream.flush()

    def notice_given(self, text: str) -> None:
        """Write a notice."""
        self.show(text)

    def request_answered(self, request: AnsweredRequest) -> None:
        """Write the line of a request."""
        color = 31 if request.status >= 500 else 33 if request.status >= 400 else 32
        parts = (
            time.strftime("%H:%M:%S"),
            _describe(request.method),
            _describe(request.path),
            self._paint(str(request.status), color),
            f"{request.latency:.0f} ms",
            request.function,
            request.start,
            request.id[:_ID_LENGTH],
        )
        self.show(" ".join(part for part in parts if part))

    def trigger_ran(self, run: TriggerRun) -> None:
        """Write the line of a run that a trigger started."""
        parts = (
            time.strftime("%H:%M:%S"),
            run.source,
            f"{run.records} record{'s' * (run.records != 1)}",
            self._paint(run.outcome, 31 if run.is_error else 32),
            f"{run.milliseconds:.0f} ms",
            run.function,
            run.start,
            run.id[:_ID_LENGTH],
        )
        self.show(" ".join(part for part in parts if part))

    def fault_found(self, function: str, text: str) -> None:
        """Write a fault, its traceback indented."""
        first, *rest = text.splitlines() or [""]
        self.show("\n".join([f"{self._prefix(function)}{self._paint(first, 31)}", *(_INDENT + line for line in rest)]))

    def line_written(self, function: Function, line: str) -> None:
        """Write a line of a function: plain text as it is, JSON shortened, if it is to be shown."""
        shown = self._shorten(line)
        if shown is not None:
            self.show(self._prefix(function.logical_id) + shown)

    def show_alarm(self, name: str, state: str, reason: str) -> None:
        """Write the line of an alarm that was triggered or cleared."""
        self.show(f"{time.strftime('%H:%M:%S')} {self._paint(state, 31 if state == 'ALARM' else 32)} {name}: {reason}")

    def _prefix(self, function: str) -> str:
        return self._paint(f"{function} | ", 2)

    def _paint(self, text: str, color: int) -> str:
        return f"\x1b[{color}m{text}\x1b[0m" if self._has_colors else text

    def _shorten(self, line: str) -> str | None:
        if line.startswith("{"):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                return line
            if "_aws" in record:
                summary = self._summarize_metrics(record)
                # CloudWatch ignores a malformed record in silence, so the developer should see it.
                return line if summary is None else summary if self._is_verbose else None
            if "level" in record and "message" in record:
                is_shown = self._is_verbose or record["level"] not in _QUIET_LEVELS
                return self._shorten_record(record) if is_shown else None
        return line

    def _shorten_record(self, record: Mapping[str, Any]) -> str:
        level = str(record["level"])
        keys = [
            f"{key}={_value_text(value)}"
            for key, value in record.items()
            if key not in _HIDDEN_KEYS and key not in ("exception", "stack_trace")
        ]
        text = " ".join([self._paint(level, _COLORS.get(level, 0)), _value_text(record["message"]), *keys])
        traceback = str(record.get("exception") or "")
        return "\n".join([text, *(_INDENT + line for line in traceback.splitlines())])


def mask_tokens(text: str) -> str:
    """Return a text without its JSON Web Tokens; a text with an encoded one is returned decoded."""
    decoded = text
    if "%" in text:
        # A link in a parameter of a link is encoded once more.
        for _ in range(3):
            decoded = unquote(decoded)
    return _TOKEN.sub("<token>", decoded) if _TOKEN.search(decoded) else text


def _value_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _describe(text: str) -> str:
    """Return a part of a request for the console: bounded, without tokens and control sequences."""
    text = mask_tokens(text[:_LONGEST_SHOWN]) + ("…" if len(text) > _LONGEST_SHOWN else "")
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)

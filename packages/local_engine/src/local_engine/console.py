"""What the engine shows while it runs: a line a request, and what functions write, made readable."""

import contextlib
import io
import json
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

from local_engine.cloudwatch.emf import MalformedMetrics, read_record

_INDENT = "    "
_COLORS = {"CRITICAL": 31, "ERROR": 31, "WARNING": 33, "INFO": 32, "DEBUG": 2}
# Set on every line by Powertools; the same for all requests of a process, or shown at the line's start.
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


class Console:
    """Write to the terminal."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        if isinstance(stream, io.TextIOWrapper):
            # What a function writes need not be possible in the terminal's encoding.
            stream.reconfigure(errors="backslashreplace")
        self._stream = stream
        self._has_colors = stream.isatty()

    def show(self, text: str = "") -> None:
        """Write text at once."""
        # Whoever read the output may be gone; the API is still there.
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(text + "\n")
            self._stream.flush()

    def show_request(
        self, *, method: str, path: str, status: int, milliseconds: float, function: str, start: str, request_id: str
    ) -> None:
        """Write the line of one request; `start` is `cold` or `warm`, and empty where no function ran."""
        color = 31 if status >= 500 else 33 if status >= 400 else 32
        details = " ".join(part for part in (function, start, request_id) if part)
        clock = time.strftime("%H:%M:%S")
        self.show(
            f"{clock} {method} {_printable(path)} {self._paint(str(status), color)} {milliseconds:.0f} ms {details}"
        )

    def show_error(self, function: str, text: str) -> None:
        """Write what went wrong in a function, its traceback indented."""
        first, *rest = text.splitlines() or [""]
        self.show("\n".join([f"{self._prefix(function)}{self._paint(first, 31)}", *(_INDENT + line for line in rest)]))

    def show_alarm(self, name: str, state: str, reason: str) -> None:
        """Write the line of an alarm that went off or is over."""
        self.show(f"{time.strftime('%H:%M:%S')} {self._paint(state, 31 if state == 'ALARM' else 32)} {name}: {reason}")

    def write_line(self, function: str, line: str) -> None:
        """Write a line that a function has written, condensed where it is a log record or a metric in JSON."""
        self.show(self._prefix(function) + self._condense(line))

    def _prefix(self, function: str) -> str:
        return self._paint(f"{function} | ", 2)

    def _paint(self, text: str, color: int) -> str:
        return f"\x1b[{color}m{text}\x1b[0m" if self._has_colors else text

    def _condense(self, line: str) -> str:
        if line.startswith("{"):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                return line
            if "_aws" in record:
                return _condense_metrics(record) or line
            if "level" in record and "message" in record:
                return self._condense_record(record)
        return line

    def _condense_record(self, record: Mapping[str, Any]) -> str:
        level = str(record["level"])
        keys = [
            f"{key}={_value_text(value)}"
            for key, value in record.items()
            if key not in _HIDDEN_KEYS and key not in ("exception", "stack_trace")
        ]
        text = " ".join([self._paint(level, _COLORS.get(level, 0)), _value_text(record["message"]), *keys])
        traceback = str(record.get("exception") or "")
        return "\n".join([text, *(_INDENT + line for line in traceback.splitlines())])


def _condense_metrics(record: Mapping[str, Any]) -> str | None:
    """Shorten a line in CloudWatch's embedded metric format to its metrics with their values and dimensions."""
    try:
        _, measurements = read_record(record)
    except MalformedMetrics:
        return None
    groups: dict[str, list[str]] = {}
    for measurement in measurements:
        dimensions = {name: value for entry in measurement.dimension_sets for name, value in entry.items()}
        labels = ", ".join(f"{name}={value}" for name, value in sorted(dimensions.items()))
        metrics = groups.setdefault(f"{measurement.namespace}: {{}} ({labels})", [])
        metrics.append(f"{measurement.name}={_value_text(record[measurement.name])}")
    return "METRIC " + "; ".join(shape.replace("{}", " ".join(metrics), 1) for shape, metrics in groups.items())


def _value_text(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        return _value_text(value[0])
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _printable(text: str) -> str:
    # A request must not be able to write control sequences to the terminal.
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)

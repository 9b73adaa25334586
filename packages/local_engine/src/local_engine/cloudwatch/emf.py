"""Reads metrics from lines that functions write ("Embedded metric format specification", CloudWatch User Guide)."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from local_engine.cloudwatch.metrics import Metric, MetricStore

LARGEST_LIST = 100
LARGEST_DIMENSION_SET = 30
_MARK = '"_aws"'


class MalformedMetrics(Exception):
    """A line that has `_aws` but is not in the format."""


class FunctionLog(Protocol):
    """Take what functions write."""

    def write_line(self, function: str, line: str) -> None:
        """Take a line of a function's output."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The values of one metric in a line, under each of its dimension sets."""

    namespace: str
    name: str
    unit: str
    values: list[float]
    dimension_sets: list[dict[str, str]]


class MetricLines:
    """Passes lines on to where they are shown, and what they measure to the store."""

    def __init__(self, log: FunctionLog, store: MetricStore) -> None:
        self._log = log
        self._store = store

    def write_line(self, function: str, line: str) -> None:
        """Take a line of a function's output."""
        self._log.write_line(function, line)
        if _MARK not in line:
            return
        try:
            record = json.loads(line)
            timestamp, measurements = read_record(record)
        except (ValueError, RecursionError, MalformedMetrics):
            return
        for measurement in measurements:
            for dimensions in measurement.dimension_sets:
                metric = Metric.of(measurement.namespace, measurement.name, dimensions)
                self._store.add(metric, measurement.values, measurement.unit, timestamp)


def read_record(record: Any) -> tuple[float, list[Measurement]]:
    """Read a line, parsed; returns its time in seconds since the epoch, and what it measures.

    Raises:
        MalformedMetrics: something in it is not as the format says; nothing of it counts then.
    """
    match record:
        case {"_aws": {"Timestamp": int(timestamp), "CloudWatchMetrics": [*directives]}}:
            found = [entry for directive in directives for entry in _read_directive(directive, record)]
            return timestamp / 1000, found
        case _:
            raise MalformedMetrics


def _read_directive(directive: Any, record: Mapping[str, Any]) -> Iterator[Measurement]:
    match directive:
        case {"Namespace": str(namespace), "Dimensions": [*names], "Metrics": [*metrics]}:
            dimension_sets = [_read_dimensions(entry, record) for entry in names] or [{}]
        case _:
            raise MalformedMetrics
    for metric in metrics:
        match metric:
            case {"Name": str(name)}:
                unit = str(metric.get("Unit", "None"))
                yield Measurement(namespace, name, unit, _read_values(record.get(name)), dimension_sets)
            case _:
                raise MalformedMetrics


def _read_dimensions(names: Any, record: Mapping[str, Any]) -> dict[str, str]:
    if not isinstance(names, list) or len(names) > LARGEST_DIMENSION_SET:
        raise MalformedMetrics
    dimensions = {}
    for name in names:
        value = record.get(name) if isinstance(name, str) else None
        if not isinstance(value, str):
            raise MalformedMetrics
        dimensions[name] = value
    return dimensions


def _read_values(value: Any) -> list[float]:
    values = value if isinstance(value, list) else [value]
    if not values or len(values) > LARGEST_LIST:
        raise MalformedMetrics
    return [_read_number(entry) for entry in values]


def _read_number(value: Any) -> float:
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:
        pass
    raise MalformedMetrics

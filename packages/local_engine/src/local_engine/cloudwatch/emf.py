"""Metrics in lines that functions write ("Embedded metric format specification", CloudWatch User Guide)."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local_engine.cloudwatch.metrics import Metric, MetricStore

LARGEST_LIST = 100
LARGEST_DIMENSION_SET = 30
_MARK = '"_aws"'


class MalformedMetrics(Exception):
    """A line with `_aws` that does not follow the format."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The values of one metric in a line, under each of its dimension sets."""

    namespace: str
    name: str
    unit: str
    values: list[float]
    dimension_sets: list[dict[str, str]]


def publish_line(line: str, store: MetricStore) -> None:
    """Put the metrics in a line into a store, if it has any."""
    if _MARK not in line:
        return
    try:
        timestamp, measurements = read_record(json.loads(line))
    except (ValueError, RecursionError, MalformedMetrics):
        return
    for measurement in measurements:
        for dimensions in measurement.dimension_sets:
            metric = Metric.of(measurement.namespace, measurement.name, dimensions)
            store.add(metric, measurement.values, measurement.unit, timestamp)


def summarize_record(record: Mapping[str, Any]) -> str | None:
    """Return a record's metrics with their values and dimensions. None if it does not follow the format."""
    try:
        _, measurements = read_record(record)
    except MalformedMetrics:
        return None
    groups: dict[str, list[str]] = {}
    for measurement in measurements:
        dimensions = {name: value for entry in measurement.dimension_sets for name, value in entry.items()}
        labels = ", ".join(f"{name}={value}" for name, value in sorted(dimensions.items()))
        metrics = groups.setdefault(f"{measurement.namespace}: {{}} ({labels})", [])
        value = record[measurement.name]
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        metrics.append(f"{measurement.name}={json.dumps(value)}")
    return "METRIC " + "; ".join(shape.replace("{}", " ".join(metrics), 1) for shape, metrics in groups.items())


def read_record(record: Any) -> tuple[float, list[Measurement]]:
    """Return the time of a parsed line in seconds since the epoch, and its measurements.

    Raises:
        MalformedMetrics: part of it does not follow the format, so nothing in it counts.
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

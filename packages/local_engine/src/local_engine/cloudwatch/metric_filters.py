"""Metric filters on log groups, and the gateway's access logs that feed them.

Source: "Filter pattern syntax for metric filters, subscription filters, filter log events, and Live Tail"
(CloudWatch Logs User Guide), "Customize HTTP API access logs" (API Gateway Developer Guide).
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local_engine.cloudwatch.metrics import Metric, MetricStore
from local_engine.cloudwatch.tokens import BooleanParser
from local_engine.template.stack import Resource

METRIC_FILTER = "AWS::Logs::MetricFilter"
MOST_DIMENSIONS = 3
# The properties of a stage that name its API and its access log, by resource type.
STAGES = {
    "AWS::ApiGatewayV2::Stage": ("ApiId", "AccessLogSettings"),
    "AWS::ApiGateway::Stage": ("RestApiId", "AccessLogSetting"),
}
_SELECTOR = r"\$\.[\w-]+(?:\.[\w-]+|\[\d+\])*"
_STEP = re.compile(r"\.([\w-]+)|\[(\d+)\]", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_VARIABLE = re.compile(r"\$context\.([A-Za-z][\w-]*(?:\.[\w-]+)*)", re.ASCII)
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "=": lambda value, number: value == number,
    "!=": lambda value, number: value != number,
    "<": lambda value, number: value < number,
    "<=": lambda value, number: value <= number,
    ">": lambda value, number: value > number,
    ">=": lambda value, number: value >= number,
}

type Condition = Callable[[Any], bool]


class FilterError(Exception):
    """The engine cannot apply the metric filter; the message is a sentence."""


class _Absent:
    """What a selector finds if the event lacks the property."""


_ABSENT = _Absent()


class MetricFilters:
    """The metric filters of a stack, applied to the log events of its log groups."""

    def __init__(self, resources: Mapping[str, Resource], store: MetricStore) -> None:
        """Compile the filters and the access log formats of a stack.

        Args:
            resources: the stack's resources by logical ID, with evaluated properties.
            store: receives the metrics.
        """
        self.problems: list[str] = []
        """A sentence for each filter that the engine cannot apply."""
        self._store = store
        self._filters: dict[str, list[_Filter]] = {}
        self._access_logs: dict[tuple[str, str], tuple[str, list[str]]] = {}
        for logical_id, resource in resources.items():
            if resource.type == METRIC_FILTER:
                self._add_filter(logical_id, resource.properties)
        for resource in resources.values():
            if resource.type in STAGES:
                self._add_access_log(resource)

    def has_access_log(self, api: str, stage: str) -> bool:
        """Return whether a filter applies to a stage's access log."""
        return (api, stage) in self._access_logs

    def publish_request(self, api: str, stage: str, context: Mapping[str, str]) -> None:
        """Write one request to its stage's access log and publish the metrics of the filters on it.

        Args:
            api: the API's ID, as `ApiId` of the stage resource has it.
            stage: the stage's name, such as `$default`.
            context: values of `$context` variables by name, such as `status` or `authorizer.claims.sub`; a variable
                without a value is logged as `-`.
        """
        access_log = self._access_logs.get((api, stage))
        if access_log is None:
            return
        log_group, parts = access_log
        # Texts and variables alternate. Escaped values cannot break out of a JSON string.
        texts = [json.dumps(context.get(part, "-"))[1:-1] if index % 2 else part for index, part in enumerate(parts)]
        self.publish_event(log_group, "".join(texts))

    def publish_event(self, log_group: str, message: str) -> None:
        """Publish the metrics of the filters that apply to one event of a log group."""
        filters = self._filters.get(log_group)
        if not filters:
            return
        try:
            event = json.loads(message)
        except (ValueError, RecursionError):
            event = None
        for metric_filter in filters:
            metric_filter.publish(event, self._store)

    def _add_filter(self, logical_id: str, properties: Mapping[str, Any]) -> None:
        try:
            compiled = _read_filter(properties)
        except FilterError as error:
            self.problems.append(f"The local engine cannot apply the metric filter {logical_id}: {error}")
            return
        self._filters.setdefault(_group_name(properties.get("LogGroupName")), []).append(compiled)

    def _add_access_log(self, resource: Resource) -> None:
        api_property, settings_property = STAGES[resource.type]
        settings = resource.properties.get(settings_property) or {}
        log_group = _group_name(settings.get("DestinationArn"))
        if log_group in self._filters:
            stage = str(resource.properties.get("StageName"))
            parts = _VARIABLE.split(str(settings.get("Format") or ""))
            self._access_logs[str(resource.properties.get(api_property)), stage] = log_group, parts


@dataclass(frozen=True)
class _Transformation:
    """How matching events become values of a metric."""

    namespace: str
    name: str
    unit: str
    value: float | Sequence[str | int]
    """A constant, or the path of the property that has the value."""
    default: float | None
    dimensions: Mapping[str, Sequence[str | int]]
    """Paths by dimension name."""

    def publish(self, event: Any, store: MetricStore) -> None:
        value = self.value if isinstance(self.value, int | float) else _read_value(_find(event, self.value))
        if value is None:
            return
        dimensions = {name: _text_of(_find(event, path)) for name, path in self.dimensions.items()}
        found = {name: text for name, text in dimensions.items() if text is not None}
        store.add(Metric.of(self.namespace, self.name, found), (value,), self.unit)

    def publish_default(self, store: MetricStore) -> None:
        if self.default is not None:
            store.add(Metric.of(self.namespace, self.name, {}), (self.default,), self.unit)


@dataclass(frozen=True)
class _Filter:
    matches: Condition
    transformations: Sequence[_Transformation]

    def publish(self, event: Any, store: MetricStore) -> None:
        is_match = self.matches(event)
        for transformation in self.transformations:
            if is_match:
                transformation.publish(event, store)
            else:
                transformation.publish_default(store)


def compile_pattern(pattern: str) -> Condition:
    """Compile a filter pattern into a predicate on a parsed event; None is an event that is not JSON.

    A comparison does not match an event that lacks the property, or that has an array, object, Boolean or null there.

    Raises:
        FilterError: the pattern is invalid, or neither empty nor a pattern for JSON.
    """
    text = pattern.strip()
    if text.strip('" ') == "":
        return lambda _: True
    if not (text.startswith("{") and text.endswith("}")):
        raise FilterError(f"{text!r} is not a pattern for JSON, such as {{ $.status = 500 }}.")
    return _PatternParser(text[1:-1]).parse()


class _PatternParser(BooleanParser[Any]):
    language = "The filter pattern"
    error = FilterError
    either, both, negation = "||", "&&", ""
    token = re.compile(
        rf"\s*(?:&&|\|\||[()]|(?P<selector>{_SELECTOR})\s*"
        r"(?:IS\s+(?P<constant>NULL|TRUE|FALSE)\b|(?P<absent>NOT\s+EXISTS)\b"
        r'|(?P<operator>[!<>]=|[=<>])\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[\w.*+-]+))))',
        re.ASCII,
    )

    def compile_term(self, match: re.Match[str]) -> Condition:
        path = _read_path(match["selector"])
        if match["absent"]:
            return lambda event: isinstance(_find(event, path), _Absent)
        if match["constant"]:
            constant = {"NULL": None, "TRUE": True, "FALSE": False}[match["constant"]]
            return lambda event: _find(event, path) is constant
        if match["quoted"] is not None:
            return _compile_text(path, match["operator"], re.sub(r"\\(.)", r"\1", match["quoted"]))
        if _NUMBER.fullmatch(match["bare"]):
            return _compile_number(path, match["operator"], match["bare"])
        return _compile_text(path, match["operator"], match["bare"])


def _compile_number(path: Sequence[str | int], operator: str, text: str) -> Condition:
    compare, number = _COMPARISONS[operator], float(text)
    compare_text = _compile_text(path, operator, text) if operator in ("=", "!=") else None

    def matches(event: Any) -> bool:
        value = _find(event, path)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return compare(value, number)
        return compare_text is not None and compare_text(event)

    return matches


def _compile_text(path: Sequence[str | int], operator: str, text: str) -> Condition:
    if operator not in ("=", "!="):
        raise FilterError(f"The filter pattern compares {text!r} by {operator}, which takes a number.")
    is_wanted = operator == "="
    # An asterisk is a wildcard at the start and at the end only.
    middle = re.escape(text.strip("*"))
    before, after = (".*" if is_open else "" for is_open in (text.startswith("*"), text.endswith("*")))
    wanted = re.compile(before + middle + after, re.DOTALL)

    def matches(event: Any) -> bool:
        value = _text_of(_find(event, path))
        return value is not None and (wanted.fullmatch(value) is not None) is is_wanted

    return matches


def _find(event: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        is_item = isinstance(event, list) and isinstance(step, int) and step < len(event)
        if not is_item and not (isinstance(event, dict) and step in event):
            return _ABSENT
        event = event[step]  # pyright: ignore[reportCallIssue, reportArgumentType]
    return event


def _text_of(value: Any) -> str | None:
    """Return the text of a string or number; None for anything else."""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _read_value(value: Any) -> float | None:
    """Return a property as a finite number, or None; access logs write numbers as strings."""
    text = _text_of(value)
    number = float(text) if text is not None and _NUMBER.fullmatch(text) else math.nan
    return number if math.isfinite(number) else None


def _read_path(selector: str) -> list[str | int]:
    return [name or int(index) for name, index in _STEP.findall(selector)]


def _group_name(name_or_arn: Any) -> str:
    name = str(name_or_arn or "")
    return name.partition(":log-group:")[2].removesuffix(":*") if name.startswith("arn:") else name


def _read_filter(properties: Mapping[str, Any]) -> _Filter:
    transformations = properties.get("MetricTransformations")
    if not isinstance(transformations, list) or not transformations:
        raise FilterError("It lacks MetricTransformations.")
    return _Filter(compile_pattern(str(properties.get("FilterPattern") or "")), [*map(_read_one, transformations)])


def _read_one(settings: Any) -> _Transformation:
    match settings:
        case {"MetricNamespace": str(namespace), "MetricName": str(name)}:
            pass
        case _:
            raise FilterError("It lacks MetricNamespace and MetricName.")
    dimensions = {str(entry["Key"]): str(entry["Value"]) for entry in settings.get("Dimensions") or ()}
    default = settings.get("DefaultValue")
    if dimensions and default is not None:
        raise FilterError("A metric with Dimensions cannot have a DefaultValue.")
    if len(dimensions) > MOST_DIMENSIONS:
        raise FilterError(f"A metric may have at most {MOST_DIMENSIONS} Dimensions.")
    value = str(settings.get("MetricValue", ""))
    return _Transformation(
        namespace=namespace,
        name=name,
        unit=str(settings.get("Unit") or "None"),
        value=_read_selector(value) if value.startswith("$") else _read_number("MetricValue", value),
        default=None if default is None else _read_number("DefaultValue", default),
        dimensions={dimension: _read_selector(selector) for dimension, selector in dimensions.items()},
    )


def _read_selector(text: str) -> list[str | int]:
    if not re.fullmatch(_SELECTOR, text, re.ASCII):
        raise FilterError(f"{text!r} does not select a property; write it like $.latency.")
    return _read_path(text)


def _read_number(name: str, value: Any) -> float:
    number = _read_value(value)
    if number is None:
        raise FilterError(f"{name} is {value!r}, which is neither a number nor a selector such as $.latency.")
    return number

"""The metrics that dashboards and alarms name."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from local_engine.template import Stack

QUERY = re.compile(
    r'SELECT (?:SUM|MAX|AVG)\("(?P<name>[^"]+)"\) FROM SCHEMA\("(?P<namespace>[^"]+)", (?P<dimensions>[\w", ]+)\)'
    r" WHERE (?P<label>\w+) = '(?P<value>[^']+)' GROUP BY [\w\", ]+ ORDER BY SUM\(\) DESC"
)


class Reference(NamedTuple):
    """A metric, as a panel or an alarm names it.

    A search leaves the values of some dimensions open, and may find all names that match a pattern such as `*Changed`.
    """

    place: str
    namespace: str
    name: str
    dimensions: Mapping[str, str | None]


def list_references(stack: Stack) -> list[Reference]:
    """Every metric on a dashboard or in an alarm of a stack."""
    return list(_find_references(stack))


def _find_references(stack: Stack) -> Iterator[Reference]:
    for logical_id, resource in stack.resources.items():
        match resource.type:
            case "AWS::CloudWatch::Dashboard":
                yield from _read_dashboard(json.loads(resource.properties["DashboardBody"]))
            case "AWS::CloudWatch::Alarm":
                yield from _read_alarm(logical_id, resource.properties)


def _read_dashboard(body: Mapping[str, Any]) -> Iterator[Reference]:
    for widget in body["widgets"]:
        place = widget["properties"]["title"]
        for metric in widget["properties"].get("metrics", ()):
            options = metric[-1] if isinstance(metric[-1], dict) else {}
            if "expression" in options:
                yield from _read_search(place, options["expression"])
                continue
            namespace, name, *dimensions = [part for part in metric if isinstance(part, str)]
            yield Reference(place, namespace, name, dict(zip(dimensions[::2], dimensions[1::2], strict=True)))


def _read_search(place: str, expression: str) -> Iterator[Reference]:
    found = re.fullmatch(r"SEARCH\('\{([^}]+)\} (.+)', '(?:Sum|Maximum|p50|p90|p99)', 60\)", expression)
    assert found, f"{place} has an expression that no test reads: {expression}"
    namespace, *names = found[1].split(",")
    # A namespace with other characters than AWS's own must be quoted («CloudWatch search expression syntax»), and a
    # stack's name may have a hyphen.
    assert re.fullmatch(r'AWS/\w+|"[^"]+"', namespace), f"{place}: quote the namespace {namespace}"
    terms = dict(re.findall(r'(\w+)=\(?"([^"]+)"', found[2]))
    dimensions = {name: terms.get(name) for name in names}
    # Without a name, words are looked for in all names: those of every noun's counters.
    words = re.findall(r"\b[A-Z][a-z]+\b", found[2]) if "MetricName" not in terms else []
    for name in [f"*{word}" for word in words] or [terms["MetricName"]]:
        yield Reference(place, namespace.strip('"'), name, dimensions)


def _read_alarm(logical_id: str, properties: Mapping[str, Any]) -> Iterator[Reference]:
    entries = properties.get("Metrics", [])
    for entry in entries:
        if found := QUERY.fullmatch(entry.get("Expression", "")):
            dimensions: dict[str, str | None] = dict.fromkeys(found["dimensions"].replace('"', "").split(", "))
            yield Reference(
                logical_id, found["namespace"], found["name"], dimensions | {found["label"]: found["value"]}
            )
    metrics = [entry["MetricStat"]["Metric"] for entry in entries if "MetricStat" in entry]
    for metric in metrics or ([] if entries else [properties]):
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in metric.get("Dimensions", ())}
        yield Reference(logical_id, metric["Namespace"], metric["MetricName"], dimensions)

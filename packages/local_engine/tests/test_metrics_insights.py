"""Metrics Insights queries, and alarms on them with a contributor for each time series."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from local_engine.cloudwatch.alarms import Alarm, AlarmSet
from local_engine.cloudwatch.metric_math import MathError
from local_engine.cloudwatch.metric_queries import Queries, Query, Window
from local_engine.cloudwatch.metrics import Metric, MetricStore
from local_engine.template.stack import Resource

MINUTE = 1_000_000
SCHEMA = 'SCHEMA("AWS/ApiGateway", ApiId, "Method", "Resource", Stage)'
BY_ROUTE = f'SELECT SUM("5xx") FROM {SCHEMA} WHERE ApiId = \'abc\' GROUP BY "Method", "Resource" ORDER BY SUM() DESC'
ROUTE_VALUES: Mapping[str, Sequence[Sequence[float]]] = {
    "GET /orders": [[1, 0], [2], [0]],
    "POST /orders": [[0], [5, 1], []],
    "GET /quiet": [[0], [], [0]],
}


class Clock:
    def __init__(self) -> None:
        self.seconds = MINUTE * 60.0

    def __call__(self) -> float:
        return self.seconds


def _route(route: str, api: str = "abc") -> Metric:
    method, path = route.split(" ")
    return Metric.of("AWS/ApiGateway", "5xx", {"ApiId": api, "Stage": "live", "Method": method, "Resource": path})


def _select(query: str, period: int = 60) -> dict[str, list[float | None]]:
    clock = Clock()
    store = MetricStore(60, clock)
    for route, minutes in ROUTE_VALUES.items():
        for offset, values in enumerate(minutes):
            if values:
                store.add(_route(route), values, at=(MINUTE + offset) * 60.0)
    store.add(_route("GET /orders", "other"), [100], at=MINUTE * 60.0)
    store.add(Metric.of("AWS/ApiGateway", "5xx", {"ApiId": "abc"}), [1000], at=MINUTE * 60.0)
    store.add(Metric.of("Shop", 'say "5xx"', {}), [7], at=MINUTE * 60.0)
    queries = Queries([], store, Window(MINUTE + 3, 3, is_aligned=False), period)
    found = queries.evaluate(Query("q", period, expression=query))
    return {series.label: [series.points.get(start) for start in series.times] for series in found}


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (BY_ROUTE, {"POST /orders": [0, 6, None], "GET /orders": [1, 2, 0], "GET /quiet": [0, None, 0]}),
        (BY_ROUTE.replace("SUM(", "MAX(") + " LIMIT 1;", {"POST /orders": [0, 5, None]}),
        (BY_ROUTE.replace("DESC", "asc LIMIT 1"), {"GET /quiet": [0, None, 0]}),
        (f"SELECT AVG(\"5xx\") FROM {SCHEMA} WHERE ApiId = 'abc' AND \"Method\" != 'POST'", {"5xx": [1 / 3, 2, 0]}),
        (f'select count("5xx") from {SCHEMA} where "Method" != \'GET\'', {"5xx": [1, 2, None]}),
        (f'SELECT MIN("5xx") FROM {SCHEMA}', {"5xx": [0, 1, 0]}),
        # SCHEMA takes exactly its dimensions, a bare namespace any.
        ('SELECT SUM("5xx") FROM SCHEMA("AWS/ApiGateway", ApiId)', {"5xx": [1000, None, None]}),
        ('SELECT SUM("5xx") FROM SCHEMA("AWS/ApiGateway")', {"5xx": [None, None, None]}),
        ('SELECT SUM("5xx") FROM "AWS/ApiGateway"', {"5xx": [1101, 8, 0]}),
        # Without ORDER BY, groups are in alphabetical order; a metric without the label is in the group Other.
        (
            'SELECT SUM("5xx") FROM "AWS/ApiGateway" GROUP BY "Method"',
            {"GET": [101, 2, 0], "Other": [1000, None, None], "POST": [0, 6, None]},
        ),
        ('SELECT SUM("5xx") FROM "AWS/ApiGateway" WHERE ApiId = \'none\' GROUP BY "Method"', {}),
        (r'SELECT SUM("say \"5xx\"") FROM Shop', {'say "5xx"': [7, None, None]}),
        # Identifiers are case sensitive.
        ('SELECT SUM("5XX") FROM "AWS/ApiGateway"', {"5XX": [None, None, None]}),
    ],
)
def test_query(query: str, values: dict[str, list[float | None]]) -> None:
    found = _select(query)
    assert found == values
    assert list(found) == list(values)


def test_period_combines_minutes() -> None:
    assert _select(f"SELECT SUM(\"5xx\") FROM {SCHEMA} WHERE ApiId = 'abc'", period=180) == {"5xx": [9]}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("SELECT P99(x) FROM y", "'P99' where AVG, COUNT, MAX, MIN or SUM"),
        ("SELECT SUM(x)", "its end where FROM"),
        ("SELECT SUM() FROM y", "where a metric name"),
        ("SELECT SUM(x) FROM AWS/Lambda", "cannot be read from '/Lambda'"),
        ("SELECT SUM(x) FROM SCHEMA()", "where a namespace"),
        ("SELECT SUM(x) FROM SCHEMA(y", r"its end where \)"),
        ('SELECT SUM(x) FROM y WHERE a = "b"', "a label value in single quotation marks"),
        ("SELECT SUM(x) FROM y WHERE a > 'b'", "cannot be read from \"> 'b'\""),
        ("SELECT SUM(x) FROM y WHERE a 'b'", "where = or !="),
        ("SELECT SUM(x) FROM y WHERE a = 'b' OR a = 'c'", "'OR' where it should end"),
        ("SELECT SUM(x) FROM y GROUP a", "where BY"),
        ("SELECT SUM(x) FROM y ORDER BY SUM", r"its end where \("),
        ("SELECT SUM(x) FROM y LIMIT 501", "LIMIT 501"),
        ("SELECT SUM(x) FROM y LIMIT many", "LIMIT many"),
        # Reserved keywords
        ("SELECT SUM(x) FROM y GROUP BY Method", "write Method in double quotation marks"),
        ('SELECT SUM(x) FROM SCHEMA("y", Resource)', "write Resource in double quotation marks"),
    ],
)
def test_invalid_query_is_a_sentence(query: str, sentence: str) -> None:
    with pytest.raises(MathError, match=sentence):
        _select(query)


class Watch:
    """An alarm on errors by route; minutes pass as the test says."""

    def __init__(self, query: str = BY_ROUTE, **changes: Any) -> None:
        self.clock = Clock()
        self.store = MetricStore(60, self.clock)
        self.alarms = AlarmSet(self.store)
        properties = {
            "Metrics": [{"Id": "q", "Label": "failures", "Expression": query, "Period": 60}],
            "EvaluationPeriods": 1,
            "Threshold": 3,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            **changes,
        }
        self.alarms.declare({"Operations/RouteFailures": Resource("AWS::CloudWatch::Alarm", properties)})

    @property
    def alarm(self) -> Alarm:
        (alarm,) = self.alarms
        return alarm

    @property
    def states(self) -> dict[str, str]:
        return {name: contributor.state for name, contributor in self.alarm.contributors.items()}

    def pass_minute(self, **values: float) -> None:
        for method, value in values.items():
            self.store.add(_route(f"{method} /orders"), [value])
        self.clock.seconds += 60
        self.alarms.evaluate(self.store.minute_at(self.clock.seconds))


def test_each_time_series_is_a_contributor() -> None:
    watch = Watch()
    watch.pass_minute(GET=2, POST=2)
    assert watch.states == {"GET /orders": "OK", "POST /orders": "OK"}
    assert (watch.alarm.state, watch.alarm.reason) == ("OK", "2 out of 2 time series evaluated to OK")
    watch.pass_minute(GET=0, POST=4)
    assert watch.states == {"GET /orders": "OK", "POST /orders": "ALARM"}
    assert watch.alarm.state == "ALARM"
    assert watch.alarm.reason == "1 out of 2 time series evaluated to ALARM: POST /orders"
    contributor = watch.alarm.contributors["POST /orders"]
    assert "1 of the last 1 datapoints [4]" in contributor.reason
    assert contributor.since == watch.clock.seconds
    since = contributor.since
    watch.pass_minute(GET=9, POST=4)
    assert watch.alarm.contributors["POST /orders"].since == since
    assert watch.alarm.reason.endswith("ALARM: GET /orders, POST /orders")
    described = watch.alarm.describe()
    assert described["logicalId"] == "Operations/RouteFailures"
    assert [entry["name"] for entry in described["contributors"]] == ["GET /orders", "POST /orders"]
    assert described["contributors"][0]["datapoints"][-1]["value"] == 9
    watch.pass_minute(GET=0, POST=0)
    assert (watch.alarm.state, watch.states) == ("OK", {"GET /orders": "OK", "POST /orders": "OK"})


@pytest.mark.parametrize(
    ("treatment", "silent", "state"),
    [
        ("notBreaching", "OK", "OK"),
        ("breaching", "ALARM", "ALARM"),
        ("ignore", "ALARM", "ALARM"),
        (None, "INSUFFICIENT_DATA", "OK"),
    ],
)
def test_contributor_without_data(treatment: str | None, silent: str, state: str) -> None:
    watch = Watch(**({"TreatMissingData": treatment} if treatment else {}))
    for _ in range(2):
        watch.pass_minute(GET=0, POST=4)
    for _ in range(4):
        watch.pass_minute(GET=0)
    assert watch.states["POST /orders"] == silent
    assert watch.alarm.state == state


@pytest.mark.parametrize(
    ("treatment", "state"), [("notBreaching", "OK"), ("breaching", "ALARM"), ("missing", "INSUFFICIENT_DATA")]
)
def test_query_without_time_series(treatment: str, state: str) -> None:
    watch = Watch(TreatMissingData=treatment)
    watch.pass_minute()
    assert (watch.alarm.state, watch.alarm.contributors) == (state, {})
    assert watch.alarm.reason == f"No time series were returned by the query; missing data is treated as {treatment}"


def test_contributor_leaves_three_hours_after_its_last_data() -> None:
    watch = Watch(TreatMissingData="notBreaching")
    watch.pass_minute(GET=0, POST=0)
    for _ in range(180):
        watch.pass_minute(GET=0)
    assert set(watch.states) == {"GET /orders"}


def test_query_of_one_time_series_has_no_contributors() -> None:
    watch = Watch(BY_ROUTE.partition(" GROUP BY")[0])
    watch.pass_minute(GET=2, POST=2)
    assert (watch.alarm.state, watch.alarm.contributors) == ("ALARM", {})
    assert "1 of the last 1 datapoints [4]" in watch.alarm.reason


@pytest.mark.parametrize(
    ("query", "changes", "sentence"),
    [
        (BY_ROUTE.partition(" ORDER BY")[0], {}, "needs ORDER BY"),
        (BY_ROUTE.replace('"Method"', "Method"), {}, "write Method in double quotation marks"),
        (BY_ROUTE, {"EvaluationPeriods": 181}, "exceeds the 180 minutes"),
    ],
)
def test_what_cannot_be_evaluated_is_said(query: str, changes: dict[str, Any], sentence: str) -> None:
    watch = Watch(query, **changes)
    watch.pass_minute(GET=9)
    assert (watch.alarm.state, watch.alarm.rule) == ("INSUFFICIENT_DATA", None)
    assert sentence in watch.alarm.reason

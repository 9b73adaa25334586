"""Event patterns and schedule expressions, by the examples in AWS's documentation."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local_engine.event_bus.event_pattern import InvalidPattern, check_pattern, matches
from local_engine.event_bus.input_transformer import InvalidInput, fill_template
from local_engine.event_bus.schedule_expression import InvalidSchedule, parse_rate, parse_schedule

EVENT = {
    "source": "aws.ec2",
    "empty": "",
    "null": None,
    "detail": {
        "state": "terminated",
        "count": 300,
        "flag": True,
        "file": "photo.PNG",
        "path": "dir/a/b.txt",
        "ip": "10.0.0.7",
        "list": ["a", "b"],
        "records": [{"kind": "x", "size": 1}, {"kind": "y", "size": 9}],
    },
}


@pytest.mark.parametrize(
    ("condition", "names", "is_match"),
    [
        (["terminated", "stopped"], "state", True),
        (["running"], "state", False),
        ([{"prefix": "term"}], "state", True),
        ([{"prefix": {"equals-ignore-case": "TERM"}}], "state", True),
        ([{"suffix": ".png"}], "file", False),
        ([{"suffix": {"equals-ignore-case": ".png"}}], "file", True),
        ([{"equals-ignore-case": "photo.png"}], "file", True),
        ([{"wildcard": "dir/*/b.txt"}], "path", True),
        ([{"wildcard": "dir/*.png"}], "path", False),
        ([{"wildcard": r"dir/\*/b.txt"}], "path", False),
        ([{"cidr": "10.0.0.0/24"}], "ip", True),
        ([{"cidr": "10.0.1.0/24"}], "ip", False),
        ([{"numeric": [">", 0, "<=", 300]}], "count", True),
        ([{"numeric": ["<", 300]}], "count", False),
        ([{"numeric": ["=", 1]}], "flag", False),
        ([300], "count", True),
        (["300"], "count", False),
        ([True], "flag", True),
        ([1], "flag", False),
        ([{"anything-but": "running"}], "state", True),
        ([{"anything-but": ["terminated"]}], "state", False),
        ([{"anything-but": {"prefix": "run"}}], "state", True),
        ([{"anything-but": {"suffix": "ed"}}], "state", False),
        ([{"anything-but": {"wildcard": "*min*"}}], "state", False),
        ([{"anything-but": ["a"]}], "list", False),
        ([{"anything-but": "x"}], "absent", False),
        (["b"], "list", True),
        ([{"exists": True}], "state", True),
        ([{"exists": True}], "records", True),
        ([{"exists": False}], "absent", True),
        ([{"exists": False}], "state", False),
        ([{"exists": False}, "terminated"], "state", True),
        ({"kind": ["y"], "size": [{"numeric": [">", 5]}]}, "records", True),
        ({"kind": ["x"], "size": [{"numeric": [">", 5]}]}, "records", False),
    ],
)
def test_conditions(condition: Any, names: str, is_match: bool) -> None:
    pattern = {"detail": {names: condition}}
    check_pattern(pattern)
    assert matches(pattern, EVENT) is is_match


@pytest.mark.parametrize(
    ("pattern", "is_match"),
    [
        ({"source": ["aws.ec2"], "detail": {"state": ["terminated"]}}, True),
        ({"source": ["aws.s3"], "detail": {"state": ["terminated"]}}, False),
        ({"empty": [""], "null": [None]}, True),
        ({"absent": [None]}, False),
        ({"detail": {"$or": [{"count": [1]}, {"state": [{"prefix": "t"}]}]}}, True),
        ({"detail": {"$or": [{"count": [1]}, {"state": ["x"]}]}}, False),
        ({"source": [{"exists": True}], "detail": {"deep": {"er": [{"exists": False}]}}}, True),
    ],
)
def test_patterns(pattern: dict[str, Any], is_match: bool) -> None:
    check_pattern(pattern)
    assert matches(pattern, EVENT) is is_match


@pytest.mark.parametrize(
    "pattern",
    [{}, [], {"a": "b"}, {"a": []}, {"a": [{"near": 1}]}, {"a": [{"numeric": [">", "1"]}]}, {"$or": [{"a": [1]}]}],
)
def test_malformed_patterns_are_rejected(pattern: Any) -> None:
    with pytest.raises(InvalidPattern):
        check_pattern(pattern)


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        ("cron(0 10 * * ? *)", "UTC", "2026-01-01T10:00", "2026-01-02T10:00"),
        ("cron(15 12 ? * MON-FRI *)", "UTC", "2026-01-02T13:00", "2026-01-05T12:15"),
        ("cron(0/15 8-17 ? * MON-FRI *)", "UTC", "2026-01-02T17:50", "2026-01-05T08:00"),
        ("cron(0 18 L * ? *)", "UTC", "2026-02-01T00:00", "2026-02-28T18:00"),
        ("cron(0 18 L-3 * ? *)", "UTC", "2026-02-01T00:00", "2026-02-25T18:00"),
        ("cron(0 9 ? * L *)", "UTC", "2026-01-01T00:00", "2026-01-03T09:00"),
        ("cron(0 18 ? * 6L *)", "UTC", "2026-02-01T00:00", "2026-02-27T18:00"),
        ("cron(0 9 15W * ? *)", "UTC", "2026-02-01T00:00", "2026-02-16T09:00"),
        ("cron(0 9 ? * TUE#1 *)", "UTC", "2026-02-05T00:00", "2026-03-03T09:00"),
        ("cron(0 8 1 jan ? 2027-2028)", "UTC", "2026-02-05T00:00", "2027-01-01T08:00"),
        ("cron(0 8 1 1 ? 2025)", "UTC", "2026-02-05T00:00", None),
        # Clocks go from 02:00 to 03:00 on 8 March 2026, and from 02:00 to 01:00 on 1 November.
        ("cron(30 2 * * ? *)", "America/New_York", "2026-03-07T08:00", "2026-03-09T06:30"),
        ("cron(30 1 * * ? *)", "America/New_York", "2026-11-01T05:30", "2026-11-02T06:30"),
        ("at(2026-06-01T10:00:00)", "Europe/Vienna", "2026-01-01T00:00", "2026-06-01T08:00"),
        ("at(2026-06-01T10:00:00)", "UTC", "2026-06-01T10:00", None),
    ],
)
def test_next_time(expression: str, zone: str, after: str, expected: str | None) -> None:
    moment = parse_schedule(expression, zone)(datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert (moment and moment.strftime("%Y-%m-%dT%H:%M")) == expected


@pytest.mark.parametrize(
    ("expression", "zone"),
    [
        ("cron(0 9 * * * *)", "UTC"),
        ("cron(60 9 * * ? *)", "UTC"),
        ("cron(0 9 * * ?)", "UTC"),
        ("at(tomorrow)", "UTC"),
        ("cron(0 9 * * ? *)", "Nowhere"),
        ("every day", "UTC"),
    ],
)
def test_malformed_schedules_are_rejected(expression: str, zone: str) -> None:
    with pytest.raises(InvalidSchedule):
        parse_schedule(expression, zone)


def test_rates() -> None:
    assert parse_rate("rate(1 minute)") == timedelta(minutes=1)
    assert parse_rate("rate(12 hours)") == timedelta(hours=12)
    assert parse_rate("at(2026-06-01T10:00:00)") is None
    for expression in ("rate(0 minutes)", "rate(1 week)", "rate(minute)"):
        with pytest.raises(InvalidSchedule):
            parse_rate(expression)


def test_input_templates() -> None:
    values = {"id": "i-1", "n": 2, "object": {"a": [1]}}
    assert fill_template('{"id": <id>, "n": <n>, "o": <object>}', values) == '{"id": "i-1", "n": 2, "o": {"a": [1]}}'
    assert fill_template('"<id> has <n>"', values) == '"i-1 has 2"'
    assert fill_template('"one <id>"\n"two <n>"', values) == '"one i-1\\ntwo 2"'
    with pytest.raises(InvalidInput):
        fill_template("<id> has <n>", values)

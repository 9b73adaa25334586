"""Schedules run when a test turns the clock: rates, cron in time zones, one-time schedules of the template and code."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from conftest import STACKS, aws_client
from test_event_bus import ACCOUNT, Records, receive, wait_for

from local_engine.testing import EngineProcess

__all__ = ["wait_for"]


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "records"


@pytest.fixture
def monday() -> datetime:
    """Midnight before a Monday that is soon, in winter or summer time as the calendar has it."""
    now = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return now + timedelta(days=8 - now.isoweekday())


@pytest.fixture
def engine(records: Path, monday: datetime) -> Iterator[EngineProcess]:
    records.touch()
    end, once = monday + timedelta(days=3), monday + timedelta(days=5)
    parameters = (f"Records={records}", f"End={_text(end)}", f"Once={_text(once)[:-1]}")
    with EngineProcess(STACKS / "buses" / "template.yaml", "--parameters", *parameters) as engine:
        yield engine


@pytest.fixture(scope="module")
def unturned() -> Iterator[EngineProcess]:
    """An engine whose clock no test turns."""
    with EngineProcess(STACKS / "echo" / "template.yaml") as engine:
        yield engine


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_every_schedule_that_comes_due_runs(
    engine: EngineProcess, records: Path, monday: datetime, wait_for: Records
) -> None:
    assert re.search(r"Ticking\w*Wrong is not run: cron\(0 9 \* \* \* \*\) is not valid", engine.output)
    turned = engine.turn_clock(to=_text(monday))
    wait_for("Ticking", turned["runs"])
    records.write_text("")
    turned = engine.turn_clock(seconds=7 * 24 * 3600)
    assert (turned["runs"], turned["time"][:10]) == (14 + 3 + 1, _text(monday + timedelta(days=7))[:10])
    events = [run["event"] for run in wait_for("Ticking", 14 + 3)]
    # Not on the weekend, and not after the end date.
    place = ZoneInfo("America/New_York")
    mornings = [(monday + timedelta(days=day)).replace(tzinfo=place, hour=8, minute=30) for day in range(3)]
    assert sorted(event["at"] for event in events if "at" in event) == [_text(moment) for moment in mornings]
    times = sorted(datetime.fromisoformat(event["time"]) for event in events if "time" in event)
    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(hours=12)}
    event = next(event for event in events if "time" in event)
    assert event.pop("id")
    assert event.pop("time").endswith("Z")
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "region": "us-east-1",
        "resources": [f"arn:aws:events:us-east-1:{ACCOUNT}:rule/TickingDaily"],
        "detail": {},
    }
    engine.wait_for_line(r"rule TickingDaily 1 record ok")
    assert json.loads(receive(engine, "Copies")["Body"]) == {"queued": 1}


def test_one_time_schedule_of_a_program(engine: EngineProcess, monday: datetime, wait_for: Records) -> None:
    schedules = aws_client("scheduler", engine.services)
    target = {"Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:local-Reminder", "RoleArn": "arn:aws:iam::1:role/x"}
    options = {"FlexibleTimeWindow": {"Mode": "OFF"}, "ScheduleExpressionTimezone": "Europe/Vienna"}
    moment = monday.replace(tzinfo=ZoneInfo("Europe/Vienna"), hour=10)
    at = f"at({moment:%Y-%m-%dT%H:%M:%S})"
    schedules.create_schedule(
        Name="once", ScheduleExpression=at, Target=target, ActionAfterCompletion="DELETE", **options
    )
    schedules.create_schedule(Name="kept", ScheduleExpression=at, Target={**target, "Input": '"kept"'}, **options)
    schedules.create_schedule(Name="deleted", ScheduleExpression=at, Target=target, **options)
    schedules.delete_schedule(Name="deleted")
    schedules.create_schedule(Name="off", ScheduleExpression=at, Target=target, State="DISABLED", **options)
    engine.turn_clock(to=_text(moment - timedelta(seconds=40)))
    assert engine.turn_clock(seconds=60)["runs"] == 2
    runs = [run["event"] for run in wait_for("Reminder", 2)]
    assert engine.turn_clock(seconds=60)["runs"] == 0
    (event,) = (run for run in runs if run != "kept")
    assert event.pop("id")
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT,
        "time": _text(moment),
        "region": "us-east-1",
        "resources": [f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/default/once"],
        "detail": "{}",
    }
    names = {schedule["Name"] for schedule in schedules.list_schedules()["Schedules"]}
    assert names >= {"kept", "off"}
    assert "once" not in names


def test_hundreds_of_runs_are_all_delivered(engine: EngineProcess, wait_for: Records) -> None:
    schedules = aws_client("scheduler", engine.services)
    target = {"Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:local-Reminder", "RoleArn": "arn:aws:iam::1:role/x"}
    target["Input"] = '"<aws.scheduler.scheduled-time>"'
    options = {"FlexibleTimeWindow": {"Mode": "OFF"}, "ScheduleExpression": "rate(1 minute)"}
    schedules.create_schedule(Name="often", Target=target, **options)
    # The first run is at once.
    wait_for("Reminder", 1)
    assert engine.turn_clock(seconds=600 * 60)["runs"] >= 600
    times = [run["event"] for run in wait_for("Reminder", 601, seconds=120)]
    assert len(set(times)) == len(times)


def test_schedule_that_nothing_can_take_becomes_a_dead_letter(engine: EngineProcess) -> None:
    schedules = aws_client("scheduler", engine.services)
    letters = f"arn:aws:sqs:us-east-1:{ACCOUNT}:Undelivered"
    target = {
        "Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:absent",
        "RoleArn": "arn:aws:iam::1:role/x",
        "Input": '{"lost": 1}',
        "DeadLetterConfig": {"Arn": letters},
    }
    schedules.create_schedule(
        Name="lost", ScheduleExpression="rate(1 day)", Target=target, FlexibleTimeWindow={"Mode": "OFF"}
    )
    letter = receive(engine, "Undelivered")
    assert json.loads(letter["Body"]) == {"lost": 1}
    arn = f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/default/lost"
    assert letter["MessageAttributes"]["SCHEDULE_ARN"]["StringValue"] == arn


@pytest.mark.parametrize("turn", [{}, {"seconds": -1}, {"time": "2020-01-01T00:00:00Z"}, {"seconds": "many"}, []])
def test_clock_goes_forward_only(unturned: EngineProcess, turn: Any) -> None:
    with unturned.client() as client:
        before = client.get("/_local/clock").json()["time"]
        answer = client.post("/_local/clock", json=turn)
        assert (answer.status_code, answer.json().keys()) == (400, {"message"})
        assert client.get("/_local/clock").json()["time"] >= before


def test_web_pages_cannot_turn_the_clock(unturned: EngineProcess) -> None:
    with unturned.client() as client:
        answer = client.post("/_local/clock", json={"seconds": 60}, headers={"Origin": "https://elsewhere.example"})
        assert answer.status_code == 403
        assert httpx.codes.is_error(client.post("/_local/clock", content='{"seconds": 60}').status_code)

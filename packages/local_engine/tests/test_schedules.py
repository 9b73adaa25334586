"""Schedules run when a test turns the clock: rates, cron in time zones, one-time schedules of the template and of code."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
def engine(records: Path) -> Iterator[EngineProcess]:
    records.touch()
    with EngineProcess(STACKS / "buses" / "template.yaml", "--parameters", f"Records={records}") as engine:
        yield engine


def _times(runs: list[dict[str, Any]]) -> list[str]:
    return sorted(run["event"].get("time") or run["event"]["at"] for run in runs)


def test_every_schedule_that_comes_due_runs(engine: EngineProcess, wait_for: Records) -> None:
    assert "TickingWrong is not run: cron(0 9 * * * *) is not valid" in engine.output
    # A Friday. The schedules' first day is far away, so that the time of the test does not matter.
    engine.turn_clock(to="2031-01-03T13:00:00Z")
    # Half an hour before 08:30 in New York.
    wait_for("Ticking", 1)
    runs = wait_for("Ticking", 1, seconds=60)
    before = len(runs)
    turn = engine.turn_clock(seconds=3600 * 24 * 10)
    runs = wait_for("Ticking", before + 240 + 3, seconds=60)
    assert turn["runs"] == 243
    mornings = sorted(run["event"]["at"] for run in runs[before:] if "at" in run["event"])
    # Not on the weekend, and not after the end date.
    assert mornings == ["2031-01-03T13:30:00Z", "2031-01-06T13:30:00Z", "2031-01-07T13:30:00Z"]
    event = next(run["event"] for run in runs if "time" in run["event"])
    event.pop("id")
    event.pop("time")
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "region": "us-east-1",
        "resources": [f"arn:aws:events:us-east-1:{ACCOUNT}:rule/TickingHourly"],
        "detail": {},
    }
    engine.wait_for_line(r"rule TickingHourly 1 record ok")
    assert json.loads(receive(engine, "Copies")["Body"]) == {"queued": 1}


def test_one_time_schedule_of_a_program(engine: EngineProcess, wait_for: Records) -> None:
    schedules = aws_client("scheduler", engine.services)
    target = {"Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:local-Reminder", "RoleArn": "arn:aws:iam::1:role/x"}
    options = {"FlexibleTimeWindow": {"Mode": "OFF"}, "ScheduleExpressionTimezone": "Europe/Vienna"}
    at = "at(2030-01-01T10:00:00)"
    schedules.create_schedule(
        Name="once", ScheduleExpression=at, Target=target, ActionAfterCompletion="DELETE", **options
    )
    schedules.create_schedule(Name="kept", ScheduleExpression=at, Target={**target, "Input": '"kept"'}, **options)
    schedules.create_schedule(Name="deleted", ScheduleExpression=at, Target=target, **options)
    schedules.delete_schedule(Name="deleted")
    schedules.create_schedule(Name="off", ScheduleExpression=at, Target=target, State="DISABLED", **options)
    engine.turn_clock(to="2030-01-01T08:59:59Z")
    engine.turn_clock(seconds=60)
    runs = [run["event"] for run in wait_for("Reminder", 2)]
    engine.turn_clock(seconds=60)
    (event,) = (run for run in runs if run != "kept")
    assert event.pop("id")
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT,
        "time": "2030-01-01T09:00:00Z",
        "region": "us-east-1",
        "resources": [f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/default/once"],
        "detail": "{}",
    }
    names = {schedule["Name"] for schedule in schedules.list_schedules()["Schedules"]}
    assert names >= {"kept", "off"}
    assert "once" not in names
    assert len(wait_for("Reminder", 2)) == 2


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
def test_clock_goes_forward_only(engine: EngineProcess, turn: Any) -> None:
    with engine.client() as client:
        before = client.get("/_local/clock").json()["time"]
        answer = client.post("/_local/clock", json=turn)
        assert (answer.status_code, answer.json().keys()) == (400, {"message"})
        assert client.get("/_local/clock").json()["time"] >= before


def test_web_pages_cannot_turn_the_clock(engine: EngineProcess) -> None:
    with engine.client() as client:
        answer = client.post("/_local/clock", json={"seconds": 60}, headers={"Origin": "https://elsewhere.example"})
        assert answer.status_code == 403
        assert httpx.codes.is_error(client.post("/_local/clock", content='{"seconds": 60}').status_code)

"""Rules and schedules while their functions are killed, against a model of what must happen."""

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import STACKS, aws_client
from test_event_bus import ACCOUNT
from test_event_source_faults import PATIENCE, SEED, killing
from test_event_sources import Consumers

from local_engine.services import start_services
from local_engine.testing import EngineProcess

EVENTS = 200
PAUSE = 0.5
"""Seconds between two kills."""


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records"
    path.touch()
    return path


@pytest.fixture
def consumers(records: Path) -> Iterator[Consumers]:
    with EngineProcess(STACKS / "buses" / "template.yaml", "--parameters", f"Records={records}") as engine:
        yield Consumers(engine)


def received(records: Path, function: str) -> list[Any]:
    lines = records.read_text().splitlines()
    entries = [json.loads(line) for line in lines if line.endswith("}")]
    return [entry["event"] for entry in entries if entry["function"] == f"local-{function}"]


def test_each_event_arrives_and_only_poisons_are_dead_letters(consumers: Consumers, records: Path) -> None:
    poisons = set(random.Random(SEED).sample(range(EVENTS), 8))
    events = aws_client("events", consumers.engine.services)
    dead: list[int] = []

    def is_finished() -> bool:
        dead.extend(json.loads(message["Body"])["detail"]["n"] for message in consumers.receive("Poison"))
        arrived = {event["detail"]["n"] for event in received(records, "Created")}
        return len(arrived) == EVENTS and len(set(dead)) >= len(poisons)

    with killing(consumers, PAUSE):
        for start in range(0, EVENTS, 10):
            details = [
                {"n": number, "total": 101, **({"deed": "poison"} if number in poisons else {})}
                for number in range(start, start + 10)
            ]
            entries = [
                {"EventBusName": "orders", "Source": "shop", "DetailType": "Order", "Detail": json.dumps(detail)}
                for detail in details
            ]
            assert events.put_events(Entries=entries)["FailedEntryCount"] == 0
        consumers.wait(is_finished, PATIENCE)
    assert set(dead) == poisons
    # Nothing is invented, and an event keeps its ID whenever it is delivered again.
    identities = {(event["detail"]["n"], event["id"]) for event in received(records, "Created")}
    assert len(identities) == EVENTS


def test_each_run_of_a_schedule_arrives(consumers: Consumers, records: Path) -> None:
    schedules = aws_client("scheduler", consumers.engine.services)
    target = {"Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:local-Reminder", "RoleArn": "arn:aws:iam::1:role/x"}
    schedules.create_schedule(
        Name="often",
        ScheduleExpression="rate(1 minute)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={**target, "Input": '"<aws.scheduler.scheduled-time>"'},
    )
    runs = 1
    # The first run is at once.
    consumers.wait(lambda: bool(received(records, "Reminder")))
    with killing(consumers, PAUSE):
        for _ in range(EVENTS // 20):
            consumers.engine.turn_clock(seconds=20 * 60)
            runs += 20
        consumers.wait(lambda: len(set(received(records, "Reminder"))) >= runs, PATIENCE)
    times = sorted(datetime.fromisoformat(time) for time in set(received(records, "Reminder")))
    assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(minutes=1)}
    assert len(times) == runs
    assert not consumers.receive("Poison")


def test_what_comes_while_the_engine_is_dead_arrives_after_its_restart(records: Path) -> None:
    """An engine that is killed loses at most the events that it had taken and not finished."""
    services = start_services()
    try:
        first = EngineProcess(
            STACKS / "buses" / "template.yaml", "--services", services.endpoint, "--parameters", f"Records={records}"
        )
        events = aws_client("events", services.endpoint)

        def send(numbers: range) -> None:
            for start in numbers[::10]:
                entries = [
                    {
                        "EventBusName": "orders",
                        "Source": "shop",
                        "DetailType": "Order",
                        "Detail": json.dumps({"n": number, "total": 101}),
                    }
                    for number in range(start, start + 10)
                ]
                assert events.put_events(Entries=entries)["FailedEntryCount"] == 0

        def arrived() -> set[int]:
            return {event["detail"]["n"] for event in received(records, "Created")}

        with first:
            send(range(50))
            Consumers(first).wait(lambda: bool(arrived()), PATIENCE)
            first.process.kill()
            first.process.wait()
        send(range(50, 100))
        clock = {"seconds": 36 * 3600}
        turned = httpx.post(f"{services.endpoint}/_local/clock", json=clock, trust_env=False, timeout=60)
        assert turned.json()["runs"] > 0
        missed = len(received(records, "Ticking"))
        with EngineProcess(
            STACKS / "buses" / "template.yaml", "--services", services.endpoint, "--parameters", f"Records={records}"
        ) as second:
            wait = Consumers(second).wait
            wait(lambda: arrived() >= set(range(50, 100)), PATIENCE)
            wait(lambda: len(received(records, "Ticking")) >= missed + turned.json()["runs"], PATIENCE)
        assert arrived() <= set(range(100))
        # An event keeps its ID whenever it is delivered again.
        identities = {(event["detail"]["n"], event["id"]) for event in received(records, "Created")}
        assert len(identities) == len(arrived())
    finally:
        services.stop()

"""Events are put in batches, those that fail are repeated alone, and what still fails is reported."""

import importlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.functions import import_function
from tests.support.gateway import ENVIRONMENT, Context, import_functions
from tests.support.http_server import Reply, Request, Server, make_reply
from tests.support.stack import ROOT

type Answer = Callable[[list[dict[str, Any]]], Reply]


def take(entries: list[dict[str, Any]], failed: Callable[[dict[str, Any]], bool] = lambda _: False) -> Reply:
    """What EventBridge answers («PutEvents», Amazon EventBridge API Reference)."""
    assert 1 <= len(entries) <= 10
    results = [
        {"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"} if failed(entry) else {"EventId": "1"}
        for entry in entries
    ]
    content = {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}
    return make_reply(json.dumps(content).encode(), 200)


class EventBridge:
    """A stub of PutEvents, because no emulator takes only some of the entries."""

    def __init__(self) -> None:
        self.answer: Answer = take
        self.calls: list[list[str]] = []
        """IDs of the entries of each call."""
        self.letters: list[dict[str, Any]] = []

    def reply(self, request: Request) -> Reply:
        target = request.headers["X-Amz-Target"]
        body = json.loads(request.body)
        if target == "AmazonSQS.SendMessage":
            self.letters.append(json.loads(body["MessageBody"]))
            return make_reply(b'{"MessageId": "1"}', 200)
        assert target == "AWSEvents.PutEvents"
        self.calls.append([json.loads(entry["Detail"])["id"] for entry in body["Entries"]])
        return self.answer(body["Entries"])


@pytest.fixture
def bridge() -> EventBridge:
    return EventBridge()


@pytest.fixture
def publish(bridge: EventBridge, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[list[Any]], list[str]]]:
    """Runs PublishChanges on records and returns the numbers of those that it reports."""
    with Server(bridge.reply) as server:
        environment = {
            **ENVIRONMENT,
            "AWS_ENDPOINT_URL": server.url,
            "EVENT_BUS": "bus",
            "DEAD_LETTERS": "http://q/1/q",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with import_functions(environment), import_function(ROOT / "functions/publish_changes") as handler:
            policy = handler.__globals__["publish_events"].__globals__["_policy"]
            monkeypatch.setitem(
                handler.__globals__["publish_events"].__globals__,
                "_policy",
                SimpleNamespace(retries=policy.retries, backoff=policy.backoff, sleep=lambda _: None),
            )

            def run(records: list[Any]) -> list[str]:
                response = handler({"Records": records}, Context())
                return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]

            yield run


def make_record(number: int) -> dict[str, Any]:
    text = (ROOT / "events/publish_changes.json").read_text().replace("1100000000017454423009", str(number))
    (record,) = json.loads(text.replace("019ab0c1-7a3e", f"{number:08x}-7a3e"))["Records"]
    return record


def list_ids(*numbers: int) -> list[str]:
    return [f"{number:08x}-7a3e-7c55-9d1f-3f2b8c6d4e10" for number in numbers]


def test_events_are_put_ten_at_a_time(bridge: EventBridge, publish: Any) -> None:
    assert publish([make_record(number) for number in range(23)]) == []
    assert bridge.calls == [list_ids(*range(10)), list_ids(*range(10, 20)), list_ids(20, 21, 22)]


def test_failed_entries_are_repeated_alone(bridge: EventBridge, publish: Any) -> None:
    bridge.answer = lambda entries: take(
        entries, lambda entry: len(bridge.calls) == 1 and json.loads(entry["Detail"])["id"] in list_ids(2, 5)
    )
    assert publish([make_record(number) for number in range(8)]) == []
    assert bridge.calls == [list_ids(*range(8)), list_ids(2, 5)]


@pytest.mark.parametrize("status", [400, 500])
def test_a_call_that_fails_is_repeated(bridge: EventBridge, publish: Any, status: int) -> None:
    bridge.answer = lambda entries: (
        make_reply(b'{"__type": "ThrottlingException"}', status) if len(bridge.calls) < 3 else take(entries)
    )
    assert publish([make_record(1)]) == []
    assert bridge.calls == [list_ids(1)] * 3


def test_what_fails_each_time_is_reported(bridge: EventBridge, publish: Any, capsys: Any) -> None:
    bridge.answer = lambda entries: take(entries, lambda entry: json.loads(entry["Detail"])["id"] in list_ids(3, 7))
    assert publish([make_record(number) for number in range(9)]) == ["3", "7"]
    assert bridge.calls == [list_ids(*range(9)), *[list_ids(3, 7)] * 3]
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"FailedEntries"' in line]
    assert [metric["FailedEntries"] for metric in metrics] == [[8.0]]


@pytest.mark.parametrize("is_late", [False, True], ids=["in time", "no time left"])
def test_what_a_bus_that_hangs_does_not_take_is_reported_and_counted(
    bridge: EventBridge, publish: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    answered = threading.Event()

    def hang(entries: list[dict[str, Any]]) -> Reply:
        answered.wait(60)
        return take(entries)

    bridge.answer = hang
    monkeypatch.setattr(importlib.import_module("records.events"), "_CALL_SECONDS", 0.6)
    monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda _: 1_000 if is_late else 3_000)
    try:
        assert publish([make_record(number) for number in range(38)]) == [str(number) for number in range(38)]
    finally:
        answered.set()
    # One call that hangs leaves time for another.
    assert bridge.calls[:2] == ([] if is_late else [list_ids(*range(10)), list_ids(*range(10, 20))])
    (metric,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"FailedEntries"' in line]
    assert metric["FailedEntries"] >= [38.0]


def test_a_record_that_was_set_aside_gives_the_same_event(bridge: EventBridge, publish: Any) -> None:
    """Its fields are hashes then, but the same ones differ."""
    record = make_record(1)
    new = record["dynamodb"]["NewImage"]
    record["dynamodb"]["OldImage"] = {**new, "name": {"S": "a secret"}, "version": {"S": "0" * 16}}
    broken = json.loads(json.dumps(record))
    del broken["dynamodb"]["NewImage"]["writer"]["M"]["request"]
    assert publish([broken, make_record(2)]) == []
    assert bridge.calls == [list_ids(2)]
    (letter,) = bridge.letters
    assert "a secret" not in json.dumps(letter)
    assert letter["requestContext"]["functionArn"] == Context.invoked_function_arn
    (aside,) = letter["Records"]
    aside["dynamodb"]["NewImage"]["writer"] = new["writer"]
    bridge.answer = lambda entries: take(
        [entry for entry in entries if fields.append(json.loads(entry["Detail"])) is None]
    )
    fields: list[Any] = []
    assert publish([aside]) == publish([record]) == []
    assert fields[0] == fields[1]
    assert fields[0]["fields"] == ["name"]


def test_the_schemas_are_those_of_the_version_that_is_sent() -> None:
    folders = sorted(Path(ROOT / "models/events").iterdir())
    assert [folder.name for folder in folders] == ["v1"]
    assert {path.stem for path in folders[0].iterdir()} == {"Created", "Updated", "Deleted", "UserErased"}


def test_another_noun_has_events_of_its_own_name(bridge: EventBridge, publish: Any) -> None:
    record = json.loads(json.dumps(make_record(1)).replace("resource#", "purchase order#"))
    kinds: list[str] = []
    bridge.answer = lambda entries: take([entry for entry in entries if kinds.append(entry["DetailType"]) is None])
    assert publish([record]) == []
    assert kinds == ["PurchaseOrderCreated"]

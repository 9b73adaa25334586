"""Event source mappings while their functions are killed, against a model of what must happen."""

import contextlib
import json
import os
import random
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import STACKS
from test_event_sources import Consumers

from local_engine.testing import EngineProcess, processes_below

MESSAGES = 500
SEED = 20_261_127
PATIENCE = 200


@pytest.fixture(scope="module")
def consumers() -> Iterator[Consumers]:
    with EngineProcess(STACKS / "chaos" / "template.yaml") as engine:
        yield Consumers(engine)


@contextlib.contextmanager
def killing(consumers: Consumers, pause: float = 1.5) -> Iterator[None]:
    """Kill a process of a function now and then, besides those that end themselves."""
    services = set(processes_below(consumers.engine.process.pid))
    ended = threading.Event()
    choices = random.Random(SEED)

    def kill() -> None:
        while not ended.wait(pause):
            functions = set(processes_below(consumers.engine.process.pid)) - services
            if functions:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(choices.choice(sorted(functions)), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        ended.set()
        killer.join()


def _make_orders(groups: int) -> tuple[list[dict[str, Any]], set[int]]:
    """Orders with their groups, some of which always fail; and the numbers of these."""
    choices = random.Random(SEED)
    poisons = set(choices.sample(range(MESSAGES), 12))
    orders = [{"n": number, "group": choices.randrange(groups)} for number in range(MESSAGES)]
    return [{**order, **({"do": "fail"} if order["n"] in poisons else {})} for order in orders], poisons


def _first_done(consumers: Consumers, worker: str) -> list[int]:
    """The numbers of the orders in the order in which they were first carried out."""
    return list(dict.fromkeys(consumers.done(worker)))


def _assert_order(consumers: Consumers, worker: str, orders: list[dict[str, Any]]) -> None:
    done = _first_done(consumers, worker)
    for group in {order["group"] for order in orders}:
        expected = [order["n"] for order in orders if order["group"] == group and "do" not in order]
        assert [number for number in done if number in set(expected)] == expected


def test_each_message_is_processed_and_only_poisons_are_dead_letters(consumers: Consumers) -> None:
    orders, poisons = _make_orders(1)
    dead: set[int] = set()

    def is_finished() -> bool:
        dead.update(json.loads(message["Body"])["n"] for message in consumers.receive("DeadJobs"))
        return len(_first_done(consumers, "jobs")) + len(dead) >= MESSAGES

    with killing(consumers):
        for start in range(0, MESSAGES, 10):
            entries = [
                {"Id": str(order["n"]), "MessageBody": json.dumps(order)} for order in orders[start : start + 10]
            ]
            consumers.sqs.send_message_batch(QueueUrl=consumers.url("Jobs"), Entries=entries)
        consumers.wait(is_finished, PATIENCE)
    consumers.wait(lambda: consumers.is_empty("Jobs"))
    assert dead == poisons
    assert set(_first_done(consumers, "jobs")) == set(range(MESSAGES)) - poisons


def test_each_message_group_is_processed_in_order(consumers: Consumers) -> None:
    orders = [{"n": order["n"], "group": order["group"]} for order in _make_orders(25)[0]]
    with killing(consumers):
        for start in range(0, MESSAGES, 10):
            entries = [
                {
                    "Id": str(order["n"]),
                    "MessageBody": json.dumps(order),
                    "MessageGroupId": str(order["group"]),
                    "MessageDeduplicationId": str(order["n"]),
                }
                for order in orders[start : start + 10]
            ]
            consumers.sqs.send_message_batch(QueueUrl=consumers.url("steps.fifo"), Entries=entries)
        consumers.wait(lambda: len(_first_done(consumers, "steps")) == MESSAGES, PATIENCE)
    consumers.wait(lambda: consumers.is_empty("steps.fifo"))
    _assert_order(consumers, "steps", orders)


def test_the_changes_of_each_item_are_processed_in_order_and_only_poisons_are_given_up(consumers: Consumers) -> None:
    orders, poisons = _make_orders(25)
    lost: list[dict[str, Any]] = []

    def is_finished() -> bool:
        lost.extend(json.loads(message["Body"]) for message in consumers.receive("LostOrders"))
        return len(_first_done(consumers, "orders")) + len(lost) >= MESSAGES

    with killing(consumers):
        for order in orders:
            consumers.put("Orders", str(order["group"]), **order)
        consumers.wait(is_finished, PATIENCE)
    assert set(_first_done(consumers, "orders")) == set(range(MESSAGES)) - poisons
    _assert_order(consumers, "orders", orders)
    first = int(consumers.batches("orders")[0][0]["dynamodb"]["SequenceNumber"])
    numbers = [int(record["DDBStreamBatchInfo"]["startSequenceNumber"]) - first for record in lost]
    assert sorted(numbers) == sorted(poisons)
    assert {record["DDBStreamBatchInfo"]["batchSize"] for record in lost} == {1}

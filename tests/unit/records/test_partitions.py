"""What requests up to a moment have written is found, deleted and counted, and nothing else."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from records.partitions import Partition, Receipt, ReceiptClosed
from tests.support.tables import create_table

BEFORE = 1_000
TABLE, LEDGER = "resources", "ledger"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        create_table(client, TABLE)
        create_table(client, LEDGER)
        item = {"pk": {"S": "pseudonym"}, "sk": {"S": "erasure#1"}, "state": {"S": "running"}, "erased": {"M": {}}}
        client.put_item(TableName=LEDGER, Item={**item, "requestedAt": {"N": str(BEFORE)}})
        yield client


@pytest.fixture
def partition(client: Any) -> Partition:
    return Partition(client, TABLE, "ann", BEFORE)


RECEIPT = Receipt(LEDGER, "pseudonym", "erasure#1")


def put(client: Any, key: str, at: int | None, subject: str = "ann", **attributes: Any) -> None:
    item = {"pk": {"S": f"user#{subject}"}, "sk": {"S": key}, **attributes}
    if at is not None:
        item["writer"] = {"M": {"at": {"N": str(at)}}}
    client.put_item(TableName=TABLE, Item=item)


def list_keys(client: Any) -> set[tuple[str, str]]:
    return {(item["pk"]["S"], item["sk"]["S"]) for item in client.scan(TableName=TABLE)["Items"]}


def read_counts(client: Any) -> dict[str, int]:
    key = {"pk": {"S": "pseudonym"}, "sk": {"S": "erasure#1"}}
    counts = client.get_item(TableName=LEDGER, Key=key)["Item"]["erased"]["M"]
    return {kind: int(count["N"]) for kind, count in counts.items()}


def test_the_time_of_the_request_decides_and_the_user(client: Any, partition: Partition) -> None:
    put(client, "widget#1", 999)
    put(client, "widget#2", 1_000)
    put(client, "widget#3", 1_001)
    put(client, "widget#4", None)
    put(client, "idempotency#widget#x", 3)
    put(client, "widget#5", 999, deletedAt={"S": "2025-11-23T12:47:41.118Z"})
    put(client, "widget#6", 999, subject="annabel")
    (items,) = partition.find_pages()
    assert partition.delete(items, RECEIPT) == Counter(widget=3, idempotency=1, mark=1)
    assert list_keys(client) == {("user#ann", "widget#3"), ("user#annabel", "widget#6")}
    assert read_counts(client) == {"widget": 3, "idempotency": 1, "mark": 1}


def test_what_is_deleted_twice_is_counted_once(client: Any, partition: Partition) -> None:
    for number in range(250):
        put(client, f"widget#{number:03}", 1)
    items, after = partition.find_items()
    assert (len(items), after) == (250, "")
    assert partition.delete(dict(list(items.items())[:120]), RECEIPT).total() == 120
    # As after a kill: the page is read before, and deleted again from its start.
    assert partition.delete(items, RECEIPT).total() == 130
    assert read_counts(client) == {"widget": 250}
    assert partition.delete(items, RECEIPT).total() == 0


def test_what_a_later_request_writes_between_reading_and_deleting_stays(client: Any, partition: Partition) -> None:
    put(client, "widget#1", 1)
    put(client, "widget#2", 1)
    items, _ = partition.find_items()
    put(client, "widget#1", 1_001)
    assert partition.delete(items, RECEIPT) == Counter(widget=1)
    assert list_keys(client) == {("user#ann", "widget#1")}
    assert read_counts(client) == {"widget": 1}


def test_what_a_later_request_writes_stays_when_an_erasure_is_applied_again(client: Any, partition: Partition) -> None:
    put(client, "widget#1", 1)
    put(client, "widget#2", 1)
    items, _ = partition.find_items()
    put(client, "widget#2", 1_001)
    assert partition.delete(items) == Counter(widget=1)
    assert list_keys(client) == {("user#ann", "widget#2")}


@pytest.mark.parametrize("change", [{"state": {"S": "erased"}}, {"requestedAt": {"N": "1001"}}])
def test_nothing_goes_without_an_open_receipt(client: Any, partition: Partition, change: dict[str, Any]) -> None:
    put(client, "widget#1", 1)
    key = {"pk": {"S": "pseudonym"}, "sk": {"S": "erasure#1"}}
    item = client.get_item(TableName=LEDGER, Key=key)["Item"]
    client.put_item(TableName=LEDGER, Item={**item, **change})
    with pytest.raises(ReceiptClosed):
        partition.delete({"widget#1": "widget"}, RECEIPT)
    assert list_keys(client) == {("user#ann", "widget#1")}
    assert read_counts(client) == {}


def test_pages_follow_each_other(client: Any, partition: Partition) -> None:
    for number in range(30):
        put(client, f"widget#{number:02}", 1, text={"S": "x" * 100_000})
    pages = list(partition.find_pages())
    assert len(pages) > 1
    assert sum(len(items) for items in pages) == 30


def test_a_page_of_small_items_is_soon_deleted(
    client: Any, partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another test may have loaded the module anew.
    monkeypatch.setitem(Partition.find_items.__globals__, "MAX_FOUND", 10)
    # What stays counts for a page too.
    for number in range(25):
        put(client, f"widget#{number:02}", BEFORE + (number in range(5, 18)))
    pages = list(partition.find_pages())
    assert [len(items) for items in pages] == [5, 2, 5]


def conflict(client: Any, monkeypatch: pytest.MonkeyPatch, times: int) -> list[float]:
    """Have the next transactions meet another write to their first item; returns the pauses after them."""
    write, pauses = client.transact_write_items, []
    reasons = [{"Code": "TransactionConflict"}, {"Code": "None"}]

    def transact(**parameters: Any) -> Any:
        if len(pauses) < times:
            raise client.exceptions.TransactionCanceledException({"CancellationReasons": reasons}, "TransactWriteItems")
        return write(**parameters)

    monkeypatch.setattr(client, "transact_write_items", transact)
    monkeypatch.setattr("random.uniform", lambda least, most: least + most)
    monkeypatch.setattr("time.sleep", pauses.append)
    return pauses


def test_a_write_in_progress_is_waited_for(client: Any, partition: Partition, monkeypatch: pytest.MonkeyPatch) -> None:
    put(client, "widget#1", 1)
    pauses = conflict(client, monkeypatch, 7)
    assert partition.delete({"widget#1": "widget"}, RECEIPT) == Counter(widget=1)
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    assert read_counts(client) == {"widget": 1}


def test_a_write_that_stays_in_progress_is_an_error(
    client: Any, partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(client, "widget#1", 1)
    conflict(client, monkeypatch, 8)
    with pytest.raises(TimeoutError, match="1 items could not be deleted in 8 attempts"):
        partition.delete({"widget#1": "widget"}, RECEIPT)
    assert read_counts(client) == {}

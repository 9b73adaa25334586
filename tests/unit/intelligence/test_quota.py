"""The tokens of a user and day: what is counted, and where."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.support.dynamodb import DynamoDB, Refusal
from tests.support.gateway import ENVIRONMENT, import_functions

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

MOST = 1_000


@pytest.fixture
def house(dynamodb: DynamoDB) -> Iterator[Any]:
    """The module of quotas in a fresh environment, with two users and the API's errors."""
    with import_functions({"AWS_ENDPOINT_URL": dynamodb.url}), pytest.MonkeyPatch.context() as patch:
        import serverless_api

        quota: Any = import_module("intelligence.quota")
        patch.setattr(quota, "alice", serverless_api.Caller("alice", frozenset()), raising=False)
        patch.setattr(quota, "bob", serverless_api.Caller("bob", frozenset()), raising=False)
        yield quota


def test_what_an_answer_does_not_use_is_given_back(house: Any) -> None:
    for _ in range(3):
        house.Quota(house.alice, MOST).reserve(800).settle(100)
    house.Quota(house.alice, MOST).check(MOST - 300)
    with pytest.raises(house.TooManyRequests):
        house.Quota(house.alice, MOST).check(MOST - 299)
    house.Quota(house.bob, MOST).check(MOST)


def test_reservations_ask_for_a_moment_and_used_tokens_for_tomorrow(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reservation = house.Quota(house.alice, MOST).reserve(800)
    with pytest.raises(house.TooManyRequests, match="at once") as refusal:
        house.Quota(house.alice, MOST).reserve(800)
    assert refusal.value.headers["Retry-After"] == "5"
    # No answer takes as long as that: it was cut off, and what it had reserved stays counted.
    now = house.time.time()
    with monkeypatch.context() as patch:
        patch.setattr(house.time, "time", lambda: int(now) + 59.9)
        with pytest.raises(house.TooManyRequests, match="at once"):
            house.Quota(house.alice, MOST).reserve(800)
        patch.setattr(house.time, "time", lambda: now + 60)
        with pytest.raises(house.TooManyRequests, match="used up"):
            house.Quota(house.alice, MOST).reserve(800)
    reservation.settle(700)
    with pytest.raises(house.TooManyRequests, match="used up") as refusal:
        house.Quota(house.alice, MOST).reserve(800)
    assert int(refusal.value.headers["Retry-After"]) > 5 or house.time.time() % 86_400 > 86_300


def test_used_tokens_come_back_at_midnight(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    quota = house.Quota(house.alice, MOST)
    with monkeypatch.context() as patch:
        patch.setattr(house.time, "time", lambda: 20_000 * 86_400 + 86_000.5)
        with pytest.raises(house.TooManyRequests) as refusal:
            quota.check(MOST + 1)
    assert refusal.value.headers["Retry-After"] == "400"


def test_another_request_that_counts_in_between_is_not_lost(house: Any) -> None:
    first, second = house.Quota(house.alice, MOST), house.Quota(house.alice, MOST)
    first.reserve(300)
    second.reserve(300)
    with pytest.raises(house.TooManyRequests):
        first.reserve(500)
    first.add(reserved=-600, used=5)
    house.Quota(house.alice, MOST).check(MOST - 5)


def test_the_count_is_in_no_users_partition_and_names_nobody(house: Any, table: Any) -> None:
    house.Quota(house.alice, MOST).reserve(800).settle(100)
    (item,) = table.scan(TableName=ENVIRONMENT["TABLE_NAME"])["Items"]
    assert item.keys() == {"pk", "sk", "used", "reserved", "reservedUntil", "revision", "expiresAt"}
    assert item["pk"]["S"].startswith("quota#")
    assert "alice" not in str(item)
    assert (item["used"], item["reserved"]) == ({"N": "100"}, {"N": "0"})


def test_a_count_that_others_change_each_time_is_given_up(
    house: Any, dynamodb: DynamoDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(house.time, "sleep", pauses.append)
    dynamodb.fail("UpdateItem", *[Refusal("ConditionalCheckFailedException")] * 100)
    with pytest.raises(house.TableUnavailable):
        house.Quota(house.alice, MOST).reserve(800)
    assert 1 < len(pauses) < 100
    dynamodb.recover()
    house.Quota(house.alice, MOST).reserve(MOST)

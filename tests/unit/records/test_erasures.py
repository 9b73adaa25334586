"""Receipts of erasures: one runs at a time, its steps count what goes, and it closes in order."""

import importlib
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.support.gateway import import_functions

REQUESTED = 1_798_761_600_000
DAY = 86_400_000


@pytest.fixture
def erasures(handlers: Any, table: Any) -> Any:
    return importlib.import_module("records.erasures")


@pytest.fixture
def ask(erasures: Any) -> Callable[..., Any]:
    """Starts an erasure as a request does."""
    from serverless_api import Caller, Origin

    def start(subject: str = "ann", at: int = REQUESTED) -> Any:
        return erasures.start_erasure(Caller(subject, frozenset(), Origin("api", f"request-{at}", at)))

    return start


def read_caller(subject: str = "ann") -> Any:
    from serverless_api import Caller

    return Caller(subject, frozenset())


def read_items(client: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.scan(TableName="erasures")["Items"]
    return items


def test_a_request_starts_an_erasure_under_a_pseudonym(ask: Any, table: Any) -> None:
    erasure = ask()
    assert erasure.to_document() == {
        "id": erasure.id,
        "state": "running",
        "erased": {},
        "requestedAt": "2027-01-01T00:00:00.000Z",
    }
    (item,) = read_items(table)
    assert item == {
        "pk": {"S": erasure.user},
        "sk": {"S": f"erasure#{erasure.id}"},
        "subject": {"S": "ann"},
        "state": {"S": "running"},
        "erased": {"M": {}},
        "requestedAt": {"N": str(REQUESTED)},
        "writer": {"M": {"door": {"S": "api"}, "request": {"S": f"request-{REQUESTED}"}, "at": {"N": str(REQUESTED)}}},
    }
    assert "ann" not in erasure.user
    assert ask("bob").id != erasure.id


def test_a_later_request_moves_the_running_erasure_and_an_earlier_one_does_not(ask: Any, erasures: Any) -> None:
    first = ask()
    erasures.count_files(first, ["1#a"])
    assert ask(at=REQUESTED - 1).requested_at == REQUESTED
    assert ask(at=REQUESTED).files_counted == "1#a"
    later = ask(at=REQUESTED + 1)
    assert (later.id, later.requested_at, later.files_counted) == (first.id, REQUESTED + 1, "")
    assert erasures.find_erasure("ann") == (first.id, REQUESTED + 1)
    for step in (lambda: erasures.count_account(first), lambda: erasures.finish_erasure(first, 7)):
        with pytest.raises(erasures.ErasureMovedOn):
            step()


def test_an_erasure_after_the_last_one_has_an_id_that_follows(ask: Any, erasures: Any) -> None:
    from serverless_api import BadRequest

    first = ask()
    erasures.finish_erasure(first, 7)
    second = ask(at=REQUESTED + 1)
    erasures.finish_erasure(second, 7)
    third = ask(at=REQUESTED + 2)
    assert [int(erasure.id[:8] + erasure.id[9:13], 16) for erasure in (first, second, third)] == [1, 2, 3]
    assert len({erasure.id[-17:] for erasure in (first, second, third)}) == 3
    assert all(UUID(erasure.id).version == 7 for erasure in (first, second, third))
    assert [erasure.id for erasure in erasures.list_erasures(read_caller(), 2)] == [third.id, second.id]
    assert [erasure.id for erasure in erasures.list_erasures(read_caller(), 5, after=third.id)] == [second.id, first.id]
    assert erasures.list_erasures(read_caller("bob"), 5) == []
    with pytest.raises(BadRequest) as error:
        erasures.list_erasures(read_caller(), 5, after="1")
    assert [problem.field for problem in error.value.details] == ["after"]


def test_requests_that_see_the_same_last_erasure_start_one(ask: Any, erasures: Any, monkeypatch: Any) -> None:
    first = ask()
    # Both looked before either wrote.
    find, looks = erasures._find_last, []

    def look(user: str) -> Any:
        looks.append(user)
        return find(user) if len(looks) > 1 else None

    monkeypatch.setattr(erasures, "_find_last", look)
    assert ask(at=REQUESTED + 1) == erasures.read_erasure(first.user, first.id)
    assert len(erasures.list_erasures(read_caller(), 5)) == 1


def test_what_goes_is_counted_once(ask: Any, erasures: Any) -> None:
    erasure = ask()
    assert erasures.count_files(erasure, []) is erasure
    erasure = erasures.count_files(erasure, ["1#a", "1#b"])
    assert erasures.count_files(erasure, ["1#a", "1#b"]) is erasure
    erasure = erasures.count_files(erasure, ["1#b", "1#c"])
    assert (erasure.erased, erasure.files_counted) == ({"file": 3}, "1#c")
    erasures.count_account(erasure)
    erasures.count_account(erasure)
    assert erasures.read_erasure(erasure.user, erasure.id).erased == {"account": 1, "file": 3}


def test_a_receipt_ends_in_order_and_forgets_the_subject(
    ask: Any, erasures: Any, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    erasure = ask()
    with pytest.raises(erasures.ErasureMovedOn):
        erasures.close_receipt(erasure)
    monkeypatch.setattr("time.time_ns", lambda: (REQUESTED + 5_000) * 1_000_000)
    erased = erasures.finish_erasure(erasure, 7)
    assert (erased.state, erased.subject) == ("erased", "ann")
    assert (erased.erased_at, erased.backups_expire_at) == (REQUESTED + 5_000, REQUESTED + 5_000 + 7 * DAY)
    with pytest.raises(erasures.ErasureMovedOn):
        erasures.finish_erasure(erasure, 7)
    monkeypatch.setattr("time.time_ns", lambda: (REQUESTED + 8 * DAY) * 1_000_000)
    verified = erasures.close_receipt(erased)
    assert verified.to_document() == {
        "id": erasure.id,
        "state": "verified",
        "erased": {},
        "requestedAt": "2027-01-01T00:00:00.000Z",
        "erasedAt": "2027-01-01T00:00:05.000Z",
        "backupsExpireAt": "2027-01-08T00:00:05.000Z",
        "verifiedAt": "2027-01-09T00:00:00.000Z",
    }
    (item,) = read_items(table)
    assert "subject" not in item
    with pytest.raises(erasures.ErasureMovedOn):
        erasures.close_receipt(erased)


def test_a_receipt_is_its_users_alone(ask: Any, erasures: Any) -> None:
    from serverless_api import NotFound

    erasure = ask()
    assert erasures.get_erasure(read_caller(), erasure.id.upper()) == erasure
    for subject, erasure_id in (("bob", erasure.id), ("ann", "x"), ("ann", f"{erasure.id[:-1]}0")):
        with pytest.raises(NotFound, match="There is no such erasure"):
            erasures.get_erasure(read_caller(subject), erasure_id)
    assert erasures.read_erasure(erasure.user, f"{erasure.id[:-1]}0") is None
    assert erasures.find_erasure("bob") is None


def test_the_event_of_an_erasure_names_the_user_to_those_who_have_more_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with import_functions():
        event = importlib.import_module("records.events").make_erasure_event("ann", "1", "2027-01-01T00:00:00.000Z")
    assert (event.kind, event.time) == ("UserErased", "2027-01-01T00:00:00.000Z")
    assert event.detail == {
        "schemaVersion": 1,
        "occurredAt": "2027-01-01T00:00:00.000Z",
        "owner": "ann",
        "id": "1",
        "correlationId": "1",
    }


def test_without_its_key_a_function_names_nobody() -> None:
    with import_functions({"PSEUDONYM_KEY": ""}):
        pseudonyms: Any = importlib.import_module("serverless_api.telemetry.pseudonyms")
        with pytest.raises(Exception, match="PSEUDONYM_KEY is not set"):
            pseudonyms.pseudonymize("ann")


def test_ids_of_erasures_count_on_in_hexadecimal(ask: Any, erasures: Any, table: Any) -> None:
    first = ask()
    erasures.finish_erasure(first, 7)
    (item,) = read_items(table)
    table.put_item(TableName="erasures", Item={**item, "sk": {"S": "erasure#00000000-00ff-7ba5-9a69-30323b80efc7"}})
    assert ask(at=REQUESTED + 1).id.startswith("00000000-0100-7")

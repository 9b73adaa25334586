"""The audit trail: each change of an owner is one entry, in pages from the newest to the oldest."""

import importlib
import json
from typing import Any

import pytest

from tests.support.resources_api import ResourcesApi
from tests.support.stack import ROOT

RESOURCE = "019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10"
CREATED = "2026-11-26T12:47:41.118Z"
CREATED_SECONDS = 1_795_697_261
PATH = "/api/v1/audit"


def make_record(**changes: Any) -> dict[str, Any]:
    """A record of the table's stream; None takes an attribute of the record away."""
    (record,) = json.loads((ROOT / "events/record_changes.json").read_text(encoding="utf-8"))["Records"]
    record["dynamodb"] = {name: value for name, value in {**record["dynamodb"], **changes}.items() if value is not None}
    return record


def make_image(version: str, updated: str = CREATED, **attributes: Any) -> dict[str, Any]:
    image = make_record()["dynamodb"]["NewImage"]
    return {**image, "version": {"S": version}, "updatedAt": {"S": updated}, **attributes}


def list_fields() -> tuple[str, ...]:
    """The model's fields that the record has."""
    model = json.loads((ROOT / "models/ResourceInput.json").read_text(encoding="utf-8"))
    return tuple(sorted(model["properties"].keys() & make_image("a").keys()))


@pytest.fixture
def changes(handlers: Any) -> Any:
    return importlib.import_module("records.changes")


@pytest.fixture
def trail(handlers: Any, table: Any) -> Any:
    return importlib.import_module("records.trail")


def test_a_creation_names_all_fields_and_who_wrote_it(changes: Any) -> None:
    change = changes.read_change(make_record())
    assert change._replace(origin=None) == changes.Change(
        noun="resource",
        id=RESOURCE,
        owner="fixture",
        action="created",
        before=None,
        after="5f2b8c6d4e103a7c",
        fields=list_fields(),
        time=CREATED,
        origin=None,
        sequence="1100000000017454423009",
    )
    assert tuple(change.origin) == ("api", "fixture", 1_795_694_861_000, "")


def test_an_update_names_the_fields_that_differ(changes: Any) -> None:
    later = "2026-11-27T00:00:00.000Z"
    writer = {"M": {**make_image("b")["writer"]["M"], "actor": {"S": "arn:aws:iam::123456789012:role/Reader"}}}
    new = make_image("b", later, name={"S": "other"}, by_name={"S": "other"}, note={"S": "n"}, writer=writer)
    change = changes.read_change(make_record(OldImage=make_image("a"), NewImage=new))
    assert (change.action, change.before, change.after, change.time) == ("updated", "a", "b", later)
    assert change.fields == ("name", "note")
    assert change.origin.actor == "arn:aws:iam::123456789012:role/Reader"


@pytest.mark.parametrize(
    ("updated", "time"),
    [
        (CREATED, CREATED),
        # A record's own time has whole seconds, and the update was later within the second.
        ("2026-11-26T12:47:41.999Z", "2026-11-26T12:47:41.999Z"),
        ("2026-11-26T12:47:40.999Z", "2026-11-26T12:47:41.000Z"),
    ],
)
def test_an_item_that_is_gone_was_deleted_by_an_erasure(changes: Any, updated: str, time: str) -> None:
    record = make_record(ApproximateCreationDateTime=CREATED_SECONDS, OldImage=make_image("a", updated), NewImage=None)
    change = changes.read_change(record)
    assert (change.action, change.before, change.after, change.time) == ("deleted", "a", None, time)
    assert change.fields == list_fields()
    assert tuple(change.origin) == ("erasure", "", 0, "")


def test_a_mark_is_a_deletion_by_its_writer_and_its_removal_is_none(changes: Any) -> None:
    mark = make_image("m", deletedAt={"S": "2026-11-27T00:00:00.000Z"})
    record = make_record(OldImage=make_image("a"), NewImage=mark)
    change = changes.read_change(record)
    assert (change.action, change.before, change.after) == ("deleted", "a", None)
    assert (change.time, change.origin.door) == ("2026-11-27T00:00:00.000Z", "api")
    assert changes.find_mark(record) == {"pk": "user#fixture", "sk": f"resource#{RESOURCE}", "version": "m"}
    assert changes.read_change(make_record(OldImage=mark, NewImage=None)) is None
    # The resource is created again over its mark.
    assert changes.read_change(make_record(OldImage=mark, NewImage=make_image("b"))).action == "created"
    assert changes.find_mark(make_record()) is None
    assert changes.find_mark(make_record(NewImage=None)) is None


@pytest.mark.parametrize(
    ("pk", "sk"),
    [
        ("user#fixture", "idempotency#resource#key"),
        ("user#fixture", f"resource#{RESOURCE}#more"),
        ("circuit#fixture", f"resource#{RESOURCE}"),
    ],
)
def test_an_item_of_another_kind_is_no_change(changes: Any, pk: str, sk: str) -> None:
    assert changes.read_change(make_record(Keys={"pk": {"S": pk}, "sk": {"S": sk}})) is None


def test_a_write_without_a_new_version_is_no_change(changes: Any) -> None:
    assert changes.read_change(make_record(OldImage=make_image("a"), NewImage=make_image("a"))) is None


def test_a_write_from_outside_has_an_unknown_door(changes: Any) -> None:
    image = make_image("a")
    del image["writer"]
    assert tuple(changes.read_change(make_record(NewImage=image)).origin) == ("unknown", "", 0, "")


def test_a_change_is_one_entry_however_often_it_arrives(
    changes: Any, trail: Any, table: Any, api: ResourcesApi
) -> None:
    change = changes.read_change(make_record())
    trail.append_change(change, 365)
    trail.append_change(change._replace(fields=()), 365)
    (item,) = table.scan(TableName="audit")["Items"]
    assert item["sk"] == {"S": f"entry#{CREATED}#resource#{RESOURCE}#{change.sequence:0>40}"}
    assert item["expiresAt"] == {"N": str(CREATED_SECONDS + 365 * 86_400)}
    page = api.send("GET", PATH, subject="fixture").json()
    (entry,) = page["entries"]
    assert entry == {
        "time": CREATED,
        "actor": item["pk"]["S"],
        "action": "created",
        "type": "resource",
        "id": RESOURCE,
        "after": "5f2b8c6d4e103a7c",
        "fields": list(list_fields()),
        "requestId": "fixture",
        "door": "api",
    }
    assert page.get("nextToken") is None
    assert api.send("GET", PATH, subject="somebody else").json()["entries"] == []


def test_pages_follow_each_other_from_the_newest_entry(changes: Any, trail: Any, api: ResourcesApi) -> None:
    change = changes.read_change(make_record())
    for number in range(5):
        trail.append_change(change._replace(time=f"2026-11-26T12:47:4{number}.000Z", after=None, before="a"), 1)
    times, token = [], ""
    while token is not None:
        page = api.send("GET", PATH, subject="fixture", query={"limit": "2"} | ({"nextToken": token} if token else {}))
        assert page.status == 200
        times.append([entry["time"][17:19] for entry in page.json()["entries"]])
        token = page.json().get("nextToken")
    assert times == [["44", "43"], ["42", "41"], ["40"]]
    whole = api.send("GET", PATH, subject="fixture", query={"limit": "5"}).json()
    assert (len(whole["entries"]), whole.get("nextToken")) == (5, None)


@pytest.mark.parametrize("version", ["a", "ab", "abc", "abcd"])
def test_a_token_is_read_whatever_its_length_and_nothing_is_added_to_it(
    changes: Any, trail: Any, api: ResourcesApi, version: str
) -> None:
    change = changes.read_change(make_record())._replace(after=version)
    trail.append_change(change, 1)
    trail.append_change(change._replace(time="2026-11-27T00:00:00.000Z"), 1)
    query = {"limit": "1"}
    token = api.send("GET", PATH, subject="fixture", query=query).json()["nextToken"]
    (entry,) = api.send("GET", PATH, subject="fixture", query=query | {"nextToken": token}).json()["entries"]
    assert entry["time"] == CREATED
    assert api.send("GET", PATH, subject="fixture", query=query | {"nextToken": f"!{token}"}).status == 400


@pytest.mark.parametrize("token", ["x", "é", "YQ", "YQ==", "a b"])
def test_a_token_that_no_page_had_is_refused(api: ResourcesApi, token: str) -> None:
    answer = api.send("GET", PATH, query={"nextToken": token})
    assert (answer.status, answer.problems) == (400, {"nextToken": "must be the nextToken of another page"})


def test_the_mark_of_another_deletion_stays(trail: Any, table: Any) -> None:
    mark = {"pk": "user#fixture", "sk": f"resource#{RESOURCE}", "version": "m"}
    table.put_item(TableName="resources", Item={name: {"S": value} for name, value in mark.items()})
    trail.remove_mark({**mark, "version": "n"})
    assert len(table.scan(TableName="resources")["Items"]) == 1
    trail.remove_mark(mark)
    assert table.scan(TableName="resources")["Items"] == []

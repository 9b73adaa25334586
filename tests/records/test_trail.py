"""Each committed change of a resource is one entry of its owner's audit trail."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from local_engine.testing import EngineProcess, poll
from tests.records.conftest import Clients
from tests.support.api_client import ApiClient
from tests.support.resources import RESOURCES, make_body
from tests.support.stack import ROOT

AUDIT = "/api/v1/audit"
SECRETS = ("first name", "second name", "a secret")


@pytest.fixture
def user(engine: EngineProcess) -> ApiClient:
    return ApiClient(engine.url, f"user-{uuid4()}")


def read_trail(user: ApiClient, limit: int = 100) -> Iterator[dict[str, Any]]:
    """Yield the entries of a user's trail, newest first, page by page."""
    token = ""
    while True:
        page = user.send("GET", f"{AUDIT}?limit={limit}{token and f'&nextToken={token}'}").document
        assert page["count"] == len(page["entries"]) <= limit
        yield from page["entries"]
        if not (token := page.get("nextToken", "")):
            return


def wait_for_entries(user: ApiClient, count: int) -> list[dict[str, Any]]:
    """Return a user's trail once it has so many entries."""
    poll(lambda: len(list(read_trail(user))) >= count, f"no {count} entries", 60)
    return list(read_trail(user))


@pytest.mark.example_fields
def test_a_resources_life_is_a_chain_of_entries(user: ApiClient) -> None:
    body = {"name": SECRETS[0], "type": "A", "metadata": {"note": SECRETS[2]}}
    answers = [user.send("POST", RESOURCES, body)]
    path = answers[0].headers["location"]
    answers += [
        user.send("PUT", path, {**body, "name": SECRETS[1]}),
        user.send("PATCH", path, {"type": "B", "metadata": {"note": None}}),
        user.send("DELETE", path),
    ]
    entries = wait_for_entries(user, 4)[::-1]
    first, second, third = (answer.headers["etag"].strip('"') for answer in answers[:3])
    assert [entry["action"] for entry in entries] == ["created", "updated", "updated", "deleted"]
    assert [(entry.get("before"), entry.get("after")) for entry in entries] == [
        (None, first), (first, second), (second, third), (third, None)
    ]  # fmt: skip
    every_field = ["metadata", "name", "type"]
    assert [entry["fields"] for entry in entries] == [every_field, ["name"], ["metadata", "type"], every_field]
    assert [entry["requestId"] for entry in entries] == [answer.headers["apigw-requestid"] for answer in answers]
    assert {(entry["door"], entry["type"], entry["id"]) for entry in entries} == {
        ("api", "resource", path.rpartition("/")[2])
    }
    (actor,) = {entry["actor"] for entry in entries}
    assert user.subject not in actor
    assert not [secret for secret in SECRETS if secret in json.dumps(entries)]


def test_the_trail_has_pages(user: ApiClient) -> None:
    for number in range(5):
        user.send("POST", RESOURCES, make_body(number + 1))
    entries = wait_for_entries(user, 5)
    assert list(read_trail(user, limit=2)) == entries
    times = [entry["time"] for entry in entries]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("token", ["", "x", "ZW50cnk", "%C3%A9", "YQ==", "a" * 2000])
def test_a_token_of_no_page_is_refused(user: ApiClient, token: str) -> None:
    answer = user.send("GET", f"{AUDIT}?nextToken={token}")
    assert answer.status == 400
    assert [problem["field"] for problem in answer.document["details"]] == ["nextToken"]


def test_technical_items_and_the_end_of_a_mark_leave_no_entry(user: ApiClient, aws: Clients) -> None:
    answer = user.send("POST", RESOURCES, {"name": "once", "type": "A"}, {"Idempotency-Key": "key"})
    user.send("DELETE", answer.headers["location"])
    wait_for_entries(user, 2)
    key = {":pk": {"S": f"user#{user.subject}"}}
    query = {"TableName": "Table", "KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": key}

    def list_kinds() -> list[str]:
        items = aws("dynamodb").query(**query)["Items"]
        return [item["sk"]["S"].partition("#")[0] for item in items]

    poll(lambda: list_kinds() == ["idempotency"], "the mark is not removed", 60)
    user.send("POST", RESOURCES, {"name": "last", "type": "A"})
    actions = [entry["action"] for entry in wait_for_entries(user, 3)]
    assert actions == ["created", "deleted", "created"]


def test_what_nothing_in_the_stack_has_deleted_is_an_unknown_doors(user: ApiClient, aws: Clients) -> None:
    answer = user.send("POST", RESOURCES, {"name": "gone", "type": "A"})
    key = {"pk": {"S": f"user#{user.subject}"}, "sk": {"S": f"resource#{answer.document['id']}"}}
    aws("dynamodb").delete_item(TableName="Table", Key=key)
    last, first = wait_for_entries(user, 2)
    assert (last["action"], last["before"], last["door"], last["requestId"]) == (
        "deleted", first["after"], "unknown", ""
    )  # fmt: skip


def test_what_an_erasure_has_deleted_names_it(user: ApiClient) -> None:
    user.send("POST", RESOURCES, {"name": "erased", "type": "A"})
    erasure = user.send("POST", "/api/v1/erasures").document["id"]
    last, _ = wait_for_entries(user, 2)
    assert (last["action"], last["door"], last["requestId"]) == ("deleted", "erasure", erasure)


def test_a_record_that_arrives_again_adds_nothing(user: ApiClient, aws: Clients) -> None:
    """Twice in one batch, late, and after the deletion."""
    location = user.send("POST", RESOURCES, make_body(1)).headers["location"]
    user.send("PUT", location, make_body(2))
    user.send("DELETE", location)
    entries = wait_for_entries(user, 3)
    streams = aws("dynamodbstreams")
    arn = streams.list_streams(TableName="Table")["Streams"][0]["StreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    start = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
    found = streams.get_records(ShardIterator=start["ShardIterator"])["Records"]
    keys = [record for record in found if user.subject in record["dynamodb"]["Keys"]["pk"]["S"]]
    for record in keys:
        record["dynamodb"]["ApproximateCreationDateTime"] = record["dynamodb"][
            "ApproximateCreationDateTime"
        ].timestamp()
    event = {"Records": [*keys, *keys[::-1]]}
    answer = aws("lambda").invoke(FunctionName="local-Records-RecordChanges", Payload=json.dumps(event))
    assert json.loads(answer["Payload"].read()) == {"batchItemFailures": []}
    assert list(read_trail(user)) == entries


def test_each_repetition_of_updates_that_alternate_has_its_entry(user: ApiClient, aws: Clients) -> None:
    """As of two requests that are repeated because their answers were lost."""
    created = user.send("POST", RESOURCES, {"name": "first", "type": "A"}).document
    key = {"pk": {"S": f"user#{user.subject}"}, "sk": {"S": f"resource#{created['id']}"}}
    item = aws("dynamodb").get_item(TableName="Table", Key=key)["Item"]
    first = item["version"]["S"]
    for number in "1212":
        changed = {
            "name": {"S": number},
            "version": {"S": number * 16},
            "updatedAt": {"S": f"2999-01-01T00:00:0{number}.000Z"},
        }
        aws("dynamodb").put_item(TableName="Table", Item=item | changed)
    entries = wait_for_entries(user, 5)
    assert sorted((entry.get("before", ""), entry["after"]) for entry in entries) == sorted(
        [("", first), (first, "1" * 16), *[("1" * 16, "2" * 16)] * 2, ("2" * 16, "1" * 16)]
    )


@pytest.fixture
def check(engine: EngineProcess) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        where = ("--url", engine.url, "--services", engine.services, "--patience", "0")
        command = [sys.executable, "-m", "tools.audit_check", *where, *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)

    return run


def test_the_check_finds_an_entry_that_is_gone_and_a_change_without_one(
    user: ApiClient, aws: Clients, check: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    locations = [user.send("POST", RESOURCES, make_body(1)).headers["location"] for _ in range(3)]
    for location in locations:
        user.send("PUT", location, make_body(2))
    user.send("DELETE", locations[2])
    wait_for_entries(user, 7)
    done = check("--sub", user.subject)
    assert (done.returncode, done.stdout) == (0, "7 entries, 0 resources with gaps\n"), done.stderr
    ids = [location.rpartition("/")[2] for location in locations]
    items = aws("dynamodb").scan(TableName="Records-AuditTable")["Items"]
    for item in items:
        noun_id, action = item["sk"]["S"].split("#")[3], item["action"]["S"]
        if (noun_id, action) in {(ids[0], "created"), (ids[1], "updated"), (ids[2], "deleted")}:
            aws("dynamodb").delete_item(TableName="Records-AuditTable", Key={"pk": item["pk"], "sk": item["sk"]})
    done = check("--sub", user.subject)
    assert done.returncode == 1
    *gaps, summary = done.stdout.splitlines()
    assert summary == "4 entries, 3 resources with gaps"
    assert [(gap.split()[1], gap.partition(": ")[2].split()[0]) for gap in gaps] == sorted(
        [(ids[0], "version"), (ids[1], "version"), (ids[2], "the")]
    )
    assert "no entry says so" in gaps[sorted(ids).index(ids[2])]
    assert check("--id", ids[1]).stdout.endswith("1 resources with gaps\n")

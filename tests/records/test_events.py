"""Each change of a resource becomes an event on the bus that follows its schema, and reaches the example consumer."""

import json
from typing import Any
from uuid import uuid4

import jsonschema
import pytest

from local_engine.testing import EngineProcess, poll
from tests.records.bus import Bus
from tests.records.conftest import Clients
from tests.support.api_client import ApiClient
from tests.support.resources import RESOURCES
from tests.support.stack import ROOT

SECRETS = ("first name", "second name", "a secret")


def find_schema(event: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an event's detail, whatever the noun."""
    folder = ROOT / f"models/events/v{event['detail']['schemaVersion']}"
    (path,) = (path for path in folder.glob("*.json") if event["detail-type"].endswith(path.stem))
    schema: dict[str, Any] = json.loads(path.read_text())
    return schema


@pytest.fixture
def user(engine: EngineProcess) -> ApiClient:
    return ApiClient(engine.url, f"user-{uuid4()}")


@pytest.mark.example_fields
def test_a_resources_life_becomes_events(user: ApiClient, bus: Bus) -> None:
    body = {"name": SECRETS[0], "type": "A", "metadata": {"note": SECRETS[2]}}
    answers = [user.send("POST", RESOURCES, body)]
    path = answers[0].headers["location"]
    answers += [
        user.send("PUT", path, {**body, "name": SECRETS[1]}),
        user.send("PATCH", path, {"metadata": {"note": None}}),
        user.send("DELETE", path),
    ]
    events = bus.wait_for(4, owner=user.subject)
    kinds = ["ResourceCreated", "ResourceUpdated", "ResourceUpdated", "ResourceDeleted"]
    assert [event["detail-type"] for event in events] == kinds
    first, second, third = (answer.headers["etag"].strip('"') for answer in answers[:3])
    details = [event["detail"] for event in events]
    assert [detail["version"] for detail in details] == [first, second, third, third]
    assert [detail["fields"] for detail in details] == [
        body_fields := ["metadata", "name", "type"],
        ["name"],
        ["metadata"],
        body_fields,
    ]
    assert [detail["correlationId"] for detail in details] == [answer.headers["apigw-requestid"] for answer in answers]
    assert {(detail["door"], detail["id"]) for detail in details} == {("api", path.rpartition("/")[2])}
    assert not [secret for secret in SECRETS if secret in json.dumps(events)]
    for event in events:
        assert event["source"] == "records"
        jsonschema.validate(event["detail"], find_schema(event), jsonschema.Draft202012Validator)


def test_technical_items_and_the_end_of_a_mark_are_no_events(user: ApiClient, bus: Bus, aws: Clients) -> None:
    answer = user.send("POST", RESOURCES, {"name": "once", "type": "A"}, {"Idempotency-Key": "key"})
    user.send("DELETE", answer.headers["location"])
    key = {"pk": {"S": f"user#{user.subject}"}, "sk": {"S": f"resource#{answer.document['id']}"}}
    aws("dynamodb").delete_item(TableName="Table", Key=key)
    user.send("POST", RESOURCES, {"name": "last", "type": "A"})
    kinds = [event["detail-type"] for event in bus.wait_for(3, owner=user.subject)]
    assert kinds == ["ResourceCreated", "ResourceDeleted", "ResourceCreated"]


def test_an_item_that_is_really_deleted_was_erased(user: ApiClient, bus: Bus, aws: Clients) -> None:
    answer = user.send("POST", RESOURCES, {"name": "gone", "type": "A"})
    key = {"pk": {"S": f"user#{user.subject}"}, "sk": {"S": f"resource#{answer.document['id']}"}}
    aws("dynamodb").delete_item(TableName="Table", Key=key)
    _, event = bus.wait_for(2, owner=user.subject)
    assert (event["detail-type"], event["detail"]["door"]) == ("ResourceDeleted", "erasure")
    jsonschema.validate(event["detail"], find_schema(event), jsonschema.Draft202012Validator)


def test_the_example_consumer_measures_how_old_events_are(engine: EngineProcess, user: ApiClient) -> None:
    def count_ages() -> int:
        with engine.client() as client:
            metrics = client.get("/_local/metrics.json").json()["metrics"]
        return sum(metric["count"] for metric in metrics if metric["name"] == "EventAge")

    before = count_ages()
    user.send("POST", RESOURCES, {"name": "measured", "type": "A"})
    poll(lambda: count_ages() > before, "no age of an event was measured", 60)


def test_a_record_that_nobody_can_read_is_set_aside_without_values(user: ApiClient, bus: Bus, aws: Clients) -> None:
    """It holds up no other one."""
    item = {
        "pk": f"user#{user.subject}",
        "sk": "resource#01a21f50-fa64-7cc8-88be-ea2b739082f4",
        "version": "1",
        "name": SECRETS[2],
    }
    aws("dynamodb").put_item(TableName="Table", Item={name: {"S": value} for name, value in item.items()})
    user.send("POST", RESOURCES, {"name": "after", "type": "A"})
    bus.wait_for(1, owner=user.subject)
    letters = take_letters(aws, 2)
    assert [letter["requestContext"]["functionArn"].rpartition(":")[2] for letter in letters] == [
        "local-Records-PublishChanges",
        "local-Records-RecordChanges",
    ]
    for letter in letters:
        assert letter["requestContext"]["condition"] == "RecordUnreadable"
        assert letter["Records"][0]["dynamodb"]["NewImage"]["sk"] == {"S": item["sk"]}
        assert SECRETS[2] not in json.dumps(letter)
    # Without `createdAt` its deletion reaches neither function.
    aws("dynamodb").delete_item(TableName="Table", Key={name: {"S": item[name]} for name in ("pk", "sk")})


def take_letters(aws: Clients, count: int) -> list[dict[str, Any]]:
    """The letters of the dead-letter queue, which are taken away, by the function that they are for."""
    sqs = aws("sqs")
    queue = sqs.get_queue_url(QueueName="DeadLetters")["QueueUrl"]
    letters: list[dict[str, Any]] = []

    def are_there() -> bool:
        for message in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1).get("Messages", ()):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            letters.append(json.loads(message["Body"]))
        return len(letters) >= count

    poll(are_there, f"there are no {count} letters", 60)
    return sorted(letters, key=lambda letter: letter["requestContext"]["functionArn"])

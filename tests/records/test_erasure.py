"""A user is erased in steps, with a receipt; what the user writes afterwards stays, and so does everybody else."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from uuid import uuid4

import jsonschema
import pytest

from local_engine.testing import EngineProcess, poll
from records.partitions import Partition
from serverless_api.telemetry.pseudonyms import make_pseudonym
from tests.records.bus import Bus
from tests.records.conftest import Clients
from tests.support.api_client import ApiClient, make_id
from tests.support.resources import RESOURCES
from tests.support.stack import ROOT
from tools.reapply_erasures import reapply_erasures

ERASURES = "/api/v1/erasures"
LEDGER = "Records-Erasure-ErasureLedger"
QUEUE = "Records-Erasure-ErasureQueue"
BODY = {"name": "a name", "type": "A"}
LATE_STEP = {"number": 1000, "token": "late", "round": 2}


@pytest.fixture
def user(engine: EngineProcess) -> ApiClient:
    return ApiClient(engine.url, f"user-{uuid4()}")


@pytest.fixture
def other(engine: EngineProcess) -> ApiClient:
    return ApiClient(engine.url, f"other-{uuid4()}")


def list_items(aws: Clients, user: ApiClient, table: str = "Table") -> dict[str, dict[str, Any]]:
    found = aws("dynamodb").query(
        TableName=table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": f"user#{user.subject}"}},
        ConsistentRead=True,
    )
    return {item["sk"]["S"]: item for item in found["Items"]}


def list_kinds(aws: Clients, user: ApiClient) -> set[str]:
    return {key.partition("#")[0] for key in list_items(aws, user)}


def read_erasure(aws: Clients, erasure_id: str) -> dict[str, Any]:
    items = aws("dynamodb").scan(TableName=LEDGER)["Items"]
    (item,) = [item for item in items if item["sk"]["S"] == f"erasure#{erasure_id}"]
    return item


def send_second_round(aws: Clients, erasure_id: str) -> None:
    """Run the second round at once, as a message that arrives twice would; the first round's own comes later."""
    item = read_erasure(aws, erasure_id)
    step = {"user": item["pk"]["S"], "erasure": erasure_id, "before": int(item["requestedAt"]["N"]), **LATE_STEP}
    sqs = aws("sqs")
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"], MessageBody=json.dumps(step))


def read_key(aws: Clients) -> str:
    """Return the stack's key of pseudonyms."""
    key: str = aws("secretsmanager").get_secret_value(SecretId="PseudonymKey")["SecretString"]
    return key


def wait_until_gone(aws: Clients, user: ApiClient, before: int) -> None:
    partition = Partition(aws("dynamodb"), "Table", user.subject, before)
    poll(lambda: not any(partition.find_pages()), "the first round deletes everything", 120)


def wait_for(user: ApiClient, path: str, state: str) -> None:
    # Once a test has turned the clock, a verification that comes due earlier runs at once.
    states = {state, "verified"}
    poll(lambda: user.send("GET", path).document["state"] in states, f"the erasure is {state}", 120)


@pytest.fixture
def restored(aws: Clients) -> Iterator[str]:
    """A table such as a restore makes."""
    client, name = aws("dynamodb"), f"restored-{uuid4()}"
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    yield name
    client.delete_table(TableName=name)


def test_an_erasure_takes_what_was_written_before_and_nothing_else(
    engine: EngineProcess, aws: Clients, bus: Bus, user: ApiClient, other: ApiClient, restored: str
) -> None:
    kept = other.send("POST", RESOURCES, BODY, {"Idempotency-Key": "same"}).headers["location"]
    user.send("POST", RESOURCES, BODY, {"Idempotency-Key": "same"})
    user.send("DELETE", user.send("POST", RESOURCES, BODY).headers["location"])
    updated = user.send("POST", RESOURCES, BODY).headers["location"]
    answer = user.send("POST", "/api/v1/imports", {"name": "imported", "type": "B"})
    assert answer.status == 202, answer
    poll(lambda: user.send("GET", answer.headers["location"]).document["state"] == "completed", "the import ends", 60)
    bucket = next(each["Name"] for each in aws("s3").list_buckets()["Buckets"] if "import" in each["Name"].lower())
    assert aws("s3").list_objects_v2(Bucket=bucket).get("KeyCount")
    assert {"resource", "idempotency", "import"} <= list_kinds(aws, user)
    before = {**list_items(aws, user), **list_items(aws, other)}
    for item in before.values():
        aws("dynamodb").put_item(TableName=restored, Item=item)

    receipt = user.send("POST", ERASURES)
    assert (receipt.status, receipt.document["state"]) == (202, "running")
    path, erasure_id = receipt.headers["location"], receipt.document["id"]
    requested = int(read_erasure(aws, erasure_id)["requestedAt"]["N"])
    later = user.send("POST", RESOURCES, BODY).headers["location"]
    is_updated = user.send("PUT", updated, BODY).status == 200
    wait_until_gone(aws, user, requested)
    # What a request of before the erasure commits late: the second round takes it.
    late = {"pk": {"S": f"user#{user.subject}"}, "sk": {"S": "resource#late"}}
    writer = {"writer": {"M": {"at": {"N": str(requested)}}}, "version": {"S": "1"}, "createdAt": {"S": "2025-11-23"}}
    aws("dynamodb").put_item(TableName="Table", Item={**late, **writer})
    assert user.send("GET", path).document["state"] == "running"
    send_second_round(aws, erasure_id)
    wait_for(user, path, "erased")

    stays = {later.rpartition("/")[2], *([updated.rpartition("/")[2]] if is_updated else [])}
    assert {key for key in list_items(aws, user) if "#" in key} == {f"resource#{each}" for each in stays}
    assert other.send("GET", kept).status == 200
    assert list_kinds(aws, other) == {"resource", "idempotency"}
    keys = [found["Key"] for found in aws("s3").list_objects_v2(Bucket=bucket).get("Contents", ())]
    assert not [key for key in keys if key.startswith(read_erasure(aws, erasure_id)["pk"]["S"])]
    document = user.send("GET", path).document
    # The late one, the one with a key, the imported one, and the updated one unless the update came first.
    assert document["erased"]["resource"] == 4 - is_updated
    assert (document["erased"]["idempotency"], document["erased"]["import"], document["erased"]["file"]) == (1, 1, 1)
    days = read_days(document["erasedAt"], document["backupsExpireAt"])
    assert days == 7
    (event,) = bus.wait_for(1, id=erasure_id)
    assert (event["detail-type"], event["detail"]["owner"]) == ("UserErased", user.subject)
    jsonschema.validate(event["detail"], json.loads((ROOT / "models/events/v1/UserErased.json").read_text()))

    # A restored copy has it all again, until the erasures are applied to it.
    key = read_key(aws)
    assert make_pseudonym(key, user.subject) == read_erasure(aws, erasure_id)["pk"]["S"]
    users, deleted = reapply_erasures(aws("dynamodb"), LEDGER, restored, key)
    assert (users, deleted.total()) == (1, sum(item["pk"]["S"] == f"user#{user.subject}" for item in before.values()))
    assert not list_items(aws, user, restored)
    assert list_items(aws, other, restored) == list_items(aws, other)
    assert reapply_erasures(aws("dynamodb"), LEDGER, restored, key)[0] == 0

    engine.turn_clock(seconds=8 * 86_400)
    wait_for(user, path, "verified")
    assert "subject" not in read_erasure(aws, erasure_id)
    assert user.subject not in json.dumps(read_erasure(aws, erasure_id))
    assert list_items(aws, user)


def read_days(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() / 86_400


def test_a_receipt_is_its_users_alone(aws: Clients, user: ApiClient, other: ApiClient) -> None:
    path = user.send("POST", ERASURES).headers["location"]
    assert other.send("GET", path).status == 404
    assert user.send("GET", f"{ERASURES}/nothing").status == 404
    assert user.send("GET", path).headers["cache-control"] == "private, no-cache"


def test_an_erasure_has_no_options(user: ApiClient) -> None:
    assert user.send("POST", ERASURES, {"only": "imports"}).status == 400
    assert user.send("POST", ERASURES, []).status == 400
    assert user.send("POST", ERASURES, {}).status == 202


def test_another_request_extends_an_erasure_that_runs(aws: Clients, user: ApiClient) -> None:
    first = user.send("POST", ERASURES)
    user.send("POST", RESOURCES, BODY)
    second = user.send("POST", ERASURES)
    assert second.headers["location"] == first.headers["location"]
    assert second.document["requestedAt"] > first.document["requestedAt"]
    poll(lambda: not list_items(aws, user), "the extended erasure takes what was written in between", 120)
    # The first chain of steps has ended, and the second one ends the erasure.
    send_second_round(aws, second.document["id"])
    wait_for(user, second.headers["location"], "erased")
    third = user.send("POST", ERASURES)
    assert third.headers["location"] != first.headers["location"]


def test_requests_at_the_same_time_start_one_erasure(engine: EngineProcess, user: ApiClient) -> None:
    # A connection carries one request at a time.
    clients = [ApiClient(engine.url, user.subject) for _ in range(6)]
    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(pool.map(lambda client: client.send("POST", ERASURES), clients))
    assert len({answer.document["id"] for answer in answers if answer.status == 202}) == 1


def test_what_is_left_after_the_backups_keeps_a_receipt_open(aws: Clients, user: ApiClient) -> None:
    erasure_id = make_id()
    path, pseudonym = f"{ERASURES}/{erasure_id}", make_pseudonym(read_key(aws), user.subject)
    # Erased, and without a schedule.
    item = {
        "pk": {"S": pseudonym},
        "sk": {"S": f"erasure#{erasure_id}"},
        "subject": {"S": user.subject},
        "state": {"S": "erased"},
        "requestedAt": {"N": str(time.time_ns() // 1_000_000)},
        "erased": {"M": {}},
    }
    aws("dynamodb").put_item(TableName=LEDGER, Item=item)
    left = {"pk": {"S": f"user#{user.subject}"}, "sk": {"S": "resource#left"}}
    aws("dynamodb").put_item(TableName="Table", Item=left)
    event = {"user": pseudonym, "erasure": erasure_id}
    verify = {"FunctionName": "local-Records-Erasure-VerifyErasure", "Payload": json.dumps(event)}
    answer = aws("lambda").invoke(**verify)
    assert "NotErased" in answer["Payload"].read().decode()
    assert answer["FunctionError"]
    assert user.send("GET", path).document["state"] == "erased"
    aws("dynamodb").delete_item(TableName="Table", Key=left)
    assert "FunctionError" not in aws("lambda").invoke(**verify)
    assert user.send("GET", path).document["state"] == "verified"

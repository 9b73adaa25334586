"""Messages to topics and changes of buckets reach functions and queues."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import STACKS, aws_client
from test_event_bus import ACCOUNT, Records, receive, wait_for

from local_engine.testing import EngineProcess

__all__ = ["wait_for"]
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:Topic"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notifications") / "records"


@pytest.fixture(scope="module")
def engine(records: Path) -> Iterator[EngineProcess]:
    records.touch()
    with EngineProcess(STACKS / "buses" / "template.yaml", "--parameters", f"Records={records}") as engine:
        yield engine


@pytest.fixture(scope="module")
def publish(engine: EngineProcess) -> Callable[..., str]:
    topics = aws_client("sns", engine.services)

    def publish_message(message: str, kind: str, size: int, **more: Any) -> str:
        attributes = {
            "kind": {"DataType": "String", "StringValue": kind},
            "size": {"DataType": "Number", "StringValue": str(size)},
        }
        return topics.publish(TopicArn=TOPIC, Message=message, MessageAttributes=attributes, **more)["MessageId"]

    return publish_message


@pytest.fixture(scope="module")
def buckets(engine: EngineProcess) -> Any:
    return aws_client("s3", engine.services)


def test_message_to_the_letter(publish: Callable[..., str], wait_for: Records) -> None:
    publish("not heard", "noise", 10)
    publish("not heard", "news", 9)
    message_id = publish("heard", "news", 10, Subject="About")
    (run,) = wait_for("Heard", 1)
    (record,) = run["event"]["Records"]
    notification = record.pop("Sns")
    subscription = record.pop("EventSubscriptionArn")
    assert subscription.startswith(f"{TOPIC}:")
    assert record == {"EventSource": "aws:sns", "EventVersion": "1.0"}
    for name in ("Timestamp", "Signature", "SigningCertUrl", "UnsubscribeUrl", "SignatureVersion"):
        assert isinstance(notification.pop(name), str)
    assert notification == {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": TOPIC,
        "Subject": "About",
        "Message": "heard",
        "MessageAttributes": {
            "kind": {"Type": "String", "Value": "news"},
            "size": {"Type": "Number", "Value": "10"},
        },
    }


def test_queues_get_messages(engine: EngineProcess, publish: Callable[..., str]) -> None:
    publish("to queues", "noise", 1)
    bodies = []
    while "to queues" not in bodies:
        bodies.append(receive(engine, "RawCopies")["Body"])
    while True:
        if json.loads(receive(engine, "Copies")["Body"]).get("Message") == "to queues":
            break


def test_other_protocols_are_refused_in_a_line(engine: EngineProcess) -> None:
    assert "Mail is not run: its Protocol is email, and only functions and queues can subscribe here." in engine.output


def test_objects_to_the_letter(buckets: Any, wait_for: Records) -> None:
    tag = buckets.put_object(Bucket="uploads", Key="pictures/a b+ü.png", Body=b"12345")["ETag"]
    buckets.put_object(Bucket="uploads", Key="pictures/a.jpg", Body=b"")
    buckets.put_object(Bucket="uploads", Key="a.png", Body=b"")
    buckets.copy_object(
        Bucket="uploads", Key="pictures/copy.png", CopySource={"Bucket": "uploads", "Key": "pictures/a b+ü.png"}
    )
    upload = {"Bucket": "uploads", "Key": "pictures/parts.png"}
    upload["UploadId"] = buckets.create_multipart_upload(**upload)["UploadId"]
    part = buckets.upload_part(**upload, PartNumber=1, Body=b"123")
    buckets.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    buckets.delete_object(Bucket="uploads", Key="pictures/copy.png")
    runs = wait_for("Stored", 4)
    found = {run["event"]["Records"][0]["eventName"]: run["event"]["Records"][0] for run in runs}
    assert sorted(found) == [
        "ObjectCreated:CompleteMultipartUpload",
        "ObjectCreated:Copy",
        "ObjectCreated:Put",
        "ObjectRemoved:Delete",
    ]
    put = found["ObjectCreated:Put"]
    assert put["eventTime"].endswith("Z")
    assert put["responseElements"].keys() == {"x-amz-request-id", "x-amz-id-2"}
    assert put["userIdentity"].keys() == {"principalId"}
    assert put["requestParameters"] == {"sourceIPAddress": "127.0.0.1"}
    assert {key: put[key] for key in ("eventVersion", "eventSource", "awsRegion")} == {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
    }
    details = put["s3"]
    assert details["s3SchemaVersion"] == "1.0"
    assert details["configurationId"]
    assert details["bucket"].keys() == {"name", "ownerIdentity", "arn"}
    assert (details["bucket"]["name"], details["bucket"]["arn"]) == ("uploads", "arn:aws:s3:::uploads")
    assert int(details["object"].pop("sequencer"), 16)
    assert details["object"] == {"key": "pictures/a+b%2B%C3%BC.png", "size": 5, "eTag": tag.strip('"')}
    removed = found["ObjectRemoved:Delete"]["s3"]["object"]
    assert removed.keys() == {"key", "sequencer"}


def test_delete_markers(buckets: Any, wait_for: Records) -> None:
    version = buckets.put_object(Bucket="versioned", Key="kept", Body=b"")["VersionId"]
    buckets.delete_object(Bucket="versioned", Key="kept")
    buckets.delete_object(Bucket="versioned", Key="kept", VersionId=version)
    (run, *_) = wait_for("Stored", 1)
    record = run["event"]["Records"][0]
    assert record["eventName"] == "ObjectRemoved:DeleteMarkerCreated"
    assert record["s3"]["object"]["versionId"] != version


def test_removals_reach_the_queue(engine: EngineProcess, buckets: Any) -> None:
    buckets.put_object(Bucket="uploads", Key="gone", Body=b"")
    buckets.delete_object(Bucket="uploads", Key="gone")
    keys = []
    while "gone" not in keys:
        body = json.loads(receive(engine, "Removals")["Body"])
        # The first message is S3's test of a new configuration.
        keys += [record["s3"]["object"]["key"] for record in body.get("Records", ())]


def test_buckets_tell_the_default_bus(buckets: Any, wait_for: Records) -> None:
    buckets.put_object(Bucket="uploads", Key="a.txt", Body=b"1")
    (run,) = wait_for("Seen", 1)
    event = run["event"]
    assert (event["source"], event["detail-type"]) == ("aws.s3", "Object Created")
    assert event["resources"] == ["arn:aws:s3:::uploads"]
    detail = event["detail"]
    assert (detail["bucket"], detail["reason"]) == ({"name": "uploads"}, "PutObject")
    assert (detail["object"]["key"], detail["object"]["size"]) == ("a.txt", 1)

"""`--keep`: the tables' items survive a restart."""

import json
import signal
from pathlib import Path

import pytest
from conftest import aws_client

from local_engine.testing import EngineError, EngineProcess, poll

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Items:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      StreamSpecification: {StreamViewType: NEW_IMAGE}
  Nothing:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      Handler: index.handler
      InlineCode: "def handler(event, context): return None"
"""
SEED = {"Items": [{"PutRequest": {"Item": {"pk": {"S": "seeded"}}}}]}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "seed.json").write_text(json.dumps(SEED))
    return tmp_path


def start(project: Path, *arguments: str) -> EngineProcess:
    return EngineProcess(project / "template.yaml", *arguments, seed=project / "seed.json")


def read(engine: EngineProcess) -> set[str]:
    items = aws_client("dynamodb", engine.services).scan(TableName="Items")["Items"]
    return {item["pk"]["S"] for item in items}


def write(engine: EngineProcess, key: str) -> None:
    aws_client("dynamodb", engine.services).put_item(TableName="Items", Item={"pk": {"S": key}})


def test_items_survive_a_stop_and_a_kill(project: Path) -> None:
    kept = project / ".local/tables.json"
    with start(project, "--keep") as engine:
        assert "Data           kept for the next run with --keep\n" in engine.output
        assert read(engine) == {"seeded"}
        write(engine, "before the stop")
        client = aws_client("dynamodb", engine.services)
        client.delete_item(TableName="Items", Key={"pk": {"S": "seeded"}})
    engine = start(project, "--keep").start()
    try:
        assert read(engine) == {"before the stop"}
        write(engine, "before the kill")
        poll(lambda: "before the kill" in kept.read_text(), "nothing is kept while the engine runs")
    finally:
        engine.process.send_signal(signal.SIGKILL)
        engine.process.wait()
        engine.stop()
    with start(project, "--keep") as engine:
        assert read(engine) == {"before the stop", "before the kill"}
    with start(project) as engine:
        assert "Data           lost when the engine stops; --keep keeps it" in engine.output
        assert read(engine) == {"seeded"}


def test_kept_items_are_not_in_the_stream_again(project: Path) -> None:
    with start(project, "--keep"):
        pass
    with start(project, "--keep") as engine:
        write(engine, "new")
        streams = aws_client("dynamodbstreams", engine.services)
        (stream,) = streams.list_streams(TableName="Items")["Streams"]
        (shard,) = streams.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]["Shards"]
        place = {"StreamArn": stream["StreamArn"], "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = streams.get_shard_iterator(**place)["ShardIterator"]
        (record,) = streams.get_records(ShardIterator=iterator)["Records"]
        assert record["dynamodb"]["Keys"] == {"pk": {"S": "new"}}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (json.dumps({"Gone": SEED["Items"]}), "has items for 'Gone', which is not a table of the template"),
        (json.dumps(SEED)[:-20], "cannot be read: "),
        ("[]", "does not have the form of BatchWriteItem's RequestItems: "),
        ('{"Items": [{"PutRequest": {"Item": {"sk": {"S": "x"}}}}]}', "does not fit its tables. "),
    ],
    ids=["table that is gone", "damaged", "list", "another key"],
)
def test_kept_items_that_cannot_be_used_are_named_with_what_to_do(project: Path, content: str, problem: str) -> None:
    kept = project / ".local/tables.json"
    kept.parent.mkdir()
    kept.write_text(content)
    with pytest.raises(EngineError) as failure, start(project, "--keep"):
        pass
    assert f"{kept} {problem}" in str(failure.value)
    assert "Delete it, or start without --keep." in str(failure.value)
    assert kept.read_text() == content

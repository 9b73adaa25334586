"""`--keep`: the tables' items survive a restart."""

import json
import signal
from pathlib import Path

import pytest
from conftest import aws_client

from local_engine.testing import EngineProcess, poll

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Items:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
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
        assert read(engine) == {"seeded"}


def test_what_is_kept_for_a_table_that_is_gone_is_named(project: Path) -> None:
    (project / ".local").mkdir()
    (project / ".local/tables.json").write_text(json.dumps({"Gone": SEED["Items"]}))
    engine = start(project, "--keep")
    with pytest.raises(Exception, match=r"Gone.* not a table of the template"):
        engine.start()

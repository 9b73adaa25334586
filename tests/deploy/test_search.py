"""In the emulator, which enforces IAM: a created resource is embedded and found, and a deleted one leaves no vector.

The emulator ignores vector indexes in CloudFormation, so the test adds the index. Its Bedrock does not embed, so a
server of the tests does, and nobody checks who may invoke the model: tests/contract/test_permissions.py alone does.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_engine.testing import poll
from tests.deploy.deployment import Deployment, load_event
from tests.deploy.emulator import Emulator
from tests.support.stack import load_template

SUBJECT = "searcher"


@pytest.fixture(scope="module")
def searching(emulator: Emulator, packaged: Path) -> Iterator[Deployment]:
    deployment = Deployment(emulator, packaged, "serverless-api-search")
    deployment.deploy("--config-env", "dev", Intelligence="on")
    properties = load_template()["Resources"]["Table"]["Properties"]
    index = properties["VectorIndexes"]["Fn::If"][1][0]["Fn::If"][1]
    attributes = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "noun", "type")]
    emulator.client("dynamodb").update_table(
        TableName=deployment.find("Table"), AttributeDefinitions=attributes, VectorIndexUpdates=[{"Create": index}]
    )
    yield deployment
    deployment.delete()


def test_what_is_created_is_embedded_and_found_and_what_is_deleted_leaves_no_vector(searching: Deployment) -> None:
    event = load_event("CreateResource", SUBJECT)
    del event["headers"]["idempotency-key"]
    created = json.loads(searching.invoke("CreateResource", event)["body"])

    def search() -> list[Any]:
        answer = searching.invoke("SearchResources", load_event("SearchResources", SUBJECT))
        # An index that is new is not searched yet.
        if answer["statusCode"] == 503:
            return []
        assert answer["statusCode"] == 200, answer
        results: list[Any] = json.loads(answer["body"])["results"]
        return results

    poll(search, "nothing is found", seconds=240)
    assert [(result["resource"]["id"], result["score"]) for result in search()] == [(created["id"], 1.0)]
    event = load_event("DeleteResource", SUBJECT)
    event["pathParameters"] = {"id": created["id"]}
    assert searching.invoke("DeleteResource", event)["statusCode"] == 204
    assert search() == []
    poll(
        lambda: not [key for key in searching.list_keys() if key.startswith("vector#")], "the vector stays", seconds=240
    )

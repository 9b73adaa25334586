"""In the emulator, which enforces IAM: a user with an account is erased."""

import json
from typing import Any

from local_engine.testing import poll
from tests.deploy.deployment import Deployment, load_event


def test_a_user_is_erased_with_the_account(deployment: Deployment) -> None:
    def connect(service: str) -> Any:
        return deployment.emulator.client(service)

    pool = deployment.find("Identity/UserPool")
    created = connect("cognito-idp").admin_create_user(UserPoolId=pool, Username="ann@example.com")["User"]
    (subject,) = [entry["Value"] for entry in created["Attributes"] if entry["Name"] == "sub"]

    def call(function: str, **path: str) -> dict[str, Any]:
        event = load_event(function, subject)
        event["requestContext"]["timeEpoch"] = 1_798_761_600_000 + (function == "StartErasure")
        event["pathParameters"] = path
        answer = deployment.invoke(function, event)
        assert answer["statusCode"] < 300, answer
        return json.loads(answer["body"])

    call("CreateResource")
    erasure_id = call("StartErasure")["id"]
    table = {"TableName": deployment.find("Table"), "KeyConditionExpression": "pk = :pk"}
    key = {":pk": {"S": f"user#{subject}"}}

    def is_gone() -> bool:
        return not connect("dynamodb").query(**table, ExpressionAttributeValues=key)["Items"]

    poll(is_gone, "the first round deletes everything", seconds=120)
    ledger = connect("dynamodb").scan(TableName=deployment.find("Records/Erasure/ErasureLedger"))["Items"]
    (item,) = [entry for entry in ledger if entry["sk"]["S"] == f"erasure#{erasure_id}"]
    # As a message that arrives twice: the first round's own comes later.
    step = {"user": item["pk"]["S"], "erasure": erasure_id, "before": int(item["requestedAt"]["N"])}
    step |= {"number": 1000, "token": "late", "round": 2}
    connect("sqs").send_message(QueueUrl=deployment.find("Records/Erasure/ErasureQueue"), MessageBody=json.dumps(step))
    poll(lambda: call("GetErasure", id=erasure_id)["state"] == "erased", "the erasure ends", seconds=120)
    erased = call("GetErasure", id=erasure_id)["erased"]
    assert (erased["account"], erased["resource"], erased["idempotency"]) == (1, 1, 1)
    users = connect("cognito-idp").list_users(UserPoolId=pool)["Users"]
    assert not [user for user in users if {"Name": "sub", "Value": subject} in user["Attributes"]]
    # The schedule is tested in the local engine: the emulator takes it for one of the group `default`, where the role
    # may create none.

"""The hook before new versions serve, invoked in the local engine as CodeDeploy invokes it.

Nothing here is CodeDeploy but the place that it reports to, which keeps what it is told.
"""

import json

import boto3
import pytest
from botocore.config import Config

from tests.support.http_server import Server, make_reply
from tests.support.programs import run_engine_of

EVENT = {"DeploymentId": "d-A1B2C3D4E", "LifecycleEventHookExecutionId": "an-execution"}
ANSWER = "Response(200, "


@pytest.fixture
def codedeploy():
    with Server(lambda _: make_reply({})) as server:
        yield server


@pytest.fixture
def verify(copied_stack, codedeploy):
    """Runs the hook in an engine of its own; returns what it reports, and what is logged."""
    text = copied_stack.read_text()
    assert text.count("          VERSIONS: ") == 1
    endpoint = f"          AWS_ENDPOINT_URL_CODEDEPLOY: {codedeploy.url}\n"
    copied_stack.write_text(text.replace("          VERSIONS: ", f"{endpoint}          VERSIONS: "))

    def run():
        with run_engine_of(copied_stack) as engine:
            client = boto3.client(
                "lambda",
                endpoint_url=f"{engine.url}/_local/lambda",
                region_name="us-east-1",
                aws_access_key_id="local",
                aws_secret_access_key="local",
                config=Config(retries={"total_max_attempts": 1}),
            )
            answer = client.invoke(FunctionName="VerifyVersions", Payload=json.dumps(EVENT))
            assert "FunctionError" not in answer, engine.output
        (report,) = codedeploy.requests
        assert report.headers["X-Amz-Target"].endswith(".PutLifecycleEventHookExecutionStatus")
        body = json.loads(report.body)
        assert body["deploymentId"] == EVENT["DeploymentId"]
        assert body["lifecycleEventHookExecutionId"] == EVENT["LifecycleEventHookExecutionId"]
        return body["status"], engine.output

    return run


def test_versions_that_answer_as_their_routes_should_may_serve(verify):
    status, _ = verify()
    assert status == "Succeeded"


def test_a_version_that_answers_otherwise_may_not_serve_and_the_log_says_why(verify, copied_stack):
    handler = copied_stack.parent / "functions/get_resource/app.py"
    source = handler.read_text()
    assert ANSWER in source
    handler.write_text(source.replace(ANSWER, "Response(202, "))
    status, output = verify()
    assert status == "Failed"
    assert "answered 202 instead of 200" in output


def test_a_version_that_fails_may_not_serve(verify, copied_stack):
    copied_stack.parent.joinpath("functions/create_resource/app.py").write_text("def handler(event, context): 1 / 0")
    status, output = verify()
    assert status == "Failed"
    assert "division by zero" in output
    assert "has created nothing" in output


def test_what_cannot_be_tried_may_not_serve(verify, copied_stack):
    text = copied_stack.read_text()
    assert "[get_resource, " in text
    copied_stack.write_text(text.replace("[get_resource, ", "[no_fixture, "))
    status, output = verify()
    assert status == "Failed"
    assert "The versions could not be tried" in output

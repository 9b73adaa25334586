"""The pre-traffic hook in the local engine; CodeDeploy, which invokes it, and CloudFormation are stand-ins."""

import json

import boto3
import pytest
from botocore.config import Config
from samtranslator.yaml_helper import yaml_parse

from tests.support.http_server import Server
from tests.support.programs import prepare_engine
from tests.support.roll_out_aws import EVENT, STACK_ID, RollOut, list_stack_resources, write_app_spec
from tests.support.stack import list_routes

# The engine names functions by their logical IDs, and each has version 1.
FUNCTIONS = {route.function: route.function for route in list_routes()}


@pytest.fixture
def roll_out():
    return RollOut("", list_stack_resources(FUNCTIONS))


@pytest.fixture
def verify(copied_stack, roll_out):
    """Return a function that runs the hook in a new engine and returns its report and its log."""

    def run(function):
        roll_out.app_spec = write_app_spec(function, "1")
        with Server(roll_out.answer) as server:
            template = yaml_parse(copied_stack.read_text())
            hook = template["Resources"]["VerifyVersions"]["Properties"]
            hook.setdefault("Environment", {}).setdefault("Variables", {}).update(
                AWS_ENDPOINT_URL_CODEDEPLOY=server.url, AWS_ENDPOINT_URL_CLOUDFORMATION=server.url, STACK_ID=STACK_ID
            )
            copied_stack.write_text(json.dumps(template))
            with prepare_engine(copied_stack) as engine:
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
        (status,) = roll_out.reported
        return status, engine.output

    return run


@pytest.mark.parametrize("function", ["CreateResource", "GetResource", "DeleteResource"])
def test_a_version_that_works_may_serve(verify, function):
    status, output = verify(function)
    assert status == "Succeeded", output


def test_a_version_that_answers_otherwise_may_not_serve_and_the_log_says_why(verify, copied_stack):
    handler = copied_stack.parent / "functions/get_resource/app.py"
    source = handler.read_text()
    assert "Response(200, " in source
    handler.write_text(source.replace("Response(200, ", "Response(302, "))
    status, output = verify("GetResource")
    assert status == "Failed"
    assert "answered 302 instead of 2xx" in output


def test_a_version_that_crashes_at_import_may_not_serve(verify, copied_stack):
    copied_stack.parent.joinpath("functions/create_resource/app.py").write_text("1 / 0")
    status, output = verify("CreateResource")
    assert status == "Failed"
    assert "division by zero" in output


def test_what_cannot_be_tried_may_not_serve(verify, roll_out):
    roll_out.resources.clear()
    status, output = verify("GetResource")
    assert status == "Failed"
    assert "The version could not be tried" in output

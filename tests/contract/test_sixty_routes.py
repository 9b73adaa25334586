"""The template with sixty routes still fits AWS's limits."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.support.stack import ROOT, list_routes
from tests.support.templates import translate_template

pytestmark = pytest.mark.slow

ROUTES = 60
# «Lambda quotas», AWS Lambda Developer Guide.
ENVIRONMENT_BYTES = 4096
# «IAM and AWS STS quotas», AWS IAM User Guide: a role's inline policies and a managed policy, without white space.
INLINE_CHARACTERS = 10_240
MANAGED_CHARACTERS = 6_144
# «Understand CloudFormation quotas», AWS CloudFormation User Guide.
RESOURCES = 500
TEMPLATE_BYTES = 1_000_000
# «Quotas for configuring and running an HTTP API», Amazon API Gateway Developer Guide.
ROUTES_OF_AN_API = 300


def repeat_routes(text):
    """The template's text with further routes, each a copy of an existing function's block and operation."""
    blocks = re.findall(r"^  \w+:\n(?:    .*\n)+", text.partition("\nResources:\n")[2], re.MULTILINE)
    functions = [block for block in blocks if "Type: HttpApi" in block]
    paths = re.search(r"^        paths:\n((?:          .*\n)+)", text, re.MULTILINE)[1]
    added_functions, added_paths = "", ""
    for copy in range(1, -(-ROUTES // len(functions))):
        for block in functions:
            added_functions += re.sub(r"^  (\w+):", rf"  \g<1>Of{copy}:", block).replace(
                "/api/v1/", f"/api/v{copy + 1}/"
            )
        added_paths += re.sub(r"operationId: (\w+)", rf"operationId: \g<1>Of{copy}", paths).replace(
            "/api/v1/", f"/api/v{copy + 1}/"
        )
    text = text.replace(paths, paths + added_paths)
    return text.replace("\nOutputs:\n", f"\n{added_functions}\nOutputs:\n")


@pytest.fixture(scope="module")
def text():
    return repeat_routes((ROOT / "template.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def resources(text):
    return translate_template(yaml_parse(text))


def count_policy_characters(document):
    return len(re.sub(r"\s", "", json.dumps(document)))


def test_there_are_sixty_routes(resources):
    operations = [
        operation
        for path in resources["Api"]["Properties"]["Body"]["paths"].values()
        for method, operation in path.items()
        if method in {"get", "post", "put", "patch", "delete"}
    ]
    assert ROUTES <= len(operations) <= ROUTES_OF_AN_API
    assert all("x-amazon-apigateway-integration" in operation for operation in operations)
    assert len({operation["operationId"] for operation in operations}) == len(operations)


def test_cloudformation_takes_it(text, resources):
    assert len(resources) <= RESOURCES
    assert len(json.dumps(resources).encode()) <= TEMPLATE_BYTES
    assert len(text.encode()) <= TEMPLATE_BYTES


def test_lambda_takes_it(resources):
    functions = [resource for resource in resources.values() if resource["Type"] == "AWS::Lambda::Function"]
    assert len(functions) >= ROUTES
    for function in functions:
        variables = function["Properties"]["Environment"]["Variables"]
        assert len(json.dumps(variables).encode()) <= ENVIRONMENT_BYTES


def test_iam_takes_it(resources):
    kinds = Counter(resource["Type"] for resource in resources.values())
    assert kinds["AWS::IAM::Role"] >= ROUTES
    for resource in resources.values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Role":
            assert (
                sum(count_policy_characters(policy["PolicyDocument"]) for policy in properties["Policies"])
                <= INLINE_CHARACTERS
            )
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            assert count_policy_characters(properties["PolicyDocument"]) <= MANAGED_CHARACTERS


def test_nothing_beside_the_routes_own_resources_grows(resources):
    """Neither the pre-traffic hook, nor a role, nor an alarm lists the functions."""
    before = translate_template(yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8")))
    functions = {route.function for route in list_routes()}
    for name, resource in before.items():
        if name not in {"Api", "ApiApiGatewayDefaultStage"} and not any(
            name.startswith(function) for function in functions
        ):
            assert resources[name] == resource


@pytest.mark.timeout(600)
def test_it_lints(text, tmp_path):
    shutil.copytree(ROOT / "models", tmp_path / "models")
    shutil.copytree(ROOT / "stacks", tmp_path / "stacks")
    path = tmp_path / "template.yaml"
    path.write_text(text, encoding="utf-8")
    command = [Path(sys.executable).with_name("cfn-lint"), path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=570)
    assert done.returncode == 0, done.stdout

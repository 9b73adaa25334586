"""A changed setting, parameter, layer byte or source line publishes a version; no change publishes none."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

from tests.support.parameters import PARAMETERS, choose_other, give
from tests.support.permissions import translate_stack
from tests.support.stack import list_routes
from tests.support.templates import read_settings

pytestmark = pytest.mark.slow

FUNCTIONS = [route.function for route in list_routes()]
# What belongs to a function as a whole and not to a version of it.
UNPUBLISHED = {"ReservedConcurrentExecutions", "Tags"}


@pytest.fixture(scope="session")
def package(build, tmp_path_factory):
    """A function that packages what `sam build` has made, as `sam deploy` does, and returns its versions."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "SAM_CLI_TELEMETRY": "0",
    }

    def run(*arguments):
        done = subprocess.run(
            arguments, env=environment, cwd=build, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr

    httpx.put(f"{environment['AWS_ENDPOINT_URL']}/artifacts").raise_for_status()

    def package(folder):
        output = tmp_path_factory.mktemp("package") / "template.json"
        sam = [sys.executable, "-m", "samcli", "package", "--s3-bucket", "artifacts", "--use-json"]
        run(*sam, "--template-file", folder / "template.yaml", "--output-template-file", output)
        return list_versions(json.loads(output.read_text(encoding="utf-8")))

    yield package
    server.stop()


@pytest.fixture(scope="session")
def built(build, tmp_path_factory):
    """What `sam build` has made, without the nested applications, which have no route of the root's API."""
    template = yaml_parse((build / "template.yaml").read_text(encoding="utf-8"))
    kinds = {name: resource["Type"] for name, resource in template["Resources"].items()}
    nested = [name for name, kind in kinds.items() if kind == "AWS::Serverless::Application"]
    for name in nested:
        del template["Resources"][name]
    folder = tmp_path_factory.mktemp("package") / "build"
    shutil.copytree(build, folder, ignore=shutil.ignore_patterns(*nested))
    # SAM reads JSON in much less time than YAML.
    (folder / "template.yaml").write_text(json.dumps(template), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def before(built, package):
    """The versions of what `sam build` has made."""
    return package(built)


def list_versions(template):
    """Return the logical ID of each function's version. CloudFormation publishes a version if it has changed."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        values = {name: parameter["Default"] for name, parameter in PARAMETERS.items()}
        translated = Translator({}, Parser()).translate(template, values | {"AWS::Region": "us-east-1"})
    return {
        resource["Properties"]["FunctionName"]["Ref"]: logical_id
        for logical_id, resource in translated["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Version"
    }


def test_one_byte_of_the_layer_publishes_every_function(built, package, before, tmp_path):
    copy = tmp_path / "build"
    shutil.copytree(built, copy)
    source = copy / "SharedLayer" / "python" / "serverless_api" / "__init__.py"
    content = source.read_bytes()
    source.write_bytes(content.replace(b"#", b"!", 1) if b"#" in content else content + b"\n")
    after = package(copy)
    assert set(after) == set(before) == set(FUNCTIONS)
    assert not set(after.values()) & set(before.values())


def test_the_code_of_a_function_publishes_that_function_and_what_has_not_changed_none(built, package, before, tmp_path):
    copy = tmp_path / "build"
    shutil.copytree(built, copy)
    with Path(copy, "GetResource", "app.py").open("a", encoding="utf-8") as code:
        code.write("\n")
    after = package(copy)
    assert {function for function in FUNCTIONS if after[function] != before[function]} == {"GetResource"}


def find_layer(stack):
    kind = "AWS::Lambda::LayerVersion"
    (layer,) = [item for name, item in stack.resources.items() if item.type == kind and "/" not in name]
    return layer.properties


def read_versions(stack):
    """For each function: what its versions are made of, and what tells CloudFormation one version from another."""
    resources = stack.resources
    # A layer version is replaced when any of its properties changes, and its ARN with it.
    layer = json.dumps(find_layer(stack), sort_keys=True)
    versions = {}
    for logical_id, resource in resources.items():
        name = logical_id.partition("Version")[0]
        if resource.type != "AWS::Lambda::Version" or name not in FUNCTIONS:
            continue
        function = resources[name].properties
        assert resource.properties["FunctionName"] == stack.functions[name].name
        assert function["Layers"] == [resource.properties["Description"]], "a version is described by its layer"
        configuration = {name: value for name, value in function.items() if name not in UNPUBLISHED}
        # "Update requires: Replacement" is true of each property of AWS::Lambda::Version that is used here.
        versions[name] = ((configuration, layer), (logical_id, layer))
    assert set(versions) == set(FUNCTIONS)
    return versions


def check_published(before, after):
    for function in FUNCTIONS:
        (configuration, version), (configuration_after, version_after) = before[function], after[function]
        assert (configuration != configuration_after) == (version != version_after), function


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in PARAMETERS for value in choose_other(name)])
def test_a_parameter_publishes_the_functions_that_it_changes_and_no_others(name, value):
    without, given = give(name, value)
    check_published(read_versions(translate_stack(**without)), read_versions(translate_stack(**given)))


OTHER_SETTINGS = {
    "RollOut": "Linear10PercentEvery1Minute",
    "TableProtection": "true",
    "LogLevel": "WARN",
    "DebugSampleRate": '"0.5"',
    "CallerInLogs": "plain",
    "LogRetentionDays": "7",
    "RecoveryDays": "3",
    "Traces": '"off"',
    "ReservedConcurrency": "5",
    "ProvisionedConcurrency": "3",
    "VectorsA": "cohere.embed-english-v3",
    "VectorsB": "cohere.embed-english-v3",
    "SearchedVectors": "VectorsB",
}
"""Another valid value of each setting of the root template."""


def test_every_setting_is_tried():
    assert OTHER_SETTINGS.keys() == read_settings().keys()


@pytest.mark.parametrize(("setting", "value"), OTHER_SETTINGS.items())
def test_a_setting_publishes_the_functions_that_it_changes_and_no_others(setting, value):
    check_published(read_versions(translate_stack()), read_versions(translate_stack(**{setting: value})))


def test_a_layers_description_is_never_too_long():
    longest = {"EnrichmentUrl": "https://" + "a" * (PARAMETERS["EnrichmentUrl"]["MaxLength"] - 8)}
    stack = translate_stack(
        CallerInLogs="hashed", **longest, Stage="staging", Architecture="x86_64", ColdStart="provisioned"
    )
    assert len(find_layer(stack)["Description"]) + len("DEBUG") - len("INFO") <= 256

"""Stacks deployed by `sam deploy`."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pexpect
from pexpect.fdpexpect import fdspawn
from samtranslator.yaml_helper import yaml_parse

from local_engine.template import translate
from tests.deploy.emulator import Emulator
from tests.support.permissions import list_functions
from tests.support.stack import ROOT, find_fixture

# The emulator rejects change sets with these types.
_NOT_EMULATED = {
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::SecretsManager::RotationSchedule",
}

_SAM = [sys.executable, "-m", "samcli"]
_PROMPT_SECONDS = 120


def prepare_template(path: Path) -> Path:
    """Remove the resources that the emulator rejects from a built template, and return its path."""
    template = _leave_out(yaml_parse(path.read_text()))
    _translate_nested(path, template)
    path.write_text(json.dumps(template))
    return path


def _translate_nested(path: Path, template: dict[str, Any]) -> None:
    """Run SAM's transform on the nested applications of a template, and on theirs."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Application":
            nested = path.parent / resource["Properties"]["Location"]
            inner = _leave_out(yaml_parse(nested.read_text()))
            _translate_nested(nested, inner)
            nested.write_text(json.dumps(_translate(inner)))


def is_emulated(kind: str, properties: dict[str, Any]) -> bool:
    """Return whether the emulator accepts a resource. It accepts alarms on a metric, but not on an expression."""
    return kind not in _NOT_EMULATED and not (kind == "AWS::CloudWatch::Alarm" and "Metrics" in properties)


def _leave_out(template: dict[str, Any]) -> dict[str, Any]:
    """Remove what is not emulated from a template, before SAM's transform."""
    # SAM generates CodeDeploy's application and groups from this. Without it, aliases move at once, untested.
    template.get("Globals", {}).get("Function", {}).pop("DeploymentPreference", None)
    missing = ["ServerlessDeploymentApplication"]
    for name, resource in list(template["Resources"].items()):
        if "IgnoreGlobals" in resource:
            resource["IgnoreGlobals"].remove("DeploymentPreference")
        if not is_emulated(resource["Type"], resource.get("Properties", {})):
            del template["Resources"][name]
            missing.append(name)
    for properties in (
        template.get("Globals", {}).get("Function", {}),
        *(resource.get("Properties", {}) for resource in template["Resources"].values()),
    ):
        variables = properties.get("Environment", {}).get("Variables", {})
        for name, value in variables.items():
            # The emulator starts no process with a mapping's numbers, which are text in AWS.
            if isinstance(value, dict) and "Fn::FindInMap" in value:
                variables[name] = {"Fn::Join": ["", [value]]}
    # A role, the dashboard, an output and a nested application refer to removed resources.
    text = re.sub(rf"\$\{{({'|'.join(missing)})(\.\w+)?\}}", "not-emulated", json.dumps(template))
    text = re.sub(rf'\{{"Fn::GetAtt": \["({"|".join(missing)})", "\w+"\]\}}', '"not-emulated"', text)
    left: dict[str, Any] = json.loads(text)
    return left


def _translate(template: dict[str, Any]) -> dict[str, Any]:
    """Run SAM's transform, which the emulator skips for nested applications; keeps local paths for `sam deploy`."""
    paths = {}
    for name, resource in template["Resources"].items():
        for location in {"CodeUri", "ContentUri"} & resource.get("Properties", {}).keys():
            paths[name] = resource["Properties"][location]
            resource["Properties"][location] = f"s3://local-files/{name}"
    # SAM writes values into policies. Without one, it leaves the reference.
    defaults = {name: str(entry["Default"]) for name, entry in template["Parameters"].items() if "Default" in entry}
    translated = translate(template, defaults)
    for resource in translated["Resources"].values():
        properties = resource.get("Properties", {})
        for location in {"Code", "Content"} & properties.keys():
            properties[location] = paths[properties[location]["S3Key"]]
    return translated


class Deployment:
    """One stack in the emulator."""

    def __init__(self, emulator: Emulator, template: Path, name: str) -> None:
        self.emulator = emulator
        self.name = name
        self._template = template
        self.questions = 0
        """Number of questions that `deploy_guided` answered."""

    def deploy(self, *options: str, **parameters: str) -> None:
        """Create the stack, or update it in place; `options` go to `sam deploy`."""
        done = self._deploy(*options, **parameters)
        assert done.returncode == 0, f"sam deploy failed:\n{done.stdout}"
        self._complete()

    def refuse(self, *options: str, **parameters: str) -> str:
        """Try to deploy what is to be refused, and return what `sam deploy` says."""
        done = self._deploy(*options, **parameters)
        assert done.returncode != 0, f"sam deploy did not fail:\n{done.stdout}"
        return done.stdout

    def _deploy(self, *options: str, **parameters: str) -> subprocess.CompletedProcess[str]:
        location = ["--template-file", str(self._write_defaults(parameters)), "--stack-name", self.name]
        overrides = [f"{name}={value}" for name, value in parameters.items()]
        options = (*options, "--no-confirm-changeset", *(["--parameter-overrides", *overrides] if overrides else []))
        return _try(self.emulator, "deploy", *location, *options)

    def _write_defaults(self, parameters: Mapping[str, str]) -> Path:
        """Write the template with other defaults: the emulator does not pass parameters to SAM's transform."""
        template = json.loads(self._template.read_text())
        for name, value in parameters.items():
            template["Parameters"][name]["Default"] = value
        path = self._template.with_name(f"{self.name}.json")
        path.write_text(json.dumps(template))
        return path

    def deploy_guided(self, directory: Path) -> None:
        """Create the stack with `sam deploy --guided` on a terminal, and accept every default.

        SAM saves the answers to a copy of samconfig.toml in `directory`.
        """
        self.answer_guide(directory, ROOT)
        self._complete()

    def answer_guide(self, directory: Path, project: Path) -> None:
        """Run `sam deploy --guided` in a project. The question whether to deploy gets a `y`: its default is no."""
        config = shutil.copy(project / "samconfig.toml", directory / "samconfig.toml")
        arguments = ["deploy", "--guided", "--template-file", str(self._template), "--config-file", str(config)]
        # Questions are coloured: the pattern skips the control characters between words.
        answers = {r"Deploy this changeset[^\n]*\]: ": "y", r"\]: ": ""}
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [*_SAM, *arguments],
            cwd=project,
            env=_environment(self.emulator),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            terminal = fdspawn(ours, timeout=_PROMPT_SECONDS, encoding="utf-8")
            shown = ""
            try:
                while (found := terminal.expect([*answers, pexpect.EOF])) < len(answers):
                    shown += f"{terminal.before}{terminal.after}"
                    terminal.sendline(list(answers.values())[found])
                    self.questions += 1
                shown += str(terminal.before)
            except BaseException:
                process.kill()
                raise
            finally:
                terminal.close()
        assert process.returncode == 0, f"sam deploy --guided failed:\n{shown}"

    def _complete(self) -> None:
        """Set what the emulator enforces but ignores in templates, and remove what it takes too literally."""
        self.__dict__.pop("resources", None)
        # It speaks plain HTTP, which the policy of the bucket denies to everybody.
        bucket = self.find("Records/Imports/ImportBucket")
        self.emulator.client("s3").delete_bucket_policy(Bucket=bucket)
        iam = self.emulator.client("iam")
        boundaries = {name: entry for name, entry in self.resources.items() if name.endswith("Boundary")}
        for function in list_functions():
            if f"{function}Role" not in self.resources:
                continue
            own = [name for name in boundaries if name.rpartition("/")[0] == function.rpartition("/")[0]]
            # A nested application without a boundary gets the root's.
            (boundary,) = own or ["FunctionBoundary"]
            iam.put_role_permissions_boundary(
                RoleName=self.find(f"{function}Role"), PermissionsBoundary=self.find(boundary)
            )

    def delete(self) -> None:
        # Not `sam delete`, which cannot parse the emulator's URLs of nested templates.
        cloudformation = self.emulator.client("cloudformation")
        cloudformation.delete_stack(StackName=self.name)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=self.name, WaiterConfig={"Delay": 1})

    @cached_property
    def resources(self) -> dict[str, Any]:
        """The stack's resources by logical ID, `Application/LogicalId` in a nested application."""
        return dict(self._list_resources(self.name))

    def _list_resources(self, stack: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
        answer = self.emulator.client("cloudformation").describe_stack_resources(StackName=stack)
        for resource in answer["StackResources"]:
            logical_id = f"{prefix}{resource['LogicalResourceId']}"
            yield logical_id, resource
            if resource["ResourceType"] == "AWS::CloudFormation::Stack":
                yield from self._list_resources(resource["PhysicalResourceId"], f"{logical_id}/")

    def find(self, logical_id: str) -> str:
        """Return the physical ID of a resource."""
        return str(self.resources[logical_id]["PhysicalResourceId"])

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Invoke a function by its logical ID and return its answer."""
        return invoke_function(self.emulator, self.find(function), event)

    def list_keys(self) -> set[str]:
        """Return the sort keys of all items in the stack's table."""
        answer = self.emulator.client("dynamodb").scan(TableName=self.find("Table"))
        return {item["sk"]["S"] for item in answer["Items"]}


def load_event(function: str, subject: str) -> dict[str, Any]:
    """Return the fixture of a route's function as a request of a user."""
    event: dict[str, Any] = json.loads(find_fixture(function).read_text())
    event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = subject
    return event


def invoke_function(emulator: Emulator, name: str, event: dict[str, Any]) -> Any:
    answer = emulator.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    payload = json.load(answer["Payload"])
    assert "FunctionError" not in answer, payload
    return payload


def _try(emulator: Emulator, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_SAM, command, "--config-file", str(ROOT / "samconfig.toml"), *arguments],
        cwd=ROOT,
        env=_environment(emulator),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _environment(emulator: Emulator) -> dict[str, str]:
    return emulator.environment | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SAM_CLI_POLL_DELAY": "0.5",
        "SAM_CLI_TELEMETRY": "0",
    }

"""Tries a function's new version with event fixtures before CodeDeploy shifts traffic to it.

CodeDeploy's event names a deployment, its AppSpec the function and the version. The pass takes only the routes that the
tried one needs: the new version serves the tried route, alias `live` the others. CodeDeploy calls once for each changed
function, several at once; each pass calls as its own user, so no pass sees what another has created.

Sources: "AppSpec 'hooks' section for an AWS Lambda deployment", AWS CodeDeploy User Guide; `GetDeployment` and
`GetApplicationRevision`, AWS CodeDeploy API Reference (the former returns the revision without its content).
"""

import json
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from route_pass import Answer, Check, Event, run_pass, select_checks
from serverless_api import logger

CONNECT_SECONDS = 2
ANSWER_SECONDS = 30  # Lambda ends a route's function a second earlier.
# Hooks of several functions run at once and may be throttled. A request that is sent again has its idempotency key.
ATTEMPTS = 3
# The hooks of all changed functions ask CodeDeploy and CloudFormation at the same moment. Five attempts of four seconds
# each, and the pauses between them, take this long at most.
REPORT_SECONDS = 40

_lambda = boto3.client(
    "lambda",
    config=Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    ),
)
_config = Config(connect_timeout=2, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 5})
_codedeploy = boto3.client("codedeploy", config=_config)
_cloudformation = boto3.client("cloudformation", config=_config)


class VerificationError(Exception):
    """A version cannot be tried or gives no answer; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Version:
    """A function's version.

    Attributes:
        function: name of the function.
        number: of the version.
    """

    function: str
    number: str


def find_target(deployment_id: str) -> Version:
    """Return the version that a deployment shifts traffic to.

    Raises:
        VerificationError: the AppSpec names no single version, or is not JSON as CloudFormation writes it.
        botocore.exceptions.ClientError: CodeDeploy refuses.
        botocore.exceptions.BotoCoreError: CodeDeploy does not answer.
    """
    deployment = _codedeploy.get_deployment(deploymentId=deployment_id)["deploymentInfo"]
    revision = _codedeploy.get_application_revision(
        applicationName=deployment["applicationName"], revision=deployment["revision"]
    )["revision"]
    content = (revision.get("string") or revision.get("appSpecContent") or {}).get("content", "")
    try:
        (resources,) = json.loads(content)["Resources"]
        (resource,) = resources.values()
        return Version(resource["Properties"]["Name"], resource["Properties"]["TargetVersion"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise VerificationError(f"The AppSpec of {deployment_id} names no version: {content[:300]!r}") from error


def verify_version(version: Version, stack_id: str, events: Path, remaining_milliseconds: Callable[[], int]) -> bool:
    """Try a version of a route's function in a pass, and log what does not work.

    If a live function that the pass needs does not work, nothing is created: the version is tried with the fixture's
    own ID, or with a body that is not JSON. So a stack whose live functions are broken can still be repaired.

    Args:
        version: the version to try.
        stack_id: of the stack that the function belongs to.
        events: folder of the fixtures.
        remaining_milliseconds: returns how long this function may still run.

    Returns:
        Whether the version works.

    Raises:
        VerificationError: the function is not in the stack, or has no fixture with a route.
        botocore.exceptions.ClientError: CloudFormation refuses.
        botocore.exceptions.BotoCoreError: CloudFormation does not answer.
    """
    names, live = _list_functions(stack_id)
    if version.function not in names:
        raise VerificationError(f"The stack has no function {version.function}.")
    fixtures = _read_fixtures(events)
    if names[version.function] not in fixtures:
        raise VerificationError(f"{version.function} has no event fixture with a route.")
    tried = fixtures[names[version.function]]
    checks = {function: fixtures[name] for function, name in names.items() if name in fixtures and function in live}
    arns = {check.route: live[function] for function, check in checks.items()}
    send = _Sender(tried, f"{version.function}:{version.number}", arns, remaining_milliseconds).send

    def works(checks: list[Check]) -> bool:
        problems = [step for step in run_pass(checks, send) if step.problem]
        for step in problems:
            logger.error("A route does not answer as it should", route=step.route, problem=step.problem)
        return not problems

    needed = select_checks((checks | {version.function: tried}).values(), tried)
    others = [check for check in needed if check.route != tried.route]
    # What cannot be deleted is not created, so the deletions are tried first.
    if works([check for check in others if check.method == "DELETE"]) and works(others):
        return works(needed)
    logger.warning("The pass creates nothing: a live function that it needs does not work")
    return works([tried])


class _Sender:
    """Invokes the tried version for the tried route and the live versions for the others."""

    def __init__(
        self, tried: Check, version: str, live: Mapping[str, str], remaining_milliseconds: Callable[[], int]
    ) -> None:
        self._tried = tried
        self._version = version
        self._live = live
        self._remaining_milliseconds = remaining_milliseconds

    def send(self, event: Event) -> Answer:
        route = event["routeKey"]
        if route != self._tried.route:
            return self._invoke(self._live[route], event)
        try:
            return self._invoke(self._version, event)
        finally:
            # The tried version may not delete what it should.
            if self._tried.method == "DELETE" and route in self._live:
                with suppress(VerificationError, ClientError, BotoCoreError):
                    self._invoke(self._live[route], event)

    def _invoke(self, function: str, event: Event) -> Answer:
        if self._remaining_milliseconds() < (ATTEMPTS * (CONNECT_SECONDS + ANSWER_SECONDS) + REPORT_SECONDS) * 1000:
            raise VerificationError("Not sent: the requests before it took too long.")
        answer = _lambda.invoke(FunctionName=function, Payload=json.dumps(event))
        content = answer["Payload"].read().decode()
        if "FunctionError" in answer:
            raise VerificationError(f"{function} fails: {content}")
        response = json.loads(content)
        if not isinstance(response, dict) or "statusCode" not in response:
            raise VerificationError(f"{function} returns no HTTP response: {content}")
        headers = {name.lower(): value for name, value in (response.get("headers") or {}).items()}
        return Answer(response["statusCode"], headers, response.get("body") or "")


def report_result(deployment_id: str, execution_id: str, *, succeeded: bool) -> None:
    """Tell CodeDeploy whether the deployment may go on.

    Args:
        deployment_id: `DeploymentId` of CodeDeploy's event.
        execution_id: its `LifecycleEventHookExecutionId`.
        succeeded: if false, CodeDeploy leaves the traffic where it is.

    Raises:
        botocore.exceptions.ClientError: CodeDeploy refuses.
        botocore.exceptions.BotoCoreError: CodeDeploy does not answer.
    """
    _codedeploy.put_lifecycle_event_hook_execution_status(
        deploymentId=deployment_id,
        lifecycleEventHookExecutionId=execution_id,
        status="Succeeded" if succeeded else "Failed",
    )


def _list_functions(stack_id: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the folded logical IDs of a stack's functions and the ARNs of their aliases, by the functions' names."""
    names, aliases = {}, {}
    for page in _cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack_id):
        for resource in page["StackResourceSummaries"]:
            name, status = resource.get("PhysicalResourceId", ""), resource["ResourceStatus"]
            # A new function has no alias yet, or may never get one.
            if status in ("CREATE_IN_PROGRESS", "CREATE_FAILED") or status.startswith("DELETE"):
                continue
            if resource["ResourceType"] == "AWS::Lambda::Function":
                names[name] = _fold(resource["LogicalResourceId"])
            elif resource["ResourceType"] == "AWS::Lambda::Alias":
                aliases[name.split(":")[-2]] = name
    return names, aliases


def _read_fixtures(events: Path) -> dict[str, Check]:
    """Return the routes' fixtures by the folded logical IDs of their functions."""
    # A subject identifier is ASCII (OpenID Connect Core 1.0, section 2), so no user has this one.
    subject = f"§{uuid.uuid4()}"
    checks = {}
    for path in sorted(events.glob("*.json")):
        event: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if "routeKey" in event:
            event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = subject
            checks[_fold(path.stem)] = Check(event)
    return checks


def _fold(name: str) -> str:
    """Return what a function's logical ID and its fixture's name have in common: ListThings and list_things."""
    return name.replace("_", "").lower()

"""Tries the versions of functions that are about to serve, as CodeDeploy asks before it shifts requests to them.

The versions are invoked with the event fixtures of their routes, in one pass that creates, reads, changes and deletes.
CodeDeploy asks once for each function that has changed, several times at once: every pass calls as somebody of its own,
so that none sees what another has created.

Source: «AppSpec 'hooks' section for an AWS Lambda deployment», AWS CodeDeploy User Guide.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from functions.verify_versions.route_pass import Answer, Check, Event, run_pass
from serverless_api.telemetry.observability import logger

CONNECT_SECONDS = 2
ANSWER_SECONDS = 30  # Lambda itself ends a route's function a second earlier
# Deployments of several functions try their versions at once, and may find no environment free; a request that is sent
# again has its idempotency key.
ATTEMPTS = 3
# CodeDeploy would wait an hour for what this function has not reported when Lambda ends it.
REPORT_SECONDS = 10

_lambda = boto3.client(
    "lambda",
    config=Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    ),
)
_codedeploy = boto3.client(
    "codedeploy",
    config=Config(connect_timeout=2, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2}),
)


class VerificationError(Exception):
    """A version gives no answer; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a route's function.

    Attributes:
        fixture: name of the route's event fixture.
        status: of the answer to it.
        arn: of the version.
    """

    fixture: str
    status: int
    arn: str


def read_versions(text: str) -> list[Version]:
    """Read versions as template.yaml lists them: a line each, with fixture, status and ARN.

    Raises:
        VerificationError: a line is another one, or there is none.

    >>> read_versions("get_thing 200 arn:aws:lambda:us-east-1:123456789012:function:GetThing:7")[0].status
    200
    """
    versions = []
    for line in text.splitlines():
        match line.split():
            case [fixture, status, arn] if status.isdecimal():
                versions.append(Version(fixture, int(status), arn))
            case _:
                raise VerificationError(f"{line!r} is not of the form: fixture status ARN.")
    if not versions:
        raise VerificationError("There is no version to try.")
    return versions


def verify_versions(versions: list[Version], events: Path, remaining_milliseconds: Callable[[], int]) -> bool:
    """Take a pass over the versions, and log what does not answer as it should.

    Args:
        versions: all those that work on the same things.
        events: folder of the fixtures.
        remaining_milliseconds: how long this function may still run.

    Returns:
        Whether every version answered as it should.

    Raises:
        OSError: a version has no fixture.
    """
    # A subject identifier is ASCII (OpenID Connect Core 1.0, section 2), so no user has this one.
    subject = f"§{uuid.uuid4()}"
    checks = [Check(_read_event(events / f"{version.fixture}.json", subject), version.status) for version in versions]
    arns = {check.route: version.arn for check, version in zip(checks, versions, strict=True)}

    def send(event: Event) -> Answer:
        if remaining_milliseconds() < (ATTEMPTS * (CONNECT_SECONDS + ANSWER_SECONDS) + REPORT_SECONDS) * 1000:
            raise VerificationError("Not sent, since the versions before it took too long.")
        return _invoke(arns[event["routeKey"]], event)

    steps = run_pass(checks, send)
    for step in steps:
        if step.problem:
            logger.error("A version does not answer as it should", route=step.route, problem=step.problem)
    return not any(step.problem for step in steps)


def report_result(deployment_id: str, execution_id: str, *, succeeded: bool) -> None:
    """Tell CodeDeploy whether the deployment may go on.

    Args:
        deployment_id: `DeploymentId` of CodeDeploy's event.
        execution_id: its `LifecycleEventHookExecutionId`.
        succeeded: otherwise CodeDeploy leaves the requests where they are.

    Raises:
        botocore.exceptions.ClientError: CodeDeploy refuses.
        botocore.exceptions.BotoCoreError: it does not answer.
    """
    _codedeploy.put_lifecycle_event_hook_execution_status(
        deploymentId=deployment_id,
        lifecycleEventHookExecutionId=execution_id,
        status="Succeeded" if succeeded else "Failed",
    )


def _read_event(path: Path, subject: str) -> Mapping[str, Any]:
    event: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = subject
    return event


def _invoke(arn: str, event: Event) -> Answer:
    answer = _lambda.invoke(FunctionName=arn, Payload=json.dumps(event))
    content = answer["Payload"].read().decode()
    if "FunctionError" in answer:
        raise VerificationError(f"{arn} fails: {content}")
    response = json.loads(content)
    headers = {name.lower(): value for name, value in response.get("headers", {}).items()}
    return Answer(response["statusCode"], headers, response.get("body") or "")

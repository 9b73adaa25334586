"""CodeDeploy and CloudFormation over HTTP, as the pre-traffic hook calls them: they refuse what AWS refuses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import botocore.session
from botocore.validate import validate_parameters

from tests.support.http_server import Reply, Request, make_reply

ACCOUNT, REGION = "123456789012", "us-east-1"
EVENT = {"DeploymentId": "d-A1B2C3D4E", "LifecycleEventHookExecutionId": "an-execution"}
"""What CodeDeploy gives a hook."""

STACK_ID = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/api/6f0a1b30-0000-11f0-8000-000000000000"
_APPLICATION = "api-ServerlessDeploymentApplication-A1B2C3"
_DIGEST = "500fed8354d2a90a8551a0166837e45dbbf6fc6b0d138a5792502d0a0d35e604"
_PAGE = 7  # resources; a hundred in AWS
_SERVICE = botocore.session.get_session().get_service_model("codedeploy")


def write_app_spec(function: str, version: str) -> str:
    """An AppSpec as CloudFormation writes it for an alias that moves."""
    properties = {"Name": function, "Alias": "live", "CurrentVersion": "1", "TargetVersion": version}
    resource = {function: {"Type": "AWS::Lambda::Function", "Properties": properties}}
    hooks = [{"BeforeAllowTraffic": "VerifyVersions"}]
    return json.dumps({"version": 0.0, "Resources": [resource], "Hooks": hooks})


def list_stack_resources(functions: Mapping[str, str]) -> list[dict[str, str]]:
    """The resources of a stack whose functions, by logical ID, have these names: each with a version and an alias."""
    resources = [("Table", "AWS::DynamoDB::Table", "api-Table-X", "UPDATE_COMPLETE")]
    for logical_id, name in functions.items():
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"
        resources += [
            (logical_id, "AWS::Lambda::Function", name, "UPDATE_COMPLETE"),
            (f"{logical_id}Version0a1b2c3d4e", "AWS::Lambda::Version", f"{arn}:1", "CREATE_COMPLETE"),
            (f"{logical_id}Aliaslive", "AWS::Lambda::Alias", f"{arn}:live", "UPDATE_IN_PROGRESS"),
        ]
    keys = ("LogicalResourceId", "ResourceType", "PhysicalResourceId", "ResourceStatus")
    return [dict(zip(keys, resource, strict=True)) for resource in resources]


@dataclass
class RollOut:
    """A deployment of CodeDeploy in a stack.

    Attributes:
        app_spec: of the deployment.
        resources: of the stack.
        kind: of the revision; CloudFormation makes `String`.
        reported: the statuses that the hook has reported.
    """

    app_spec: str
    resources: list[dict[str, str]]
    kind: str = "String"
    reported: list[str] = field(default_factory=list)

    def answer(self, request: Request) -> Reply | None:
        """Answer a request to one of the two; None if it is to another service."""
        target = request.headers.get("X-Amz-Target", "")
        if target.startswith("CodeDeploy_20141006."):
            return self._answer_code_deploy(target.partition(".")[2], json.loads(request.body))
        if "/cloudformation/" in request.headers.get("Authorization", ""):
            return self._answer_cloudformation(parse_qs(request.body.decode(), strict_parsing=True))
        return None

    def _answer_code_deploy(self, operation: str, parameters: Mapping[str, Any]) -> Reply:
        shape: Any = _SERVICE.operation_model(operation).input_shape
        validate_parameters(parameters, shape)
        member = self.kind[0].lower() + self.kind[1:]
        # The revision's content is always missing in GetDeployment ("GetDeployment", AWS CodeDeploy API Reference).
        revision: dict[str, Any] = {"revisionType": self.kind, member: {"sha256": _DIGEST}}
        known = {
            "applicationName": (_APPLICATION, "ApplicationDoesNotExistException"),
            "deploymentId": (EVENT["DeploymentId"], "DeploymentDoesNotExistException"),
            "lifecycleEventHookExecutionId": (
                EVENT["LifecycleEventHookExecutionId"],
                "InvalidLifecycleEventHookExecutionIdException",
            ),
            "revision": (revision, "RevisionDoesNotExistException"),
        }
        for name, (value, code) in known.items():
            if parameters.get(name, value) != value:
                return _refuse(code)
        if operation == "GetDeployment":
            return make_reply({"deploymentInfo": {"applicationName": _APPLICATION, "revision": revision}})
        if operation == "GetApplicationRevision":
            revision[member] |= {"content": self.app_spec}
            return make_reply({"applicationName": _APPLICATION, "revision": revision})
        if operation != "PutLifecycleEventHookExecutionStatus":
            return _refuse("AccessDeniedException")
        if parameters["status"] not in ("Succeeded", "Failed"):
            return _refuse("InvalidLifecycleEventHookExecutionStatusException")
        if self.reported:
            return _refuse("LifecycleEventAlreadyCompletedException")
        self.reported.append(parameters["status"])
        return make_reply({"lifecycleEventHookExecutionId": EVENT["LifecycleEventHookExecutionId"]})

    def _answer_cloudformation(self, form: Mapping[str, list[str]]) -> Reply:
        if form["Action"] != ["ListStackResources"]:
            return _refuse_query("AccessDenied", 403)
        if form["StackName"] != [STACK_ID]:
            return _refuse_query("ValidationError", 400)
        start = int(form.get("NextToken", ["0"])[0])
        page = self.resources[start : start + _PAGE]
        members = "".join(
            "<member><LastUpdatedTimestamp>2027-01-01T00:00:00Z</LastUpdatedTimestamp>"
            + "".join(f"<{name}>{escape(value)}</{name}>" for name, value in resource.items())
            + "</member>"
            for resource in page
        )
        more = f"<NextToken>{start + _PAGE}</NextToken>" if start + _PAGE < len(self.resources) else ""
        result = f"<StackResourceSummaries>{members}</StackResourceSummaries>{more}"
        return _make_xml(f"<ListStackResourcesResult>{result}</ListStackResourcesResult>", 200)


def _refuse(code: str) -> Reply:
    return make_reply({"__type": code, "message": "no"}, 400)


def _refuse_query(code: str, status: int) -> Reply:
    return _make_xml(f"<Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>", status)


def _make_xml(content: str, status: int) -> Reply:
    name = "ListStackResourcesResponse" if status == 200 else "ErrorResponse"
    namespace = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
    text = f'<{name} xmlns="{namespace}">{content}<RequestId>r</RequestId></{name}>'
    return make_reply(text.encode(), status, {"Content-Type": "text/xml"})

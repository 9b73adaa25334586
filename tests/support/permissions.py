"""What the functions' roles in the templates allow."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from local_engine.template import ParametersRefused, Stack, load_template
from tests.support.stack import ROOT, find_resources
from tests.support.stack import load_template as load_yaml
from tests.support.templates import write_variant

type Permissions = Mapping[str, frozenset[str]]
"""The resources of each action."""

LOG_ACTIONS = frozenset({"logs:CreateLogStream", "logs:PutLogEvents"})
TRACE_ACTIONS = frozenset({"xray:PutTraceSegments", "xray:PutTelemetryRecords"})
DESTINATION_ACTIONS = frozenset({"sqs:SendMessage"})
LAMBDA_ACTIONS = LOG_ACTIONS | TRACE_ACTIONS | DESTINATION_ACTIONS
"""What Lambda does with a role: it writes logs and traces, and sends failed events on."""
STREAM_ACTIONS = frozenset(
    f"dynamodb:{action}" for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
)
QUEUE_ACTIONS = frozenset(f"sqs:{action}" for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"))
ALWAYS_MANAGED = frozenset({"service-role/AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess"})
"""The managed policies that every function gets."""
MANAGED_POLICIES = {
    "service-role/AWSLambdaBasicExecutionRole": LOG_ACTIONS | {"logs:CreateLogGroup"},
    "AWSXrayWriteOnlyAccess": TRACE_ACTIONS
    | {"xray:GetSamplingRules", "xray:GetSamplingTargets", "xray:GetSamplingStatisticSummaries"},
    "service-role/AWSLambdaDynamoDBExecutionRole": LOG_ACTIONS | {"logs:CreateLogGroup"} | STREAM_ACTIONS,
    "service-role/AWSLambdaSQSQueueExecutionRole": LOG_ACTIONS | {"logs:CreateLogGroup"} | QUEUE_ACTIONS,
}
"""The managed policies that SAM attaches, with their actions («AWS managed policy reference»); on every resource."""


@dataclass(frozen=True)
class Role:
    """The execution role of a function."""

    own: Permissions
    """What the function's own `Policies` allow."""
    managed: frozenset[str]
    """Names of managed policies that SAM has attached."""
    boundary: Permissions
    """The most that the role can do."""

    @property
    def resources(self) -> Permissions:
        """What the function's own statements allow its code."""
        return {action: resources for action, resources in self.own.items() if action not in LAMBDA_ACTIONS}

    def may(self, action: str, resource: str) -> bool:
        """Whether the role is allowed an action on a resource («Policy evaluation logic», AWS IAM User Guide)."""
        managed = any(action in MANAGED_POLICIES[name] for name in self.managed)
        return allows(self.boundary, action, resource) and (managed or allows(self.own, action, resource))


def allows(permissions: Permissions, action: str, resource: str) -> bool:
    """Whether permissions allow an action on a resource."""
    return any(fnmatchcase(resource, pattern) for pattern in permissions.get(action, ()))


@cache
def list_functions(template: str = "template.yaml", prefix: str = "") -> tuple[str, ...]:
    """The logical IDs of all functions; those of a nested application as `Application/Function`."""
    names = [f"{prefix}{name}" for name in find_resources("AWS::Serverless::Function", template)]
    for name, application in find_resources("AWS::Serverless::Application", template).items():
        location = PurePosixPath(template).parent / application["Properties"]["Location"]
        names += list_functions(str(location), f"{prefix}{name}/")
    return tuple(names)


@cache
def translate_stack(**values: str) -> Stack:
    """The stack with values of parameters, and of settings in every stage."""
    parameters = {name: value for name, value in values.items() if name in load_yaml()["Parameters"]}
    settings = {name: value for name, value in values.items() if name not in parameters}
    if not settings:
        return load_template(ROOT / "template.yaml", parameters)
    with write_variant(**settings) as template:
        return load_template(template, parameters)


def find_translated(kind: str, **parameters: str) -> dict[str, Any]:
    """The properties of the stack's resources of one type, by logical ID."""
    resources = translate_stack(**parameters).resources
    return {name: resource.properties for name, resource in resources.items() if resource.type == kind}


def list_names(functions: Iterable[str]) -> set[str]:
    """The physical names of functions, by their logical IDs."""
    return {translate_stack(ColdStart="warm", Intelligence="on").functions[function].name for function in functions}


def find_refusals(**parameters: str) -> list[str]:
    """The sentences with which the template's rules refuse parameters; none if it takes them."""
    try:
        translate_stack(**parameters)
    except ParametersRefused as refused:
        return list(refused.sentences)
    return []


def read_role(function: str, **parameters: str) -> Role:
    """The role of the function with this logical ID, with these parameters of the stack."""
    resources = translate_stack(**parameters).resources
    role = dict(resources[f"{function}Role"].properties)
    # The reader may name a role that has no name in the template.
    assert role.pop("RoleName", None) in (None, f"{function}Role".replace("/", "-"))
    assert role.keys() <= {"AssumeRolePolicyDocument", "Policies", "ManagedPolicyArns", "PermissionsBoundary", "Tags"}
    boundary = read_boundary(role["PermissionsBoundary"], resources)
    documents = [policy["PolicyDocument"] for policy in role.get("Policies", [])]
    managed = frozenset(arn.partition(":policy/")[2] for arn in role.get("ManagedPolicyArns", []))
    return Role(_read_permissions(documents), managed, boundary)


def read_boundary(arn: str, resources: Mapping[str, Any]) -> Permissions:
    """What the managed policy of the stack with this ARN allows."""
    (document,) = [
        resource.properties["PolicyDocument"]
        for name, resource in resources.items()
        if resource.type == "AWS::IAM::ManagedPolicy" and arn.endswith(name.rpartition("/")[2])
    ]
    return _read_permissions([document])


def _read_permissions(documents: list[Any]) -> Permissions:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for statement in (statement for document in documents for statement in document["Statement"]):
        assert statement["Effect"] == "Allow"
        if "Condition" in statement:
            # What a service does with its own key on the caller's behalf is no action of a function's.
            assert all(action.startswith("kms:") for action in statement["Action"])
            assert statement["Condition"]["StringEquals"].keys() == {"kms:ViaService"}
            continue
        assert statement.keys() == {"Effect", "Action", "Resource"}, "the tests know no other element of a policy"
        for action in as_list(statement["Action"]):
            found[action].update(_flatten(statement["Resource"]))
    return {action: frozenset(resources) for action, resources in found.items()}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _flatten(value: Any) -> Iterator[str]:
    for entry in as_list(value):
        yield from entry if isinstance(entry, list) else [entry]

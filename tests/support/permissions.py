"""What the functions' roles in template.yaml allow."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from local_engine.template.stack import ParametersRefused, Stack, load_template
from tests.support.stack import ROOT, find_resources

LOG_ACTIONS = frozenset({"logs:CreateLogStream", "logs:PutLogEvents"})
TRACE_ACTIONS = frozenset({"xray:PutTraceSegments", "xray:PutTelemetryRecords"})
DESTINATION_ACTIONS = frozenset({"sqs:SendMessage"})


@dataclass(frozen=True)
class Role:
    """The execution role of a function."""

    resources: Mapping[str, frozenset[str]]
    """The resources of each action that it allows for what the function's code calls."""
    lambda_resources: Mapping[str, frozenset[str]]
    """The same for what Lambda does with the role: it writes the function's log and traces, and sends on what fails."""


def list_functions() -> list[str]:
    return list(find_resources("AWS::Serverless::Function"))


@cache
def translate_stack(**parameters: str) -> Stack:
    return load_template(ROOT / "template.yaml", parameters)


def find_refusals(**parameters: str) -> list[str]:
    """The sentences with which the template's rules refuse parameters; none where it takes them."""
    try:
        translate_stack(**parameters)
    except ParametersRefused as refused:
        return list(refused.sentences)
    return []


def read_role(function: str, **parameters: str) -> Role:
    """The role of the function with this logical id, with these parameters of the stack."""
    role = translate_stack(**parameters).resources[f"{function}Role"].properties
    assert role.keys() == {"AssumeRolePolicyDocument", "Policies"}, "the tests know nothing else that a role allows"
    resources: defaultdict[str, set[str]] = defaultdict(set)
    for policy in role["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            assert statement.keys() == {"Effect", "Action", "Resource"}, "the tests know no other element of a policy"
            for action in _as_list(statement["Action"]):
                resources[action].update(_as_list(statement["Resource"]))
    by_lambda = LOG_ACTIONS | TRACE_ACTIONS | DESTINATION_ACTIONS
    return Role(
        resources={action: frozenset(of) for action, of in resources.items() if action not in by_lambda},
        lambda_resources={action: frozenset(of) for action, of in resources.items() if action in by_lambda},
    )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

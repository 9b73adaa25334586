"""What the functions' roles allow, as SAM makes them of template.yaml."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from local.template import Stack, load_template
from tests.stack import ROOT, find_resources


@dataclass(frozen=True)
class Role:
    """The execution role of a function."""

    resources: Mapping[str, frozenset[str]]
    """The resources of each action that its own policies allow."""
    managed_policies: frozenset[str]
    """The names of the AWS managed policies that it has beside them."""


def list_functions() -> list[str]:
    return list(find_resources("AWS::Serverless::Function"))


@cache
def translate_stack(**parameters: str) -> Stack:
    return load_template(ROOT / "template.yaml", parameters)


def read_role(function: str, **parameters: str) -> Role:
    """The role of the function with this logical id, with these parameters of the stack."""
    stack = translate_stack(**parameters)
    role = stack.resources[f"{function}Role"].properties
    resources: defaultdict[str, set[str]] = defaultdict(set)
    for policy in role["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            assert statement.keys() == {"Effect", "Action", "Resource"}, "the tests know no other element of a policy"
            for action in _as_list(statement["Action"]):
                resources[action].update(_as_list(statement["Resource"]))
    return Role(
        {action: frozenset(of) for action, of in resources.items()},
        frozenset(arn.rpartition("/")[2] for arn in role["ManagedPolicyArns"]),
    )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

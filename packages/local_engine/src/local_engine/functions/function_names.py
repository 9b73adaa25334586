"""Function names, ARNs and qualifiers, and the versions and aliases in a template.

Source: "Invoke" (AWS Lambda API Reference).
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local_engine.account import ACCOUNT_ID, REGION
from local_engine.template.errors import Unresolved
from local_engine.template.intrinsics import ONLY_VERSION
from local_engine.template.stack import Stack

LATEST = "$LATEST"
# No name has a slash, but logical IDs of nested applications do.
_NAME = re.compile(
    r"(arn:aws[a-zA-Z-]*:lambda:)?((?P<region>[a-z]{2}(-[a-z]+)+-\d):)?((?P<account>\d{12}):)?(function:)?"
    r"(?P<name>[a-zA-Z0-9_./-]+)(:(?P<qualifier>\$LATEST|[a-zA-Z0-9_-]+))?"
)


@dataclass(frozen=True)
class FunctionName:
    """A function and its qualifier."""

    name: str
    qualifier: str | None
    """A version or an alias. None means `$LATEST`."""
    is_here: bool = True
    """Whether the region and account, if named, are the local engine's."""

    @property
    def arn(self) -> str:
        """The ARN with a qualifier, as destinations get it."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{self.name}:{self.qualifier or LATEST}"


def parse_function_name(text: str) -> FunctionName | None:
    """Read a name, a partial ARN or an ARN, with or without a qualifier. Return None for anything else.

    >>> parse_function_name("123456789012:function:orders:live")
    FunctionName(name='orders', qualifier='live', is_here=True)
    """
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    is_here = match["region"] in (None, REGION) and match["account"] in (None, ACCOUNT_ID)
    return FunctionName(match["name"], match["qualifier"], is_here)


def find_version(stack: Stack, function: FunctionName) -> str | None:
    """Return the version behind a function's qualifier, or None if there is no such version or alias."""
    if function.qualifier in (None, LATEST):
        return LATEST
    if function.qualifier == ONLY_VERSION and any(list_properties(stack, "AWS::Lambda::Version", function.name)):
        return ONLY_VERSION
    for alias in list_properties(stack, "AWS::Lambda::Alias", function.name):
        if alias["Name"] == function.qualifier:
            return str(alias["FunctionVersion"])
    return None


def list_properties(stack: Stack, resource_type: str, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the properties of each resource of a type whose `FunctionName` names the function."""
    for resource in stack.resources.values():
        if resource.type == resource_type:
            with contextlib.suppress(Unresolved):
                function = parse_function_name(str(resource.properties.get("FunctionName")))
                if function is not None and function.name == name:
                    yield resource.properties

"""Runs ministack with nested applications that are created and updated as AWS does it, and SQS's own permissions.

Run by the Python of the emulator's environment. Without this, functions of nested applications get the text of
`{{resolve:…}}` in place of the secret, and an update of a nested application loses the attributes of its unchanged
resources, so that `Fn::GetAtt` fails.
"""

from typing import Any

from ministack.app import main  # pyright: ignore[reportMissingImports]
from ministack.core import iam_actions  # pyright: ignore[reportMissingImports]
from ministack.services.cloudformation import _stacks, provisioners  # pyright: ignore[reportMissingImports]
from ministack.services.cloudformation.engine import (  # pyright: ignore[reportMissingImports]
    _resolve_dynamic_references,
)

type Properties = dict[str, Any]
type Provisioned = tuple[str, dict[str, Any]]

_provision_resource, _update_resource = provisioners._provision_resource, provisioners._update_resource
_find_operation = iam_actions._action_from_target


def _provision_nested_resource(kind: str, logical_id: str, properties: Properties, stack: str) -> Provisioned:
    resolved, _ = _resolve_dynamic_references(properties)
    return _provision_resource(kind, logical_id, resolved, stack)


def _update_nested_resource(
    kind: str, physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str
) -> Provisioned:
    (old, new), _ = _resolve_dynamic_references([old, new])
    attributes = _stacks[stack]["_resources"][logical_id]["Attributes"]
    return _update_resource(kind, physical_id, old, new, stack, logical_id, attributes)


def _find_action(headers: dict[str, str]) -> str | None:
    operation = _find_operation(headers)
    # A batch needs the permission for one message («Amazon SQS API permissions», Amazon SQS Developer Guide).
    return "SendMessage" if operation == "SendMessageBatch" else operation


if __name__ == "__main__":
    # The root's resources are created and updated with the originals, which their module has imported.
    provisioners._provision_resource = _provision_nested_resource
    provisioners._update_resource = _update_nested_resource
    iam_actions._action_from_target = _find_action
    main()

"""Runs ministack with the attributes of unchanged resources kept when a nested application is updated.

Run by the Python of the emulator's environment. Without this, `Fn::GetAtt` fails in every nested application that has
new parameters, which AWS updates.
"""

from typing import Any

from ministack.app import main  # pyright: ignore[reportMissingImports]
from ministack.services.cloudformation import _stacks, provisioners  # pyright: ignore[reportMissingImports]

_update_resource = provisioners._update_resource


def _update_nested_resource(
    kind: str, physical_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str
) -> tuple[str, dict[str, Any]]:
    """Update a resource; the emulator's own call for a nested application lacks the last argument."""
    attributes = _stacks[stack]["_resources"][logical_id]["Attributes"]
    return _update_resource(kind, physical_id, old, new, stack, logical_id, attributes)


if __name__ == "__main__":
    # The updates of the root's resources have imported the original.
    provisioners._update_resource = _update_nested_resource
    main()

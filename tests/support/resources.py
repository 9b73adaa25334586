"""The noun `resources`, for tests that need one by name. A team that renames the noun edits this file."""

from typing import Any

from tests.support.bodies import make_other_body
from tests.support.stack import find_route

RESOURCES = "/api/v1/resources"
BODY = {"name": "thing", "type": "A"}


def make_body(number: int) -> dict[str, Any]:
    """A valid body that differs from that of another number, for tests that work with any fields."""
    creator = find_route(f"POST {RESOURCES}")
    assert creator
    body: dict[str, Any] = make_other_body(creator, number)
    return body

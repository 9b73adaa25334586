"""The noun `resources`, for tests that need one by name. A team that renames the noun edits this file."""

RESOURCES = "/api/v1/resources"
BODY = {"name": "thing", "type": "A"}

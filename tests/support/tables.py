"""The tables that routes use. All have the keys of the API's table, as template.yaml describes it."""

from typing import Any

from tests.support.stack import find_resources

TABLES = ("TABLE_NAME", "AUDIT_TABLE", "ERASURE_LEDGER")
"""The environment variables that name them."""


def create_table(client: Any, name: str) -> None:
    """Create the table through a client of DynamoDB."""
    ((_, table),) = find_resources("AWS::DynamoDB::Table").items()
    taken = {key: table["Properties"][key] for key in ("AttributeDefinitions", "KeySchema", "BillingMode")}
    # The others are for vector indexes.
    keys = {key["AttributeName"] for key in taken["KeySchema"]}
    taken["AttributeDefinitions"] = [
        definition for definition in taken["AttributeDefinitions"] if definition.get("AttributeName") in keys
    ]
    client.create_table(TableName=name, **taken)


def create_tables(client: Any, start: str) -> dict[str, str]:
    """Create the tables with names that start alike, and return the environment variables that name them."""
    names = {variable: f"{start}-{variable}" for variable in TABLES}
    for name in names.values():
        create_table(client, name)
    return names

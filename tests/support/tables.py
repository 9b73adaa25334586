"""The API's table, as template.yaml describes it."""

from typing import Any

from tests.support.stack import find_resources


def create_table(client: Any, name: str) -> None:
    """Create the table through a client of DynamoDB."""
    ((_, table),) = find_resources("AWS::DynamoDB::Table").items()
    taken = ("AttributeDefinitions", "KeySchema", "BillingMode")
    client.create_table(TableName=name, **{key: table["Properties"][key] for key in taken})

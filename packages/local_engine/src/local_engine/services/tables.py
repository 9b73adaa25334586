"""DynamoDB tables of a template."""

from typing import Any

from local_engine.services.services_client import ServicesClient
from local_engine.template.stack import Resource

# Properties that AWS::DynamoDB::Table and CreateTable have in common.
_PROPERTIES = (
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "KeySchema",
    "LocalSecondaryIndexes",
    "ProvisionedThroughput",
)


def create_table(client: ServicesClient, name: str, resource: Resource) -> None:
    """Create a table."""
    properties = resource.properties
    request: dict[str, Any] = {"TableName": name, **resource.pick(*_PROPERTIES)}
    if stream := properties.get("StreamSpecification"):
        request["StreamSpecification"] = {"StreamEnabled": True, **stream}
    if indexes := properties.get("VectorIndexes"):
        # CloudFormation takes numbers as text too, as a parameter gives them.
        request["VectorIndexes"] = [{**index, "Dimensions": int(index["Dimensions"])} for index in indexes]
    client.call("dynamodb", "CreateTable", request)
    if expiry := properties.get("TimeToLiveSpecification"):
        client.call("dynamodb", "UpdateTimeToLive", {"TableName": name, "TimeToLiveSpecification": expiry})

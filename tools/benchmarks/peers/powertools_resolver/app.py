"""Powertools' HTTP resolver with validation, Logger and Tracer, as in the examples of its documentation."""

import base64
import json
import os
import time
import uuid
from typing import Annotated, Any, Literal

import boto3
from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response, content_types
from aws_lambda_powertools.event_handler.openapi.params import Query
from aws_lambda_powertools.logging import correlation_paths
from pydantic import BaseModel, Field

TABLE_NAME = os.environ["TABLE_NAME"]

logger = Logger()
tracer = Tracer()
app = APIGatewayHttpResolver(enable_validation=True)
dynamodb = boto3.client("dynamodb")


class ResourceInput(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    type: Literal["A", "B", "C"]
    metadata: dict[str, Any] | None = None


class Resource(ResourceInput):
    id: str
    createdAt: str
    updatedAt: str


class ResourcePage(BaseModel):
    resources: list[Resource]
    count: int
    nextToken: str | None = None


@app.get("/api/v1/resources")
@tracer.capture_method
def list_resources(
    limit: Annotated[int, Query(ge=1)] = 20, nextToken: Annotated[str | None, Query()] = None
) -> ResourcePage:
    query = {
        "TableName": TABLE_NAME,
        "KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)",
        "ExpressionAttributeValues": {":pk": {"S": partition()}, ":sk": {"S": "resource#"}},
        "ScanIndexForward": False,
        "Limit": min(limit, 100),
    }
    if nextToken:
        last = base64.urlsafe_b64decode(nextToken).decode()
        query["ExclusiveStartKey"] = {"pk": {"S": partition()}, "sk": {"S": last}}
    answer = dynamodb.query(**query)
    resources = [to_resource(item) for item in answer["Items"]]
    following = None
    if "LastEvaluatedKey" in answer:
        following = base64.urlsafe_b64encode(answer["LastEvaluatedKey"]["sk"]["S"].encode()).decode()
    return ResourcePage(resources=resources, count=len(resources), nextToken=following)


@app.post("/api/v1/resources")
@tracer.capture_method
def create_resource(resource: ResourceInput) -> Response[Resource]:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    item = {
        "pk": {"S": partition()},
        "sk": {"S": f"resource#{time.time_ns():016x}-{uuid.uuid4()}"},
        "name": {"S": resource.name},
        "type": {"S": resource.type},
        "createdAt": {"S": now},
        "updatedAt": {"S": now},
    }
    if resource.metadata is not None:
        item["metadata"] = {"S": json.dumps(resource.metadata)}
    dynamodb.put_item(TableName=TABLE_NAME, Item=item, ConditionExpression="attribute_not_exists(pk)")
    return Response(status_code=201, content_type=content_types.APPLICATION_JSON, body=to_resource(item))


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
@tracer.capture_lambda_handler
def handler(event, context):
    return app.resolve(event, context)


def partition():
    return f"user#{app.current_event.request_context.authorizer.jwt_claim['sub']}"


def to_resource(item):
    return Resource(
        id=item["sk"]["S"].removeprefix("resource#"),
        name=item["name"]["S"],
        type=item["type"]["S"],
        metadata=json.loads(item["metadata"]["S"]) if "metadata" in item else None,
        createdAt=item["createdAt"]["S"],
        updatedAt=item["updatedAt"]["S"],
    )

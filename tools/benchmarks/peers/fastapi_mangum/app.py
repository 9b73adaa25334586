"""FastAPI behind Mangum."""

import base64
import json
import os
import time
import uuid
from typing import Annotated, Any, Literal

import boto3
from fastapi import Depends, FastAPI, Query, Request
from mangum import Mangum
from pydantic import BaseModel, Field

TABLE_NAME = os.environ["TABLE_NAME"]

app = FastAPI()
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


def read_partition(request: Request) -> str:
    claims = request.scope["aws.event"]["requestContext"]["authorizer"]["jwt"]["claims"]
    return f"user#{claims['sub']}"


Partition = Annotated[str, Depends(read_partition)]


@app.get("/api/v1/resources", response_model_exclude_none=True)
def list_resources(
    partition: Partition, limit: Annotated[int, Query(ge=1)] = 20, nextToken: str | None = None
) -> ResourcePage:
    query = {
        "TableName": TABLE_NAME,
        "KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)",
        "ExpressionAttributeValues": {":pk": {"S": partition}, ":sk": {"S": "resource#"}},
        "ScanIndexForward": False,
        "Limit": min(limit, 100),
    }
    if nextToken:
        last = base64.urlsafe_b64decode(nextToken).decode()
        query["ExclusiveStartKey"] = {"pk": {"S": partition}, "sk": {"S": last}}
    answer = dynamodb.query(**query)
    resources = [to_resource(item) for item in answer["Items"]]
    following = None
    if "LastEvaluatedKey" in answer:
        following = base64.urlsafe_b64encode(answer["LastEvaluatedKey"]["sk"]["S"].encode()).decode()
    return ResourcePage(resources=resources, count=len(resources), nextToken=following)


@app.post("/api/v1/resources", status_code=201, response_model_exclude_none=True)
def create_resource(resource: ResourceInput, partition: Partition) -> Resource:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    item = {
        "pk": {"S": partition},
        "sk": {"S": f"resource#{time.time_ns():016x}-{uuid.uuid4()}"},
        "name": {"S": resource.name},
        "type": {"S": resource.type},
        "createdAt": {"S": now},
        "updatedAt": {"S": now},
    }
    if resource.metadata is not None:
        item["metadata"] = {"S": json.dumps(resource.metadata)}
    dynamodb.put_item(TableName=TABLE_NAME, Item=item, ConditionExpression="attribute_not_exists(pk)")
    return to_resource(item)


def to_resource(item: dict[str, Any]) -> Resource:
    return Resource(
        id=item["sk"]["S"].removeprefix("resource#"),
        name=item["name"]["S"],
        type=item["type"]["S"],
        metadata=json.loads(item["metadata"]["S"]) if "metadata" in item else None,
        createdAt=item["createdAt"]["S"],
        updatedAt=item["updatedAt"]["S"],
    )


handler = Mangum(app, lifespan="off")

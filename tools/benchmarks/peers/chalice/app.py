"""Chalice, which makes a REST API (payload format 1.0) with a Cognito authorizer."""

import base64
import json
import os
import time
import uuid

import boto3
from chalice import BadRequestError, Chalice, CognitoUserPoolAuthorizer, Response

TABLE_NAME = os.environ["TABLE_NAME"]

app = Chalice(app_name="resources")
authorizer = CognitoUserPoolAuthorizer(
    "users", provider_arns=["arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_example"]
)
dynamodb = boto3.client("dynamodb")


@app.route("/api/v1/resources", methods=["GET"], authorizer=authorizer)
def list_resources():
    parameters = app.current_request.query_params or {}
    query = {
        "TableName": TABLE_NAME,
        "KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)",
        "ExpressionAttributeValues": {":pk": {"S": partition()}, ":sk": {"S": "resource#"}},
        "ScanIndexForward": False,
        "Limit": min(int(parameters.get("limit", 20)), 100),
    }
    if "nextToken" in parameters:
        last = base64.urlsafe_b64decode(parameters["nextToken"]).decode()
        query["ExclusiveStartKey"] = {"pk": {"S": partition()}, "sk": {"S": last}}
    answer = dynamodb.query(**query)
    resources = [to_resource(item) for item in answer["Items"]]
    body = {"resources": resources, "count": len(resources)}
    if "LastEvaluatedKey" in answer:
        body["nextToken"] = base64.urlsafe_b64encode(answer["LastEvaluatedKey"]["sk"]["S"].encode()).decode()
    return body


@app.route("/api/v1/resources", methods=["POST"], authorizer=authorizer)
def create_resource():
    # Chalice itself answers 400 if the body is not JSON.
    fields = app.current_request.json_body
    problem = find_problem(fields)
    if problem:
        raise BadRequestError(problem)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    item = {
        "pk": {"S": partition()},
        "sk": {"S": f"resource#{time.time_ns():016x}-{uuid.uuid4()}"},
        "name": {"S": fields["name"]},
        "type": {"S": fields["type"]},
        "createdAt": {"S": now},
        "updatedAt": {"S": now},
    }
    if "metadata" in fields:
        item["metadata"] = {"S": json.dumps(fields["metadata"])}
    dynamodb.put_item(TableName=TABLE_NAME, Item=item, ConditionExpression="attribute_not_exists(pk)")
    return Response(to_resource(item), status_code=201)


def partition():
    return f"user#{app.current_request.context['authorizer']['claims']['sub']}"


def find_problem(fields):
    if not isinstance(fields, dict):
        return "The body must be an object"
    name = fields.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= 100:
        return "name must be a string of 1 to 100 characters"
    if fields.get("type") not in ("A", "B", "C"):
        return "type must be A, B or C"
    if not isinstance(fields.get("metadata", {}), dict):
        return "metadata must be an object"
    return None


def to_resource(item):
    resource = {
        "id": item["sk"]["S"].removeprefix("resource#"),
        "name": item["name"]["S"],
        "type": item["type"]["S"],
        "createdAt": item["createdAt"]["S"],
        "updatedAt": item["updatedAt"]["S"],
    }
    if "metadata" in item:
        resource["metadata"] = json.loads(item["metadata"]["S"])
    return resource

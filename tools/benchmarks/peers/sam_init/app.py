"""The application of `sam init`, with the table of AWS's tutorial for an HTTP API with DynamoDB.

The original answers "hello world" and has `requests` in its requirements.
"""

import base64
import json
import os
import time
import uuid

import boto3
from boto3.dynamodb.conditions import Key

dynamodb = boto3.resource("dynamodb")
table = dynamodb.Table(os.environ["TABLE_NAME"])


def lambda_handler(event, context):
    subject = event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"]
    if event["routeKey"].startswith("GET "):
        return list_resources(subject, event.get("queryStringParameters") or {})
    return create_resource(subject, event.get("body") or "")


def list_resources(subject, parameters):
    query = {
        "KeyConditionExpression": Key("pk").eq(f"user#{subject}") & Key("sk").begins_with("resource#"),
        "ScanIndexForward": False,
        "Limit": min(int(parameters.get("limit", 20)), 100),
    }
    if "nextToken" in parameters:
        last = base64.urlsafe_b64decode(parameters["nextToken"]).decode()
        query["ExclusiveStartKey"] = {"pk": f"user#{subject}", "sk": last}
    answer = table.query(**query)
    resources = [to_resource(item) for item in answer["Items"]]
    body = {"resources": resources, "count": len(resources)}
    if "LastEvaluatedKey" in answer:
        body["nextToken"] = base64.urlsafe_b64encode(answer["LastEvaluatedKey"]["sk"].encode()).decode()
    return respond(200, body)


def create_resource(subject, text):
    try:
        fields = json.loads(text)
    except ValueError:
        return respond(400, {"error": "The body is not JSON"})
    problem = find_problem(fields)
    if problem:
        return respond(400, {"error": problem})
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    item = {
        "pk": f"user#{subject}",
        "sk": f"resource#{time.time_ns():016x}-{uuid.uuid4()}",
        "name": fields["name"],
        "type": fields["type"],
        "createdAt": now,
        "updatedAt": now,
    }
    if "metadata" in fields:
        item["metadata"] = json.dumps(fields["metadata"])
    table.put_item(Item=item, ConditionExpression="attribute_not_exists(pk)")
    return respond(201, to_resource(item))


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
        "id": item["sk"].removeprefix("resource#"),
        "name": item["name"],
        "type": item["type"],
        "createdAt": item["createdAt"],
        "updatedAt": item["updatedAt"],
    }
    if "metadata" in item:
        resource["metadata"] = json.loads(item["metadata"])
    return resource


def respond(status, body):
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body)}

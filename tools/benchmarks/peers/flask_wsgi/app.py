"""Flask behind apig-wsgi."""

import base64
import json
import os
import time
import uuid

import boto3
from apig_wsgi import make_lambda_handler
from flask import Flask, jsonify, request

TABLE_NAME = os.environ["TABLE_NAME"]

app = Flask(__name__)
dynamodb = boto3.client("dynamodb")


@app.get("/api/v1/resources")
def list_resources():
    parameters = request.args
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
    return jsonify(body)


@app.post("/api/v1/resources")
def create_resource():
    # Flask itself answers 400 if the body is not JSON.
    fields = request.get_json()
    problem = find_problem(fields)
    if problem:
        return jsonify(error=problem), 400
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
    return jsonify(to_resource(item)), 201


def partition():
    return f"user#{request.environ['apig_wsgi.request_context']['authorizer']['jwt']['claims']['sub']}"


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


handler = make_lambda_handler(app)

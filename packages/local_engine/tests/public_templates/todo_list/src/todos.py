import json
import os

import boto3

TABLE = boto3.resource("dynamodb").Table(os.environ["TABLE"])


def handler(event, context):
    user = event["requestContext"]["authorizer"]["claims"]["sub"]
    if event["httpMethod"] == "GET":
        return _answer(200, TABLE.query(KeyConditionExpression=boto3.dynamodb.conditions.Key("user").eq(user))["Items"])
    if event["pathParameters"]:
        return _answer(200, {"done": event["pathParameters"]["id"]})
    item = {**json.loads(event["body"]), "user": user}
    TABLE.put_item(Item=item)
    return _answer(201, item)


def _answer(status, content):
    return {"statusCode": status, "body": json.dumps(content)}

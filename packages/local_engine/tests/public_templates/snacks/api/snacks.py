import json
import os

import boto3


def handler(event, context):
    table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])
    if event["httpMethod"] == "POST":
        table.put_item(Item=json.loads(event["body"]))
        return {"statusCode": 201, "body": ""}
    item = table.get_item(Key=event["pathParameters"]).get("Item")
    return {"statusCode": 200 if item else 404, "body": json.dumps(item)}

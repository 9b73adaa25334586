import json
import os

import boto3


def handler(event, context):
    found = boto3.client("dynamodb").scan(TableName=os.environ["TABLE"])["Items"]
    return {"statusCode": 200, "body": json.dumps([item["id"]["S"] for item in found])}

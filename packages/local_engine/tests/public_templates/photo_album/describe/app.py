import os

import boto3


def handler(event, context):
    key = event["Records"][0]["s3"]["object"]["key"]
    boto3.client("dynamodb").put_item(TableName=os.environ["TABLE"], Item={"id": {"S": key}})
    print("described", key)

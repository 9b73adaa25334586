import os

import boto3


def handler(event, context):
    item = {"connectionId": {"S": event["requestContext"]["connectionId"]}}
    boto3.client("dynamodb").put_item(TableName=os.environ["TABLE_NAME"], Item=item)
    return {"statusCode": 200}

import os

import boto3


def handler(event, context):
    item = {"id": {"S": event["id"]}, "expires": {"N": str(event["expires"])}}
    boto3.client("dynamodb").put_item(TableName=os.environ["NOTES"], Item=item)
    boto3.client("s3").put_object(Bucket=os.environ["BUCKET"], Key=event["id"], Body=b"1")
    return {"stored": event["id"]}

import os

import boto3


def handler(event, context):
    source = event["Records"][0]["s3"]["object"]["key"]
    buckets = boto3.client("s3")
    buckets.copy_object(
        Bucket=os.environ["PICTURES"], Key=f"1-{source}", CopySource={"Bucket": os.environ["INCOMING"], "Key": source}
    )

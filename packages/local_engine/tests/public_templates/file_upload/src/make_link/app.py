import json
import os

import boto3


def index(event, context):
    parameters = {"Bucket": os.environ["BUCKET"], "Key": "a.txt"}
    link = boto3.client("s3").generate_presigned_url("put_object", parameters, int(os.environ["SECONDS"]))
    return {"statusCode": 200, "body": json.dumps({"key": "a.txt", "has_link": link.startswith("http")})}

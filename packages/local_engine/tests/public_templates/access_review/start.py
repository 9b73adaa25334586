import json
import os


def lambda_handler(event, context):
    return {"statusCode": 200, "body": json.dumps({name: os.environ.get(name) for name in ("bucket", "topic")})}

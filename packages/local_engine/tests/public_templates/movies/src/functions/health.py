import json
import os


def handler(event, context):
    return {"statusCode": 200, "body": json.dumps({"host": os.environ["HOST"], "zone": os.environ["ZONE"]})}

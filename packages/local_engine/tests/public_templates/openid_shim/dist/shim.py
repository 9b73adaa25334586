import json
import os
from urllib.parse import parse_qs


def discovery(event, context):
    context_ = event["requestContext"]
    issuer = f"https://{context_['domainName']}/{context_['stage']}"
    return {"statusCode": 200, "body": json.dumps({"stage": issuer.rpartition("/")[2], "login": os.environ["LOGIN_URL"]})}


def token(event, context):
    return {"statusCode": 200, "body": parse_qs(event["body"] or "").get("code", ["none"])[0]}

import os


def handler(event, context):
    headers = {"Access-Control-Allow-Origin": os.environ["ALLOWED_ORIGIN"]}
    status = 204 if event["httpMethod"] == "OPTIONS" else 200
    return {"statusCode": status, "headers": headers, "body": event["resource"]}

import os


def handler(event, context):
    headers = {"Access-Control-Allow-Origin": os.environ["ALLOWED_ORIGIN"]}
    return {
        "statusCode": 204 if event["httpMethod"] == "OPTIONS" else 200,
        "headers": headers,
        "body": event["resource"],
    }

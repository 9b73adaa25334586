import json


def lambda_handler(event, context):
    answer = {"path": event["path"], "proxy": event["pathParameters"]["proxy"], "method": event["httpMethod"]}
    return {"statusCode": 200, "multiValueHeaders": {"X-Order": ["a", "b"]}, "body": json.dumps(answer)}

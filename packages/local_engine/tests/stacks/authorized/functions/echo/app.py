import json


def lambda_handler(event, context):
    keys = ("requestContext", "resource", "routeKey")
    return {"statusCode": 200, "body": json.dumps({key: event.get(key) for key in keys})}

import json


def app(event, context):
    shown = {name: event[name] for name in ("httpMethod", "resource", "pathParameters")}
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(shown)}

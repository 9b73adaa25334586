import json

from packed_greeting import PACKED
from plain_greeting import PLAIN


def lambda_handler(event, context):
    if event["routeKey"] == "GET /cookies":
        return {
            "statusCode": "200",
            "headers": {"ETag": '"1"', "access-control-allow-origin": "https://everyone.example.com", "x-number": 7},
            "cookies": ["a=1; Path=/", "b=2"],
            "body": json.dumps(event.get("cookies")),
        }
    if event["routeKey"] == "GET /plain":
        return "no status code, no headers"
    return {"route": event["routeKey"], "parameters": event.get("pathParameters"), "layers": [PACKED, PLAIN]}

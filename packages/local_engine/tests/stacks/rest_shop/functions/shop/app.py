"""Returns the event, or what its path or body asks for."""

import base64
import json
import time

PNG = base64.b64encode(b"\x89PNG\x00\xff").decode()
RESULTS = {
    "text": {"body": "plain"},
    "empty": {},
    "none": None,
    "list": [1],
    "extra": {"statusCode": 200, "cookies": ["a=1"]},
    "status": {"statusCode": "teapot"},
    "object": {"statusCode": 200, "body": {"a": 1}},
    "number": {"statusCode": 200, "headers": {"X-Number": 7}},
    "headers": {
        "statusCode": "201",
        "headers": {"X-One": "1", "X-Both": "a", "Content-Type": "text/plain", "X-Flag": True},
        "multiValueHeaders": {"X-Both": ["a", "b"], "Set-Cookie": ["a=1", "b=2"]},
        "body": "done",
    },
    "remapped": {
        "statusCode": 401,
        "headers": {"WWW-Authenticate": "Basic", "Server": "mine", "Date": "today", "Transfer-Encoding": "chunked"},
    },
    "picture": {"statusCode": 200, "headers": {"Content-Type": "image/png"}, "body": PNG, "isBase64Encoded": True},
}


def lambda_handler(event, context):
    name = (event.get("pathParameters") or {}).get("result")
    if name == "raise":
        raise RuntimeError("a fault")
    if name == "sleep":
        time.sleep(5)
    if name in RESULTS:
        return RESULTS[name]
    answer = {"event": event, "arn": context.invoked_function_arn}
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(answer)}

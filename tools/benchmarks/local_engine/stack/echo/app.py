"""GET /echo: the path of the request."""

import json
from typing import Any


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    # The first name is of HTTP APIs, the second of REST APIs.
    content = {"path": event.get("rawPath") or event["path"]}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(content)}

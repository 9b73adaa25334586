"""GET /echo: the path and query of the request."""

import json
from typing import Any


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    content = {"path": event["rawPath"], "query": event.get("rawQueryString", "")}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(content)}

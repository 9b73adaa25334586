"""Measures what it is told to."""

import json
import time


def lambda_handler(event, context):
    query = event.get("queryStringParameters") or {}
    deed = query.get("deed", "measure")
    if deed == "raise":
        raise LookupError("the deed")
    if deed == "malformed":
        print(query["line"])
        return "malformed"
    failed = deed == "fail"
    measure({"Requests": 1, "Latency": [3, 5.5]}, [["service", "route"], ["service"]])
    if failed:
        measure({"Errors": 1}, [["service"]])
    return {"statusCode": 500 if failed else 200, "body": deed}


def measure(values, dimension_sets):
    directive = {
        "Namespace": "Shop",
        "Dimensions": dimension_sets,
        "Metrics": [{"Name": name, "Unit": "Milliseconds" if name == "Latency" else "Count"} for name in values],
    }
    aws = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    print(json.dumps({"_aws": aws, "service": "orders", "route": "read", "note": "ä", **values}))

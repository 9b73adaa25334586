import os
import sys
import time
from pathlib import Path


def lambda_handler(event, context):
    if "runs" in event:
        with Path(event["runs"]).open("a") as runs:
            runs.write(f"{context.aws_request_id}\n")
    return DEEDS[event.get("deed", "report")](event, context)


def _report(event, context):
    return {
        "event": event,
        "arn": context.invoked_function_arn,
        "requestId": context.aws_request_id,
        "endpoints": {name: value for name, value in os.environ.items() if name.startswith("AWS_ENDPOINT_URL")},
    }


def _raise(event, context):
    raise LookupError("the deed")


def _wait(event, context):
    """Returns when the file is there."""
    Path(event["started"]).touch()
    while not Path(event["end"]).exists():
        time.sleep(0.01)
    return "waited"


DEEDS = {
    "report": _report,
    "raise": _raise,
    "wait": _wait,
    "exit": lambda *_: sys.exit(3),
    "hang": lambda *_: time.sleep(600),
}

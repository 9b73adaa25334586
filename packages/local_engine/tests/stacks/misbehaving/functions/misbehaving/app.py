import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PROCESS = {"requests": 0}


def lambda_handler(event, context):
    PROCESS["requests"] += 1
    deed = event["rawPath"].rpartition("/")[2]
    return DEEDS[deed](event)


def _hang(event):
    time.sleep(600)


def _misuse(event):
    json.loads("{")


def _raise(event):
    raise LookupError("the deed")


def _print(event):
    print("printed to stdout")
    print("printed to stderr", file=sys.stderr)
    sys.stdout.write("no newline")
    logging.getLogger().error("logged")
    print(json.dumps({"level": "INFO", "message": "readable", "order": 17, "service": "x", "timestamp": "now"}))
    metric = {"Namespace": "Deeds", "Dimensions": [["kind"]], "Metrics": [{"Name": "Done", "Unit": "Count"}]}
    print(json.dumps({"_aws": {"Timestamp": 1, "CloudWatchMetrics": [metric]}, "kind": "print", "Done": [1.0]}))
    return "printed"


def _meet(event):
    """Returns only when all the others are here at the same time."""
    query = event["queryStringParameters"]
    folder = Path(query["folder"])
    (folder / query["me"]).touch()
    deadline = time.monotonic() + 15
    while not all((folder / name).exists() for name in query["others"].split(",")):
        if time.monotonic() > deadline:
            return {"statusCode": 408}
        time.sleep(0.01)
    return {"statusCode": 200, "body": str(os.getpid())}


def _start_child(event):
    return subprocess.Popen(["sleep", "600"]).pid


DEEDS = {
    "hang": _hang,
    "fine": lambda _: {"pid": os.getpid(), "requests": PROCESS["requests"]},
    "exit": lambda _: sys.exit(3),
    "crash": lambda _: os.kill(os.getpid(), signal.SIGSEGV),
    "misuse": _misuse,
    "raise": _raise,
    "print": _print,
    "meet": _meet,
    "child": _start_child,
    "daemon": lambda _: subprocess.Popen(["sleep", "600"], start_new_session=True).pid,
    "set": lambda _: {1, 2, 3},
    "nan": lambda _: float("nan"),
    "bytes": lambda _: b"\xff\xfe",
    "huge": lambda _: {"statusCode": 200, "body": "x" * (7 * 1024 * 1024)},
    "big": lambda _: {"statusCode": 200, "body": "x" * (5 * 1024 * 1024)},
    "status": lambda _: {"statusCode": "many"},
    "body": lambda _: {"statusCode": 200, "body": {"not": "text"}},
    "header": lambda _: {"statusCode": 200, "headers": {"x-a": "1\r\nx-b: 2"}},
    "base64": lambda _: {"statusCode": 200, "isBase64Encoded": True, "body": "*"},
    "nothing": lambda _: None,
    "empty": lambda _: {"statusCode": 204},
}

"""Appends each event to a file, and does what the event or the environment tells it to do."""

import json
import os
import signal
from pathlib import Path

RECORDS = Path(os.environ["RECORDS"])


def handler(event, context):
    with RECORDS.open("a") as file:
        file.write(json.dumps({"function": context.function_name, "id": context.aws_request_id, "event": event}) + "\n")
    deed = _find_deed(event)
    if deed == "die" and sum(context.aws_request_id in line for line in RECORDS.read_text().splitlines()) < 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if deed == "poison":
        raise ValueError("poison")


def _find_deed(event):
    detail = event.get("detail") if isinstance(event, dict) else None
    return detail.get("deed") if isinstance(detail, dict) else None

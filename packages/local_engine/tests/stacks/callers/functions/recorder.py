"""Appends each event to a file."""

import json
import os
from pathlib import Path


def record(event, context):
    line = json.dumps({"function": context.function_name, "id": context.aws_request_id, "event": event})
    with Path(os.environ["RECORDS"]).open("a") as file:
        file.write(line + "\n")

"""A generator of chunks: metadata as JSON, eight zero bytes, the payload."""

import json
import os
import time
from pathlib import Path

SEPARATOR = bytes(8)


def lambda_handler(event):
    query = event.get("queryStringParameters") or {}
    deed = event["rawPath"].rpartition("/")[2] if "rawPath" in event else event.get("deed", "count")
    folder = Path(query.get("folder", "."))
    if deed == "early":
        raise LookupError("before the first byte")
    if deed == "whole":
        yield json.dumps({"statusCode": 201, "body": "whole"}).encode()
        return
    metadata = {"statusCode": 203, "headers": {"X-Kind": deed, "Content-Type": "text/plain"}, "cookies": ["a=1", "b=2"]}
    yield json.dumps(metadata).encode() + SEPARATOR
    yield b"first\n"
    if deed == "wait":
        while not (folder / "go").exists():
            time.sleep(0.01)
    elif deed == "raise":
        raise LookupError("within the response")
    elif deed == "exit":
        os._exit(3)
    elif deed == "hang":
        time.sleep(60)
    elif deed == "large":
        block = b"x" * 65_536
        for _ in range(int(query["blocks"])):
            yield block
    elif deed == "endless":
        for number in range(100_000):
            yield b"y" * 65_536
            (folder / "written").write_text(str(number))
    (folder / "finished").touch() if folder != Path(".") else None
    yield b"last\n"

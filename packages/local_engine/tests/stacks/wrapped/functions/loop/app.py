"""Generators of chunks: metadata as JSON, eight zero bytes, the payload."""

import json
import os
import time
from pathlib import Path

BLOCK = b"x" * 65_536


def lambda_handler(event):
    query = event.get("queryStringParameters") or {}
    deed = (event.get("rawPath") or event["path"]).rpartition("/")[2]
    if deed == "early":
        raise LookupError("before the first byte")
    if deed == "silent":
        time.sleep(4)
    if deed == "whole":
        yield json.dumps({"statusCode": 201, "body": "whole"}).encode()
        return
    metadata = {"statusCode": 203, "headers": {"X-Kind": deed, "Content-Type": "text/plain"}, "cookies": ["a=1", "b=2"]}
    if "folder" in query:
        Path(query["folder"], "pid").write_text(str(os.getpid()))
    yield json.dumps(metadata).encode() + bytes(8)
    yield b"first\n"
    yield from DEEDS.get(deed, count)(query)
    if "folder" in query:
        Path(query["folder"], "finished").touch()
    yield b"last\n"


def count(query):
    yield from ()


def wait(query):
    while not Path(query["folder"], "go").exists():
        time.sleep(0.01)
    yield from ()


def fail(query):
    raise LookupError("within the response")
    yield


def leave(query):
    # Until the engine has what was sent.
    time.sleep(0.5)
    os._exit(3)
    yield


def hang(query):
    time.sleep(60)
    yield


def send_blocks(query):
    for _ in range(int(query["blocks"])):
        yield BLOCK


def send_forever(query):
    for number in range(100_000):
        yield BLOCK
        # A test reads the file at any time.
        Path(query["folder"], "unfinished").write_text(str(number))
        Path(query["folder"], "unfinished").replace(Path(query["folder"], "written"))


DEEDS = {
    "wait": wait,
    "raise": fail,
    "exit": leave,
    "hang": hang,
    "large": send_blocks,
    "endless": send_forever,
}

"""Splits the file of an import into parts, at constant memory, and puts them into a queue.

The same file always has the same parts, so a file that is split twice, after a kill, is imported once.
"""

import codecs
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from records.clients import make_client
from records.imports import MAX_LINE_BYTES, Part, begin_import, end_split, fail_import, find_job, find_tenant, read_file
from serverless_api import InvalidJSON, current_deadline, logger, parse_json, read_setting

MAX_FILE_BYTES = 1024**3
"""The largest file that is imported."""

MAX_LINES = 1_000
"""The most lines of a part."""

MAX_PART_BYTES = 1_000_000
"""The most bytes of a part, except of one with a single line."""

EXAMINED_LINES = 100
"""How many lines show that a file is no NDJSON."""

_BLOCK_BYTES = 256 * 1024
_MESSAGES = 10
_SECONDS_FOR_THE_REST = 15.0
# The answer of HeadObject has no body, so its error code is the status.
_MISSING = ("NoSuchKey", "404")

_s3 = make_client("s3")
_sqs = make_client("sqs")
_bucket = read_setting("IMPORT_BUCKET")
_parts_queue = read_setting("PARTS_QUEUE")
_files_queue = read_setting("FILES_QUEUE")


class Cursor(NamedTuple):
    """Where to go on in a file: a part's number, its offset, and the number of its first line."""

    key: str
    number: int = 0
    offset: int = 0
    line: int = 1


@dataclass
class Splitter:
    """Finds the parts of a file in its blocks of bytes, and keeps none of them.

    Attributes:
        cursor: where the next part starts.
        lines: how many lines the next part has so far.
        filled: how many of them could be an object: a file of empty lines has few parts.
    """

    cursor: Cursor
    lines: int = 0
    filled: int = 0

    def find_parts(self, blocks: Iterable[bytes]) -> Iterator[tuple[Cursor, int]]:
        """Yield each part's start, and the offset of its end.

        Args:
            blocks: the file from the cursor on.
        """
        position = end = self.cursor.offset
        for block in blocks:
            at = block.find(b"\n")
            while at >= 0:
                after = position + at + 1
                if self.lines and after - self.cursor.offset > MAX_PART_BYTES:
                    yield self._cut(end)
                self.lines += 1
                # With its line break, an object takes three bytes at least.
                self.filled += after - end > 2
                end = after
                if self.filled == MAX_LINES:
                    yield self._cut(end)
                at = block.find(b"\n", at + 1)
            position += len(block)
        if position > end:
            # The last line has no line break.
            if self.lines and position - self.cursor.offset > MAX_PART_BYTES:
                yield self._cut(end)
            self.lines += 1
        if self.lines:
            yield self._cut(position)

    def _cut(self, end: int) -> tuple[Cursor, int]:
        part = self.cursor
        self.cursor = Cursor(part.key, part.number + 1, end, part.line + self.lines)
        self.lines = self.filled = 0
        return part, end


def split_file(cursor: Cursor) -> None:
    """Put the parts of a file into the queue, from the cursor on; with too little time, first some and the cursor."""
    try:
        answer, blocks = _open_file(cursor)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _MISSING:
            return
        raise
    file, etag = read_file(cursor.key, answer["Metadata"]), answer["ETag"]
    job = find_job(file) if file else None
    if file is None or job is None:
        logger.info("A file belongs to no import", deleted=True)
        _s3.delete_object(Bucket=_bucket, Key=cursor.key)
        return
    if "parts" in job or not begin_import(file, etag):
        return
    size = cursor.offset + answer["ContentLength"]
    start = b"" if cursor.number else b"".join(itertools.islice(blocks, MAX_LINE_BYTES // _BLOCK_BYTES))
    if reason := "" if cursor.number else _find_reason(start, size):
        fail_import(file, reason)
        return
    splitter = Splitter(cursor)
    if _send_parts(splitter, itertools.chain([start], blocks), etag):
        end_split(file, splitter.cursor.number, splitter.cursor.line - 1)
    else:
        body = json.dumps({"cursor": splitter.cursor})
        _sqs.send_message(QueueUrl=_files_queue, MessageBody=body, MessageGroupId=find_tenant(cursor.key))


def _open_file(cursor: Cursor) -> tuple[Mapping[str, Any], Iterator[bytes]]:
    """Return S3's answer about a file, and the file's blocks from the cursor on."""
    try:
        answer = _s3.get_object(Bucket=_bucket, Key=cursor.key, Range=f"bytes={cursor.offset}-")
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "InvalidRange":
            raise
        # Nothing follows: the file is empty, or all of its parts are sent.
        return _s3.head_object(Bucket=_bucket, Key=cursor.key), iter(())
    return answer, answer["Body"].iter_chunks(_BLOCK_BYTES)


def _send_parts(splitter: Splitter, blocks: Iterable[bytes], etag: str) -> bool:
    """Send the parts, and return whether the time sufficed for all of them."""
    waiting: list[Part] = []
    for start, end in splitter.find_parts(blocks):
        waiting.append(Part(start.key, etag, start.number, start.offset, end, start.line))
        if len(waiting) == _MESSAGES:
            _send(waiting)
            waiting = []
            if current_deadline().remaining < _SECONDS_FOR_THE_REST:
                return False
    if waiting:
        _send(waiting)
    return True


def _send(parts: Iterable[Part]) -> None:
    entries = [
        {"Id": str(part.number), "MessageBody": json.dumps(part), "MessageGroupId": find_tenant(part.key)}
        for part in parts
    ]
    answer = _sqs.send_message_batch(QueueUrl=_parts_queue, Entries=entries)
    if failed := answer.get("Failed"):
        raise RuntimeError(f"{len(failed)} messages were not sent: {failed[0].get('Code')}")


def _find_reason(start: bytes, size: int) -> str:
    """Return why a file is not imported at all, given its start, or an empty string."""
    if size > MAX_FILE_BYTES:
        return "The file is larger than 1 GB"
    lines = [line for line in start.removeprefix(codecs.BOM_UTF8).split(b"\n") if line.strip()]
    if not lines:
        return "The file has no lines" if size <= len(start) else "The file starts with nothing but blank lines"
    examined = lines[:EXAMINED_LINES]
    # Lines that look like objects get a sentence each.
    alike = sum(line.lstrip().startswith(b"{") for line in examined)
    if 2 * alike >= len(examined) or any(map(_is_object, examined)):
        return ""
    return "The file is not NDJSON: none of its first lines is a JSON object"


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(parse_json(line.decode()), dict)
    except (InvalidJSON, UnicodeDecodeError):
        return False

"""Reads parts of files from the bucket."""

import codecs
import json
from collections.abc import Sequence
from typing import NamedTuple

from botocore.exceptions import ClientError

from records.clients import make_client
from records.imports import MAX_LINE_BYTES, File, Part, fail_import, find_job, find_tenant, read_file
from serverless_api import read_setting

_s3 = make_client("s3")
_sqs = make_client("sqs")
_bucket = read_setting("IMPORT_BUCKET")
_queue = read_setting("PARTS_QUEUE")


class Lines(NamedTuple):
    """The lines of a part, and the file that they are from."""

    file: File
    lines: Sequence[bytes]


def read_lines(part: Part) -> Lines | None:
    """Return the lines of a part, or None if there is nothing to import."""
    # A longer part is one line, which is faulty.
    last = min(part.end, part.start + MAX_LINE_BYTES + 1) - 1
    try:
        answer = _s3.get_object(Bucket=_bucket, Key=part.key, Range=f"bytes={part.start}-{last}")
    except ClientError as error:
        # The import was deleted.
        if error.response.get("Error", {}).get("Code") == "NoSuchKey":
            return None
        raise
    file = read_file(part.key, answer["Metadata"])
    if file is None or find_job(file) is None:
        return None
    if answer["ETag"] != part.etag:
        fail_import(file, "The file was replaced during the import")
        return None
    content: bytes = answer["Body"].read()
    if part.start == 0:
        # Editors and spreadsheets put it at the start of a file.
        content = content.removeprefix(codecs.BOM_UTF8)
    return Lines(file, content.removesuffix(b"\n").split(b"\n"))


def send_again(part: Part) -> None:
    """Send a part once more, so that another invocation goes on with it."""
    _sqs.send_message(QueueUrl=_queue, MessageBody=json.dumps(part), MessageGroupId=find_tenant(part.key))

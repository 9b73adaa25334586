"""Parts of a file: whole lines, every one once, within limits, at constant memory."""

import json
import tracemalloc
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from moto.core.models import patch_client

from tests.support.functions import import_function
from tests.support.gateway import import_functions
from tests.support.stack import ROOT


@pytest.fixture(scope="module")
def splitting() -> Iterator[ModuleType]:
    settings = dict.fromkeys(("IMPORT_BUCKET", "PARTS_QUEUE", "FILES_QUEUE"), "imports")
    with import_functions(settings), pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        with import_function(ROOT / "functions" / "split_import"):
            import splitting  # type: ignore[import-not-found]  # found in the function's folder

            yield splitting


def split(splitting: Any, blocks: list[bytes], cursor: Any = None) -> list[tuple[Any, int]]:
    return list(splitting.Splitter(cursor or splitting.Cursor("key")).find_parts(blocks))


def test_empty_lines_make_no_parts(splitting: Any) -> None:
    assert len(split(splitting, [b"{}\n" + b"\n" * 300_000 + b"\r\n" * 100_000 + b"{}\n"])) == 1


@given(lines=st.lists(st.integers(0, 40)), ends=st.booleans(), size=st.integers(1, 50))
def test_the_parts_are_the_lines_of_the_file(splitting: Any, lines: list[int], ends: bool, size: int) -> None:
    content = b"\n".join(b"x" * length for length in lines) + (b"\n" if ends and lines else b"")
    blocks = [content[start : start + size] for start in range(0, len(content), size)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "MAX_LINES", 3)
        patch.setattr(splitting, "MAX_PART_BYTES", 60)
        parts = split(splitting, blocks)
        # A split that is interrupted goes on from any part.
        for part, _ in parts:
            rest = [content[part.offset :]]
            assert split(splitting, rest, part) == parts[part.number :]
    texts = [content[part.offset : end] for part, end in parts]
    assert b"".join(texts) == content
    assert [part.number for part, _ in parts] == list(range(len(parts)))
    found = [text.removesuffix(b"\n").split(b"\n") for text in texts]
    assert [line for part in found for line in part] == (
        [] if not content else content.removesuffix(b"\n").split(b"\n")
    )
    assert [part.line for part, _ in parts] == [1 + sum(map(len, found[:index])) for index in range(len(found))]
    assert all(
        sum(len(line) > 1 for line in lines) <= 3 and (len(text) <= 60 or len(lines) == 1)
        for text, lines in zip(texts, found, strict=True)
    )


@pytest.mark.parametrize("count", [0, 9, 10, 20, 23])
def test_a_file_for_which_the_time_is_short_is_split_once(
    splitting: Any, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Also if nothing follows the last batch that there was time for."""
    ended: list[tuple[Any, ...]] = []
    monkeypatch.setattr(splitting, "MAX_LINES", 1)
    late = SimpleNamespace(remaining=splitting._SECONDS_FOR_THE_REST - 1)
    monkeypatch.setattr(splitting, "current_deadline", lambda: late)
    monkeypatch.setattr(splitting, "read_file", lambda *_: "file")
    monkeypatch.setattr(splitting, "find_job", lambda _: {})
    monkeypatch.setattr(splitting, "begin_import", lambda *_: True)
    monkeypatch.setattr(splitting, "end_split", lambda *arguments: ended.append(arguments))
    monkeypatch.setattr(splitting, "fail_import", lambda *arguments: ended.append(arguments))
    with mock_aws():
        for client in (splitting._s3, splitting._sqs):
            patch_client(client)
        splitting._s3.create_bucket(Bucket=splitting._bucket)
        splitting._s3.put_object(Bucket=splitting._bucket, Key="ann/key", Body=b"{}\n" * count)
        for name in ("_parts_queue", "_files_queue"):
            monkeypatch.setattr(splitting, name, splitting._sqs.create_queue(QueueName=name)["QueueUrl"])
        cursors: list[Any] = [["ann/key"]]
        while cursors:
            (cursor,) = cursors
            splitting.split_file(splitting.Cursor(*cursor))
            cursors = [body["cursor"] for body in receive(splitting._sqs, splitting._files_queue)]
        parts = receive(splitting._sqs, splitting._parts_queue)
    assert [part[2:] for part in parts] == [[number, 3 * number, 3 * number + 3, number + 1] for number in range(count)]
    assert ended == [("file", count, count) if count else ("file", "The file has no lines")]


def receive(sqs: Any, queue: str) -> list[Any]:
    """The bodies of all messages of a queue, in their order. All are ann's."""
    bodies: list[Any] = []
    wanted = {"MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["MessageGroupId"]}
    while messages := sqs.receive_message(QueueUrl=queue, **wanted).get("Messages"):
        assert {message["Attributes"]["MessageGroupId"] for message in messages} == {"ann"}
        bodies += [json.loads(message["Body"]) for message in messages]
    return bodies


def test_a_large_file_is_split_at_constant_memory(splitting: Any) -> None:
    def make_blocks(count: int) -> Iterator[bytes]:
        line = b'{"name": "a", "type": "A", "metadata": {"text": "' + b"x" * 400 + b'"}}\n'
        block = line * 500
        for _ in range(count):
            yield bytes(block)

    peaks = []
    for count in (20, 200):
        tracemalloc.start()
        for _ in splitting.Splitter(splitting.Cursor("key")).find_parts(make_blocks(count)):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 100_000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "The file has no lines"),
        (b"\n \r\n", "The file has no lines"),
        (bytes(range(256)) * 40, "The file is not NDJSON: none of its first lines is a JSON object"),
        (b"name,type\na,A\n", "The file is not NDJSON: none of its first lines is a JSON object"),
        (b'[\n{"name": "a", "type": "A"},\n]\n', "The file is not NDJSON: none of its first lines is a JSON object"),
        (b'{"name": "a"\n', ""),
        (b'x\ny\nz\n{"name": "a"}\n', ""),
    ],
    ids=["empty", "blank", "bytes", "CSV", "array", "one malformed line", "one good line"],
)
def test_a_file_of_garbage_fails_with_one_sentence(splitting: Any, content: bytes, reason: str) -> None:
    assert splitting._find_reason(content, len(content)) == reason


def test_a_file_over_1_gb_fails(splitting: Any) -> None:
    assert splitting._find_reason(b"{}\n", 1024**3 + 1) == "The file is larger than 1 GB"

"""AWS's own test vectors of Signature Version 4, sent to an engine, as they are and with each part changed.

Some vectors are not valid HTTP: the server answers 400 to a target with a space or with non-ASCII characters.
"""

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from conftest import STACKS, copy_stack
from test_signature_vectors import VECTORS, SignedRequest, key_of, read_signed

from local_engine.testing import EngineProcess, child_environment

MISMATCH = "The request signature we calculated does not match the signature you provided"
POLICY = {"Action": ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"], "Effect": "Allow", "Resource": "*"}
# What is replaced in the head of a request, or None for a change of another part, and AWS's sentence about it.
CHANGES = {
    "method": (None, MISMATCH),
    "path": (None, MISMATCH),
    "query": (None, MISMATCH),
    "body": (None, MISMATCH),
    "signature": ((rb"Signature=[0-9a-f]", b"Signature=z"), MISMATCH),
    "signed headers": (
        (rb"(SignedHeaders=(?:[^,;]+;)*)host;?", rb"\g<1>"),
        "'Host' or ':authority' must be a 'Signed",
    ),
    "unsigned header": ((rb";x-amz-date", b""), "'x-amz-date' must be a 'SignedHeader'"),
    "time": ((rb"(?i)(x-amz-date: ?\d{8}T12360)0", rb"\g<1>1"), MISMATCH),
    "day": ((rb"(?i)(x-amz-date: ?201508)30", rb"\g<1>29"), "Signature expired: 20150829T123600Z is now earlier than"),
    "scope's day": ((rb"/20150830/", b"/20150829/"), "Date in Credential scope does not match YYYYMMDD"),
    "region": ((rb"/us-east-1/", b"/eu-west-1/"), "Credential should be scoped to a valid region"),
    "service": ((rb"/service/", b"/s3/"), "Credential should be scoped to correct service: 'service'"),
    "terminator": ((rb"/aws4_request", b"/aws5_request"), "Credential should be scoped with a valid terminator"),
    "key": ((rb"AKIDEXAMPLE", b"AKIDEXAMPLF"), "The security token included in the request is invalid"),
    "algorithm": ((rb"AWS4-HMAC-SHA256", b"AWS3-HMAC-SHA256"), "Unsupported AWS 'algorithm': 'AWS3-HMAC-SHA256'"),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_stack("vectors", tmp_path_factory.mktemp("vectors"))


@pytest.fixture(scope="module")
def engine(template: Path) -> Iterator[EngineProcess]:
    paths = f"{STACKS / 'vectors' / 'interception'}:{child_environment()['PYTHONPATH']}"
    with EngineProcess(template, environment={"PYTHONPATH": paths}) as engine:
        yield engine


@pytest.fixture
def port(engine: EngineProcess) -> int:
    return int(re.search(r":(\d+)/", engine.wait_for_line("^AnyUrl is served at"))[1])  # type: ignore[index]


def keep_key(template: Path, request: SignedRequest) -> None:
    """Issue the vectors' key, with the token of a vector that has one."""
    folder = template.parent / ".local" / "credentials"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = {"Version": "2012-10-17", "Statement": [POLICY]}
    file = folder / "AKIDEXAMPLE.json"
    file.write_text(json.dumps(asdict(replace(key_of(request), policies=[document]))))


def encode(request: SignedRequest) -> bytes:
    target = request.raw_path + (f"?{request.query}" if request.query else "")
    lines = [f"{request.method} {target} HTTP/1.1".encode("latin-1")]
    lines += [name + b": " + value.strip() for name, value in request.headers]
    lines += [b"Content-Length: %d" % len(request.body)] if request.body else []
    return b"\r\n".join([*lines, b"Connection: close", b"", b""]) + request.body


def send(port: int, content: bytes) -> tuple[int, str]:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(content)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode("utf-8", "replace")


def change(request: SignedRequest, part: str) -> bytes:
    match part:
        case "method":
            return encode(replace(request, method="DELETE"))
        case "path":
            return encode(replace(request, raw_path=f"{request.raw_path}x"))
        case "query":
            return encode(replace(request, query=f"{request.query}&added=1".lstrip("&")))
        case "body":
            return encode(replace(request, body=request.body + b" "))
    pattern, replacement = CHANGES[part][0] or (b"", b"")
    changed, count = re.subn(pattern, replacement, encode(request), count=1)
    assert count == 1
    return changed


@pytest.mark.parametrize("vector", VECTORS, ids=lambda path: path.name)
def test_vector(template: Path, port: int, vector: Path) -> None:
    request = read_signed(vector)
    keep_key(template, request)
    target = request.raw_path + request.query
    if " " in target or not target.isascii():
        assert send(port, encode(request))[0] == 400
        return
    assert send(port, encode(request)) == (200, "accepted")
    for part, (_, sentence) in CHANGES.items():
        status, text = send(port, change(request, part))
        assert (part, status) == (part, 403)
        assert re.search(sentence, text), (part, text)
    assert send(port, encode(request)) == (200, "accepted")


def test_today_the_vectors_have_expired(template: Path) -> None:
    """Without the interception, the engine's clock is the real one."""
    request = read_signed(VECTORS[0])
    with EngineProcess(template) as engine:
        number = int(re.search(r":(\d+)/", engine.wait_for_line("^AnyUrl is served at"))[1])  # type: ignore[index]
        assert send(number, encode(request))[0] == 403

"""AWS's own test vectors of Signature Version 4 (see their LICENSE and NOTICE)."""

from dataclasses import replace
from pathlib import Path

import pytest

from local_engine.access import signatures
from local_engine.access.credentials import Credentials
from local_engine.access.signatures import SignatureRefused, SignedRequest, canonicalise, verify_signature

FOLDER = Path(__file__).parent / "sigv4_vectors"
VECTORS = sorted(path.with_suffix("") for path in FOLDER.rglob("*.sreq"))
NOW = 1440938160  # 2015-08-30T12:36:00Z
KEY = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None, None, "example", None)


def read_request(text: bytes) -> SignedRequest:
    head, _, body = text.replace(b"\r\n", b"\n").partition(b"\n\n")
    line, *lines = head.split(b"\n")
    # The target of one vector has a space in it.
    method, _, rest = line.partition(b" ")
    path, _, query = rest.rpartition(b" ")[0].decode("latin-1").partition("?")
    headers: list[tuple[bytes, bytes]] = []
    for entry in lines:
        if entry.startswith((b" ", b"\t")):
            # Of a header on several lines, each line is a separate value or continues the one before.
            headers[-1] = (headers[-1][0], headers[-1][1] + b" " + entry.strip())
        elif entry:
            name, _, value = entry.partition(b":")
            headers.append((name.lower(), value))
    return SignedRequest(method.decode(), path, query, headers, body)


def read_signed(vector: Path) -> SignedRequest:
    request = read_request(vector.with_suffix(".sreq").read_bytes())
    # One vector's request has a placeholder for its signature.
    authorization = vector.with_suffix(".authz").read_bytes()
    headers = [pair for pair in request.headers if pair[0] != b"authorization"] + [(b"authorization", authorization)]
    return replace(request, headers=headers)


def verify(request: SignedRequest, key: Credentials = KEY) -> Credentials:
    return verify_signature(
        request, service="service", region="us-east-1", find_credentials={key.access_key_id: key}.get
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures.time, "time", lambda: NOW)


def key_of(request: SignedRequest) -> Credentials:
    token = dict(request.headers).get(b"x-amz-security-token")
    return Credentials(KEY.access_key_id, KEY.secret_access_key, token and token.decode(), None, "example", None)


def test_all_vectors_are_here() -> None:
    assert len(VECTORS) == 34


@pytest.mark.parametrize("vector", VECTORS, ids=lambda path: path.name)
def test_the_canonical_request_is_aws_s(vector: Path) -> None:
    request = read_request(vector.with_suffix(".sreq").read_bytes())
    expected = vector.with_suffix(".creq").read_text().replace("\r\n", "\n")
    signed = expected.split("\n")[-2].split(";")
    assert canonicalise(request, signed) == expected


@pytest.mark.parametrize("vector", VECTORS, ids=lambda path: path.name)
def test_the_signature_is_accepted(vector: Path, clock: None) -> None:
    request = read_signed(vector)
    key = key_of(request)
    assert verify(request, key) == key


@pytest.mark.parametrize("vector", VECTORS, ids=lambda path: path.name)
@pytest.mark.parametrize("part", ["method", "path", "query", "header", "body", "signature", "secret"])
def test_a_change_of_any_part_is_rejected(vector: Path, part: str, clock: None) -> None:
    request = read_signed(vector)
    key = key_of(request)
    values = {"method": request.method, "raw_path": request.raw_path, "query": request.query}
    headers, body = list(request.headers), request.body
    match part:
        case "method":
            values["method"] = "PUT"
        case "path":
            values["raw_path"] += "x"
        case "query":
            values["query"] = f"{request.query}&added="
        case "header":
            headers = [(name, value + b"x" if name == b"host" else value) for name, value in headers]
        case "body":
            body += b" "
        case "signature":
            headers = [
                (name, value[:-1] + (b"0" if value[-1:] != b"0" else b"1") if name == b"authorization" else value)
                for name, value in headers
            ]
        case _:
            key = Credentials(key.access_key_id, "other", key.session_token, None, "example", None)
    changed = SignedRequest(values["method"], values["raw_path"], values["query"], headers, body)
    with pytest.raises(SignatureRefused, match="The request signature we calculated does not match") as refusal:
        verify(changed, key)
    assert refusal.value.error_type == "InvalidSignatureException"

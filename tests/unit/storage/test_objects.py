"""Objects of a bucket, compared with botocore's signatures; what S3 answers decides what happens."""

import datetime
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qsl, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.gateway import import_functions
from tests.support.http_server import Reply, Request, Server, make_reply

pytestmark = [pytest.mark.enable_socket, pytest.mark.timeout(60)]

KEYS = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "AQoDYXdzEPT//wEXAMPLEtc764bNrC9Sn==")
MOMENT = datetime.datetime(2026, 11, 27, 12, 36, tzinfo=datetime.UTC)
KEY = "0a1b2c/019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10"


@pytest.fixture(scope="module")
def module() -> Iterator[Any]:
    with import_functions():
        from serverless_api.storage import objects

        yield objects


@pytest.fixture
def objects(module: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    for name, value in zip(names, KEYS, strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr(module, "_read_clock", lambda: f"{MOMENT:%Y%m%dT%H%M%SZ}")
    monkeypatch.setattr(module, "_policy", module.RetryPolicy(sleep=lambda _: None))
    return module


class S3:
    """Answers in turn; the last answer stays."""

    def __init__(self) -> None:
        self.replies = [make_reply(b"", 200)]

    def __call__(self, _: Request) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@pytest.fixture
def s3() -> S3:
    return S3()


@pytest.fixture
def server(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server(s3) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        yield server


def sign_with_botocore(auth: Any, request: AWSRequest) -> AWSRequest:
    with patch("botocore.auth.get_current_datetime", lambda: MOMENT):
        auth.add_auth(request)
    return request


def test_a_request_has_botocores_signature(objects: Any, server: Server) -> None:
    objects.Bucket("files").put(KEY, b"content", {"x-amz-meta-owner": "YW5u"})
    (sent,) = server.requests
    assert (sent.method, sent.target, sent.body) == ("PUT", f"/files/{KEY}", b"content")
    headers = {"if-none-match": "*", "x-amz-meta-owner": "YW5u"}
    copy = AWSRequest("PUT", f"{server.url}/files/{KEY}", headers, b"content")
    # Over plain http, botocore signs the content, as here.
    sign_with_botocore(botocore.auth.S3SigV4Auth(Credentials(*KEYS), "s3", objects.settings.REGION), copy)
    assert sent.headers["authorization"] == copy.headers["Authorization"]


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:9000"])
def test_an_upload_link_is_botocores(objects: Any, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    headers = {"if-none-match": "*", "x-amz-meta-owner": "YW5u"}
    link = objects.Bucket("files").presign_put(KEY, headers, 900)
    place = f"{endpoint}/files" if endpoint else f"https://files.s3.{objects.settings.REGION}.amazonaws.com"
    copy = AWSRequest("PUT", f"{place}/{KEY}", headers)
    auth = botocore.auth.S3SigV4QueryAuth(Credentials(*KEYS), "s3", objects.settings.REGION, expires=900)
    sign_with_botocore(auth, copy)
    assert link.partition("?")[0] == copy.url.partition("?")[0]
    assert dict(parse_qsl(urlsplit(link).query)) == dict(parse_qsl(urlsplit(copy.url).query))


@pytest.mark.parametrize("status", [500, 503, 429, 408, 409])
def test_a_busy_bucket_is_asked_again(objects: Any, s3: S3, server: Server, status: int) -> None:
    s3.replies = [make_reply(b"<Error><Code>SlowDown</Code></Error>", status), make_reply(b"", 204)]
    objects.Bucket("files").delete(KEY)
    assert [request.method for request in server.requests] == ["DELETE", "DELETE"]


@pytest.mark.parametrize("reply", [make_reply(b"", 503), Reply(b"", "reset")])
def test_a_bucket_that_stays_down_is_unavailable(objects: Any, s3: S3, server: Server, reply: Reply) -> None:
    s3.replies = [reply]
    with pytest.raises(objects.DependencyUnavailable):
        objects.Bucket("files").put(KEY, b"", {})
    assert len(server.requests) > 1


def test_an_object_that_is_there_stays_as_it_is(objects: Any, s3: S3, server: Server) -> None:
    s3.replies = [make_reply(b"<Error><Code>PreconditionFailed</Code></Error>", 412)]
    with pytest.raises(objects.ObjectExists):
        objects.Bucket("files").put(KEY, b"", {})
    assert server.requests[0].headers["if-none-match"] == "*"


def test_a_rejected_request_names_the_error(objects: Any, s3: S3, server: Server) -> None:
    s3.replies = [make_reply(b"<Error><Code>AccessDenied</Code></Error>", 403)]
    with pytest.raises(objects.BucketError, match="AccessDenied"):
        objects.Bucket("files").put(KEY, b"", {})
    assert len(server.requests) == 1

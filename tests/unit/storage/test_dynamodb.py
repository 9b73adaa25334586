"""The DynamoDB client compared with boto3 on moto, and against misbehaving servers; all over real HTTP."""

import contextlib
import datetime
import hashlib
import ipaddress
import itertools
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from email.utils import format_datetime
from pathlib import Path
from types import CodeType
from typing import Any
from unittest.mock import patch

import boto3
import botocore.auth
import certifi
import pytest
from botocore import xform_name
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as BotocoreCredentials
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.test import Client

from serverless_api.storage import authorities
from serverless_api.storage.credentials import Credentials, CredentialsError
from serverless_api.storage.dynamodb import SIGNATURE_ERRORS, DynamoDB, DynamoDBError
from serverless_api.storage.fetch import MAX_ANSWER_BYTES
from serverless_api.storage.signed_requests import find_endpoint, sign
from tests.support.http_server import Answer, Reply, Request, Server, make_reply

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket, pytest.mark.timeout(60)]

REGION = "eu-central-1"
TIMEOUT = 20.0  # seconds; long enough never to be reached
KEYS = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjE+/==")
VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in zip(VARIABLES, KEYS, strict=True):
        monkeypatch.setenv(name, value)


@contextlib.contextmanager
def serve(answer: Answer, path: str = "") -> Iterator[tuple[Server, DynamoDB]]:
    """Yield a server and its client."""
    with Server(answer) as server:
        client = DynamoDB(REGION, server.url + path)
        yield server, client
        client.close()


def echo(request: Request) -> Reply:
    return make_reply({"Echo": json.loads(request.body)})


def script(*replies: Reply | Callable[[Request], Reply]) -> Answer:
    """Answer one request after another with these, and then as `echo` does."""
    left = iter(replies)

    def answer(request: Request) -> Reply:
        reply = next(left, echo)
        return reply if isinstance(reply, Reply) else reply(request)

    return answer


def call_echo(client: DynamoDB) -> None:
    """Make a call and check that it gets its own answer."""
    unique = {"TableName": uuid.uuid4().hex}
    assert client.call("GetItem", unique, TIMEOUT).document == {"Echo": unique}


def sign_with_botocore(request: Request, url: str, keys: tuple[str, str, str] = KEYS) -> str:
    """Return the `Authorization` that botocore gives to `request`."""
    names = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    # botocore adds these two itself.
    headers = {name: request.headers[name] for name in names if name not in ("x-amz-date", "x-amz-security-token")}
    copy = AWSRequest(request.method, url + request.target, headers, request.body)
    moment = datetime.datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    with patch("botocore.auth.get_current_datetime", lambda: moment):
        botocore.auth.SigV4Auth(BotocoreCredentials(*keys), "dynamodb", REGION).add_auth(copy)
    return str(copy.headers["Authorization"])


# Comparison with boto3

KEY = {"pk": {"S": "user#1"}, "sk": {"S": "item#07"}}
ITEM = {
    **KEY,
    "name": {"S": 'Größe «中文» 🎈 \u0000\u2028"\\/'},
    "price": {"N": "12345678901234567890123456789012345678"},
    "tags": {"L": [{"S": ""}, {"BOOL": True}, {"NULL": True}, {"M": {"deep": {"N": "-0.5"}}}]},
    "set": {"SS": ["a", "b"]},
}
FAILED = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
UPDATE = {
    "Key": KEY,
    "UpdateExpression": "SET #name = :name ADD #count :one",
    "ExpressionAttributeNames": {"#name": "name", "#count": "count"},
    "ExpressionAttributeValues": {":name": {"S": "né"}, ":one": {"N": "1"}},
}
QUERY = {
    "KeyConditionExpression": "pk = :pk AND begins_with(sk, :sk)",
    "ExpressionAttributeValues": {":pk": {"S": "user#1"}, ":sk": {"S": "item#"}},
    "ConsistentRead": True,
    "ReturnConsumedCapacity": "TOTAL",
}
TABLE = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
    "BillingMode": "PAY_PER_REQUEST",
}


def transact(*changes: dict[str, Any]) -> dict[str, Any]:
    items = [{kind: {"TableName": "resources", **change}} for each in changes for kind, change in each.items()]
    return {"TransactItems": items, "ClientRequestToken": "one-token-for-all-tries"}


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "query": ("Query", {**QUERY, "Limit": 20}),
    "query_backwards": ("Query", {**QUERY, "ScanIndexForward": False, "Limit": 3, "ExclusiveStartKey": KEY}),
    "query_nothing": ("Query", {**QUERY, "ExpressionAttributeValues": {":pk": {"S": "é"}, ":sk": {"S": "x"}}}),
    "query_invalid": ("Query", {**QUERY, "KeyConditionExpression": "sk = :sk"}),
    "get": ("GetItem", {"Key": KEY, "ConsistentRead": True}),
    "get_missing": ("GetItem", {"Key": {**KEY, "sk": {"S": "none"}}}),
    "get_without_key": ("GetItem", {"Key": {"pk": {"S": "user#1"}}}),
    "get_without_table": ("GetItem", {"Key": KEY, "TableName": "missing"}),
    "put": ("PutItem", {"Item": {**ITEM, "sk": {"S": "new"}}, "ConditionExpression": "attribute_not_exists(pk)"}),
    "put_again": ("PutItem", {"Item": ITEM, "ConditionExpression": "attribute_not_exists(pk)", **FAILED}),
    "put_old": ("PutItem", {"Item": ITEM, "ReturnValues": "ALL_OLD"}),
    "put_large": ("PutItem", {"Item": {**KEY, "large": {"S": "x" * 410_000}}}),
    "update": ("UpdateItem", {**UPDATE, "ReturnValues": "ALL_NEW"}),
    "update_refused": ("UpdateItem", {**UPDATE, "ConditionExpression": "#count > :one", **FAILED}),
    "update_invalid": ("UpdateItem", {**UPDATE, "UpdateExpression": "SET name = :name"}),
    "delete": ("DeleteItem", {"Key": KEY, "ReturnValues": "ALL_OLD"}),
    "delete_refused": ("DeleteItem", {"Key": KEY, "ConditionExpression": "attribute_not_exists(pk)", **FAILED}),
    "transaction": ("TransactWriteItems", transact({"Put": {"Item": {**ITEM, "sk": {"S": "t"}}}}, {"Update": UPDATE})),
    "transaction_cancelled": (
        "TransactWriteItems",
        transact(
            {"Update": UPDATE},
            {"Put": {"Item": ITEM, "ConditionExpression": "attribute_not_exists(pk)", **FAILED}},
            {"Delete": {"Key": {**KEY, "sk": {"S": "0"}}, "ConditionExpression": "attribute_exists(pk)"}},
        ),
    ),
}


@pytest.fixture(scope="module")
def moto() -> Iterator[Server]:
    backend = Client(create_backend_app("dynamodb"))
    lock = threading.Lock()

    def answer(request: Request) -> Reply:
        with lock:
            given = backend.post(request.target, data=request.body, headers=list(request.headers.items()))
        names = [name for name in given.headers.keys() if name.lower().startswith("x-am")]  # noqa: SIM118
        return make_reply(given.get_data(), given.status_code, {name: given.headers[name] for name in names})

    with Server(answer) as server:
        yield server


@pytest.mark.parametrize("case", CASES)
def test_same_as_boto3(moto: Server, case: str) -> None:
    operation, parameters = CASES[case]
    if operation != "TransactWriteItems":
        parameters = {"TableName": "resources", **parameters}
    boto = boto3.Session().client(
        "dynamodb", region_name=REGION, endpoint_url=moto.url, config=Config(retries={"total_max_attempts": 1})
    )

    def ask_boto3() -> tuple[Any, Any]:
        try:
            result = getattr(boto, xform_name(operation))(**parameters)
        except ClientError as refused:
            error: dict[str, Any] = dict(refused.response)
            about = (error["Error"]["Code"], error["Error"]["Message"], error["ResponseMetadata"]["HTTPStatusCode"])
            return about, {name: error[name] for name in ("Item", "CancellationReasons") if name in error}
        del result["ResponseMetadata"]
        return None, result

    client = DynamoDB(REGION, moto.url)

    def ask_client() -> tuple[Any, Any]:
        try:
            return None, client.call(operation, parameters, TIMEOUT).document
        except DynamoDBError as error:
            body = {name: error.document[name] for name in ("Item", "CancellationReasons") if name in error.document}
            return (error.code, error.message, error.response.status), body

    def play(ask: Callable[[], tuple[Any, Any]]) -> tuple[Any, Request, Any]:
        """Return the answer, the request and the table's content afterwards."""
        with contextlib.suppress(boto.exceptions.ResourceNotFoundException):
            boto.delete_table(TableName="resources")
        boto.create_table(TableName="resources", **TABLE)
        for index in range(30):
            boto.put_item(TableName="resources", Item={**ITEM, "sk": {"S": f"item#{index:02}"}})
        answer = ask()
        sent = moto.requests[-1]
        return answer, sent, boto.scan(TableName="resources")["Items"]

    theirs, their_request, their_items = play(ask_boto3)
    ours, our_request, our_items = play(ask_client)
    assert ours == theirs
    assert our_items == their_items
    assert json.loads(our_request.body) == json.loads(their_request.body)
    for name in ("content-type", "x-amz-target", "accept-encoding", "host", "x-amz-security-token"):
        assert our_request.headers[name] == their_request.headers[name], name
    assert (our_request.method, our_request.target) == (their_request.method, their_request.target)
    assert our_request.headers["authorization"] == sign_with_botocore(our_request, moto.url)
    client.close()
    boto.close()


def test_cases_cover_what_they_should(moto: Server) -> None:
    """If moto accepted everything, comparing errors would prove nothing."""
    client = DynamoDB(REGION, moto.url)
    with pytest.raises(DynamoDBError) as refused:
        client.call("GetItem", {"TableName": "missing", "Key": KEY}, TIMEOUT)
    assert refused.value.request_id
    assert (refused.value.code, refused.value.response.status) == ("ResourceNotFoundException", 400)
    assert str(refused.value).startswith("ResourceNotFoundException: Requested resource not found")
    client.close()


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (
            400,
            {"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "m"},
            "ThrottlingException",
            "m",
        ),
        (
            400,
            {"__type": "com.amazon.coral.service#AccessDeniedException", "Message": "M"},
            "AccessDeniedException",
            "M",
        ),
        (400, {"__type": "UnrecognizedClientException"}, "UnrecognizedClientException", ""),
        (
            500,
            {"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": ""},
            "InternalServerError",
            "",
        ),
        (403, {"message": "Forbidden"}, "403", "Forbidden"),
        (503, {}, "503", ""),
    ],
)
def test_error_as_boto3_reads_it(status: int, body: dict[str, Any], code: str, message: str) -> None:
    with serve(lambda _: make_reply(body, status)) as (server, client):
        with pytest.raises(DynamoDBError) as refused:
            client.call("GetItem", {"TableName": "t"}, TIMEOUT)
        boto = boto3.Session().client(
            "dynamodb", region_name=REGION, endpoint_url=server.url, config=Config(retries={"total_max_attempts": 1})
        )
        with pytest.raises(ClientError) as theirs:
            boto.get_item(TableName="t", Key={})
        boto.close()
    error = refused.value
    assert (error.code, error.message, error.response.status, error.document) == (code, message, status, body)
    assert theirs.value.response["Error"] == {"Code": code, "Message": message}


def test_any_text_arrives_as_it_is() -> None:
    texts = [
        "\u00fc",
        "\U0001f388",
        "\ud800",
        "\udfff\ud800",
        "\u2028",
        "\x7f\x00",
        "a\r\nb",
        "\ufeff",
        "e\u0301",
        "\u00e9",
    ]
    request = {"Key": {"pk": {"L": [{"S": text} for text in texts]}}}
    with serve(echo) as (_, client):
        assert client.call("GetItem", request, TIMEOUT).document == {"Echo": request}


# Signature


@pytest.mark.parametrize("path", ["", "/", "/some/path", "/a%20b/~user/x+y"])
@pytest.mark.parametrize("token", ["", KEYS[2]])
def test_signature(monkeypatch: pytest.MonkeyPatch, path: str, token: str) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    with serve(echo, path) as (server, client):
        client.call("PutItem", {"Item": {"name": {"S": "Größe 中文"}}}, TIMEOUT)
        (request,) = server.requests
        assert request.target == (path or "/")
        assert request.headers["x-amz-security-token"] == (token or None)
        assert request.headers["authorization"] == sign_with_botocore(request, server.url, (*KEYS[:2], token))


def test_signature_at_a_fixed_time() -> None:
    """Compare the whole value, to notice a change of both signers."""
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "host": "dynamodb.us-east-1.amazonaws.com",
        "x-amz-date": "20150830T123600Z",
        "x-amz-target": "DynamoDB_20120810.GetItem",
    }
    signed = sign(
        Credentials(*KEYS), "us-east-1", "dynamodb", method="POST", path="/", headers=headers, body=b'{"TableName":"t"}'
    )
    copy = AWSRequest("POST", "https://dynamodb.us-east-1.amazonaws.com/", headers, b'{"TableName":"t"}')
    del copy.headers["x-amz-date"]
    moment = datetime.datetime(2015, 8, 30, 12, 36, tzinfo=datetime.UTC)
    with patch("botocore.auth.get_current_datetime", lambda: moment):
        botocore.auth.SigV4Auth(BotocoreCredentials(*KEYS), "dynamodb", "us-east-1").add_auth(copy)
    assert signed == {name.lower(): value for name, value in copy.headers.items()}
    assert signed["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20150830/us-east-1/dynamodb/aws4_request,"
        " SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target,"
        " Signature=83d1314dcad730a922f3ea715cd84a89792a7f43117419c8368835b039aadd20"
    )


# Endpoint


def test_endpoint_in_every_partition_as_boto3_has_it() -> None:
    session = boto3.Session()
    regions = [session.get_available_regions("dynamodb", name)[-1] for name in session.get_available_partitions()]
    assert len(regions) > 5
    for region in [*regions, "us-gov-east-1", "cn-north-1"]:
        boto = boto3.Session().client("dynamodb", region_name=region)
        assert f"https://{DynamoDB(region)._connection.host}" == boto.meta.endpoint_url
        boto.close()


@pytest.mark.parametrize("specific", [None, "", "http://127.0.0.1:8000"])
@pytest.mark.parametrize("general", [None, "", "http://127.0.0.1:9000/aws"])
def test_endpoint_of_the_environment_as_boto3_finds_it(
    monkeypatch: pytest.MonkeyPatch, specific: str | None, general: str | None
) -> None:
    for name, value in (("AWS_ENDPOINT_URL_DYNAMODB", specific), ("AWS_ENDPOINT_URL", general)):
        if value is not None:
            monkeypatch.setenv(name, value)
    found = find_endpoint(os.environ, "dynamodb") or f"https://dynamodb.{REGION}.amazonaws.com"
    boto = boto3.Session().client("dynamodb", region_name=REGION)
    assert found == boto.meta.endpoint_url
    boto.close()


@pytest.mark.parametrize("endpoint", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://", "localhost"])
def test_useless_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="must be a URL that starts with https:// or http://"):
        DynamoDB(REGION, endpoint)


# Connection


def test_connection_is_kept() -> None:
    with serve(echo) as (server, client):
        for _ in range(5):
            call_echo(client)
        assert (server.connections, len(server.requests)) == (1, 5)


def test_connection_is_kept_after_a_refusal() -> None:
    with serve(script(make_reply({"__type": "x#y"}, 400))) as (server, client):
        with pytest.raises(DynamoDBError):
            client.call("GetItem", {}, TIMEOUT)
        call_echo(client)
        assert server.connections == 1


def test_closed_client_connects_again() -> None:
    with serve(echo) as (server, client):
        call_echo(client)
        client.close()
        client.close()
        call_echo(client)
        assert server.connections == 2


def test_server_that_announces_the_end() -> None:
    with serve(
        lambda request: make_reply({"at": request.connection}, headers={"Connection": "close"}, then="close")
    ) as (_, client):
        assert [client.call("GetItem", {}, TIMEOUT).document["at"] for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("then", ["close", "reset"])
def test_connection_that_ended_while_idle_is_replaced(then: str) -> None:
    with serve(script(make_reply({}, then=then))) as (server, client):
        client.call("GetItem", {}, TIMEOUT)
        assert server.closed.wait(60)
        call_echo(client)
        assert (server.connections, len(server.requests)) == (2, 2)


def test_connection_that_was_idle_for_long_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(echo) as (server, client):
        call_echo(client)
        now = time.time()
        monkeypatch.setattr("serverless_api.storage.connection.time.time", lambda: now + 61)
        call_echo(client)
        call_echo(client)
        assert server.connections == 2


def test_answer_that_nobody_asked_for_is_not_read() -> None:
    first, sent = threading.Event(), threading.Event()

    def answer(request: Request) -> Reply:
        if len(server.requests) > 1:
            return echo(request)
        threading.Thread(target=intrude).start()
        return make_reply({"first": True})

    def intrude() -> None:
        first.wait(10)
        server._open[0].sendall(make_reply({"intruder": True}).content)
        sent.set()

    with serve(answer) as (server, client):
        assert client.call("GetItem", {}, TIMEOUT).document == {"first": True}
        first.set()
        assert sent.wait(60)
        call_echo(client)
        assert server.connections == 2


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("reused", [False, True])
def test_request_is_sent_once_only(then: str, reused: bool) -> None:
    """Nobody knows whether it was performed, so the caller must decide whether to retry."""
    with serve(script(*[echo] * reused, Reply(b"", then))) as (server, client):
        if reused:
            call_echo(client)
        with pytest.raises(ConnectionError):
            client.call("PutItem", {}, TIMEOUT)
        assert len(server.requests) == 1 + reused
        call_echo(client)
        assert server.connections == 2


def test_silent_server() -> None:
    with serve(script(Reply(b""), echo, Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"))) as (server, client):
        with pytest.raises(TimeoutError):
            client.call("GetItem", {}, 0.05)
        call_echo(client)
        with pytest.raises(TimeoutError):
            client.call("GetItem", {}, 0.05)
        call_echo(client)
        assert server.connections == 3


def test_each_call_has_its_own_timeout() -> None:
    released = threading.Event()

    def answer(request: Request) -> Reply:
        if b"slow" in request.body:
            released.wait(10)
        return echo(request)

    with serve(answer) as (server, client):
        client.call("GetItem", {}, 0.5)
        timer = threading.Timer(0.6, released.set)
        timer.start()
        client.call("GetItem", {"slow": True}, TIMEOUT)
        timer.join()
        assert server.connections == 1


@pytest.mark.parametrize("timeout", [0, -1])
def test_no_time_left(timeout: float) -> None:
    with serve(echo) as (server, client):
        with pytest.raises(TimeoutError):
            client.call("GetItem", {}, timeout)
        assert not server.connections


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        DynamoDB(REGION, f"http://127.0.0.1:{port}").call("GetItem", {}, TIMEOUT)


WHOLE = make_reply({"Item": {}}).content
UNREADABLE = {
    "truncated body": Reply(WHOLE[:-1], "close"),
    "truncated head": Reply(WHOLE[:40], "close"),
    "wrong checksum": make_reply({"Item": {}}, headers={"x-amz-crc32": "1"}),
    "no checksum number": make_reply({"Item": {}}, headers={"x-amz-crc32": "x"}),
    "html": make_reply(b"<html><h1>It works</h1></html>"),
    "html error": make_reply(b"<html><h1>Service Unavailable</h1></html>", 503),
    "empty": make_reply(b""),
    "array": make_reply([]),
    "no utf-8": make_reply(b'{"a": "\xff"}'),
    "deep": make_reply(b"[" * 200_000),
    "no http": Reply(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "no status": Reply(b"HTTP/1.1 abc\r\n\r\n"),
    "long line": Reply(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 70_000 + b"\r\n\r\n"),
    "many headers": Reply(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n"),
    "absurd length": Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}", "close"),
    "over the limit": make_reply(b'{"a":"' + b"x" * MAX_ANSWER_BYTES + b'"}'),
    "over the limit in chunks": Reply(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"100000\r\n" + b" " * 0x100000 + b"\r\n") * 17
    ),
    "bad chunk": Reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "close"),
    "cut chunk": Reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}", "close"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_answer_that_cannot_be_read(kind: str) -> None:
    with serve(script(echo, UNREADABLE[kind])) as (server, client):
        call_echo(client)
        with pytest.raises(ConnectionError):
            client.call("GetItem", {}, TIMEOUT)
        call_echo(client)
        assert server.connections == 2


def test_checksum_is_optional_and_chunks_are_read() -> None:
    plain = Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    chunks = Reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")
    with serve(script(plain, chunks)) as (server, client):
        assert client.call("GetItem", {}, TIMEOUT).document == {}
        assert client.call("GetItem", {}, TIMEOUT).document == {}
        call_echo(client)
        assert server.connections == 1


class Interrupted(BaseException):
    """Raised by a signal handler when the invocation's time is up."""


def test_signal_in_the_middle_of_a_call() -> None:
    may_answer = threading.Event()

    def answer_late(request: Request) -> Reply:
        os.kill(os.getpid(), signal.SIGUSR1)
        may_answer.wait(10)
        return echo(request)

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with serve(script(echo, answer_late)) as (server, client):
            call_echo(client)
            with pytest.raises(Interrupted) as interrupted:
                client.call("PutItem", {"late": True}, TIMEOUT)
            may_answer.set()
            # Immediately, not when the traceback that holds the connection is freed.
            assert server.closed.wait(60)
            assert interrupted.tb
            call_echo(client)
            call_echo(client)
            assert server.connections == 2
    finally:
        signal.signal(signal.SIGUSR1, before)


# Half-initialized objects of http.client warn when they are collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("again", [False, True], ids=["once", "again_while_cleaning_up"])
def test_interruption_at_any_line_of_a_call(again: bool) -> None:
    """A signal handler raises at each line of a call in turn, in the client and in http.client."""
    files = ("storage/dynamodb.py", "storage/connection.py", "storage/fetch.py", "http/client.py")
    thread, first, executed = threading.get_ident(), 0, 0

    def interrupt(code: CodeType, line: int) -> None:
        nonlocal executed
        if threading.get_ident() == thread and code.co_filename.endswith(files):
            executed += 1
            if executed == first or (again and executed > first):
                raise Interrupted

    events = sys.monitoring.events
    tool = next(number for number in range(6) if sys.monitoring.get_tool(number) is None)
    sys.monitoring.use_tool_id(tool, "interruptions")
    sys.monitoring.register_callback(tool, events.LINE, interrupt)
    try:
        with serve(echo) as (server, client):
            for first in itertools.count(1):
                call_echo(client)
                executed = 0
                sys.monitoring.set_events(tool, events.LINE)
                try:
                    client.call("GetItem", {"interrupted": first}, TIMEOUT)
                    break
                except Interrupted:
                    pass
                finally:
                    sys.monitoring.set_events(tool, 0)
                call_echo(client)
            assert first > 100
            assert server.connections > 50
    finally:
        sys.monitoring.free_tool_id(tool)


def test_client_is_not_changed_by_the_request_it_carries() -> None:
    request = {"TableName": "t", "Key": {"pk": {"S": "1"}}}
    with serve(echo) as (_, client):
        client.call("GetItem", request, TIMEOUT)
    assert request == {"TableName": "t", "Key": {"pk": {"S": "1"}}}


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    directory = tmp_path_factory.mktemp("tls")
    chain, private = directory / "certificate.pem", directory / "key.pem"
    chain.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, private


@pytest.fixture
def tls_server(certificate: tuple[Path, Path]) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with Server(echo, context) as server:
        yield server


def test_tls_connection_is_kept(
    monkeypatch: pytest.MonkeyPatch, tls_server: Server, certificate: tuple[Path, Path]
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate[0]))
    client = DynamoDB(REGION, tls_server.url)
    for _ in range(5):
        call_echo(client)
    client.close()
    call_echo(client)
    client.close()
    assert tls_server.connections == 2


def test_the_systems_authorities_are_read_for_a_server_that_amazon_did_not_sign(
    monkeypatch: pytest.MonkeyPatch, tls_server: Server, certificate: tuple[Path, Path]
) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    client = DynamoDB(REGION, tls_server.url)
    call_echo(client)
    client.close()
    call_echo(client)
    client.close()
    # The first is refused: this machine's authorities are read after it, and kept.
    assert (tls_server.connections, len(tls_server.requests)) == (3, 2)


def test_the_systems_authorities_are_not_read_for_a_server_that_amazon_signed(
    monkeypatch: pytest.MonkeyPatch, tls_server: Server, certificate: tuple[Path, Path]
) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    monkeypatch.setattr(authorities, "AMAZON_ROOTS", certificate[0])
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *_: pytest.fail("the system's are read"))
    client = DynamoDB(REGION, tls_server.url)
    call_echo(client)
    client.close()
    assert tls_server.connections == 1


def test_the_callers_own_bundle_is_trusted_alone(
    monkeypatch: pytest.MonkeyPatch, tls_server: Server, certificate: tuple[Path, Path]
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authorities.AMAZON_ROOTS))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with pytest.raises(ssl.SSLCertVerificationError):
        DynamoDB(REGION, tls_server.url).call("GetItem", {}, TIMEOUT)
    assert not tls_server.requests


# As www.amazontrust.com/repository lists them, and as the system's store has them.
AMAZON_FINGERPRINTS = {
    "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
    "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
    "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
    "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
    "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
}


def test_amazons_roots_are_those_of_the_systems_store() -> None:
    roots = ssl.create_default_context(cafile=authorities.AMAZON_ROOTS).get_ca_certs(binary_form=True)
    assert {hashlib.sha256(root).hexdigest() for root in roots} == AMAZON_FINGERPRINTS
    trusted = ssl.create_default_context(cafile=certifi.where()).get_ca_certs(binary_form=True)
    assert set(roots) <= set(trusted)


def test_unknown_certificate_is_refused(tls_server: Server) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        DynamoDB(REGION, tls_server.url).call("GetItem", {}, TIMEOUT)
    assert not tls_server.requests


def test_server_without_tls() -> None:
    with Server(lambda _: make_reply({})) as server, pytest.raises(OSError, match=r"(?i)ssl|reset|eof|timed out"):
        DynamoDB(REGION, server.url.replace("http:", "https:")).call("GetItem", {}, 0.2)


# Credentials


def test_keys_that_change_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(echo) as (server, client):
        call_echo(client)
        rotated = ("AKIDROTATED", "another/secret+key", "another-token")
        for name, value in zip(VARIABLES, rotated, strict=True):
            monkeypatch.setenv(name, value)
        call_echo(client)
        for request, keys in zip(server.requests, (KEYS, rotated), strict=True):
            assert request.headers["authorization"] == sign_with_botocore(request, server.url, keys)
            assert request.headers["x-amz-security-token"] == keys[2]


def refuse(code: str, **headers: str) -> Reply:
    return make_reply({"__type": f"com.amazon.coral.service#{code}", "message": "no"}, 400, headers)


@pytest.mark.parametrize("code", sorted(SIGNATURE_ERRORS))
def test_keys_that_are_refused_are_read_anew(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    rotated = ("AKIDROTATED", "another/secret+key", "another-token")

    def rotate(_: Request) -> Reply:
        for name, value in zip(VARIABLES, rotated, strict=True):
            monkeypatch.setenv(name, value)
        return refuse(code)

    with serve(script(rotate)) as (server, client):
        call_echo(client)
        for request, keys in zip(server.requests, (KEYS, rotated), strict=True):
            assert request.headers["authorization"] == sign_with_botocore(request, server.url, keys)


def test_keys_that_are_refused_twice_are_refused() -> None:
    with serve(script(*[refuse("ExpiredTokenException")] * 2)) as (server, client):
        with pytest.raises(DynamoDBError, match="ExpiredTokenException"):
            client.call("PutItem", {}, TIMEOUT)
        assert len(server.requests) == 2
        call_echo(client)


@pytest.mark.parametrize("minutes", [-20, 20])
def test_clock_that_differs_from_the_servers(minutes: int) -> None:
    """The server accepts only signatures within five minutes of its clock."""

    def answer(request: Request) -> Reply:
        server_time = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)
        signed = datetime.datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(
            tzinfo=datetime.UTC
        )
        if abs(server_time - signed) < datetime.timedelta(minutes=5):
            return echo(request)
        return refuse("InvalidSignatureException", Date=format_datetime(server_time, usegmt=True))

    with serve(answer) as (server, client):
        for _ in range(3):
            call_echo(client)
        # The first is signed twice.
        assert len(server.requests) == 4
        for request in server.requests:
            assert request.headers["authorization"] == sign_with_botocore(request, server.url)


class ContainerEndpoint:
    """The credentials endpoint that Lambda offers with SnapStart; returns new credentials each time."""

    def __init__(self) -> None:
        self.life = datetime.timedelta(hours=6)
        self.reply: Reply | None = None
        self.given: list[tuple[str, str, str]] = []
        self.requests: list[Request] = []

    def answer(self, request: Request) -> Reply:
        assert (request.method, request.target) == ("GET", "/2021-04-23/credentials?of=role")
        self.requests.append(request)
        if request.headers["authorization"] != "token-of-the-runtime":
            return make_reply({"message": "Forbidden"}, 403)
        if self.reply:
            return self.reply
        number = len(self.given)
        keys = (f"ASIA{number}", f"secret-{number}", f"session-{number}")
        self.given.append(keys)
        expiration = (datetime.datetime.now(datetime.UTC) + self.life).strftime("%Y-%m-%dT%H:%M:%SZ")
        names = ("AccessKeyId", "SecretAccessKey", "Token")
        return make_reply({**dict(zip(names, keys, strict=True)), "Expiration": expiration, "Extra": 1})


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerEndpoint]:
    for name in VARIABLES:
        monkeypatch.delenv(name)
    endpoint = ContainerEndpoint()
    with Server(endpoint.answer) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url + "/2021-04-23/credentials?of=role")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "token-of-the-runtime")
        yield endpoint


def test_container_credentials_are_fetched_once(container: ContainerEndpoint) -> None:
    with serve(echo) as (server, client):
        for _ in range(3):
            call_echo(client)
        assert len(container.given) == 1
        for request in server.requests:
            assert request.headers["authorization"] == sign_with_botocore(request, server.url, container.given[0])
            assert request.headers["x-amz-security-token"] == "session-0"


def test_container_credentials_are_replaced_before_they_expire(container: ContainerEndpoint) -> None:
    container.life = datetime.timedelta(minutes=4)
    with serve(echo) as (server, client):
        call_echo(client)
        container.life = datetime.timedelta(hours=6)
        call_echo(client)
        call_echo(client)
        used = [request.headers["x-amz-security-token"] for request in server.requests]
        assert used == ["session-0", "session-1", "session-1"]
        assert server.requests[1].headers["authorization"] == sign_with_botocore(
            server.requests[1], server.url, container.given[1]
        )


@pytest.mark.parametrize("reply", [make_reply({"code": "Busy"}, 500), Reply(b"", "close"), make_reply(b"<html>")])
def test_container_endpoint_that_fails_for_a_while(container: ContainerEndpoint, reply: Reply) -> None:
    container.life = datetime.timedelta(minutes=4)
    with serve(echo) as (server, client):
        call_echo(client)
        container.reply = reply
        call_echo(client)
        assert [request.headers["x-amz-security-token"] for request in server.requests] == ["session-0"] * 2


@pytest.mark.parametrize(
    "reply",
    [
        make_reply({"code": "Busy"}, 500),
        make_reply({"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c"}),
        make_reply({"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c", "Expiration": "soon"}),
        make_reply({"AccessKeyId": "a", "SecretAccessKey": "b", "Token": "c", "Expiration": 1}),
        make_reply([]),
        Reply(b"", "reset"),
    ],
)
def test_expired_credentials_are_not_used(container: ContainerEndpoint, reply: Reply) -> None:
    container.life = datetime.timedelta(seconds=-1)
    with serve(echo) as (server, client):
        call_echo(client)
        container.reply = reply
        with pytest.raises(ConnectionError):
            client.call("GetItem", {}, TIMEOUT)
        assert len(server.requests) == 1
        container.reply = None
        call_echo(client)


def test_silent_container_endpoint(container: ContainerEndpoint) -> None:
    container.reply = Reply(b"")
    with serve(echo) as (_, client), pytest.raises(TimeoutError):
        client.call("GetItem", {}, 0.05)


def test_silent_container_endpoint_leaves_time_for_keys_that_are_still_valid(container: ContainerEndpoint) -> None:
    container.life = datetime.timedelta(minutes=4)
    with serve(echo) as (server, client):
        call_echo(client)
        container.reply = Reply(b"")
        asked = len(container.requests)
        for _ in range(3):
            client.call("GetItem", {}, 0.4)
        assert [request.headers["x-amz-security-token"] for request in server.requests] == ["session-0"] * 4
        # Not for each request.
        assert len(container.requests) == asked + 1


def test_container_credentials_that_are_refused_are_replaced(container: ContainerEndpoint) -> None:
    with serve(script(echo, refuse("ExpiredTokenException"))) as (server, client):
        for _ in range(2):
            call_echo(client)
        used = [request.headers["x-amz-security-token"] for request in server.requests]
        assert used == ["session-0", "session-0", "session-1"]


def test_closed_client_forgets_credentials(container: ContainerEndpoint) -> None:
    with serve(echo) as (server, client):
        call_echo(client)
        client.close()
        call_echo(client)
        assert [request.headers["x-amz-security-token"] for request in server.requests] == ["session-0", "session-1"]


def test_wrong_token_of_the_container_endpoint(container: ContainerEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "wrong")
    with serve(echo) as (_, client), pytest.raises(ConnectionError, match=r"returned none \(status 403\)"):
        client.call("GetItem", {}, TIMEOUT)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "There are no AWS credentials: set AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": "id"}, "are incomplete"),
        ({"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": ""}, "are incomplete"),
        ({"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "SECRET", "AWS_SESSION_TOKEN": "SECRET\n"}, "characters"),
        ({"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "SECRET\u00e9"}, "characters"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/c"}, "names example.com, not a local endpoint"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.169.254/c"}, "not a local endpoint"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1.example.com/c"}, "not a local endpoint"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "ftp://127.0.0.1/c"}, "not a local endpoint"),
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[::1]/c", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "SECRET\r\n"},
            "has characters that no token has",
        ),
    ],
)
def test_useless_credentials(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with serve(echo) as (server, client):
        with pytest.raises(CredentialsError, match=message) as refused:
            client.call("GetItem", {}, TIMEOUT)
        assert "SECRET" not in str(refused.value).replace("AWS_SECRET_ACCESS_KEY", "")
        assert not server.connections


def test_credentials_do_not_print_their_secret() -> None:
    assert repr(Credentials("id", "secret", "token")) == "<credentials id>"


def test_nothing_of_boto3_is_imported() -> None:
    code = (
        "import sys, serverless_api.storage.dynamodb; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    path = str(Path(sys.modules["serverless_api"].__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert not {"boto3", "botocore", "urllib3", "jmespath", "dateutil", "requests"} & set(done.stdout.split())

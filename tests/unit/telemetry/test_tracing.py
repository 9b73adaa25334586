"""Subsegments sent to the X-Ray daemon: one for each call to the table or another service, and nothing else."""

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.dynamodb import Drop, DynamoDB, Hang, Refusal
from tests.support.gateway import import_functions
from tests.support.http_server import Reply, Server, make_reply
from tests.support.resources_api import ResourcesApi
from tests.support.xray_daemon import Daemon, sample

pytestmark = [pytest.mark.slow, pytest.mark.allow_hosts(["127.0.0.1"])]

TRACE, SEGMENT = "1-67a1b2c3-0123456789abcdef01234567", "53995c3f42cd8ad8"
SAMPLED = f"Root={TRACE};Parent={SEGMENT};Sampled=1"


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """A daemon, and sampled invocations."""
    sample(monkeypatch, SAMPLED)
    with Daemon() as daemon:
        yield daemon


@contextmanager
def run_api(endpoint: str, daemon: str | None, **settings: str) -> Iterator[ResourcesApi]:
    for name in [name for name in sys.modules if name.startswith("aws_lambda_powertools.utilities.circuit_breaker")]:
        del sys.modules[name]
    variables = {"AWS_ENDPOINT_URL": endpoint, "AWS_XRAY_DAEMON_ADDRESS": daemon, **settings}
    with import_functions(variables) as handlers:
        yield ResourcesApi(handlers)


@pytest.fixture
def api(dynamodb: DynamoDB, daemon: Daemon) -> Iterator[ResourcesApi]:
    with run_api(dynamodb.url, daemon.address) as api:
        yield api


def test_each_table_call_is_a_subsegment_of_the_functions_segment(api: ResourcesApi, daemon: Daemon) -> None:
    before = time.time()
    created = api.create()
    assert api.page().status == api.read(created.json()["id"]).status == 200
    assert api.update(created.json()["id"]).status == 200
    assert api.delete(created.json()["id"]).status == 204
    documents = daemon.take_all()
    operations = [document["aws"]["operation"] for document in documents]
    assert operations == ["PutItem", "Query", "GetItem", "UpdateItem", "UpdateItem"]
    assert len({document["id"] for document in documents}) == len(documents)
    for document in documents:
        assert (document["trace_id"], document["parent_id"]) == (TRACE, SEGMENT)
        assert (document["name"], document["namespace"]) == ("DynamoDB", "aws")
        known = {"region": "us-east-1", "table_name": "resources", "retries": 0}
        assert {name: document["aws"][name] for name in known} == known
        assert document["http"] == {"response": {"status": 200}}
        assert not document.keys() & {"error", "throttle", "fault"}
        assert before <= document["start_time"] <= document["end_time"] <= time.time()


def test_the_request_id_is_the_one_that_support_asks_for(table: Any, aws: str, daemon: Daemon) -> None:
    # moto sends none over HTTP; DynamoDB's has 52 letters and digits.
    hostile = 'a"b\\c' + "x" * 1000
    for given, found in (("K" * 52, "K" * 52), (hostile, hostile[:250])):
        answer = make_reply({"Items": []}, headers={"x-amzn-RequestId": given})
        with Server(lambda _, answer=answer: answer) as server, run_api(server.url, daemon.address) as api:
            assert api.page().status == 200
        assert [document["aws"]["request_id"] for document in daemon.take_all()] == [found]


@pytest.mark.parametrize(
    ("fault", "status", "flags"),
    [
        (Refusal("ProvisionedThroughputExceededException"), 400, {"error", "throttle"}),
        (Refusal("ThrottlingException"), 400, {"error", "throttle"}),
        (Refusal("InternalServerError", 500), 500, {"fault"}),
        (Refusal("RequestTimeout", 408), 408, {"error"}),
        (Drop(), None, {"fault"}),
        (Hang(), None, {"fault"}),
    ],
    ids=["provisioned", "throttled", "500", "408", "dropped", "silent"],
)
def test_a_retry_is_its_own_subsegment(api: ResourcesApi, dynamodb: DynamoDB, daemon: Daemon, fault, status, flags):
    dynamodb.fail("PutItem", fault)
    assert api.create().status == 201
    failed, done = daemon.take_all()
    assert failed.get("http") == (None if status is None else {"response": {"status": status}})
    assert failed.keys() & {"error", "throttle", "fault"} == flags
    assert not done.keys() & {"error", "throttle", "fault"}
    assert [document["aws"]["retries"] for document in (failed, done)] == [0, 1]
    assert failed["end_time"] <= done["start_time"]


def test_a_condition_that_fails_is_an_error_and_no_fault(api: ResourcesApi, daemon: Daemon) -> None:
    assert api.delete("019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10").status == 404
    (document,) = daemon.take_all()
    assert document["http"]["response"]["status"] == 400
    assert document.keys() & {"error", "throttle", "fault"} == {"error"}


@pytest.mark.parametrize(
    "header",
    [
        SAMPLED.replace("Sampled=1", "Sampled=0"),
        f"Root={TRACE};Parent={SEGMENT}",
        f"Root={TRACE};Sampled=1",
        "Sampled=1",
        "Sampled=1;;=;",
        "",
    ],
)
def test_unsampled_calls_are_not_sent(api: ResourcesApi, daemon: Daemon, monkeypatch, header) -> None:
    sample(monkeypatch, header)
    with record_sockets() as kinds:
        assert api.page().status == 200
    assert socket.SOCK_DGRAM not in kinds
    assert daemon.take_all() == []


@pytest.mark.parametrize(
    "header",
    [
        f"Self=1-2-3;{SAMPLED}",
        f"Sampled=1;Parent={SEGMENT};Root={TRACE};Lineage=1:a87bd80c:0",
    ],
)
def test_the_header_may_hold_more_in_any_order(api: ResourcesApi, daemon: Daemon, monkeypatch, header) -> None:
    sample(monkeypatch, header)
    assert api.page().status == 200
    (document,) = daemon.take_all()
    assert (document["trace_id"], document["parent_id"]) == (TRACE, SEGMENT)


@pytest.mark.parametrize("change", [{"TRACES": "off"}, {"AWS_XRAY_DAEMON_ADDRESS": None}], ids=["off", "no daemon"])
def test_off_is_off(dynamodb: DynamoDB, daemon: Daemon, change: dict[str, Any]) -> None:
    settings = {"AWS_ENDPOINT_URL": dynamodb.url, "AWS_XRAY_DAEMON_ADDRESS": daemon.address}
    with import_functions(settings) as handlers, record_sockets() as kinds:
        assert ResourcesApi(handlers).page().status == 200
    assert socket.SOCK_DGRAM in kinds, "the record holds what is there"
    assert len(daemon.take_all()) == 1
    with import_functions(settings | change) as handlers, record_sockets() as kinds:
        assert ResourcesApi(handlers).page().status == 200
    assert socket.SOCK_DGRAM not in kinds
    assert daemon.take_all() == []


@contextmanager
def record_sockets() -> Iterator[list[int]]:
    """Record the kind of each socket that is created."""
    kinds: list[int] = []
    make = socket.socket.__init__

    def record(self: socket.socket, family: int = -1, kind: int = -1, *rest: Any, **more: Any) -> None:
        kinds.append(more.get("type", kind))
        make(self, family, kind, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "__init__", record)
        yield kinds


@pytest.mark.parametrize("value", ["", None])
def test_traces_are_on_where_nothing_is_said(dynamodb: DynamoDB, daemon: Daemon, value: str | None) -> None:
    settings = {"AWS_ENDPOINT_URL": dynamodb.url, "AWS_XRAY_DAEMON_ADDRESS": daemon.address, "TRACES": value}
    with import_functions(settings) as handlers:
        ResourcesApi(handlers).page()
    assert len(daemon.take_all()) == 1


@pytest.mark.allow_hosts(["127.0.0.1", "::1"])
@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:9", "127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1", "localhost:2000", "[::1]:9", "::", "nonsense", ":"],
)
def test_a_daemon_that_is_not_there_harms_no_request(dynamodb: DynamoDB, daemon: Daemon, address: str) -> None:
    with run_api(dynamodb.url, address) as api:
        # The second datagram meets the error that the first one caused: port unreachable.
        assert [api.page().status for _ in range(3)] == [200] * 3


def test_a_socket_that_does_not_connect_is_closed(dynamodb: DynamoDB, daemon: Daemon) -> None:
    opened: list[socket.socket] = []

    class Refused(socket.socket):
        def connect(self, _address: Any) -> None:
            opened.append(self)
            raise ConnectionRefusedError

    with run_api(dynamodb.url, daemon.address), pytest.MonkeyPatch.context() as patch:
        from serverless_api.telemetry.tracing import TableCall

        patch.setattr(socket, "socket", Refused)
        with TableCall("GetItem", 0):
            pass
    assert [each.fileno() for each in opened] == [-1]


def test_a_daemon_that_comes_back_gets_what_follows(dynamodb: DynamoDB, daemon: Daemon) -> None:
    with Daemon() as gone:
        address = gone.address
    host, port = address.split(":")
    with run_api(dynamodb.url, address) as api:
        assert [api.page().status for _ in range(3)] == [200] * 3
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
            back.bind((host, int(port)))
            back.settimeout(10)
            assert [api.page().status for _ in range(2)] == [200] * 2
            assert b'"Query"' in back.recv(65_536)


def test_a_daemon_that_does_not_read_is_not_waited_for(dynamodb: DynamoDB, daemon: Daemon) -> None:
    with run_api(dynamodb.url, daemon.address):
        from serverless_api.telemetry import tracing
        from serverless_api.telemetry.tracing import TableCall

        # More than fits in the receiver's buffer.
        for _ in range(5_000):
            with TableCall("GetItem", 0):
                pass
        assert tracing._daemon is not None
        assert not tracing._daemon.getblocking()
    assert 0 < len(daemon.take_all()) < 5_000


def test_an_exception_passes_as_it_is(dynamodb: DynamoDB, daemon: Daemon) -> None:
    with run_api(dynamodb.url, daemon.address):
        from serverless_api.resilience.deadline import DeadlineExceeded
        from serverless_api.telemetry.tracing import TableCall

        with pytest.raises(DeadlineExceeded), TableCall("GetItem", 0):
            raise DeadlineExceeded
    (document,) = daemon.take_all()
    assert document["fault"] is True


def test_an_attempt_for_which_no_time_is_left_has_no_answer(dynamodb: DynamoDB, daemon: Daemon) -> None:
    with run_api(dynamodb.url, daemon.address) as api, pytest.MonkeyPatch.context() as patch:
        from serverless_api.resilience import deadline
        from serverless_api.storage import table

        assert api.page().status == 200
        patch.setattr(deadline, "_current", deadline.Deadline(-1))
        with pytest.raises(deadline.DeadlineExceeded):
            table.get_item({"pk": "a", "sk": "b"})
    answered, late = daemon.take_all()
    assert answered["http"]["response"]["status"] == 200
    assert late["fault"] is True
    assert "http" not in late


def test_each_environment_that_is_restored_opens_a_socket_of_its_own(dynamodb: DynamoDB, daemon: Daemon) -> None:
    with run_api(dynamodb.url, daemon.address) as api:
        from serverless_api.http import snapshot
        from serverless_api.telemetry import tracing

        api.page()
        before = tracing._daemon
        assert before is not None
        snapshot.reset()
        assert before.fileno() == -1
        api.page()
    assert len(daemon.take_all()) == 2


def enrich(answers: list[Reply]) -> Callable[[Any], Reply]:
    given = iter(answers)
    return lambda _: next(given)


def test_each_downstream_call_is_a_subsegment(aws: str, table: Any, daemon: Daemon) -> None:
    answers = [make_reply(b"", 503), make_reply({"score": 1})]
    with Server(enrich(answers)) as server:
        url = f"{server.url}/a-secret/path?key=another-secret#and-more"
        with run_api(aws, daemon.address, ENRICHMENT_URL=url) as api:
            assert "enrichment" in api.create().json()["metadata"]
    documents = [document for document in daemon.take_all() if document["namespace"] == "remote"]
    assert [document["name"] for document in documents] == [f"127.0.0.1:{server.port}"] * 2
    assert [document["http"]["request"] for document in documents] == [{"method": "POST", "url": f"{server.url}/"}] * 2
    assert [document["http"]["response"]["status"] for document in documents] == [503, 200]
    assert [document.keys() & {"error", "throttle", "fault"} for document in documents] == [{"fault"}, set()]
    assert all((document["trace_id"], document["parent_id"]) == (TRACE, SEGMENT) for document in documents)


@pytest.mark.parametrize(
    ("answer", "status", "flags"),
    [
        (make_reply(b"", 429, {"Retry-After": "60"}), 429, {"error", "throttle"}),
        (make_reply(b"", 403), 403, {"error"}),
        (make_reply([1]), 200, set()),
        (Reply(b"", "close"), None, {"fault"}),
        (Reply(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{"', "close"), 200, {"fault"}),
    ],
    ids=["throttled", "forbidden", "no object", "closed", "cut"],
)
def test_a_downstream_call_that_fails_is_flagged(aws, table, daemon, answer, status, flags) -> None:
    with Server(lambda _: answer) as server, run_api(aws, daemon.address, ENRICHMENT_URL=server.url) as api:
        assert api.create().status == 201
    document = next(document for document in daemon.take_all() if document["namespace"] == "remote")
    assert document["http"].get("response") == (None if status is None else {"status": status})
    assert document.keys() & {"error", "throttle", "fault"} == flags


def test_an_ipv6_address_makes_a_name_that_x_ray_takes(dynamodb: DynamoDB, daemon: Daemon) -> None:
    with run_api(dynamodb.url, daemon.address):
        from serverless_api.telemetry.tracing import HTTPCall

        with HTTPCall("POST", "https", "[2001:db8::1]:8443"):
            pass
    (document,) = daemon.take_all()
    assert document["name"] == "2001:db8::1:8443"
    assert document["http"]["request"]["url"] == "https://[2001:db8::1]:8443/"


def test_a_document_above_64_kb_is_not_sent(
    dynamodb: DynamoDB, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The digits of a time are part of the size.
    monkeypatch.setattr("time.time", lambda: 1_798_761_600.5)
    with run_api(dynamodb.url, daemon.address):
        from serverless_api.telemetry.tracing import TableCall

        def send(table_name: str) -> None:
            with TableCall("GetItem", 0, table_name):
                pass

        send("")
        (empty,) = daemon.take_datagrams()
        for size in (64_000, 64_001):
            send("x" * (size - len(empty)))
    assert [len(datagram) for datagram in daemon.take_datagrams()] == [64_000]


def test_a_document_is_json_whatever_the_settings_hold(dynamodb: DynamoDB, daemon: Daemon) -> None:
    with run_api(dynamodb.url, daemon.address, TABLE_NAME='a"b\\'):
        from serverless_api.telemetry.tracing import TableCall

        with TableCall("GetItem", 0):
            pass
    (document,) = daemon.take_all()
    assert document["aws"]["table_name"] == 'a"b\\'
    assert json.dumps(document).isascii()

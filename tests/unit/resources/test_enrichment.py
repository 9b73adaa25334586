"""The enrichment hook, as seen by the API's caller and by the service."""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from tests.support.gateway import import_functions
from tests.support.http_server import Answer, Reply, Request, Server, make_reply
from tests.support.resources_api import ResourcesApi

pytestmark = [pytest.mark.example_fields, pytest.mark.slow, pytest.mark.allow_hosts(["127.0.0.1"])]

BODY = {"name": "thing", "type": "A"}


@contextmanager
def run_api(aws: str, url: str, **settings: str) -> Iterator[ResourcesApi]:
    """The API in a fresh environment; Powertools counts failures of its circuits in the process."""
    for name in [name for name in sys.modules if name.startswith("aws_lambda_powertools.utilities.circuit_breaker")]:
        del sys.modules[name]
    with import_functions({"AWS_ENDPOINT_URL": aws, "ENRICHMENT_URL": url, **settings}) as handlers:
        yield ResourcesApi(handlers)


@pytest.fixture
def run(aws: str, table: Any) -> Callable[..., Any]:
    """Runs the API with a service that answers as the test says; yields the service and the API."""

    @contextmanager
    def run(answer: Answer, **settings: str) -> Iterator[tuple[Server, ResourcesApi]]:
        with Server(answer) as server, run_api(aws, f"{server.url}/enrich?by=api", **settings) as api:
            yield server, api

    return run


def score(request: Request) -> Any:
    return make_reply({"score": 0.10, "name": json.loads(request.body)["name"]})


def is_enriched(answer: Any) -> bool:
    return "enrichment" in answer.json().get("metadata", {})


def test_the_answer_becomes_a_part_of_the_metadata(run):
    with run(score) as (server, api):
        created = api.create({**BODY, "metadata": {"colour": "blue"}})
        assert created.status == 201
        assert created.json()["metadata"]["colour"] == "blue"
        assert '"enrichment":{"score":0.1,"name":"thing"}' in created.body
        assert api.read(created.json()["id"]).body == created.body
    request = server.requests[0]
    sent = json.loads(request.body)
    assert (request.method, request.target) == ("POST", "/enrich?by=api")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Host"] == f"127.0.0.1:{server.port}"
    assert sent == {
        **BODY,
        "metadata": {"colour": "blue"},
        **{name: created.json()[name] for name in sent if name not in (*BODY, "metadata")},
    }
    assert set(sent) == {"id", "name", "type", "metadata", "createdAt", "updatedAt"}


def test_a_resource_without_metadata_gets_some(run):
    with run(score) as (_, api):
        assert api.create().json()["metadata"] == {"enrichment": {"score": Decimal("0.1"), "name": "thing"}}


def test_an_update_is_enriched_anew(run):
    with run(score) as (server, api):
        created = api.create()
        updated = api.update(created.json()["id"], {"name": "other", "type": "B"})
        assert updated.json()["metadata"]["enrichment"]["name"] == "other"
    assert json.loads(server.requests[1].body)["createdAt"] == created.json()["createdAt"]


@pytest.mark.parametrize("existing", [True, False])
def test_the_service_is_not_asked_about_an_update_that_cannot_be_done(run, existing):
    with run(score) as (server, api):
        resource_id = api.create().json()["id"] if existing else "019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10"
        asked = len(server.requests)
        answer = api.update(resource_id, headers={"If-Match": '"another"'})
        assert answer.status == (412 if existing else 404)
    assert len(server.requests) == asked


@pytest.mark.parametrize("answers", [score, lambda _: make_reply({}, 400)])
def test_the_callers_own_enrichment_is_not_kept(run, answers):
    with run(answers) as (_, api):
        metadata = {"enrichment": {"score": 99}, "colour": "blue"}
        created = api.create({**BODY, "metadata": metadata})
        assert '"score":99' not in created.body
        assert api.read(created.json()["id"]).json()["metadata"]["colour"] == "blue"


def test_a_replay_gives_the_first_enrichment_again(run):
    numbers = iter(range(1, 99))
    with run(lambda _: make_reply({"number": next(numbers)})) as (server, api):
        first, second = (api.create(headers={"Idempotency-Key": "key"}) for _ in range(2))
        assert first.json()["metadata"]["enrichment"] == {"number": 1}
        assert (second.status, second.body) == (201, first.body)
    assert len(server.requests) == 1


def test_a_failure_that_passes_is_retried_with_the_same_key(run):
    replies = iter([make_reply({}, 503), Reply(b"", then="reset"), make_reply({}, 500), make_reply({"ok": True})])
    with run(lambda _: next(replies)) as (server, api):
        assert is_enriched(api.create())
    assert len({request.headers["Idempotency-Key"] for request in server.requests}) == 1
    assert len({request.body for request in server.requests}) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 501, 502, 503, 504, 599])
def test_a_failure_that_stays_is_given_up_and_the_write_succeeds(run, status, capsys):
    with run(lambda _: make_reply({"error": "secret cause"}, status)) as (server, api):
        created = api.create()
        assert (created.status, is_enriched(created)) == (201, False)
        assert api.read(created.json()["id"]).body == created.body
    assert len(server.requests) == 4
    output = capsys.readouterr().out
    assert "EnrichmentsMissed" in output
    assert "secret cause" not in output


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 308, 400, 401, 404])
def test_an_answer_that_is_no_enrichment_is_not_asked_for_again(run, status):
    with Server(score) as elsewhere:
        headers = {"Location": f"{elsewhere.url}/elsewhere"}
        with run(lambda _: make_reply({"score": 1}, status, headers, then="close")) as (server, api):
            assert not is_enriched(api.create())
    assert len(server.requests) == 1
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"garbage", b"[1]", b"1", b'"text"', b"null", b'{"a":NaN}', b'{"a":"\xff"}', b"[" * 100),
        b'{"a":"' + b"x" * 20_000 + b'"}',
    ],
    ids=lambda content: repr(content[:12]),
)
def test_an_answer_that_cannot_be_used_is_dropped(run, content):
    with run(lambda _: make_reply(content, then="close")) as (_, api):
        created = api.create()
        assert (created.status, is_enriched(created)) == (201, False)


def test_the_service_may_ask_for_more_time_than_there_is(run):
    with run(lambda _: make_reply({}, 503, {"Retry-After": "60"})) as (server, api):
        assert not is_enriched(api.create())
    assert len(server.requests) == 1


@pytest.mark.parametrize("first_line", [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b""])
def test_a_service_that_drips_or_says_nothing_costs_no_more_than_its_time(aws, table, first_line, capsys):
    limit = 0.4
    with drip(first_line) as url, run_api(aws, url, ENRICHMENT_SECONDS=str(limit)) as api:
        started = time.monotonic()
        created = api.create()
        seconds = time.monotonic() - started
    assert (created.status, is_enriched(created)) == (201, False)
    # Without the limit it would take a thousand bytes at ten a second, or the whole invocation.
    assert seconds < 10
    assert "EnrichmentsMissed" in capsys.readouterr().out


def test_an_open_circuit_asks_no_more(run, capsys):
    with run(lambda _: make_reply({}, 500), CIRCUIT_THRESHOLD="3") as (server, api):
        answers = [api.create() for _ in range(6)]
    assert all(answer.status == 201 and not is_enriched(answer) for answer in answers)
    assert len(server.requests) == 3
    output = capsys.readouterr().out
    assert output.count('"after":"open"') == 1
    assert "EnrichmentCircuitOpened" in output


def test_refusals_leave_the_circuit_closed(run):
    with run(lambda _: make_reply({}, 400), CIRCUIT_THRESHOLD="2") as (server, api):
        for _ in range(5):
            api.create()
    assert len(server.requests) == 5


@pytest.mark.parametrize(("reply", "state"), [(make_reply({}, 404), "CLOSED"), (make_reply({}, 503), "OPEN")])
def test_a_probe_decides_for_all_environments(run, table, monkeypatch, reply, state):
    replies = [make_reply({}, 500), reply]
    with run(lambda _: replies.pop(0), CIRCUIT_THRESHOLD="1", CIRCUIT_RESET_SECONDS="30") as (server, api):
        api.create()
        powertools = sys.modules["aws_lambda_powertools.utilities.circuit_breaker.base"].CircuitBreakerHandler
        monkeypatch.setattr(powertools, "_now", staticmethod(lambda: int(time.time()) + 31))
        assert api.create().status == 201
    assert len(server.requests) == 2
    stored = table.get_item(TableName="resources", Key={"pk": {"S": "circuit"}, "sk": {"S": "enrichment"}})["Item"]
    assert stored["state"] == {"S": state}


@pytest.mark.parametrize(
    "head", [b"Content-Length: 999", b"Transfer-Encoding: chunked"], ids=["by length", "in chunks"]
)
def test_an_answer_that_is_cut_is_asked_for_again(run, head):
    # What has arrived would be a whole object.
    replies = [Reply(b"HTTP/1.1 200 OK\r\n" + head + b'\r\n\r\n9\r\n{"a":"b"}\r\n', "close")]
    if b"Length" in head:
        replies = [Reply(b"HTTP/1.1 200 OK\r\n" + head + b'\r\n\r\n{"a":"b"}', "close")]
    replies.append(make_reply({"whole": True}))
    with run(lambda _: replies.pop(0)) as (_, api):
        assert api.create().json()["metadata"]["enrichment"] == {"whole": True}


def test_the_connection_is_kept(run):
    with run(score) as (server, api):
        for _ in range(3):
            assert is_enriched(api.create())
    assert server.connections == 1


@pytest.mark.parametrize("address", ["8.8.8.8", "172.32.0.1", "2606:4700::1111"])
def test_plain_http_to_a_public_address_is_refused(aws, table, monkeypatch, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    resolve = socket.getaddrinfo

    def resolve_to(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        if host != "enrichment.example.com":
            return resolve(host, port, *arguments, **options)
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    connected = []
    monkeypatch.setattr("socket.getaddrinfo", resolve_to)
    connect = socket.socket.connect
    monkeypatch.setattr("socket.socket.connect", lambda own, to: (connected.append(to[0]), connect(own, to))[1])
    with run_api(aws, "http://enrichment.example.com/enrich") as api:
        created = api.create()
    assert (created.status, is_enriched(created)) == (201, False)
    assert address not in connected


@contextmanager
def drip(first_line: bytes) -> Iterator[str]:
    """A service that sends a line and then a byte now and then, or nothing at all if the line is empty."""
    stopped = threading.Event()
    threads = []

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                connection.sendall(first_line)
                while not stopped.wait(0.1):
                    if first_line:
                        connection.sendall(b" ")
            except OSError:
                return

    def accept(listener: socket.socket) -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads.append(threading.Thread(target=accept, args=(listener,)))
        threads[0].start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            stopped.set()
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()

"""Of the noun `resources`: nothing confidential of its enrichment service is in a log line, a metric or a trace."""

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from local_engine.services import Services, start_services
from tests.security.canaries import SUBJECT, Caller, Canaries, call_everything, create_storage
from tests.security.doors import FunctionsDoor, GatewayDoor
from tests.security.tokens import Forge
from tests.support.gateway import Gateway, import_functions
from tests.support.http_server import Reply, Request, Server, make_reply
from tests.support.programs import prepare_engine
from tests.support.stack import SUCCESS, find_route
from tests.support.templates import write_variant
from tests.support.xray_daemon import Daemon, sample

CREATE = find_route("POST /api/v1/resources")


class Enrichment:
    """A service whose answers, good and bad, hold canaries."""

    def __init__(self, canaries: Canaries) -> None:
        self._canaries = canaries
        self._count = 0
        self.arrived, self.may_answer = threading.Event(), threading.Event()
        self.holds_back = False

    def __call__(self, _: Request) -> Reply:
        if self.holds_back:
            self.arrived.set()
            self.may_answer.wait(10)
        canary = self._canaries.plant("the enrichment's answer")
        headers = {"Set-Cookie": self._canaries.plant("the enrichment's cookie")}
        answers = [
            make_reply({"owner": canary}, headers=headers),
            make_reply(f'{{"owner": "{canary}'.encode(), headers=headers),
            make_reply([canary], headers=headers),
            make_reply({"error": canary}, 403, headers),
            make_reply({"error": canary}, 500, headers),
            Reply(f"{canary}\r\n\r\n".encode(), "close"),
        ]
        self._count += 1
        return answers[self._count % len(answers)]


@dataclass(frozen=True)
class Downstream:
    canaries: Canaries
    enrichment: Enrichment
    url: str


@pytest.fixture
def services() -> Iterator[Services]:
    services = start_services()
    yield services
    services.stop()


@pytest.fixture
def downstream() -> Iterator[Downstream]:
    """The service, with canaries in its URL too."""
    canaries = Canaries()
    enrichment = Enrichment(canaries)
    with Server(enrichment) as server:
        url = f"{server.url}/{canaries.plant('the path of a URL')}?key={canaries.plant('the key in a URL')}"
        yield Downstream(canaries, enrichment, url)


def call_while_it_runs(caller: Caller, enrichment: Enrichment) -> None:
    """Send a key again while its first request is running."""
    assert CREATE
    key, body = caller.make_key(), caller.make_body(CREATE)
    enrichment.holds_back = True
    first = threading.Thread(target=lambda: caller.send(CREATE, SUCCESS, headers=key, body=body))
    first.start()
    assert enrichment.arrived.wait(60)
    caller.send(CREATE, 409, headers=key, body=body)
    enrichment.holds_back = False
    enrichment.may_answer.set()
    first.join()
    # Often enough for each of its answers.
    for _ in range(6):
        caller.send(CREATE, SUCCESS)


def test_the_engine_writes_nothing_of_the_enrichment(services: Services, downstream: Downstream) -> None:
    with write_variant(LogLevel="DEBUG") as template:
        engine = prepare_engine(template, "--verbose", "--services", services.endpoint, EnrichmentUrl=downstream.url)
        with engine, engine.client() as client:
            forge = Forge(engine.port, project=template.parent)
            caller = Caller(GatewayDoor(client, forge), forge, downstream.canaries)
            # While the enrichment's circuit is still closed.
            call_while_it_runs(caller, downstream.enrichment)
            call_everything(caller, downstream.canaries)
    assert 409 in caller.statuses
    assert "enrichment" in engine.output.lower(), "the search finds what is there"
    assert downstream.canaries.find_in(engine.output) == []


def test_functions_write_nothing_of_the_enrichment(
    services: Services,
    downstream: Downstream,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    canaries = downstream.canaries
    sample(monkeypatch, "Root=1-67a1b2c3-0123456789abcdef01234567;Parent=53995c3f42cd8ad8;Sampled=1")
    with Daemon() as daemon:
        settings = {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_ENDPOINT_URL": services.endpoint,
            "AWS_XRAY_DAEMON_ADDRESS": daemon.address,
            "ENRICHMENT_URL": downstream.url,
            "POWERTOOLS_LOG_LEVEL": "DEBUG",
            **create_storage(services.endpoint, "enriched"),
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        with import_functions(settings) as functions:
            caplog.clear()
            capsys.readouterr()
            caller = Caller(FunctionsDoor(Gateway(functions)), Forge(1), canaries)
            call_while_it_runs(caller, downstream.enrichment)
            call_everything(caller, canaries)
        documents = daemon.take_all()
    assert {document["namespace"] for document in documents} == {"aws", "remote"}
    traced = json.dumps(documents)
    assert "127.0.0.1" in traced, "the search finds what is there"
    assert SUBJECT not in traced
    printed = capsys.readouterr()
    written = printed.out + printed.err + caplog.text
    assert "enrichment" in written.lower(), "the search finds what is there"
    assert canaries.find_in(written + traced) == []

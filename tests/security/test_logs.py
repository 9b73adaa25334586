"""Nothing sent in confidence is in a log line or a metric, at level DEBUG and whatever goes wrong."""

import json
import logging
import re
from collections.abc import Iterator

import pytest

from local_engine.services import Services, start_services
from tests.security.canaries import (
    Caller,
    Canaries,
    call_everything,
    call_with_faults,
    call_without_tables,
    create_storage,
    get_tokens_as_a_machine,
    send_bad_tokens,
)
from tests.security.doors import FunctionsDoor, GatewayDoor
from tests.security.tokens import Forge
from tests.support.fault_proxy import FaultProxy
from tests.support.gateway import Gateway, import_functions
from tests.support.permissions import translate_stack
from tests.support.programs import prepare_engine
from tests.support.tables import TABLES
from tests.support.templates import write_variant

FAILURES = {400, 404, 500, 503}


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    services = start_services()
    yield services
    services.stop()


def test_the_engine_writes_nothing_that_was_sent_in_confidence(services: Services) -> None:
    canaries = Canaries()
    in_a_path = Canaries().plant("a path")
    with FaultProxy(services.endpoint) as proxy, write_variant(LogLevel="DEBUG") as template:
        engine = prepare_engine(template, "--verbose", "--services", proxy.url)
        with engine, engine.client() as client:
            forge = Forge(engine.port, project=template.parent)
            caller = Caller(GatewayDoor(client, forge), forge, canaries)
            call_everything(caller, canaries)
            send_bad_tokens(client, forge, canaries)
            get_tokens_as_a_machine(client, canaries, template.parent)
            tables = ("Table", "Records-AuditTable", "Records-Erasure-ErasureLedger")
            call_without_tables(caller, services.endpoint, tables)
            call_with_faults(caller, proxy)
            client.get(f"/{in_a_path}")
    assert caller.statuses.keys() >= FAILURES
    answered = [line for line in engine.lines if "Request answered" in line]
    assert len(answered) >= caller.statuses.total()
    assert any("Traceback" in line for line in engine.lines)
    assert in_a_path in engine.output, "the search finds what is there"
    assert canaries.find_in(engine.output) == []


def test_functions_write_nothing_that_was_sent_in_confidence(
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    # The whole records, which the engine shows condensed, and the root logger at DEBUG as in Lambda.
    caplog.set_level(logging.DEBUG)
    canaries = Canaries()
    settings = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": canaries.plant("the secret access key"),
        "AWS_SESSION_TOKEN": canaries.plant("the session token"),
        "POWERTOOLS_LOG_LEVEL": "DEBUG",
        **(storage := create_storage(services.endpoint, "raw")),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with (
        FaultProxy(services.endpoint) as proxy,
        import_functions({**settings, "AWS_ENDPOINT_URL": proxy.url}) as functions,
    ):
        caplog.clear()
        capsys.readouterr()
        caller = Caller(FunctionsDoor(Gateway(functions)), Forge(1), canaries)
        call_everything(caller, canaries)
        call_without_tables(caller, services.endpoint, [storage[variable] for variable in TABLES])
        call_with_faults(caller, proxy)
    printed = capsys.readouterr()
    written = printed.out + printed.err + caplog.text
    records = [json.loads(line) for line in printed.out.splitlines() if line.startswith("{")]
    assert {record["status"] for record in records if record.get("message") == "Request answered"} >= FAILURES
    assert any("_aws" in record for record in records)
    assert any("exception" in record for record in records)
    assert canaries.find_in(written) == []


# Neither the query, nor a header except the user agent, nor a claim except the subject.
ACCESS_LOG = {
    "authorizer.claims.sub",
    "authorizer.error",
    "httpMethod",
    "identity.sourceIp",
    "identity.userAgent",
    "integrationErrorMessage",
    "integrationLatency",
    "integrationStatus",
    "path",
    "protocol",
    "requestId",
    "requestTime",
    "responseLatency",
    "responseLength",
    "routeKey",
    "status",
}


def test_the_access_log_names_nothing_that_is_sent_in_confidence() -> None:
    stage = translate_stack(CallerInLogs="plain").resources["ApiApiGatewayDefaultStage"]
    written = re.findall(r"\$context\.([\w.]+)", stage.properties["AccessLogSettings"]["Format"])
    assert set(written) <= ACCESS_LOG

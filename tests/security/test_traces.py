"""Nothing sent in confidence is in a trace, whatever goes wrong."""

import json
from collections.abc import Iterator

import pytest

from local_engine.services import Services, start_services
from tests.security.canaries import (
    SUBJECT,
    Caller,
    Canaries,
    call_everything,
    call_with_faults,
    create_storage,
)
from tests.security.doors import FunctionsDoor
from tests.security.tokens import Forge
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.gateway import Gateway, import_functions
from tests.support.xray_daemon import Daemon, sample


@pytest.fixture
def services() -> Iterator[Services]:
    services = start_services()
    yield services
    services.stop()


def test_traces_hold_nothing_that_was_sent_in_confidence(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    canaries = Canaries()
    sample(monkeypatch, "Root=1-67a1b2c3-0123456789abcdef01234567;Parent=53995c3f42cd8ad8;Sampled=1")
    with Daemon() as daemon, FaultProxy(services.endpoint) as proxy:
        settings = {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": canaries.plant("the secret access key"),
            "AWS_SESSION_TOKEN": canaries.plant("the session token"),
            "AWS_ENDPOINT_URL": proxy.url,
            "AWS_XRAY_DAEMON_ADDRESS": daemon.address,
            **create_storage(services.endpoint, "traced"),
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        with import_functions(settings) as functions:
            caller = Caller(FunctionsDoor(Gateway(functions)), Forge(1), canaries)
            call_everything(caller, canaries)
            documents = daemon.take_all()
            call_with_faults(caller, proxy)
            documents += daemon.take_all()
        met = proxy.met[Fault.TRUNCATED]
    assert {document["namespace"] for document in documents} == {"aws", "remote"}
    assert {"fault", "error", "throttle"} <= {flag for document in documents for flag in document}
    assert met
    written = json.dumps(documents)
    assert "traced-ERASURE_LEDGER" in written, "the search finds what is there"
    assert canaries.find_in(written) == []
    assert SUBJECT not in written

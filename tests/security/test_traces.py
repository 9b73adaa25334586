"""What was sent in confidence is in no trace, whatever goes wrong."""

import contextlib
import json

import boto3
import pytest

from local_engine.services import Services
from tests.security.doors import FunctionsDoor
from tests.security.test_logs import (
    SUBJECT,
    Caller,
    Downstream,
    call_everything,
    call_with_faults,
    downstream,
    services,
)
from tests.security.tokens import Forge
from tests.support.fault_proxy import Fault
from tests.support.gateway import ENVIRONMENT, Gateway, import_functions
from tests.support.xray_daemon import Daemon, sample
from tests.unit.conftest import create_table

__all__ = ["downstream", "services"]


def test_traces_hold_nothing_that_was_sent_in_confidence(
    services: Services, downstream: Downstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    canaries = downstream.canaries
    sample(monkeypatch, "Root=1-67a1b2c3-0123456789abcdef01234567;Parent=53995c3f42cd8ad8;Sampled=1")
    with Daemon() as daemon:
        settings = {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": canaries.plant("the secret access key"),
            "AWS_SESSION_TOKEN": canaries.plant("the session token"),
            "AWS_ENDPOINT_URL": downstream.proxy.url,
            "AWS_XRAY_DAEMON_ADDRESS": daemon.address,
            "ENRICHMENT_URL": downstream.url,
            "TABLE_NAME": "traced",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        region = ENVIRONMENT["AWS_REGION"]
        client = boto3.Session().client("dynamodb", region_name=region, endpoint_url=services.endpoint)
        with contextlib.closing(client), pytest.MonkeyPatch.context() as patch:
            patch.setitem(ENVIRONMENT, "TABLE_NAME", "traced")
            create_table(client)
        with import_functions(settings) as handlers:
            forge = Forge(1, "")
            caller = Caller(FunctionsDoor(Gateway(handlers)), forge, canaries)
            call_everything(caller, canaries)
            documents = daemon.take_all()
            call_with_faults(caller, downstream.proxy)
            documents += daemon.take_all()
    assert {of["namespace"] for of in documents} == {"aws", "remote"}
    assert {"fault", "error", "throttle"} <= {flag for of in documents for flag in of}
    assert downstream.proxy.met[Fault.TRUNCATED]
    written = json.dumps(documents)
    assert "127.0.0.1" in written, "the search finds what is there"
    assert canaries.find_in(written) == []
    assert SUBJECT not in written

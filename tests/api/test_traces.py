"""Traces of the running API: what a daemon gets that its developer has started beside it."""

import pytest

from local_engine.testing import EngineProcess, free_port
from tests.api.conftest import Server
from tests.support.stack import ROOT
from tests.support.xray_daemon import Daemon


@pytest.mark.parametrize("traces", ["on", "off"])
def test_each_request_is_a_trace_of_its_own(traces: str) -> None:
    port = free_port()
    parameters = [f"Issuer=http://127.0.0.1:{port}/_local/issuer", "Audience=local", f"Traces={traces}"]
    with Daemon() as daemon:
        environment = {"AWS_XRAY_DAEMON_ADDRESS": daemon.address}
        engine = EngineProcess(ROOT / "template.yaml", "--parameters", *parameters, port=port, environment=environment)
        with engine, Server(engine).connect("alice") as api:
            created = api.post("/api/v1/resources", json={"name": "thing", "type": "A"})
            assert created.status_code == 201
            assert api.get("/api/v1/resources").status_code == 200
        documents = daemon.take_all()
    operations = [of["aws"]["operation"] for of in documents]
    assert operations == ([] if traces == "off" else ["PutItem", "Query"])
    assert len({of["trace_id"] for of in documents}) == len({of["parent_id"] for of in documents}) == len(documents)
    assert all(of["http"] == {"response": {"status": 200}} for of in documents)

"""Traces of the running API, as an X-Ray daemon on the developer's machine receives them."""

import pytest

from tests.api.conftest import Server, User
from tests.support.items import create, find_path
from tests.support.programs import prepare_engine
from tests.support.stack import list_creators
from tests.support.templates import write_variant
from tests.support.xray_daemon import Daemon

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("traces", ["on", "off"])
def test_each_request_is_a_separate_trace(traces: str) -> None:
    expected = []
    with Daemon() as daemon, write_variant(Traces=f'"{traces}"') as template:
        engine = prepare_engine(template, environment={"AWS_XRAY_DAEMON_ADDRESS": daemon.address})
        with engine, Server(engine).connect("alice") as client:
            send = User(client).send
            for creator in list_creators():
                if creator.page:
                    create(creator, send)
                    assert send("GET", find_path(creator, send)).status == 200
                    expected += ["PutItem", "Query"]
        documents = daemon.take_all()
    if traces == "off":
        assert documents == []
        return
    # What follows from a change is traced too, and works on other tables.
    documents = [document for document in documents if document.get("aws", {}).get("table_name") == "Table"]
    assert [document["aws"]["operation"] for document in documents] == expected
    for name in ("trace_id", "parent_id"):
        assert len({document[name] for document in documents}) == len(documents)
    assert all(document["http"] == {"response": {"status": 200}} for document in documents)

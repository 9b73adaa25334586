"""The public Python interface, against one running engine."""

import time
from collections.abc import Iterator

import httpx
import jwt
import pytest
from conftest import STACKS

from local_engine.testing import EngineError, EngineProcess, InvocationError, run_engine


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    with EngineProcess(STACKS / "orders" / "template.yaml", parameters={"Issuer": "{issuer}"}) as engine:
        yield engine


@pytest.fixture(scope="module")
def api(engine: EngineProcess) -> Iterator[httpx.Client]:
    with engine.client() as client:
        yield client


def get_orders(api: httpx.Client, token: str) -> httpx.Response:
    return api.get("/orders", headers={"Authorization": f"Bearer {token}"})


def test_a_token_is_one_that_the_api_accepts(engine: EngineProcess, api: httpx.Client) -> None:
    token = engine.mint_token("read:orders", subject="ann", claims={"tenant": "blue"})
    assert get_orders(api, token).json()["user"] == "ann"
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["aud"], claims["tenant"]) == ("orders", "blue")
    assert get_orders(api, engine.mint_token("write:orders")).status_code == 403
    assert get_orders(api, engine.mint_token("read:orders", expires_in=-60)).status_code == 401
    assert get_orders(api, engine.mint_token("read:orders", claims={"aud": None, "client_id": None})).status_code == 401


def test_the_command_prints_a_token_that_the_api_accepts(engine: EngineProcess, api: httpx.Client) -> None:
    project = STACKS / "orders"
    arguments = ["token", "--port", str(engine.port), "--sub", "ben", "--scopes", "read:orders"]
    assert get_orders(api, run_engine(*arguments, project=project).stdout.strip()).json()["user"] == "ben"


def test_each_api_has_its_client(engine: EngineProcess) -> None:
    assert engine.urls == {"Api": engine.url, "Reports": f"http://127.0.0.1:{engine.port + 1}/v1"}
    with engine.client("Reports") as reports:
        assert reports.post("/daily").status_code == 403
        assert str(reports.base_url) == f"{engine.urls['Reports']}/"
    with pytest.raises(EngineError, match="There is no API 'Other'; there are Api, Reports"):
        engine.client("Other")


def test_requests_are_signed_as_a_principal(engine: EngineProcess) -> None:
    with engine.client("Reports", auth=engine.sign_as("Reader")) as reports:
        answer = reports.post("/daily", params={"a": "b c"}, json={"day": "monday"})
        assert (answer.status_code, answer.json()) == (200, {"day": "monday"})
        assert reports.post("/daily", auth=engine.sign_as("Stranger")).status_code == 403
        assert reports.post("/daily", auth=engine.sign_as("Reader", service="lambda")).status_code == 403


def test_a_function_is_invoked(engine: EngineProcess) -> None:
    assert engine.invoke("Orders") == {"records": 0}
    with pytest.raises(InvocationError, match="Orders failed: ValueError: no stock") as raised:
        engine.invoke("Orders", {"fail": "no stock"})
    assert raised.value.error["errorType"] == "ValueError"
    deliveries = engine.deliveries()
    assert engine.invoke("Orders", {}, is_asynchronous=True) is None
    assert deliveries.wait("Invoke", function="Orders").outcome == "ok"


def test_deliveries_tell_what_became_of_an_event(engine: EngineProcess) -> None:
    before = engine.deliveries()
    engine.invoke("Orders", {"fail": "twice"}, is_asynchronous=True)
    retried = before.wait("Invoke", outcome="failed, to be retried")
    assert retried.is_error
    ended = before.wait(outcome="failed")
    assert (ended.function, ended.records, ended.request_id) == ("Orders", 1, retried.request_id)
    assert list(engine.deliveries()) == []
    with pytest.raises(
        AssertionError, match=r"No delivery of source Jobs within 0 s. Delivered:\nInvoke → Orders: failed"
    ):
        before.wait("Jobs", seconds=0)
    with engine.client() as client:
        assert client.get("/_local/deliveries.json?after=x").status_code == 400


def test_services_are_called_without_the_developers_settings(
    engine: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    queues = engine.aws_client("sqs")
    deliveries = engine.deliveries()
    queues.send_message(QueueUrl=queues.get_queue_url(QueueName="Jobs")["QueueUrl"], MessageBody="pack")
    assert deliveries.wait("Jobs").records == 1


def test_a_turned_clock_runs_schedules(engine: EngineProcess) -> None:
    deliveries = engine.deliveries()
    assert engine.turn_clock(seconds=48 * 3600)["runs"] == 2
    assert deliveries.wait("rule OrdersNightly").outcome == "ok"
    tomorrow = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 5 * 24 * 3600))
    assert engine.turn_clock(to=tomorrow)["time"].startswith(tomorrow[:13])


def test_a_taken_port_is_left_to_its_owner(monkeypatch: pytest.MonkeyPatch, engine: EngineProcess) -> None:
    template = STACKS / "echo" / "template.yaml"
    with pytest.raises(EngineError, match=f"status 6: Port {engine.port} cannot be used"):
        EngineProcess(template, port=engine.port).start()
    other = EngineProcess(template)
    other.port = engine.port
    with other:
        assert other.port != engine.port

"""What was sent in confidence is in no log line and no metric, at level DEBUG and whatever goes wrong."""

import base64
import contextlib
import json
import logging
import re
import secrets
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
import httpx
import pytest

from local_engine.issuer import AUDIENCE, issuer_url, load_client_secret
from local_engine.services import Services, start_services
from tests.security.doors import RESOURCES, Door, FunctionsDoor, GatewayDoor
from tests.security.tokens import Forge
from tests.support.engine_process import EngineProcess, free_port, poll
from tests.support.fault_proxy import Fault, FaultProxy, always, no_faults
from tests.support.gateway import ENVIRONMENT, Gateway, import_functions
from tests.support.http_server import Reply, Request, Server, make_reply
from tests.support.permissions import translate_stack
from tests.support.stack import ROOT
from tests.unit.conftest import create_table

SUBJECT = "mallory"


@dataclass
class Canaries:
    """Texts that stand nowhere but where a test puts them."""

    planted: dict[str, str] = field(default_factory=dict)

    def plant(self, what: str) -> str:
        """A new one; letters and digits, which no encoding of a header, address or document changes."""
        return self.add(what, f"canary{secrets.token_hex(12)}")

    def add(self, what: str, text: str) -> str:
        self.planted[f"{what} {len(self.planted)}"] = text
        return text

    def find_in(self, text: str) -> list[str]:
        return [what for what, canary in self.planted.items() if canary in text]


class Enrichment:
    """A service whose answers, good ones and bad ones, hold canaries."""

    def __init__(self, canaries: Canaries) -> None:
        self._canaries = canaries
        self._answers = iter(range(1_000))
        self.arrived, self.may_answer = threading.Event(), threading.Event()
        self.holds_back = False

    def __call__(self, _: Request) -> Reply:
        if self.holds_back:
            self.arrived.set()
            self.may_answer.wait(10)
        canary = self._canaries.plant("the enrichment's answer")
        headers = {"Set-Cookie": self._canaries.plant("the enrichment's cookie")}
        bad = [
            make_reply({"owner": canary}, headers=headers),
            make_reply(f'{{"owner": "{canary}'.encode(), headers=headers),
            make_reply([canary], headers=headers),
            make_reply({"error": canary}, 403, headers),
            make_reply({"error": canary}, 500, headers),
            Reply(f"{canary}\r\n\r\n".encode(), "close"),
        ]
        return bad[next(self._answers) % len(bad)]


class Caller:
    """Sends requests full of canaries, and counts the answers."""

    def __init__(self, door: Door, forge: Forge, canaries: Canaries) -> None:
        self._door = door
        self._forge = forge
        self._canaries = canaries
        self.statuses: Counter[int] = Counter()

    def send(
        self,
        status: int,
        method: str,
        path: str = RESOURCES,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Mapping[str, str]:
        plant = self._canaries.plant
        token = self._forge.mint(SUBJECT, email=plant("a claim"), jti=plant("the token's id"))
        self._canaries.add("the token's signature", token.rpartition(".")[2])
        sent = {
            "Authorization": f"Bearer {token}",
            "Cookie": f"session={plant('a cookie')}",
            "X-Api-Key": plant("a header"),
            "User-Agent": plant("the user agent"),
            **(headers or {}),
        }
        query = {"unknown": plant("a query parameter"), **(query or {})}
        answer = self._door.send(SUBJECT, method, path, query=query, headers=sent, body=body)
        assert answer.status == status, answer.body
        self.statuses[status] += 1
        return answer.headers

    def make_input(self, **changes: Any) -> dict[str, Any]:
        plant = self._canaries.plant
        metadata = {plant("a metadata key"): plant("a metadata value"), "list": [plant("a nested value")]}
        return {"name": plant("the name"), "type": "A", "metadata": metadata, **changes}

    def make_key(self) -> dict[str, str]:
        return {"Idempotency-Key": self._canaries.plant("the Idempotency-Key")}


def call_everything(caller: Caller, canaries: Canaries) -> None:
    """One pass over the API: good requests first, then those that are refused."""
    plant, make_input = canaries.plant, caller.make_input
    key, body = caller.make_key(), make_input()
    created = caller.send(201, "POST", headers=key, body=body)
    path = created["location"]
    caller.send(201, "POST", headers=key, body=body)
    caller.send(422, "POST", headers=key, body=make_input())
    for _ in range(6):
        caller.send(201, "POST", body=make_input())
    caller.send(200, "PUT", path, body=make_input())
    caller.send(200, "GET", path)
    caller.send(200, "GET", query={"limit": "2"})
    caller.send(304, "GET", path, headers={"If-None-Match": "*"})

    caller.send(400, "GET", query={"nextToken": plant("a nextToken")})
    caller.send(400, "GET", query={"limit": plant("a limit")})
    caller.send(400, "POST", headers={"Idempotency-Key": plant("a bad Idempotency-Key") * 10}, body=make_input())
    caller.send(400, "POST", headers={"Content-Type": plant("a media type")}, body=make_input())
    caller.send(400, "POST", body=make_input(type=plant("a type")))
    caller.send(400, "POST", body={plant("a property"): plant("its value")})
    caller.send(400, "POST", body=f'{{"name": "{plant("a broken body")}')
    caller.send(400, "POST", body=f'{{"name":"{plant("a half pair")}\\ud800","type":"A"}}')
    caller.send(400, "POST", body=f'{{"name":"{plant("a long number")}","type":"A","metadata":{{"n":{"9" * 5000}}}}}')
    caller.send(404, "GET", f"{RESOURCES}/{SUBJECT}")
    caller.send(412, "PUT", path, headers={"If-Match": f'"{plant("an ETag")}"'}, body=make_input())
    caller.send(412, "DELETE", path, headers={"If-Match": f'"{plant("an ETag")}"'})
    caller.send(413, "POST", body=make_input(metadata={"long": plant("a long value") * 15_000}))
    caller.send(413, "POST", headers=caller.make_key(), body=make_input(metadata={"long": plant("long") * 15_000}))


def call_with_faults(caller: Caller, proxy: FaultProxy) -> None:
    """Every way in which the table does not answer, or not with what was asked for."""
    for fault in (Fault.THROTTLED, Fault.ERROR, Fault.UNAVAILABLE, Fault.RESET_AFTER, Fault.TRUNCATED):
        proxy.plan = always(fault)

        def meets_fault(fault: Fault = fault) -> bool:
            # A circuit that is open lets no request through to it.
            caller.send(503, "POST", headers=caller.make_key(), body=caller.make_input())
            return proxy.met[fault] > 0

        poll(meets_fault, f"no request met {fault}")
    proxy.plan = no_faults


def call_while_it_runs(caller: Caller, enrichment: Enrichment) -> None:
    """A request with a key whose first request is not done."""
    key, body = caller.make_key(), caller.make_input()
    enrichment.holds_back = True
    first = threading.Thread(target=lambda: caller.send(201, "POST", headers=key, body=body))
    first.start()
    assert enrichment.arrived.wait(10)
    caller.send(409, "POST", headers=key, body=body)
    enrichment.holds_back = False
    enrichment.may_answer.set()
    first.join()


def call_without_a_table(caller: Caller, endpoint: str, table: str) -> None:
    client = boto3.Session().client(
        "dynamodb",
        region_name=ENVIRONMENT["AWS_REGION"],
        endpoint_url=endpoint,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    client.delete_table(TableName=table)
    for method, path in (("GET", RESOURCES), ("POST", RESOURCES), ("DELETE", f"{RESOURCES}/{UNKNOWN}")):
        caller.send(500, method, path, body=caller.make_input() if method == "POST" else None)


UNKNOWN = "019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10"
FAILURES = {400, 404, 412, 413, 422, 500, 503}


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    services = start_services()
    yield services
    services.stop()


@dataclass(frozen=True)
class Downstream:
    canaries: Canaries
    enrichment: Enrichment
    url: str
    proxy: FaultProxy


@pytest.fixture
def downstream(services: Services) -> Iterator[Downstream]:
    """What the functions call, with a canary in its address too."""
    canaries = Canaries()
    enrichment = Enrichment(canaries)
    with Server(enrichment) as server, FaultProxy(services.endpoint) as proxy:
        address = (
            f"{server.url}/{canaries.plant('the path of an address')}?key={canaries.plant('the key in an address')}"
        )
        yield Downstream(canaries, enrichment, address, proxy)


def test_the_engine_writes_nothing_that_was_sent_in_confidence(services: Services, downstream: Downstream) -> None:
    canaries = downstream.canaries
    port = free_port()
    parameters = [f"Issuer={issuer_url(port)}", f"Audience={AUDIENCE}", "LogLevel=DEBUG"]
    parameters.append(f"EnrichmentUrl={downstream.url}")
    engine = EngineProcess(
        ROOT / "template.yaml", "--services", downstream.proxy.url, "--parameters", *parameters, port=port
    )
    forge = Forge(port, "")
    in_a_path = Canaries().plant("a path")
    with engine, engine.client() as client:
        caller = Caller(GatewayDoor(client, forge), forge, canaries)
        # While the enrichment's circuit is still closed, so that it is asked.
        call_while_it_runs(caller, downstream.enrichment)
        call_everything(caller, canaries)
        call_without_a_table(caller, services.endpoint, "Table")
        call_with_faults(caller, downstream.proxy)
        send_bad_tokens(client, forge, canaries)
        get_tokens_as_a_machine(client, canaries)
        client.get(f"/{in_a_path}")
    assert caller.statuses.keys() >= FAILURES | {200, 201, 304, 409}
    answered = [line for line in engine.lines if "Request answered" in line]
    assert len(answered) >= caller.statuses.total()
    assert any("Traceback" in line for line in engine.lines)
    assert in_a_path in engine.output, "the search finds what is there"
    assert canaries.find_in(engine.output) == []


def send_bad_tokens(client: httpx.Client, forge: Forge, canaries: Canaries) -> None:
    plant = canaries.plant
    for authorization in (
        f"Bearer {plant('no token at all')}",
        f"Basic {plant('credentials')}",
        f"Bearer {canaries.add('a forged token', forge.sign_elsewhere(email=plant('a claim')))}",
        f"Bearer {canaries.add('an expired token', forge.mint(expires=-1))}",
        f"Bearer {canaries.add('a token of another audience', forge.mint(aud=plant('an audience')))}",
        f"Bearer {canaries.add('a token without a good subject', forge.mint('x' * 300))}",
    ):
        answer = client.get(RESOURCES, headers={"Authorization": authorization})
        assert answer.status_code == 401
        canaries.add("the whole header", authorization)
    scope = canaries.plant("a scope")
    few = canaries.add("a token of too few scopes", forge.mint(scope=scope))
    assert client.get(RESOURCES, headers={"Authorization": f"Bearer {few}"}).status_code == 403


def get_tokens_as_a_machine(client: httpx.Client, canaries: Canaries) -> None:
    secret = canaries.add("the client's secret", load_client_secret())
    wrong = canaries.plant("a wrong secret")
    form = {"grant_type": "client_credentials", "scope": "read:resources"}
    endpoint = "/_local/issuer/oauth2/token"
    for given, status in ((secret, 200), (wrong, 401)):
        basic = client.post(endpoint, data=form, auth=("local-machine", given))
        posted = client.post(endpoint, data={**form, "client_id": "local-machine", "client_secret": given})
        assert basic.status_code == posted.status_code == status
        canaries.add("the secret in Basic", base64.b64encode(f"local-machine:{given}".encode()).decode())
        if status == 200:
            for answer in (basic, posted):
                token = canaries.add("a machine's token", answer.json()["access_token"])
                assert client.get(RESOURCES, headers={"Authorization": f"Bearer {token}"}).status_code in (200, 500)


def test_functions_write_nothing_that_was_sent_in_confidence(
    services: Services,
    downstream: Downstream,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    # The records as they are, where the engine shows them condensed; and as in Lambda the root logger at DEBUG too.
    caplog.set_level(logging.DEBUG)
    canaries = downstream.canaries
    secret = canaries.plant("the secret access key")
    session = canaries.plant("the session token")
    settings = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": session,
        "AWS_ENDPOINT_URL": downstream.proxy.url,
        "ENRICHMENT_URL": downstream.url,
        "POWERTOOLS_LOG_LEVEL": "DEBUG",
        "TABLE_NAME": "raw",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    client = boto3.Session().client("dynamodb", region_name=ENVIRONMENT["AWS_REGION"], endpoint_url=services.endpoint)
    with contextlib.closing(client), pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENVIRONMENT, "TABLE_NAME", "raw")
        create_table(client)
    with import_functions(settings) as handlers:
        caplog.clear()
        capsys.readouterr()
        forge = Forge(1, "")
        caller = Caller(FunctionsDoor(Gateway(handlers)), forge, canaries)
        call_everything(caller, canaries)
        call_without_a_table(caller, services.endpoint, "raw")
        call_with_faults(caller, downstream.proxy)
    printed = capsys.readouterr()
    written = printed.out + printed.err + caplog.text
    records = [json.loads(line) for line in printed.out.splitlines() if line.startswith("{")]
    assert {record["status"] for record in records if record.get("message") == "Request answered"} >= FAILURES
    assert any("_aws" in record for record in records)
    assert any("exception" in record for record in records)
    assert canaries.find_in(written) == []


# Neither the query, nor a header but the user agent, nor a claim but the subject.
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

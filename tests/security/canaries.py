"""Requests full of marked texts, so that a test can look for the marks where they must not be."""

import base64
import json
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx

from local_engine.issuer import load_client_secret
from local_engine.services.services_client import ServicesClient
from local_engine.services.tables import create_table
from local_engine.testing import poll
from tests.security.doors import Door
from tests.security.tokens import Forge
from tests.support.bodies import list_places, replace_value, write
from tests.support.fault_proxy import Fault, FaultProxy, always, no_faults
from tests.support.gateway import ENVIRONMENT, Answer
from tests.support.items import find_path
from tests.support.permissions import translate_stack
from tests.support.stack import SUCCESS, Route, list_creators, list_routes, list_scopes
from tests.support.tables import TABLES

SUBJECT = "mallory"
FAULTS = (Fault.THROTTLED, Fault.ERROR, Fault.UNAVAILABLE, Fault.RESET_AFTER, Fault.TRUNCATED)


@dataclass
class Canaries:
    """Texts that are only where a test puts them."""

    planted: dict[str, str] = field(default_factory=dict)

    def plant(self, what: str) -> str:
        """A new one, of letters and digits, which no encoding changes."""
        return self.add(what, f"canary{secrets.token_hex(12)}")

    def add(self, what: str, text: str) -> str:
        self.planted[f"{what} {len(self.planted)}"] = text
        return text

    def find_in(self, text: str) -> list[str]:
        return [what for what, canary in self.planted.items() if canary in text]


class Caller:
    """Sends requests full of canaries, checks each answer's status and counts it."""

    def __init__(self, door: Door, forge: Forge, canaries: Canaries) -> None:
        self._door = door
        self._forge = forge
        self._canaries = canaries
        self.statuses: Counter[int] = Counter()

    def send(self, route: Route, expected: str | int, path: str | None = None, **options: Any) -> Answer:
        """Send a request, by default about a new item and with a body full of canaries."""
        if path is None:
            path = self.find_path(route)
        answer = self._send(route.method, path, **{"body": self.make_body(route), **options})
        assert answer.status == route.resolve(expected), (route.key, expected, answer.body)
        self.statuses[answer.status] += 1
        return answer

    def make_body(self, route: Route) -> Any:
        """The fixture's body with a canary in every text and object that the model leaves free."""
        body = route.body
        if body is not None and route.model is None:
            # Lines of JSON: a good one, and one with an unknown property.
            longest = max(body, key=lambda name: len(str(body[name])))
            good = {**body, longest: self._canaries.plant("a line")}
            bad = {**body, self._canaries.plant("a key"): self._canaries.plant("its value")}
            return f"{json.dumps(good)}\n{json.dumps(bad)}\n"
        for place in list_places(route):
            if place.is_free_text or place.is_free_object:
                canary = self._canaries.plant(f"the body at {place.path}")
                value = {self._canaries.plant("a key"): canary, "list": [canary]} if place.is_free_object else canary
                holder = body
                for part in place.path[:-1]:
                    holder = holder[part]
                holder[place.path[-1]] = value
        return body

    def find_path(self, route: Route) -> str:
        return find_path(route, self._send, self.make_body)

    def make_key(self) -> dict[str, str]:
        return {"Idempotency-Key": self._canaries.plant("the Idempotency-Key")}

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Answer:
        plant = self._canaries.plant
        token = self._forge.mint(SUBJECT, email=plant("a claim"), jti=plant("the token's ID"))
        self._canaries.add("the token's signature", token.rpartition(".")[2])
        sent = {
            "Authorization": f"Bearer {token}",
            "Cookie": f"session={plant('a cookie')}",
            "X-Api-Key": plant("a header"),
            "User-Agent": plant("the user agent"),
            **(headers or {}),
        }
        query = {"unknown": plant("a query parameter"), **(query or {})}
        return self._door.send(SUBJECT, method, path, query=query, headers=sent, body=body)


def call_everything(caller: Caller, canaries: Canaries) -> None:
    """Call every route, with good requests and with bad ones of every kind that its operation knows."""
    for route in list_routes():
        caller.send(route, SUCCESS)
        if route.creator:
            caller.send(route, 404, route.fill())
        call_with_parameters(route, caller, canaries)
        if route.model:
            call_with_bodies(route, caller, canaries)


def call_with_parameters(route: Route, caller: Caller, canaries: Canaries) -> None:
    plant = canaries.plant
    if route.takes("Idempotency-Key"):
        key, body, path = caller.make_key(), caller.make_body(route), caller.find_path(route)
        for expected, content in ((SUCCESS, body), (SUCCESS, body), (422, caller.make_body(route))):
            caller.send(route, expected, path, headers=key, body=content)
        caller.send(route, 400, headers={"Idempotency-Key": plant("a bad Idempotency-Key") * 10})
    if route.takes("If-Match"):
        caller.send(route, 412, headers={"If-Match": f'"{plant("an ETag")}"'})
    if route.takes("If-None-Match"):
        caller.send(route, 304 if route.method == "GET" else 412, headers={"If-None-Match": "*"})
        caller.send(route, 400, headers={"If-None-Match": plant("an ETag without quotes")})
    if route.takes("limit"):
        caller.send(route, SUCCESS, query={"limit": "2"})
        caller.send(route, 400, query={"limit": plant("a limit")})
    if route.takes("nextToken"):
        caller.send(route, 400, query={"nextToken": plant("a nextToken")})
    if route.takes("q"):
        caller.send(route, SUCCESS, query={"q": plant("a text to look for")})
        caller.send(route, 400, query={"q": plant("a long text to look for") * 40})
    for parameter in route.operation["parameters"]:
        if "enum" in parameter["schema"]:
            caller.send(route, 400, query={parameter["name"]: plant(f"a wrong {parameter['name']}")})


def call_with_bodies(route: Route, caller: Caller, canaries: Canaries) -> None:
    plant = canaries.plant
    caller.send(route, 400, headers={"Content-Type": plant("a media type")})
    caller.send(route, 400, body={plant("a property"): plant("its value")})
    caller.send(route, 400, body=f'{{"name": "{plant("a broken body")}')
    for place in list_places(route):
        if place.is_free_text:
            caller.send(route, 400, body=write(route, place, f'"{plant("half a pair")}\\ud800"'))
        elif place.is_free_object:
            long = {"long": plant("a long value") * 15_000}
            caller.send(route, 413, body=replace_value(route, place, long))
            if route.takes("Idempotency-Key"):
                caller.send(route, 413, headers=caller.make_key(), body=replace_value(route, place, long))
            long_number = f'{{"{plant("a key beside a long number")}":{"9" * 5000}}}'
            caller.send(route, 400, body=write(route, place, long_number))
        else:
            caller.send(route, 400, body=replace_value(route, place, {plant("a key"): plant("a wrong type")}))


def call_with_faults(caller: Caller, proxy: FaultProxy) -> None:
    """Every way in which the table gives no answer, or a wrong one."""
    (route, *_) = [route for route in list_creators() if not route.path_parameters]
    for fault in FAULTS:
        proxy.plan = always(fault)

        def meets_fault(fault: Fault = fault) -> bool:
            # An open circuit lets no request through to it.
            caller.send(route, 503, headers=caller.make_key() if route.takes("Idempotency-Key") else {})
            return proxy.met[fault] > 0

        poll(meets_fault, f"no request met {fault}")
    proxy.plan = no_faults


def call_without_tables(caller: Caller, endpoint: str, tables: Iterable[str]) -> None:
    client = connect(endpoint)
    for table in tables:
        client.delete_table(TableName=table)
    client.close()
    for route in list_routes():
        caller.send(route, 500, route.fill())


def send_bad_tokens(client: httpx.Client, forge: Forge, canaries: Canaries) -> None:
    plant = canaries.plant
    for authorization in (
        f"Bearer {plant('no token at all')}",
        f"Basic {plant('credentials')}",
        f"Bearer {canaries.add('a forged token', forge.sign_elsewhere(email=plant('a claim')))}",
        f"Bearer {canaries.add('an expired token', forge.mint(expires=-1))}",
        f"Bearer {canaries.add('a token for another audience', forge.mint(aud=plant('an audience')))}",
        f"Bearer {canaries.add('a token with a long subject', forge.mint('x' * 300))}",
    ):
        for route in list_routes():
            answer = client.request(route.method, route.fill(), headers={"Authorization": authorization})
            assert answer.status_code == 401
        canaries.add("the whole header", authorization)
    few = canaries.add("a token with too few scopes", forge.mint(scope=plant("a scope")))
    for route in list_routes():
        answer = client.request(route.method, route.fill(), headers={"Authorization": f"Bearer {few}"})
        assert answer.status_code == 403


def get_tokens_as_a_machine(client: httpx.Client, canaries: Canaries, project: Path) -> None:
    secret = canaries.add("the client's secret", load_client_secret(project))
    wrong = canaries.plant("a wrong secret")
    form = {"grant_type": "client_credentials", "scope": " ".join(list_scopes())}
    endpoint = "/_local/issuer/oauth2/token"
    for given, status in ((secret, 200), (wrong, 401)):
        basic = client.post(endpoint, data=form, auth=("local-machine", given))
        posted = client.post(endpoint, data={**form, "client_id": "local-machine", "client_secret": given})
        assert basic.status_code == posted.status_code == status
        canaries.add("the secret in Basic", base64.b64encode(f"local-machine:{given}".encode()).decode())
        if status == 200:
            for answer in (basic, posted):
                canaries.add("a machine's token", answer.json()["access_token"])


def connect(endpoint: str, service: str = "dynamodb") -> Any:
    """A client of one of the AWS services."""
    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local")
    return session.client(service, region_name=ENVIRONMENT["AWS_REGION"], endpoint_url=endpoint)


def create_storage(endpoint: str, name: str) -> dict[str, str]:
    """Create tables and a bucket whose names start alike, and return the environment variables that name them."""
    tables = {variable: f"{name}-{variable}" for variable in TABLES}
    with ServicesClient(endpoint) as client:
        for table in tables.values():
            create_table(client, table, translate_stack(Intelligence="on").resources["Table"])
    with closing(connect(endpoint, "s3")) as client:
        client.create_bucket(Bucket=f"{name}-files")
    return {**tables, "IMPORT_BUCKET": f"{name}-files"}

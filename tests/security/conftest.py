"""The API under attack: through the gateway over real HTTP, and at its functions alone."""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import httpx
import pytest

from local_engine.testing import EngineProcess
from tests.security.canaries import connect
from tests.security.doors import FunctionsDoor, GatewayDoor
from tests.security.tokens import Forge
from tests.support.gateway import ENVIRONMENT, Gateway, import_functions
from tests.support.http_server import Server, make_reply
from tests.support.programs import prepare_engine

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[Server]:
    """The attacker's server, which nothing has a reason to call."""
    keys = make_reply({}, 404)
    with Server(lambda _request: keys) as server:
        yield server


@pytest.fixture(scope="session")
def engine() -> Iterator[EngineProcess]:
    """The attackers' own engine, so that their traffic is in no other test's metrics."""
    with prepare_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def client(engine: EngineProcess) -> Iterator[httpx.Client]:
    with engine.client() as client:
        yield client


@pytest.fixture(scope="session")
def forge(engine: EngineProcess, elsewhere: Server) -> Forge:
    forge = Forge(engine.port, elsewhere.url)
    # A verifier that falls for the attacker's address gets the attacker's keys and accepts the token.
    documents = {"/.well-known/openid-configuration": {"issuer": elsewhere.url, "jwks_uri": f"{elsewhere.url}/keys"}}
    elsewhere.answer = lambda request: make_reply(documents.get(request.target, {"keys": [forge.own_jwk]}))
    return forge


@pytest.fixture(scope="session")
def services(engine: EngineProcess) -> Iterator[str]:
    """The URL of the AWS services behind the API, with credentials for them in the environment."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, ENVIRONMENT[name])
        yield engine.services


@pytest.fixture(scope="session")
def table(services: str) -> Iterator[Any]:
    """A client of the API's own tables."""
    with closing(connect(services)) as client:
        yield client


@pytest.fixture(scope="session")
def settings(services: str) -> Iterator[Mapping[str, str]]:
    """The environment variables with which a function works on what the engine's functions work on."""
    with closing(connect(services, "secretsmanager")) as client:
        key = client.get_secret_value(SecretId="PseudonymKey")["SecretString"]
    # A function reads these when it is called.
    tables = {"AUDIT_TABLE": "Records-AuditTable", "ERASURE_LEDGER": "Records-Erasure-ErasureLedger"}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in tables.items():
            environment.setenv(name, value)
        yield {"AWS_ENDPOINT_URL": services, "TABLE_NAME": "Table", "PSEUDONYM_KEY": key, **tables}


@pytest.fixture(scope="module")
def functions(settings: Mapping[str, str]) -> Iterator[Gateway]:
    """The functions on the engine's own tables, with nothing in front of them."""
    with import_functions(settings) as handlers:
        yield Gateway(handlers)


@pytest.fixture(scope="session")
def gateway(client: httpx.Client, forge: Forge) -> GatewayDoor:
    return GatewayDoor(client, forge)


@pytest.fixture(scope="module", params=["gateway", "functions"])
def door(request: pytest.FixtureRequest) -> GatewayDoor | FunctionsDoor:
    """The way in for a caller with a valid token."""
    if request.param == "gateway":
        gateway: GatewayDoor = request.getfixturevalue("gateway")
        return gateway
    return FunctionsDoor(request.getfixturevalue("functions"))


@pytest.fixture
def attacker() -> str:
    """The subject of a user who has nothing yet."""
    return f"mallory-{next(_numbers)}"

"""The functions behind a gateway, with their table in moto and without network access."""

import copy
import time
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID as ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends

from tests.support.dynamodb import DynamoDB
from tests.support.gateway import ENVIRONMENT, Context, Handler, import_functions
from tests.support.resources_api import ResourcesApi
from tests.support.tables import TABLES, create_table
from tests.unit.http.issuer import Issuer


def pytest_itemcollected(item: pytest.Item) -> None:
    if {"aws", "issuer"} & set(getattr(item, "fixturenames", ())):
        item.add_marker(pytest.mark.allow_hosts(["127.0.0.1"]))
    elif item.get_closest_marker("allow_hosts") is None:
        item.add_marker(pytest.mark.disable_socket)


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    """The URL of the moto server in this process."""
    with DynamoDB() as service:
        yield service.url


@pytest.fixture(scope="session", autouse=True)
def credentials() -> Iterator[None]:
    """Dummy credentials, and the names of tables that functions read when they call AWS rather than when they start."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AUDIT_TABLE", "ERASURE_LEDGER"):
            environment.setenv(name, ENVIRONMENT[name])
        yield


@pytest.fixture(scope="session")
def handlers(aws: str) -> Iterator[Mapping[str, Handler]]:
    with import_functions({"AWS_ENDPOINT_URL": aws}) as handlers:
        from serverless_api.storage import table

        # No test of these handlers is about a slow table, and a busy machine must fail none: the invocation's time is
        # the limit.
        table.ATTEMPT_SECONDS = Context().get_remaining_time_in_millis() / 1000
        yield handlers


@pytest.fixture(scope="session")
def client(aws: str, credentials: None) -> Any:
    return boto3.Session().client("dynamodb", region_name=ENVIRONMENT["AWS_REGION"], endpoint_url=aws)


@pytest.fixture(scope="session")
def new_tables(client: Any) -> Mapping[str, Any]:
    """The functions' tables in moto before anything is in them."""
    names = [ENVIRONMENT[variable] for variable in TABLES]
    for name in names:
        create_table(client, name)
    tables = dynamodb_backends[ACCOUNT_ID][ENVIRONMENT["AWS_REGION"]].tables
    return {name: tables.pop(name) for name in names}


@pytest.fixture
def table(client: Any, new_tables: Mapping[str, Any]) -> Iterator[Any]:
    """A client of the functions' tables, new and empty."""
    # To create and delete them through the client would take most of the time of these tests.
    tables = dynamodb_backends[ACCOUNT_ID][ENVIRONMENT["AWS_REGION"]].tables
    tables.update(copy.deepcopy(dict(new_tables)))
    yield client
    for name in new_tables:
        tables.pop(name, None)


@pytest.fixture
def api(handlers: Mapping[str, Handler], table: Any) -> ResourcesApi:
    return ResourcesApi(handlers)


@pytest.fixture
def dynamodb(table: Any) -> Iterator[DynamoDB]:
    """The same table over real HTTP, from a service that fails on demand."""
    with DynamoDB() as service:
        yield service


@pytest.fixture
def remote_api(dynamodb: DynamoDB) -> Iterator[ResourcesApi]:
    """The API on top of `dynamodb`, in a fresh execution environment."""
    with import_functions({"AWS_ENDPOINT_URL": dynamodb.url}) as handlers:
        yield ResourcesApi(handlers)


class Clock:
    """The time that the functions read; a test can advance it."""

    def __init__(self) -> None:
        self._ahead = 0

    def advance(self, seconds: int) -> None:
        self._ahead += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    read_seconds, read_nanoseconds = time.time, time.time_ns
    monkeypatch.setattr("time.time", lambda: read_seconds() + clock._ahead)
    monkeypatch.setattr("time.time_ns", lambda: read_nanoseconds() + clock._ahead * 1_000_000_000)
    return clock


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer

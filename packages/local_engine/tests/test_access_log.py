"""What observers and access logs are told of a request: bytes, milliseconds and names."""

from typing import Any

import pytest

from local_engine.gateway.access_log import RequestRecord
from local_engine.gateway.events import Request
from local_engine.template.stack import Api

RECEIVED_AT = 1_798_761_600.25
API = Api(logical_id="Shop", id="abc123", stage="$default", document={})


def make_request(host: str) -> Request:
    return Request("1", "PUT", "/items/1", "", [], b"12345", "127.0.0.1", "http", host, "1.1", RECEIVED_AT)


def describe(**members: Any) -> dict[str, str]:
    """Return the variables of a response of 7 bytes after 20.6 milliseconds."""
    record = RequestRecord(API, "1", "PUT", "/items/1", received_at=RECEIVED_AT, **members)
    return dict(record.answered(200, 20.6, 7).describe_context())


@pytest.mark.parametrize(("request_", "received"), [(None, 0), (make_request("localhost"), 5)])
def test_observers_are_told_of_the_bytes_both_ways(request_: Request | None, received: int) -> None:
    answered = RequestRecord(API, "1", "PUT", "/items/1", request=request_, waited=11.5).answered(200, 20.6, 7)
    assert (answered.received, answered.sent, answered.latency, answered.integration_latency) == (
        received,
        7,
        20.6,
        11.5,
    )


def test_times_are_whole_milliseconds() -> None:
    values = describe(waited=11.6)
    assert (values["requestTimeEpoch"], values["requestTime"]) == ("1798761600250", "01/Jan/2027:00:00:00 +0000")
    assert (values["responseLatency"], values["integrationLatency"], values["integration.latency"]) == (
        "21",
        "12",
        "12",
    )


def test_a_request_without_a_function_has_no_latency_of_one() -> None:
    assert not describe().keys() & {"integrationLatency", "integration.latency", "integrationStatus", "dataProcessed"}


@pytest.mark.parametrize(
    ("host", "prefix"), [("shop.example.com:8080", "shop"), ("localhost:8080", "localhost"), ("localhost", "localhost")]
)
def test_a_domain_has_a_prefix_without_the_port(host: str, prefix: str) -> None:
    values = describe(request=make_request(host))
    assert (values["domainName"], values["domainPrefix"], values["dataProcessed"]) == (host, prefix, "12")

"""The client of Bedrock's runtime: what it sends, what it repeats, and what its callers are told."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.gateway import import_functions
from tests.support.http_server import Reply, make_reply
from tests.unit.intelligence.conftest import Bedrock

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

MODEL = "amazon.titan-embed-text-v2:0"
VECTOR = [1.0] + [0.0] * 255


def refuse(code: str, status: int, **headers: str) -> Reply:
    # The body's checksum is none of Bedrock's headers.
    return make_reply({"message": "no"}, status, {"x-amzn-ErrorType": f"{code}:http://internal.amazon.com/", **headers})


@pytest.fixture
def first_reply() -> Reply:
    return make_reply({"embedding": VECTOR})


@pytest.fixture
def house(bedrock: Bedrock) -> Iterator[Any]:
    """The module of the client, in a fresh environment, which does not wait between attempts."""
    with import_functions({"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.server.url}):
        import intelligence.bedrock as module
        from serverless_api import RetryPolicy

        module._policy = RetryPolicy(sleep=lambda _: None)
        yield module


@pytest.fixture
def embed(house: Any) -> Callable[[str], list[float]]:
    from intelligence.embeddings import embed

    return lambda text: embed(text, MODEL)


def test_a_text_is_embedded_by_one_signed_request(bedrock: Bedrock, embed: Callable[[str], list[float]]) -> None:
    assert embed("ä text" + "x" * 9000) == VECTOR
    (request,) = bedrock.requests
    assert (request.method, request.target) == ("POST", "/model/amazon.titan-embed-text-v2%3A0/invoke")
    body = json.loads(request.body)
    assert body == {"inputText": "ä text" + "x" * 7994, "dimensions": 256, "normalize": True}
    assert "/us-east-1/bedrock/aws4_request" in request.headers["authorization"]
    embed("again")
    assert bedrock.server.connections == 1


@pytest.mark.parametrize(
    "failure",
    [
        refuse("ThrottlingException", 429),
        refuse("ModelNotReadyException", 429),
        refuse("ServiceQuotaExceededException", 400),
        refuse("InternalServerException", 500),
        refuse("ModelTimeoutException", 408),
        refuse("ModelErrorException", 424),
        make_reply(b"<html>Bad gateway</html>", 502),
        make_reply(b"not JSON"),
        Reply(b"", "close"),
    ],
)
def test_a_call_is_repeated_while_the_model_is_unavailable(
    failure: Reply, bedrock: Bedrock, embed: Callable[[str], list[float]]
) -> None:
    bedrock.replies = [failure, failure, *bedrock.replies]
    assert embed("text") == VECTOR
    assert len(bedrock.requests) == 3


def test_throttling_is_told_apart_from_other_failures(bedrock: Bedrock, house: Any, embed: Any) -> None:
    bedrock.replies = [refuse("ThrottlingException", 429)]
    with pytest.raises(house.ModelThrottled, match="ThrottlingException: no"):
        embed("text")
    bedrock.replies = [refuse("InternalServerException", 500)]
    with pytest.raises(house.ModelUnavailable) as raised:
        embed("text")
    assert not isinstance(raised.value, house.ModelThrottled)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (refuse("AccessDeniedException", 403), "AccessDeniedException"),
        (refuse("ValidationException", 400), "ValidationException"),
        (refuse("NewException", 499), "NewException"),
        (make_reply({"embedding": [1.0]}), "UnexpectedAnswer"),
        (make_reply({"embeddings": [VECTOR]}), "UnexpectedAnswer"),
    ],
)
def test_what_does_not_pass_is_not_repeated(reply: Reply, code: str, bedrock: Bedrock, house: Any, embed: Any) -> None:
    bedrock.replies = [reply]
    with pytest.raises(house.ModelError) as raised:
        embed("text")
    assert raised.value.code == code
    assert len(bedrock.requests) == 1


def test_a_signature_of_another_time_is_made_anew(bedrock: Bedrock, embed: Any) -> None:
    late = refuse("InvalidSignatureException", 403, Date="Sat, 28 Nov 2015 08:00:00 GMT")
    bedrock.replies = [late, *bedrock.replies]
    assert embed("text") == VECTOR
    assert bedrock.requests[1].headers["x-amz-date"].startswith("20151128T08")


def test_an_open_circuit_calls_nothing(bedrock: Bedrock, house: Any, embed: Any) -> None:
    bedrock.replies = [refuse("InternalServerException", 500)]
    for _ in range(5):
        with pytest.raises(house.ModelUnavailable):
            embed("text")
    before = len(bedrock.requests)
    with pytest.raises(house.ModelUnavailable, match="circuit"):
        embed("text")
    assert len(bedrock.requests) == before

"""A model's answer as Bedrock sends it: whole, in pieces, cut, altered, throttled, and left."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from local_engine.bedrock.event_stream_encoding import encode_event, encode_exception
from tests.support.gateway import import_functions
from tests.support.http_server import Reply, make_reply
from tests.unit.intelligence.conftest import MODEL, PIECES, START, STOP, TEXT, WHOLE, Bedrock, send

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def refuse(code: str, status: int) -> Reply:
    return make_reply({"message": "no"}, status, {"x-amzn-ErrorType": code})


@pytest.fixture
def first_reply() -> Reply:
    return send(WHOLE)


@pytest.fixture
def house(bedrock: Bedrock) -> Iterator[Any]:
    """The module in a fresh environment."""
    with import_functions({"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.server.url}):
        import intelligence.conversation as module

        yield module


def read(house: Any, patience: float = 60) -> list[Any]:
    with house.Answer(MODEL, {"messages": []}, patience) as answer:
        return list(answer)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_an_answer_arrives_in_pieces_with_its_usage(house: Any, bedrock: Bedrock, size: int) -> None:
    bedrock.replies = [send(WHOLE, size=size)]
    assert read(house) == [*PIECES, house.End("end_turn", house.Usage(12, 5))]
    (request,) = bedrock.requests
    assert (request.method, request.target) == ("POST", "/model/amazon.nova-lite-v1%3A0/converse-stream")
    assert "/us-east-1/bedrock/aws4_request" in request.headers["authorization"]


@pytest.mark.parametrize(
    "reply",
    [
        refuse("ThrottlingException", 429),
        refuse("ModelNotReadyException", 429),
        refuse("ModelErrorException", 424),
        refuse("InternalServerException", 500),
        Reply(b"", "close"),
        send(START, is_whole=False, then="close"),
        send(START),
        send(START + encode_exception("throttlingException", "no")),
    ],
)
def test_what_brings_no_text_is_repeated(house: Any, bedrock: Bedrock, reply: Reply) -> None:
    bedrock.replies = [reply, send(WHOLE)]
    assert read(house)[-1].reason == "end_turn"
    assert len(bedrock.requests) == 2


def test_a_throttled_model_is_told_from_one_that_is_down(house: Any, bedrock: Bedrock) -> None:
    from intelligence.bedrock import ModelThrottled, ModelUnavailable

    bedrock.replies = [refuse("ThrottlingException", 429)]
    with pytest.raises(ModelThrottled):
        read(house)
    assert len(bedrock.requests) == 4
    bedrock.replies = [refuse("ServiceUnavailableException", 503)]
    with pytest.raises(ModelUnavailable, match="circuit"):
        read(house)
    # The fifth failure opens the circuit.
    assert len(bedrock.requests) == 5
    with pytest.raises(ModelUnavailable, match="circuit"):
        read(house)
    assert len(bedrock.requests) == 5


def test_a_refused_request_is_an_error_of_ours(house: Any, bedrock: Bedrock) -> None:
    from intelligence.bedrock import ModelError

    bedrock.replies = [refuse("AccessDeniedException", 403)]
    with pytest.raises(ModelError, match="AccessDeniedException"):
        read(house)
    assert len(bedrock.requests) == 1


@pytest.mark.parametrize(("size", "message"), [(65_536, "no"), (65_537, "")])
def test_an_error_is_read_up_to_64_kb(house: Any, bedrock: Bedrock, size: int, message: str) -> None:
    from intelligence.bedrock import ModelError

    document = {"message": "no", "rest": ""}
    document["rest"] = "x" * (size - len(json.dumps(document)))
    bedrock.replies = [make_reply(document, 400, {"x-amzn-ErrorType": "ValidationException"})]
    with pytest.raises(ModelError) as failure:
        read(house)
    assert str(failure.value) == f"ValidationException: {message}"


def test_a_rejected_signature_is_renewed(house: Any, bedrock: Bedrock) -> None:
    bedrock.replies = [refuse("InvalidSignatureException", 403), send(WHOLE)]
    assert read(house)[-1].reason == "end_turn"


ALTERED = bytearray(WHOLE)
ALTERED[-20] ^= 1
HUGE = b"\x7f\xff\xff\xff" + WHOLE[4:]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(WHOLE[:-5], id="cut within a message"),
        pytest.param(b"".join([START, *TEXT, STOP]), id="without usage"),
        pytest.param(bytes(ALTERED), id="an altered byte"),
        pytest.param(START + TEXT[0] + HUGE, id="a length that lies"),
        pytest.param(START + TEXT[0] + encode_exception("modelStreamErrorException", "no"), id="an error"),
        pytest.param(START + TEXT[0] + encode_event("metadata", {}), id="an event without its content"),
    ],
)
def test_an_answer_that_breaks_off_is_not_repeated(house: Any, bedrock: Bedrock, content: bytes) -> None:
    bedrock.replies = [send(content)]
    parts = []
    with house.Answer(MODEL, {}, 60) as answer, pytest.raises(house.AnswerBroken):
        parts.extend(iter(answer))
    assert len(bedrock.requests) == 1


def test_silence_is_noticed_and_leaving_closes_the_connection(house: Any, bedrock: Bedrock) -> None:
    bedrock.replies = [send(START + TEXT[0], is_whole=False)]
    with house.Answer(MODEL, {}, 0.05) as answer:
        parts = iter(answer)
        assert next(part for part in parts if part is not None) == PIECES[0]
        assert next(parts) is None
        (thread,) = [each for each in threading.enumerate() if each is answer._thread]
    thread.join(60)
    assert not thread.is_alive()
    # That the reader left says nothing about the model.
    bedrock.replies = [send(WHOLE)]
    assert house._circuit._failed == 0

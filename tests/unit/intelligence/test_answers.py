"""An answer's events, its end, and what is counted, with a stand-in for Bedrock."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

from local_engine.bedrock.event_stream_encoding import encode_event
from tests.support.gateway import Context, import_functions
from tests.support.http_server import Reply
from tests.unit.intelligence.conftest import MODEL, PIECES, START, TEXT, USAGE, WHOLE, Bedrock, send

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

SETTINGS = {"ANSWER_MODEL": MODEL, "INPUT_PRICE": "0.06", "OUTPUT_PRICE": "0.24"}
type Ask = Callable[[], list[tuple[str, Any]]]


class Boat:
    """As much of a resource as an answer needs."""

    def __init__(self) -> None:
        self.id = "1"
        # Whichever field its name is.
        self.fields = defaultdict(lambda: "Boat")


class Quota:
    """A quota that allows everything, and the tokens that it was told of."""

    def __init__(self, *_: Any) -> None:
        self.settled: list[int] = []

    def check(self, tokens: int) -> None:
        assert tokens > 0

    def reserve(self, tokens: int) -> "Quota":
        self.check(tokens)
        return self

    def settle(self, used: int) -> None:
        self.settled.append(used)


@pytest.fixture
def first_reply() -> Reply:
    return send(WHOLE)


@pytest.fixture
def guardrail() -> str:
    return ""


@pytest.fixture
def answers(bedrock: Bedrock, guardrail: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The function's module in a fresh environment, with one source, and what it counts in `counted` and `quota`."""
    with import_functions({"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock.server.url}):
        for name, value in {**SETTINGS, "GUARDRAIL": guardrail}.items():
            monkeypatch.setenv(name, value)
        module: Any = import_module("functions.answer_question.answers")
        from intelligence.search import Match

        quota, counted = Quota(), {}
        monkeypatch.setattr(module, "find_items", lambda *_, **__: [Match(Boat(), 0.5)])
        monkeypatch.setattr(module, "Quota", lambda *_: quota)
        monkeypatch.setattr(module, "count", lambda metric, number=1: counted.update({str(metric): number}))
        # A busy machine makes no comments.
        monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 60.0)
        monkeypatch.setattr(module, "quota", quota, raising=False)
        monkeypatch.setattr(module, "counted", counted, raising=False)
        yield module


@pytest.fixture
def ask(answers: Any) -> Ask:
    def ask() -> list[tuple[str, Any]]:
        from serverless_api import Caller
        from serverless_api.resilience.deadline import invocation_deadline

        with invocation_deadline(Context()):
            events = b"".join(answers.answer(Caller("alice", frozenset()), "Which?", 5)).decode()
        fields = [dict(line.split(": ", 1) for line in event.split("\n")) for event in events.strip().split("\n\n")]
        return [(event["event"], json.loads(event["data"])) for event in fields]

    return ask


@pytest.mark.parametrize(
    ("stopped", "reason"),
    [
        ("end_turn", "complete"),
        ("max_tokens", "length"),
        ("guardrail_intervened", "filtered"),
        ("content_filtered", "filtered"),
    ],
)
def test_the_end_has_the_models_reason(ask: Ask, bedrock: Bedrock, stopped: str, reason: str) -> None:
    bedrock.replies = [send(b"".join([START, *TEXT, encode_event("messageStop", {"stopReason": stopped}), USAGE]))]
    assert ask()[-1] == ("end", {"reason": reason})


@pytest.mark.parametrize(
    ("guardrail", "sent"),
    [
        ("", None),
        ("abc:2", {"guardrailIdentifier": "abc", "guardrailVersion": "2", "streamProcessingMode": "sync"}),
    ],
)
def test_a_guardrail_filters_while_the_answer_is_made(ask: Ask, bedrock: Bedrock, sent: Any) -> None:
    ask()
    (request,) = bedrock.requests
    assert json.loads(request.body).get("guardrailConfig") == sent


def test_tokens_and_their_cost_are_counted(ask: Ask, answers: Any) -> None:
    *_, (_, usage), _ = ask()
    assert usage == {"inputTokens": 12, "outputTokens": 5, "cost": pytest.approx(1.92e-6), "currency": "USD"}
    assert answers.quota.settled == [17]
    assert answers.counted == {"AnswerInputTokens": 12, "AnswerOutputTokens": 5, "AnswerMicrodollars": 2}


def test_an_answer_ends_before_the_deadline_and_counts_by_its_size(
    ask: Ask, answers: Any, bedrock: Bedrock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # More than is left.
    monkeypatch.setattr(answers, "RESERVE_SECONDS", 60.0)
    bedrock.replies = [send(b"".join([START, *TEXT]), is_whole=False)]
    (_, sources), *texts, (_, usage), end = ask()
    assert sources["sources"][0]["name"] == "Boat"
    assert "".join(text["text"] for _, text in texts) == PIECES[0]
    assert end == ("end", {"reason": "deadline"})
    assert usage["outputTokens"] == len(PIECES[0].encode())
    assert answers.quota.settled == [usage["inputTokens"] + usage["outputTokens"]]

"""Answers as server-sent events.

    event: sources     {"sources": [{"id": …, "name": …, "score": 0.83}]}
    event: text        {"text": "The boat is blue [1]."}              any number of these
    event: fallback    {"reason": …}                                  if the model gave no answer: the sources are all
    event: usage       {"inputTokens": 412, "outputTokens": 38, "cost": 0.00003384, "currency": "USD"}
    event: end         {"reason": "complete"}

An event `error` in place of the rest says that the answer could not be completed. `end` has one of these reasons:
`complete`; `length`, the answer has reached its longest size; `filtered`, a guardrail has intervened; `deadline`, the
time is up; `nothing_found`, there are no sources; `fallback`.
"""

import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from intelligence.bedrock import ModelThrottled, ModelUnavailable
from intelligence.conversation import Answer, AnswerBroken, End, Usage
from intelligence.output import LinkFilter, find_links
from intelligence.prompt import SYSTEM, Prompt, make_prompt, quote
from intelligence.quota import Quota, Reservation
from intelligence.search import find_items
from resources import resources
from serverless_api import (
    HEARTBEAT,
    Caller,
    Metric,
    ServiceUnavailable,
    TableUnavailable,
    count,
    current_deadline,
    encode_event,
    logger,
    read_count,
)

MODEL = os.environ.get("ANSWER_MODEL", "")
MAX_TOKENS = 600
"""Longest answer."""
HEARTBEAT_SECONDS = 3.0
"""Silence after which the client gets a comment."""
RESERVE_SECONDS = 3.0
"""Time before the deadline at which an answer ends."""

_DAILY_TOKENS = read_count("ANSWER_TOKENS_PER_DAY", default=200_000)
_INPUT_PRICE = Decimal(os.environ.get("INPUT_PRICE") or 0)
_OUTPUT_PRICE = Decimal(os.environ.get("OUTPUT_PRICE") or 0)
"""US dollars for a million tokens."""
_GUARDRAIL, _, _GUARDRAIL_VERSION = os.environ.get("GUARDRAIL", "").partition(":")

_INPUT_TOKENS = Metric("AnswerInputTokens")
_OUTPUT_TOKENS = Metric("AnswerOutputTokens")
_MICRODOLLARS = Metric("AnswerMicrodollars")
_FALLBACKS = Metric("AnswerFallbacks")

_REASONS = {"max_tokens": "length", "guardrail_intervened": "filtered", "content_filtered": "filtered"}


def answer(caller: Caller, question: str, limit: int) -> Iterator[bytes]:
    """Yield the events of an answer.

    Args:
        caller: the owner of all sources.
        question: the question.
        limit: the most sources.

    Raises:
        TooManyRequests: the caller's tokens of today are used up, or reserved for other answers.
        ServiceUnavailable: the search is not available, or the model failed within its answer.
    """
    quota = Quota(caller, _DAILY_TOKENS)
    # A question that no answer is left for costs nothing but this look.
    quota.check(make_prompt(question, ()).most_tokens + MAX_TOKENS)
    prompt = make_prompt(question, find_items(resources, caller, question, limit=limit))
    if not prompt.sources:
        yield _encode_sources(prompt)
        yield encode_event("end", {"reason": "nothing_found"})
        return
    reservation = quota.reserve(prompt.most_tokens + MAX_TOKENS)
    answering = _Answering(prompt, question)
    try:
        yield _encode_sources(prompt)
        yield from answering.run()
    finally:
        _settle(reservation, answering.usage)
    yield encode_event("usage", _describe_usage(answering.usage))
    yield encode_event("end", {"reason": answering.reason})


class _Answering:
    """One answer.

    Attributes:
        usage: the tokens so far. Until the model reports them, what was sent and received is counted by its size.
        reason: why the answer has ended.
    """

    def __init__(self, prompt: Prompt, question: str) -> None:
        self.usage = Usage(0, 0)
        self.reason = "deadline"
        self._prompt = prompt
        texts = [quote(question), *(source.text for source in prompt.sources)]
        self._filter = LinkFilter(frozenset().union(*map(find_links, texts)))

    def run(self) -> Iterator[bytes]:
        """Yield the events of the text."""
        try:
            with Answer(MODEL, self._make_request(), HEARTBEAT_SECONDS) as parts:
                for part in parts:
                    yield from self._take(part)
                    if current_deadline().remaining < RESERVE_SECONDS:
                        break
        except ModelUnavailable as error:
            logger.warning("The model gave no answer", reason=type(error).__name__)
            count(_FALLBACKS)
            self.reason = "fallback"
            state = "is busy" if isinstance(error, ModelThrottled) else "is not available"
            yield encode_event("fallback", {"reason": f"The model {state}. These sources are nearest to the question."})
        except AnswerBroken as error:
            raise ServiceUnavailable("The model failed within its answer") from error
        else:
            yield from _encode_text(self._filter.finish())

    def _take(self, part: str | End | None) -> Iterator[bytes]:
        match part:
            case None:
                yield HEARTBEAT
            case End():
                self.usage = part.usage
                self.reason = _REASONS.get(part.reason, "complete")
            case _:
                sent, received = self.usage
                self.usage = Usage(sent or self._prompt.most_tokens, received + len(part.encode()))
                yield from _encode_text(self._filter.feed(part))

    def _make_request(self) -> dict[str, Any]:
        request: dict[str, Any] = {
            "system": [{"text": SYSTEM}],
            "messages": [{"role": "user", "content": [{"text": self._prompt.message}]}],
            "inferenceConfig": {"maxTokens": MAX_TOKENS, "temperature": 0},
        }
        if _GUARDRAIL:
            request["guardrailConfig"] = {
                "guardrailIdentifier": _GUARDRAIL,
                "guardrailVersion": _GUARDRAIL_VERSION,
                "streamProcessingMode": "sync",
            }
        return request


def _settle(reservation: Reservation, usage: Usage) -> None:
    cost = _compute_cost(usage)
    count(_INPUT_TOKENS, usage.input_tokens)
    count(_OUTPUT_TOKENS, usage.output_tokens)
    count(_MICRODOLLARS, round(cost * 1_000_000))
    try:
        reservation.settle(sum(usage))
    except TableUnavailable:
        # What was reserved stays counted until tomorrow.
        logger.exception("The tokens of an answer could not be counted")


def _compute_cost(usage: Usage) -> Decimal:
    return (usage.input_tokens * _INPUT_PRICE + usage.output_tokens * _OUTPUT_PRICE) / 1_000_000


def _describe_usage(usage: Usage) -> dict[str, Any]:
    return {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "cost": _compute_cost(usage).normalize(),
        "currency": "USD",
    }


def _encode_sources(prompt: Prompt) -> bytes:
    sources = [
        {"id": source.entity.id, "name": source.entity.fields["name"], "score": Decimal(str(source.score))}
        for source in prompt.sources
    ]
    return encode_event("sources", {"sources": sources})


def _encode_text(text: str) -> Iterator[bytes]:
    if text:
        yield encode_event("text", {"text": text})

"""Requests and responses of Converse and ConverseStream.

Sources: "Converse" and "ConverseStream" in the Amazon Bedrock API Reference, and the service model in botocore.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from local_engine.bedrock.bedrock_errors import InvalidRequestError
from local_engine.bedrock.local_model import LocalModel, Message, Prompt

DEFAULT_LIMIT = 512
"""Tokens of an answer if the request sets no limit."""
_ROLES = ("user", "assistant")
_MOST_STOP_SEQUENCES = 2500


@dataclass(frozen=True)
class Conversation:
    """A valid request."""

    prompt: Prompt
    limit: int
    stop_sequences: Sequence[str]
    input_tokens: int


class Answer:
    """The assistant's message, computed while it is read."""

    def __init__(self, conversation: Conversation, model: LocalModel) -> None:
        self._conversation = conversation
        self._pieces = model.answer(conversation.prompt)
        self.stop_reason = "end_turn"
        self.output_tokens = 0

    def __iter__(self) -> Iterator[str]:
        """Return the pieces of the text. A text that may begin a stop sequence is held back."""
        held = ""
        for piece in self._pieces:
            if self.output_tokens == self._conversation.limit:
                self.stop_reason = "max_tokens"
                break
            self.output_tokens += 1
            held += piece
            before, found = _cut(held, self._conversation.stop_sequences)
            if found:
                self.stop_reason = "stop_sequence"
                held = before
                break
            ready = len(held) - _held_back(held, self._conversation.stop_sequences)
            if ready:
                yield held[:ready]
                held = held[ready:]
        if held:
            yield held

    @property
    def usage(self) -> dict[str, int]:
        """The tokens so far."""
        return {
            "inputTokens": self._conversation.input_tokens,
            "outputTokens": self.output_tokens,
            "totalTokens": self._conversation.input_tokens + self.output_tokens,
        }


def read_conversation(body: bytes, model: LocalModel) -> Conversation:
    """Read a request.

    Raises:
        InvalidRequestError: it is invalid.
    """
    try:
        request = json.loads(body or b"{}")
        return _read_request(request, model)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise InvalidRequestError("The request body does not have the form of the API.") from error


def _read_request(request: Mapping[str, Any], model: LocalModel) -> Conversation:
    messages = [_read_message(message, place) for place, message in enumerate(request.get("messages") or ())]
    _check_order(messages)
    choice = (request.get("toolConfig") or {}).get("toolChoice") or {}
    if "any" in choice or "tool" in choice:
        raise InvalidRequestError("The model on this machine does not call tools.")
    configuration = request.get("inferenceConfig") or {}
    for name in ("temperature", "topP"):
        value = configuration.get(name, 0)
        if not 0 <= value <= 1:
            bound = "greater than or equal to 0" if value < 0 else "less than or equal to 1"
            raise _invalid(value, f"inferenceConfig.{name}", f"Member must have value {bound}")
    limit = configuration.get("maxTokens", DEFAULT_LIMIT)
    if limit < 1:
        raise _invalid(limit, "inferenceConfig.maxTokens", "Member must have value greater than or equal to 1")
    stop_sequences = configuration.get("stopSequences") or ()
    if len(stop_sequences) > _MOST_STOP_SEQUENCES or not all(stop_sequences):
        rule = "Member must have length greater than or equal to 1"
        raise _invalid(stop_sequences, "inferenceConfig.stopSequences", rule)
    system = "\n\n".join(block["text"] for block in request.get("system") or () if "text" in block)
    prompt = Prompt(system, messages)
    return Conversation(prompt, limit, stop_sequences, count_prompt_tokens(prompt, model))


def _check_order(messages: Sequence[Message]) -> None:
    if not messages:
        raise _invalid(None, "messages", "Member must not be null")
    if messages[0].role != "user":
        raise InvalidRequestError(
            "A conversation must start with a user message. Try again with a conversation that starts with a user "
            "message."
        )
    if any(one.role == other.role for one, other in pairwise(messages)):
        raise InvalidRequestError(
            "A conversation must alternate between user and assistant roles. Make sure the conversation alternates "
            "between user and assistant roles and try again."
        )
    if messages[-1].role != "user":
        raise InvalidRequestError("The model on this machine does not continue an assistant message.")


def count_prompt_tokens(prompt: Prompt, model: LocalModel) -> int:
    """Return the number of tokens of a prompt."""
    texts = [prompt.system, *(text for message in prompt.messages for text in (message.text, *message.sources))]
    return sum(map(model.count_tokens, texts))


def _read_message(message: Mapping[str, Any], place: int) -> Message:
    role = message.get("role")
    if role not in _ROLES:
        rule = f"Member must satisfy enum value set: [{', '.join(_ROLES)}]"
        raise _invalid(role, f"messages.{place + 1}.member.role", rule)
    blocks = message.get("content") or ()
    if not blocks:
        raise InvalidRequestError(
            f"The content field in the Message object at messages.{place} is empty. Add a ContentBlock object to the "
            "content field and try again."
        )
    texts, sources = [], []
    for position, block in enumerate(blocks):
        if "text" in block:
            if not block["text"].strip():
                raise InvalidRequestError(
                    f"The text field in the ContentBlock object at messages.{place}.content.{position} is blank. "
                    "Add text to the text field, and try again."
                )
            texts.append(block["text"])
        elif "document" in block:
            sources.append(_read_document(block["document"]))
        elif "searchResult" in block:
            sources.append("\n".join(part["text"] for part in block["searchResult"].get("content", ())))
        elif "cachePoint" not in block:
            kind = next(iter(block), "empty")
            raise InvalidRequestError(
                f"The model on this machine does not read content of the type {kind}, which is at "
                f"messages.{place}.content.{position}."
            )
    return Message(str(role), "\n\n".join(texts), tuple(sources))


def _read_document(document: Mapping[str, Any]) -> str:
    source = document.get("source") or {}
    if "text" in source:
        return str(source["text"])
    if "content" in source:
        return "\n".join(part["text"] for part in source["content"])
    raise InvalidRequestError("The model on this machine reads documents only as text.")


def _cut(text: str, stop_sequences: Sequence[str]) -> tuple[str, bool]:
    """Return what is before the first stop sequence, and whether there is one."""
    places = [place for place in (text.find(sequence) for sequence in stop_sequences) if place >= 0]
    return (text[: min(places)], True) if places else (text, False)


def _held_back(text: str, stop_sequences: Sequence[str]) -> int:
    """Return how many characters at the end may be the beginning of a stop sequence."""
    longest = max(map(len, stop_sequences), default=1) - 1
    lengths = range(min(longest, len(text)), 0, -1)
    return next((length for length in lengths if any(s.startswith(text[-length:]) for s in stop_sequences)), 0)


def _invalid(value: Any, member: str, rule: str) -> InvalidRequestError:
    shown = "null" if value is None else f"'{value}'"
    return InvalidRequestError(
        f"1 validation error detected: Value {shown} at '{member}' failed to satisfy constraint: {rule}"
    )

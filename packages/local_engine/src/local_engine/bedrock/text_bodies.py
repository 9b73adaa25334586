"""Bodies of InvokeModel and InvokeModelWithResponseStream for text models: Amazon Nova's and Anthropic Claude's.

Both are read as the request of Converse that means the same.

Sources: "Complete request schema" (Amazon Nova User Guide), "Anthropic Claude Messages API" in "Inference request
parameters and response fields for foundation models" (Amazon Bedrock User Guide).
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from local_engine.bedrock.bedrock_errors import InvalidRequestError
from local_engine.bedrock.conversation import Answer, Conversation, read_conversation
from local_engine.bedrock.local_model import LocalModel


class TextBody(ABC):
    """How a family of models spells requests and answers."""

    def read(self, body: bytes, model: LocalModel) -> Conversation:
        """Read a request.

        Raises:
            InvalidRequestError: it is invalid.
        """
        try:
            request = self._translate(json.loads(body))
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise InvalidRequestError("Malformed input request, please reformat your input and try again.") from error
        return read_conversation(json.dumps(request).encode(), model)

    @abstractmethod
    def _translate(self, request: Mapping[str, Any]) -> dict[str, Any]: ...

    @abstractmethod
    def describe(self, text: str, answer: Answer) -> dict[str, Any]:
        """Return a whole answer."""

    @abstractmethod
    def begin(self, conversation: Conversation) -> Iterator[dict[str, Any]]:
        """Return the chunks before the text."""

    @abstractmethod
    def describe_piece(self, text: str) -> dict[str, Any]:
        """Return the chunk of a piece of the text."""

    @abstractmethod
    def finish(self, answer: Answer) -> Iterator[dict[str, Any]]:
        """Return the chunks after the text."""


class NovaBody(TextBody):
    """Amazon Nova's, which is that of Converse."""

    def _translate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {name: request[name] for name in ("messages", "system", "inferenceConfig") if name in request}

    def describe(self, text: str, answer: Answer) -> dict[str, Any]:
        """Return a whole answer."""
        message = {"role": "assistant", "content": [{"text": text}]}
        return {"output": {"message": message}, "stopReason": answer.stop_reason, "usage": answer.usage}

    def begin(self, conversation: Conversation) -> Iterator[dict[str, Any]]:  # noqa: ARG002
        """Return the chunks before the text."""
        yield {"messageStart": {"role": "assistant"}}

    def describe_piece(self, text: str) -> dict[str, Any]:
        """Return the chunk of a piece of the text."""
        return {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": 0}}

    def finish(self, answer: Answer) -> Iterator[dict[str, Any]]:
        """Return the chunks after the text."""
        yield {"contentBlockStop": {"contentBlockIndex": 0}}
        yield {"messageStop": {"stopReason": answer.stop_reason}}
        yield {"metadata": {"usage": answer.usage}}


class ClaudeBody(TextBody):
    """Anthropic Claude's."""

    def _translate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if "anthropic_version" not in request:
            raise LookupError
        names = {"max_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP"}
        configuration = {theirs: request[own] for own, theirs in names.items() if own in request}
        return {
            "messages": [
                {"role": message["role"], "content": _read_blocks(message["content"])}
                for message in request["messages"]
            ],
            "system": _read_blocks(request.get("system") or []),
            "inferenceConfig": {**configuration, "stopSequences": request.get("stop_sequences") or []},
        }

    def describe(self, text: str, answer: Answer) -> dict[str, Any]:
        """Return a whole answer."""
        return {
            **_describe_message([{"type": "text", "text": text}]),
            "stop_reason": answer.stop_reason,
            "usage": {"input_tokens": answer.usage["inputTokens"], "output_tokens": answer.usage["outputTokens"]},
        }

    def begin(self, conversation: Conversation) -> Iterator[dict[str, Any]]:
        """Return the chunks before the text."""
        usage = {"input_tokens": conversation.input_tokens, "output_tokens": 1}
        yield {"type": "message_start", "message": {**_describe_message([]), "stop_reason": None, "usage": usage}}
        yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}

    def describe_piece(self, text: str) -> dict[str, Any]:
        """Return the chunk of a piece of the text."""
        return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}

    def finish(self, answer: Answer) -> Iterator[dict[str, Any]]:
        """Return the chunks after the text."""
        yield {"type": "content_block_stop", "index": 0}
        delta = {"stop_reason": answer.stop_reason, "stop_sequence": None}
        yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": answer.output_tokens}}
        yield {"type": "message_stop"}


_BODIES: Mapping[str, TextBody] = {"amazon.nova": NovaBody(), "anthropic.claude": ClaudeBody()}


def find_text_body(model: str) -> TextBody:
    """Return the bodies of a text model, by its ID without a region.

    Raises:
        InvalidRequestError: this machine has none.
    """
    for prefix, body in _BODIES.items():
        if model.startswith(prefix):
            return body
    raise InvalidRequestError(
        "InvokeModel serves embedding models, Amazon Nova and Anthropic Claude on this machine. "
        "Use Converse for other text models."
    )


def _describe_message(content: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "id": "msg_bdrk_local",
        "type": "message",
        "role": "assistant",
        "model": "local",
        "content": content,
        "stop_sequence": None,
    }


def _read_blocks(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"text": content}]
    return [{"text": block["text"]} for block in content]

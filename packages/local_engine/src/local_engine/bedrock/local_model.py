"""The model behind Bedrock's runtime on this machine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

MODEL_NAMES = ("hashing", "small-embeddings", "small")


@dataclass(frozen=True)
class Message:
    """A message of a conversation."""

    role: str
    """`user` or `assistant`."""
    text: str
    sources: tuple[str, ...] = ()
    """Texts of documents and search results."""


@dataclass(frozen=True)
class Prompt:
    """A conversation that waits for the assistant's next message."""

    system: str
    messages: Sequence[Message]


class TextModel(Protocol):
    """A model that continues conversations."""

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text."""
        ...

    def answer(self, prompt: Prompt) -> Iterator[str]:
        """Return the assistant's next message in pieces of a token each, computed while they are read.

        Raises:
            BedrockError: the model cannot answer.
        """
        ...


class LocalModel(TextModel, Protocol):
    """A model that embeds texts, too."""

    def embed(self, text: str, dimensions: int) -> list[float]:
        """Return the embedding of a text."""
        ...


class ModelUnavailableError(Exception):
    """A model's packages are missing. The message is a sentence for the user."""


def load_model(name: str) -> LocalModel:
    """Return a model.

    Args:
        name: one of MODEL_NAMES.

    Raises:
        ModelUnavailableError: its packages are not installed.
    """
    # The packages of the others are optional.
    from local_engine.bedrock.hashing_model import HashingModel  # noqa: PLC0415

    if name == "hashing":
        return HashingModel()
    from local_engine.bedrock.small_model import SmallModel  # noqa: PLC0415

    if name == "small-embeddings":
        return SmallModel(HashingModel())
    from local_engine.bedrock.instruct_model import InstructModel  # noqa: PLC0415

    return SmallModel(InstructModel())

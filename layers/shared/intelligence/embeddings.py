"""Embeddings: vectors whose distance says how near the meanings of two texts are.

Source: «Amazon Titan Embeddings models», Amazon Bedrock User Guide.
"""

from collections.abc import Iterator
from typing import Any

from intelligence.bedrock import ModelError, invoke_model
from serverless_api import Entity

DIMENSIONS = 256
"""Of every vector; the table's vector indexes have as many (template.yaml)."""

MAX_CHARACTERS = 8000
"""How much of a text is embedded: at most 8,192 tokens are, and in some scripts a character is a token."""


def embed(text: str, model: str) -> list[float]:
    """Return the embedding of a text: `DIMENSIONS` numbers, as a vector of length 1.

    Args:
        text: the text; what exceeds `MAX_CHARACTERS` is left out.
        model: the ID of the embedding model, which takes the requests of Titan Text Embeddings V2.

    Raises:
        ModelThrottled, ModelUnavailable, ModelError: see `invoke_model`.
    """
    body = {"inputText": text[:MAX_CHARACTERS], "dimensions": DIMENSIONS, "normalize": True}
    vector = invoke_model(model, body).get("embedding")
    if not isinstance(vector, list) or len(vector) != DIMENSIONS:
        raise ModelError("UnexpectedAnswer", f"{model} returned no vector of {DIMENSIONS} numbers")
    return [float(number) for number in vector]


def describe(entity: Entity) -> str:
    """Return the text of an item that is embedded: its fields, in the order of the model, with all that they hold."""
    return "\n".join(line for value in entity.fields.values() for line in _list_texts(value))[:MAX_CHARACTERS]


def _list_texts(value: Any, name: str = "") -> Iterator[str]:
    """Yield the texts of a value, each with the name that leads to it."""
    match value:
        case dict():
            for key, member in value.items():
                yield from _list_texts(member, f"{name} {key}".strip())
        case list():
            for member in value:
                yield from _list_texts(member, name)
        case None | "":
            pass
        case _:
            yield f"{name}: {value}" if name else str(value)

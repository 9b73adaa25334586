"""Bodies of InvokeModel for embedding models.

Sources: "Amazon Titan Embeddings models" and "Cohere Embed models" in "Inference request parameters and response fields
for foundation models", Amazon Bedrock User Guide.
"""

import json
import math
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from local_engine.bedrock.bedrock_errors import InvalidRequestError
from local_engine.bedrock.local_model import LocalModel
from local_engine.bedrock.model_catalog import TITAN_TEXT_V1, TITAN_TEXT_V2

LARGEST_TOKENS = 8192
LARGEST_CHARACTERS = 50_000
_TITAN_V1_DIMENSIONS = 1536
_COHERE_DIMENSIONS = 1024
_MOST_TEXTS = 96
_TITAN_KEYS = {
    TITAN_TEXT_V1: ("inputText",),
    TITAN_TEXT_V2: ("inputText", "dimensions", "normalize", "embeddingTypes"),
}
_COHERE_INPUT_TYPES = ("search_document", "search_query", "classification", "clustering", "image")


class EmbeddingAnswer(NamedTuple):
    """A response of InvokeModel."""

    body: dict[str, Any]
    input_tokens: int


def invoke_embedding_model(family: str, body: bytes, model: LocalModel) -> EmbeddingAnswer:
    """Answer InvokeModel.

    Args:
        family: the embedding model's family in the catalog.
        body: the request's body.
        model: computes the embeddings.

    Raises:
        BedrockError: the request is invalid.
    """
    try:
        request = json.loads(body)
    except ValueError as error:
        raise _malformed("unable to parse the body as JSON") from error
    if not isinstance(request, dict):
        raise _malformed("#: expected type: JSONObject")
    return (_invoke_titan if family in _TITAN_KEYS else _invoke_cohere)(family, request, model)


def _invoke_titan(family: str, request: dict[str, Any], model: LocalModel) -> EmbeddingAnswer:
    for key in request:
        if key not in _TITAN_KEYS[family]:
            raise _malformed(f"#: extraneous key [{key}] is not permitted")
    if "inputText" not in request:
        raise _malformed("#: required key [inputText] not found")
    text, tokens = _read_text(request["inputText"], "#/inputText", model)
    if family == TITAN_TEXT_V1:
        embedding = _normalize(model.embed(text, _TITAN_V1_DIMENSIONS))
        return EmbeddingAnswer({"embedding": embedding, "inputTextTokenCount": tokens}, tokens)
    dimensions = request.get("dimensions", 1024)
    if dimensions not in (256, 512, 1024) or isinstance(dimensions, bool):
        raise _malformed(f"#/dimensions: {json.dumps(dimensions)} is not a valid enum value")
    normalize = request.get("normalize", True)
    if not isinstance(normalize, bool):
        raise _malformed("#/normalize: expected type: Boolean")
    types = request.get("embeddingTypes", ["float"])
    if not isinstance(types, list) or not types or not all(kind in ("float", "binary") for kind in types):
        raise _malformed(f"#/embeddingTypes: {json.dumps(types)} is not a valid enum value")
    embedding = model.embed(text, dimensions)
    if normalize:
        embedding = _normalize(embedding)
    forms = {"float": embedding, "binary": [int(value > 0) for value in embedding]}
    body = {
        "embedding": embedding,
        "embeddingsByType": {kind: forms[kind] for kind in types},
        "inputTextTokenCount": tokens,
    }
    return EmbeddingAnswer(body, tokens)


def _invoke_cohere(_: str, request: dict[str, Any], model: LocalModel) -> EmbeddingAnswer:
    texts = request.get("texts")
    if not isinstance(texts, list) or not 1 <= len(texts) <= _MOST_TEXTS:
        raise _malformed(f"#/texts: expected 1 to {_MOST_TEXTS} items")
    if request.get("input_type") not in _COHERE_INPUT_TYPES:
        raise _malformed(f"#/input_type: {json.dumps(request.get('input_type'))} is not a valid enum value")
    types = request.get("embedding_types")
    if types is not None and types != ["float"]:
        raise _malformed("#/embedding_types: the local model embeds as float only")
    read = [_read_text(text, f"#/texts/{place}", model) for place, text in enumerate(texts)]
    embeddings = [_normalize(model.embed(text, _COHERE_DIMENSIONS)) for text, _ in read]
    body = {
        "id": str(uuid.uuid4()),
        "texts": texts,
        "embeddings": embeddings if types is None else {"float": embeddings},
        "response_type": "embeddings_floats" if types is None else "embeddings_by_type",
    }
    return EmbeddingAnswer(body, sum(tokens for _, tokens in read))


def _read_text(text: Any, place: str, model: LocalModel) -> tuple[str, int]:
    """Return a text and the number of its tokens."""
    if not isinstance(text, str):
        raise _malformed(f"{place}: expected type: String")
    if not text:
        raise _malformed(f"{place}: expected minLength: 1, actual: 0")
    if len(text) > LARGEST_CHARACTERS:
        raise _malformed(f"{place}: expected maxLength: {LARGEST_CHARACTERS}, actual: {len(text)}")
    tokens = model.count_tokens(text)
    if tokens > LARGEST_TOKENS:
        raise InvalidRequestError(
            f"400 Bad Request: Too many input tokens. Max input tokens: {LARGEST_TOKENS}, "
            f"request input token count: {tokens} "
        )
    return text, tokens


def _normalize(vector: Sequence[float]) -> list[float]:
    length = math.hypot(*vector)
    return [value / length for value in vector] if length else list(vector)


def _malformed(reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"Malformed input request: {reason}, please reformat your input and try again.")

"""Which model IDs mean an embedding model or a text model.

Sources: "Supported foundation models in Amazon Bedrock" and "Supported Regions and models for inference profiles" in
the Amazon Bedrock User Guide.
"""

import re

from local_engine.bedrock.bedrock_errors import BedrockError, InvalidRequestError

TITAN_TEXT_V2 = "amazon.titan-embed-text-v2"
TITAN_TEXT_V1 = "amazon.titan-embed-text-v1"
COHERE_EMBED = "cohere.embed"
_EMBEDDING_MODELS = (TITAN_TEXT_V2, TITAN_TEXT_V1, COHERE_EMBED)
_TEXT_MODELS = (
    "ai21.jamba",
    "amazon.nova",
    "amazon.titan-text",
    "anthropic.claude",
    "cohere.command",
    "deepseek.",
    "google.gemma",
    "meta.llama",
    "minimax.",
    "mistral.",
    "moonshot.",
    "nvidia.",
    "openai.gpt-oss",
    "qwen.",
    "writer.palmyra",
    "zai.",
)
_ARN = re.compile(
    r"arn:aws[\w-]*:bedrock:[a-z0-9-]+:(?:[0-9]{12})?:(?:foundation-model|(?:application-)?inference-profile)/(?P<id>.+)"
)
_ID = re.compile(
    r"(?:(?:us|eu|apac|au|ca|jp|us-gov|global)\.)?(?P<model>[a-z0-9-]{1,63}\.[a-z0-9.-]{1,63}(?::[a-z0-9:]{1,20})?)"
)


def find_text_model(model_id: str) -> str | None:
    """Return the ID of a text model without a region, or None for an embedding model.

    Raises:
        BedrockError: no such model can be invoked.
    """
    model = _read_id(model_id)
    return model if model.startswith(_TEXT_MODELS) else None


def find_embedding_model(model_id: str) -> str:
    """Return the family of an embedding model: TITAN_TEXT_V2, TITAN_TEXT_V1 or COHERE_EMBED.

    Raises:
        BedrockError: no such model can be invoked.
    """
    model = _read_id(model_id)
    return next(family for family in _EMBEDDING_MODELS if model.startswith(family))


def _read_id(model_id: str) -> str:
    arn = _ARN.fullmatch(model_id)
    found = _ID.fullmatch(arn["id"] if arn else model_id)
    if found is None:
        raise InvalidRequestError("The provided model identifier is invalid.")
    model = found["model"]
    if not model.startswith((*_EMBEDDING_MODELS, *_TEXT_MODELS)):
        raise BedrockError("AccessDeniedException", "You don't have access to the model with the specified model ID.")
    return model

"""Texts and vectors of resources, as the stack makes them."""

import math
import os
from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

from local_engine.bedrock.local_model import load_model

_SETTINGS = {
    "TABLE_NAME": "table",
    "AWS_REGION": "us-east-1",
    "POWERTOOLS_SERVICE_NAME": "search",
    "POWERTOOLS_METRICS_NAMESPACE": "search",
}
# The layer's modules read them at import. Programs that this process starts must not inherit them: `sam local` passes
# the variables of its environment to functions. Nothing in this process calls AWS.
with patch.dict(os.environ, {**_SETTINGS, **os.environ}):
    from intelligence.embeddings import DIMENSIONS, describe
    from resources import resources
    from serverless_api import Entity, dump_json


def describe_resources(given: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the texts of resources that the stack embeds, by their keys."""
    nothing = {"sk": resources.prefix, "version": ""}
    return {
        key: describe(Entity(resources, {**nothing, **resource, "metadata": dump_json(resource["metadata"])}))
        for key, resource in given.items()
    }


def make_embedder(model_name: str) -> Callable[[str], list[float]]:
    """Return what embeds a text with a model of the local engine, as a vector of length 1."""
    model = load_model(model_name)

    def embed(text: str) -> list[float]:
        vector = model.embed(text, DIMENSIONS)
        length = math.hypot(*vector)
        return [number / length for number in vector]

    return embed

"""Texts and vectors of resources, as the stack makes them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from intelligence.embeddings import DIMENSIONS, describe
from local_engine.bedrock.local_model import load_model
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

"""Search by meaning: the caller's items of one collection that are nearest to a text."""

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from intelligence.bedrock import ModelUnavailable
from intelligence.embeddings import embed
from intelligence.vectors import find_id
from serverless_api import (
    BadRequest,
    Caller,
    Collection,
    Entity,
    NotFound,
    Problem,
    Request,
    ServiceUnavailable,
    logger,
)
from serverless_api.http.validation import find_problems, load_model
from serverless_api.storage import table

# Empty in a deployment without search.
_INDEX = os.environ.get("VECTOR_INDEX", "")
_MODEL = os.environ.get("EMBEDDING_MODEL", "")

MAX_TEXT_CHARACTERS = 1000
"""How long a text to look for may be, without the white space around it."""
# What arrives in a query in place of bytes that are not UTF-8.
_UNDECODABLE = "\ufffd"
# As in the API's document (models/openapi/parameters.json).
_VISIBLE = re.compile(r"[^\s\x00-\x1f\x7f-\xa0\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


class Match(NamedTuple):
    """An item that a search has found, and how near it is: 1 is the same meaning, 0 is none in common."""

    entity: Entity
    score: float


class Query(NamedTuple):
    """What a request looks for: a text, and the values that fields must have."""

    text: str
    filters: Mapping[str, str]


def read_query(collection: Collection, request: Request) -> Query:
    """Return the query in a request's parameters: `q`, and the collection's `filters`.

    Raises:
        NotFound: this deployment has no search.
        BadRequest: a parameter is missing or not valid.
    """
    _check_deployment()
    text = (request.read_query_parameter("q") or "").strip()
    problems = find_text_problems(text, "q")
    filters = {name: value for name in collection.filters if (value := request.read_query_parameter(name)) is not None}
    schemas = load_model(collection.model)["properties"]
    for name, value in filters.items():
        problems += find_problems(value, schemas[name], name)
    if problems:
        raise BadRequest("The request is not valid", problems)
    return Query(text, filters)


def find_text_problems(text: str, field: str) -> list[Problem]:
    """Return what is wrong with a text to look for, without the white space around it; empty if nothing is.

    >>> find_text_problems("\u200b", "q")
    [Problem(field='q', problem='must be a text of 1 to 1,000 characters')]
    """
    if _UNDECODABLE in text:
        return [Problem(field, "is not UTF-8 text")]
    if not _VISIBLE.search(text) or len(text) > MAX_TEXT_CHARACTERS:
        return [Problem(field, f"must be a text of 1 to {MAX_TEXT_CHARACTERS:,} characters")]
    return []


def find_items(
    collection: Collection, caller: Caller, text: str, *, limit: int, filters: Mapping[str, str] | None = None
) -> list[Match]:
    """Return the caller's items that are nearest to a text, best first.

    Embeds the text, searches the vector index once, and reads what it found with a batch read for each 25 items. An
    item that was changed after it was embedded is returned as it is; one that was deleted is left out.

    Args:
        collection: the items to search, such as `resources`.
        caller: the owner. Nobody else's items are ever returned.
        text: what to look for.
        limit: the most items, up to 100.
        filters: fields of the collection's `filters`, each with the value that an item must have.

    Raises:
        NotFound: this deployment has no search.
        ServiceUnavailable: the model is throttled or down.
        TableUnavailable: the table or its index is not available.
    """
    _check_deployment()
    try:
        vector = embed(text, _MODEL)
    except ModelUnavailable as error:
        raise ServiceUnavailable from error
    filters = filters or {}
    # The owner is always the caller: an index has no other protection of one owner's vectors from others.
    conditions = {"pk": caller.partition, "noun": collection.noun, **filters}
    found = table.search_vectors(_INDEX, vector, limit, conditions)
    scores = {find_id(item["sk"], collection): score for item, score in found if item["pk"] == caller.partition}
    if len(scores) < len(found):
        logger.error("A search has found vectors of others", foreign=len(found) - len(scores))
    entities = collection.get_many(caller, list(scores))
    return [
        # The cosine distance is 0 for the same direction, 1 for an unrelated one, and up to 2 for the opposite.
        Match(entity, round(min(max(1 - scores[entity.id], 0.0), 1.0), 4))
        for entity in entities
        if all(entity.fields.get(name) == value for name, value in filters.items())
    ]


def _check_deployment() -> None:
    if not _INDEX:
        raise NotFound("Search is not part of this deployment")

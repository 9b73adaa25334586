"""The texts that an item holds, within a bound that does not depend on the item."""

from collections.abc import Iterator
from typing import Any

LONGEST_NAME = 200
"""How many characters of the names that lead to a text are kept."""


def list_texts(value: Any, most: int, name: str = "") -> Iterator[str]:
    """Yield the texts and numbers of a value in its order, each after the names that lead to it.

    >>> list(list_texts({"size": {"m": 12}, "tags": ["a", "b"]}, 1_000))
    ['size m: 12', 'tags: a', 'tags: b']

    Args:
        value: JSON.
        most: after how many characters to stop; each text has at most as many.
        name: the name of the value, if it has one.
    """
    left = most
    for text in _walk(value, most, name):
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return


def _walk(value: Any, most: int, name: str) -> Iterator[str]:
    match value:
        case dict():
            for key, member in value.items():
                yield from _walk(member, most, f"{name} {key[:LONGEST_NAME]}".strip()[:LONGEST_NAME])
        case list():
            for member in value:
                yield from _walk(member, most, name)
        case None | "":
            pass
        case str():
            yield f"{name}: {value[:most]}" if name else value[:most]
        case _:
            yield f"{name}: {value}" if name else str(value)

"""The texts of an item: what they cost is bounded, whatever the item holds."""

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.gateway import import_functions

MEBIBYTE = 2**20


class Item:
    """As much of an item as a description needs."""

    def __init__(self, **fields: Any) -> None:
        self.id = "1"
        self.fields = fields


@pytest.fixture(scope="module")
def describe() -> Iterator[Callable[[Item], tuple[str, str]]]:
    """Returns what is embedded of an item, and its prompt."""
    with import_functions():
        from intelligence.embeddings import describe
        from intelligence.prompt import make_prompt
        from intelligence.search import Match

        def describe_both(item: Any) -> tuple[str, str]:
            return describe(item), make_prompt("Which?", [Match(item, 0.5)]).message

        yield describe_both


@pytest.mark.parametrize(
    "metadata",
    [{"k" * 150_000: [1] * 100_000}, {"k": ["x" * 350_000] * 1_000}, {"a" * 3_000: {"b" * 3_000: [1] * 100_000}}],
    ids=["a long name over a long list", "long texts", "long names"],
)
def test_what_a_description_takes_does_not_depend_on_the_item(
    describe: Callable[[Item], tuple[str, str]], metadata: Any
) -> None:
    item = Item(name="Blue boat", type="A", metadata=metadata)
    tracemalloc.start()
    try:
        embedded, prompt = describe(item)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEBIBYTE
    assert embedded.startswith("Blue boat\nA\n")
    assert "name: Blue boat; type: A; " in prompt
    assert len(embedded) == 8_000
    assert len(prompt.encode()) < 2_100

"""The prompt, and the filter of what a model writes."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.gateway import import_functions


@pytest.fixture(scope="module")
def house() -> Iterator[Any]:
    with import_functions():
        import intelligence.output
        import intelligence.prompt

        yield intelligence


class Item:
    """As much of an item as a prompt needs."""

    def __init__(self, **fields: Any) -> None:
        self.id = "1"
        self.fields = fields


def make(house: Any, *items: Item, question: str = "Which?") -> Any:
    from intelligence.search import Match

    return house.prompt.make_prompt(question, [Match(item, 0.5) for item in items])


def test_a_prompt_has_a_line_for_each_item_and_the_question_last(house: Any) -> None:
    items = [Item(name="Blue boat", metadata={"size": {"m": 12}, "tags": ["a", "b"], "none": None}), Item(name="Bike")]
    assert make(house, *items).message.splitlines() == [
        '<source id="1">name: Blue boat; metadata size m: 12; metadata tags: a; metadata tags: b</source>',
        '<source id="2">name: Bike</source>',
        "",
        "<question>Which?</question>",
    ]


@given(st.text(max_size=300), st.text(max_size=100))
def test_no_text_changes_the_form_of_a_prompt(house: Any, text: str, question: str) -> None:
    prompt = make(house, Item(name=text, **{"<b>": text}), Item(name="x"), question=question)
    first, second, blank, last = prompt.message.split("\n")
    assert first.startswith('<source id="1">')
    assert first.count("<") == first.count(">") == 2
    assert "[" not in prompt.message
    assert (second, blank) == ('<source id="2">name: x</source>', "")
    assert last.startswith("<question>")
    assert prompt.message.splitlines() == [first, second, blank, last]


def test_items_beyond_the_budget_are_left_out(house: Any) -> None:
    from intelligence.prompt import SOURCE_BYTES, SOURCES_BYTES

    prompt = make(house, *(Item(name="ü" * 5_000) for _ in range(20)))
    assert len(prompt.sources) == SOURCES_BYTES // SOURCE_BYTES
    assert all(len(source.text.encode()) <= SOURCE_BYTES for source in prompt.sources)
    assert prompt.most_tokens < SOURCES_BYTES + 2_000


LINKS = [
    "https://evil.example/?q=secret",
    "http://evil.example",
    "HTTPS://EVIL.EXAMPLE/x",
    "//evil.example/x",
    "www.evil.example",
    "evil.example/x",
    "evil.example:8080/x",
    "evil.example?q=secret",
    "mailto:eve@evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "ftp://evil.example/x",
    "![x](https://evil.example/x.png)",
    "[x](evil.example/x)",
    "<https://evil.example/x>",
    "(https://evil.example/x)",
    "https://boats.example/kiel/secret",
]
STORED = "https://boats.example/kiel"


def pass_on(house: Any, pieces: list[str], allowed: frozenset[str]) -> str:
    link_filter = house.output.LinkFilter(allowed)
    return "".join([*map(link_filter.feed, pieces), link_filter.finish()])


@pytest.mark.parametrize("link", LINKS)
def test_a_link_that_is_not_stored_does_not_arrive_however_it_is_divided(house: Any, link: str) -> None:
    text = f"See {link}, and {STORED}."
    for size in (1, 2, 3, 5, 100):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        passed = pass_on(house, pieces, frozenset({STORED}))
        assert "evil" not in passed.lower()
        assert "secret" not in passed
        assert "](" not in passed
        assert "(link removed)" in passed
        assert passed.endswith(f"and {STORED}.")


@pytest.mark.parametrize(
    "text", ["name: boat; type: A. [1]", "3.5 m, e.g. blue", "and/or", "Ratio 1:2", "元気ですか。", "metadata: data: 5"]
)
def test_ordinary_text_arrives_as_it_is(house: Any, text: str) -> None:
    assert pass_on(house, list(text), frozenset()) == text


@given(st.text(alphabet="ab. /:[](w\u200b元", max_size=60), st.data())
def test_what_arrives_does_not_depend_on_the_pieces(house: Any, text: str, data: Any) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert pass_on(house, pieces, frozenset()) == pass_on(house, [text], frozenset())


def test_a_word_without_end_is_not_held_back_for_ever(house: Any) -> None:
    from intelligence.output import LONGEST_WORD

    link_filter = house.output.LinkFilter(frozenset())
    assert link_filter.feed("x" * (LONGEST_WORD + 1)) == "x" * (LONGEST_WORD + 1)

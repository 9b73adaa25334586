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
    "https://boats.example/kiel\u3002secret",
    "https://boats.example/kiel\uff0dsecret",
    "https://boats.example/kiel\ufe0fsecret",
    "https://boats.example/kiel?!secret",
    "https://boats.example/kiel\u00a0.evil.example",
    "https://\u4f8b\u3048.example/secret",
    "\u898bhttps://evil.example/",
    "evil\u3002example/x",
    "evil\uff0eexample",
    "evil.\u4e2d\u56fd/secret",
    "\u044d\u0432\u0438\u043b.\u0440\u0444/evil",
    "evi\u0301l\u0301.example",
    "ev\u200dil\u200d.\u200dexample",
    "\u092d\u093e\u0930\u0924\u093e.\u092d\u093e\u0930\u0924/secret",
    "evil.example",
    "..evil.example",
    "eve@evil.example",
    "https:evil",
    "https:\\\\evil",
    "-tel:evil",
    "192.0.2.1/secret",
    "<img src='https://evil.example/x.png'>",
    "<img/src=\\\\evil>",
]
# «I want», with a joiner.
PERSIAN = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
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
        assert not {"<", ">"} & set(passed)
        assert "(link removed)" in passed
        assert passed.endswith(f"and {STORED}.")


@pytest.mark.parametrize(
    "text",
    [
        "name: boat; type: A. [1]",
        "3.5 m, e.g. blue",
        "and/or",
        "Ratio 1:2",
        "元気ですか。",
        "元気です。船はキールに[1]。",
        "1.船",
        "metadata: data: 5",
        "AT&T & 3",
        PERSIAN,
        "a // b",
        "12.5.2026",
        "v1.2.3",
    ],
)
def test_ordinary_text_arrives_as_it_is(house: Any, text: str) -> None:
    assert pass_on(house, list(text), frozenset()) == text


@given(st.text(alphabet="ab1. /:[](w@<&;#\u200b\u200d\u0301元\u3002\u3000-", max_size=60), st.data())
def test_what_arrives_does_not_depend_on_the_pieces(house: Any, text: str, data: Any) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert pass_on(house, pieces, frozenset()) == pass_on(house, [text], frozenset())


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        (f"({STORED}).", f"({STORED})"),
        (f"{STORED}?!?!!?", f"{STORED}?"),
        (f"見{STORED}。", f"見{STORED}。"),
        (f"<{STORED}>", f"\u2039{STORED}\u203a"),
        ("eve@boats.example,", "eve@boats.example,"),
        ("evil.example?!?!!?", "(link removed)?"),
    ],
)
def test_one_mark_behind_a_link_stays(house: Any, text: str, passed: str) -> None:
    assert pass_on(house, list(text), frozenset({STORED, "eve@boats.example"})) == passed


@pytest.mark.parametrize("written", ["&#104;ttps", "&lt;img", "&sol;x", "&#x2f;x"])
def test_a_character_reference_loses_its_form(house: Any, written: str) -> None:
    assert pass_on(house, list(written), frozenset()) == f"& {written[1:]}"


def test_what_is_stored_is_searched_for_links_in_time_that_grows_with_its_size(house: Any) -> None:
    # Time that grows with the square of the size would be hours.
    for part in ("a-", "a.", "a", "a:", "a@", "/", "1.", "a\u200d", "&", "]", "\u3002", "a.b"):
        house.output.find_links(part * 200_000)


def test_characters_that_nobody_sees_are_left_out(house: Any) -> None:
    hidden = (
        "\u00ad\u034f\u061c\u115f\u17b4\u180b\u200b\u202e\u2060\u3164\ufe0f\ufeff\uffa0\U000e0041\U000e0100\U0001d173"
    )
    assert house.prompt.quote(f"a{hidden}b") == "ab"
    assert pass_on(house, [f"a{hidden}b"], frozenset()) == "ab"
    assert house.prompt.quote("a\u2800\u3000b") == "a b"
    assert pass_on(house, ["a\u2800\u3000b"], frozenset()) == "a  b"
    # Persian needs joiners, one at a time. Several spell a hidden text.
    assert house.prompt.quote(PERSIAN + "\u200c\u200d" * 9) == PERSIAN


def test_a_word_that_is_cut_is_not_a_link_together_with_what_follows(house: Any) -> None:
    from intelligence.output import LONGEST_WORD

    pieces = ["x" * LONGEST_WORD + "|https:/", "/evil"]
    assert "https://evil" not in pass_on(house, pieces, frozenset())


def test_a_word_without_end_is_not_held_back_for_ever(house: Any) -> None:
    from intelligence.output import LONGEST_WORD

    link_filter = house.output.LinkFilter(frozenset())
    assert link_filter.feed("x" * (LONGEST_WORD + 1)) == "x" * (LONGEST_WORD + 1)

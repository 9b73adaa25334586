"""`pattern` in linear time: the same verdicts as `re`, and no value that makes it slow."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_api.http.patterns import Pattern, PatternError

pieces = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "[a-c1]", r"\d", r"\w", r"\S", r"[\W\d]", "^", "$", "é", ""])
repeats = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?", "+?"])
sources = st.recursive(
    pieces,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda parts: f"(?:{parts[0]}|{parts[1]})"),
        st.tuples(inner, repeats).map(lambda parts: f"({parts[0]}){parts[1]}"),
    ),
    max_leaves=8,
)


@given(sources, st.text("abc1 é😀", max_size=8))
def test_what_matches_is_what_re_matches(source, text):
    assert Pattern(source).matches(text) == (re.search(source, text, re.ASCII) is not None)


@pytest.mark.parametrize(
    "source",
    [
        r"(a+)+$",
        r"^(a|a)*$",
        r"(a|aa)+$",
        r"^(a?){30}a{30}$",
        r"\s*a*a*a*a*b$",
        r"^(([a-z])+.)+[A-Z]([a-z])+$",
        "a*a*c",
    ],
)
def test_no_value_makes_a_pattern_slow(source):
    # Backtracking would take longer than the age of the universe for most of these.
    assert not Pattern(source).matches("a" * 20_000 + "!")


@pytest.mark.parametrize("text", ["".join(map(chr, range(0x100, 0x3100))), "ab" * 20_000])
def test_the_memory_for_states_is_bounded(text):
    pattern = Pattern("(a|b)*a(a|b){10}$")
    assert not pattern.matches(text + "!")
    assert sum(len(state.steps) for state in pattern._states.values()) <= 10_000


@pytest.mark.parametrize(
    ("source", "text", "matches"),
    [
        ("^a$", "a\n", False),
        (r"^\d$", "\u0661", False),
        (r"^\w$", "é", False),
        (r"^\s$", "\u00a0", True),
        ("^.$", "\u2028", False),
        ("^[a-z0-9]+(-[a-z0-9]+)*$", "a-slug-7", True),
        (r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$", "me@example.com", True),
        ("", "", True),
        ("$^", "", True),
        ("$^", "x", False),
    ],
)
def test_the_dialect_is_that_of_json_schema(source, text, matches):
    assert Pattern(source).matches(text) is matches


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("(", "not a regular expression"),
        (r"(a)\1", "groupref"),
        ("(?=a)b", "assert"),
        ("(?<!a)b", "assert_not"),
        (r"\bword", "at"),
        ("(?i)a", "flags"),
        ("(?i:a)", "subpattern"),
        ("((a{100}){100}){100}", "too large"),
    ],
)
def test_what_takes_longer_is_refused(source, reason):
    with pytest.raises(PatternError, match=reason):
        Pattern(source)

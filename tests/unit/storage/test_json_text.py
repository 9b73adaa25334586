import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_api.storage.json_text import MAX_DEPTH, InvalidJSON, JSONText, dump_json, parse_json

texts = st.text(st.characters(codec="utf-8"))
numbers = st.integers() | st.decimals(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
# Spellings of numbers (RFC 8259, section 6).
written_numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)


def with_exact_numbers(value):
    """The value with each number as sign, digits and exponent, because 1.0 == 1.00 == True."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, int | Decimal):
        return Decimal(value).as_tuple()
    if isinstance(value, list):
        return [with_exact_numbers(each) for each in value]
    if isinstance(value, dict):
        return {name: with_exact_numbers(each) for name, each in value.items()}
    return value


@given(values)
def test_what_is_written_is_read_back_exactly(value):
    assert with_exact_numbers(parse_json(dump_json(value))) == with_exact_numbers(value)


@given(values)
def test_what_is_written_is_json_to_anyone(value):
    plain = json.loads(dump_json(value), parse_float=Decimal)
    assert with_exact_numbers(plain) == with_exact_numbers(value)
    dump_json(value).encode()


@given(written_numbers)
def test_a_number_keeps_its_value_and_its_digits(text):
    parsed = parse_json(text)
    # A whole number has no negative zero; otherwise every digit stays.
    expected = Decimal(text) if any(sign in text for sign in ".eE") else Decimal(int(text))
    assert with_exact_numbers(parsed) == expected.as_tuple()
    again = parse_json(dump_json(parsed))
    # Only the sign of zero means nothing.
    assert again == 0 if expected == 0 else with_exact_numbers(again) == expected.as_tuple()


@given(values)
def test_a_written_document_is_carried_as_it_is(value):
    document = JSONText(json.dumps(1.5))
    assert dump_json({"a": document, "b": value}) == '{"a":1.5,"b":' + dump_json(value) + "}"


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_whatever_is_read_either_is_json_or_is_refused(text):
    with contextlib.suppress(InvalidJSON):
        value = parse_json(text)
        assert parse_json(dump_json(value)) == value


@pytest.mark.parametrize("open_", ["[", '{"a":'])
def test_depth_is_bounded(open_):
    def nest(depth):
        return open_ * depth + "1" + {"[": "]", "{": "}"}[open_[0]] * depth

    parse_json(nest(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 200_000):
        with pytest.raises(InvalidJSON, match=f"deeper than {MAX_DEPTH}"):
            parse_json(nest(depth))


@pytest.mark.parametrize("value", [1.5, {1, 2}, b"bytes", object()])
def test_what_is_no_json_value_is_not_written(value):
    with pytest.raises(TypeError, match=type(value).__name__):
        dump_json({"a": [value]})

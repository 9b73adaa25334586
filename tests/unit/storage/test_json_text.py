import contextlib
import json
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_api.storage.json_text import (
    MAX_DEPTH,
    MAX_DIGITS,
    InvalidJSON,
    JSONText,
    dump_json,
    merge_patch,
    parse_json,
)

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
def test_a_number_comes_back_as_it_was_written(text):
    parsed = parse_json(text)
    assert with_exact_numbers(parsed) == Decimal(text).as_tuple()
    assert dump_json(parsed) == text


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


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("\ufeff{}", "starts with U+FEFF (a BOM), which JSON does not allow"),
        ("[", "is not JSON: a value is missing, because the text ends (line 1, column 2)"),
        ('{"a":\n  tru}', "is not JSON: a value is missing (line 2, column 3)"),
        ("{", "is not JSON: a name in double quotes is missing, because the text ends (line 1, column 2)"),
        ("{'a': 1}", "is not JSON: a name in double quotes is missing (line 1, column 2)"),
        ('{"a" 1}', "is not JSON: a colon is missing (line 1, column 6)"),
        ("[1 2]", "is not JSON: a comma or a closing bracket is missing (line 1, column 4)"),
        ("[1,]", "is not JSON: a comma is followed by no value (line 1, column 3)"),
        ('{"a":1,}', "is not JSON: a comma is followed by no value (line 1, column 7)"),
        ('["a', "is not JSON: a string does not end (line 1, column 2)"),
        ('"a\tb"', "is not JSON: a control character in a string is not escaped (line 1, column 3)"),
        ('"\\q"', "is not JSON: an escape in a string is not valid (line 1, column 2)"),
        ('"\\u12"', "is not JSON: an escape in a string is not valid (line 1, column 3)"),
        ("1 2", "is not JSON: more follows after the value (line 1, column 3)"),
        ("NaN", "contains NaN, which is not a JSON value"),
        ("9" * 4301, "contains a number that is too long"),
        ("1E1000000000", "contains a number that is too long"),
        ("-1e-1000000000", "contains a number that is too long"),
        ("0e1000000000", "contains a number that is too long"),
        ("1e99999999999999999999", "contains a number that is too long"),
        ("0." + "1" * MAX_DIGITS, "contains a number that is too long"),
        ('"\\ud83d"', "contains invalid Unicode (half of a surrogate pair)"),
        ('{"\\uDC00": 1}', "contains invalid Unicode (half of a surrogate pair)"),
        ('"\ud83d"', "contains invalid Unicode (half of a surrogate pair)"),
    ],
)
def test_an_error_says_in_our_words_what_is_wrong_and_where(text, problem):
    with pytest.raises(InvalidJSON) as caught:
        parse_json(text)
    assert str(caught.value) == problem


@given(st.text('{}[]",:\\ 1-.eEtrufalsn\n\t\ufeff', max_size=12))
def test_no_error_quotes_python(text):
    problem = ""
    try:
        parse_json(text)
    except InvalidJSON as error:
        problem = str(error)
    assert not re.search("Expecting|Illegal|Extra|Unterminated|Invalid|delimiter|a syntax error", problem)


def test_an_escaped_surrogate_pair_is_one_character():
    assert parse_json('["\\ud83d\\ude00", "\\\\ud83d"]') == ["😀", "\\ud83d"]


@given(values)
def test_the_order_of_members_makes_no_difference_if_names_are_sorted(value):
    def turn(value):
        if isinstance(value, dict):
            return {name: turn(item) for name, item in reversed(value.items())}
        return [turn(item) for item in value] if isinstance(value, list) else value

    assert dump_json(turn(value), sorts_names=True) == dump_json(value, sorts_names=True)
    assert with_exact_numbers(parse_json(dump_json(value, sorts_names=True))) == with_exact_numbers(value)


def test_a_number_that_is_read_can_be_converted():
    # `int` of a number with a longer exponent does not return.
    assert len(bin(int(parse_json(f"1E{MAX_DIGITS}")))) > MAX_DIGITS


@pytest.mark.parametrize("value", [1.5, {1, 2}, b"bytes", object()])
def test_what_is_no_json_value_is_not_written(value):
    with pytest.raises(TypeError, match=type(value).__name__):
        dump_json({"a": [value]})


# RFC 7396, appendix A.
@pytest.mark.parametrize(
    ("original", "patch", "result"),
    [
        ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
        ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
        ('{"a":"b"}', '{"a":null}', "{}"),
        ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
        ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
        ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
        ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
        ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
        ('["a","b"]', '["c","d"]', '["c","d"]'),
        ('{"a":"b"}', '["c"]', '["c"]'),
        ('{"a":"foo"}', "null", "null"),
        ('{"a":"foo"}', '"bar"', '"bar"'),
        ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
        ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
        ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
    ],
)
def test_a_patch_is_merged(original, patch, result):
    target, change = parse_json(original), parse_json(patch)
    merged = merge_patch(target, change)
    assert dump_json(merged) == result
    assert merge_patch(merged, change) == merged
    assert (dump_json(target), dump_json(change)) == (original, patch)

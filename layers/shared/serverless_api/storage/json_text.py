"""JSON in which numbers keep every digit.

Python's `json` reads `0.1` as a binary fraction and cannot write a `Decimal`. Here whole numbers are `int`, all others
`Decimal`, and both are written as they were read. Anything that RFC 8259 does not allow is rejected: NaN, Infinity,
invalid Unicode. Reading and writing take time in proportion to the text.
"""

import json
import re
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

MAX_DEPTH = 64
"""How deep arrays and objects may nest."""

MAX_DIGITS = 10_100
"""How many characters a number may have, and how many digits before or after its point if it is written out.

`1E1000000000` takes a few bytes, but whoever converts it with `int` waits for half a minute. A whole number without an
exponent has at most 4,300 digits, Python's own limit.
"""

# What the message of a JSONDecodeError starts with, in our words.
_SYNTAX_ERRORS = {
    "Expecting value": "a value is missing",
    "Expecting property name": "a name in double quotes is missing",
    "Expecting ':'": "a colon is missing",
    "Expecting ','": "a comma or a closing bracket is missing",
    "Illegal trailing comma": "a comma is followed by no value",
    "Unterminated string": "a string does not end",
    "Invalid control character": "a control character in a string is not escaped",
    "Invalid \\": "an escape in a string is not valid",
    "Extra data": "more follows after the value",
}
_BLANK = " \t\n\r"
_BOM = "\ufeff"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class InvalidJSON(ValueError):
    """A text is not a usable JSON document. The message completes a sentence that starts with the document."""


class JSONText(str):
    """A string that already holds a JSON document; `dump_json` copies it."""

    __slots__ = ()


class _SpelledNumber(Decimal):
    """A number that Python would spell in another way, such as `1e2`."""

    __slots__ = ("text",)
    text: str

    def __str__(self) -> str:
        return self.text


_NEGATIVE_ZERO = Decimal("-0")


def _read_integer(text: str) -> int | Decimal:
    # An int has no negative zero.
    return _NEGATIVE_ZERO if text == "-0" else int(text)


def _read_fraction(text: str) -> Decimal:
    if len(text) > MAX_DIGITS:
        raise OverflowError
    has_exponent = "e" in text or "E" in text
    # Python writes a fraction below 0.000001 with an exponent.
    if not has_exponent and not text.startswith(("0.000000", "-0.000000")):
        return Decimal(text)
    number = _SpelledNumber(text)
    number.text = text
    if has_exponent and not -MAX_DIGITS <= number.adjusted() <= MAX_DIGITS:
        raise OverflowError
    return number


def _refuse_constant(name: str) -> None:
    raise InvalidJSON(f"contains {name}, which is not a JSON value")


_decode = json.JSONDecoder(parse_float=_read_fraction, parse_constant=_refuse_constant).decode
# A function for whole numbers costs a call for each of them.
_decode_negative_zero = json.JSONDecoder(
    parse_int=_read_integer, parse_float=_read_fraction, parse_constant=_refuse_constant
).decode


def parse_json(text: str) -> Any:
    """Return the value of a JSON document. If an object has a name twice, the last value counts.

    Raises:
        InvalidJSON: the text is not a JSON document, nests deeper than `MAX_DEPTH`, or has a number that is too long
            to read or a string that is not valid Unicode (half of a surrogate pair).

    >>> parse_json('{"price": 1.10}')
    {'price': Decimal('1.10')}
    """
    if text.startswith(_BOM):
        raise InvalidJSON("starts with U+FEFF (a BOM), which JSON does not allow")
    try:
        value = (_decode_negative_zero if "-0" in text else _decode)(text)
        if text.count("[") + text.count("{") > MAX_DEPTH:
            _check_depth(value)
        if not text.isascii():
            text.encode()
        # An escape can produce half of a surrogate pair, which cannot be encoded.
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except InvalidJSON:
        raise
    except json.JSONDecodeError as error:
        raise InvalidJSON(_explain(error)) from error
    except UnicodeEncodeError as error:
        raise InvalidJSON("contains invalid Unicode (half of a surrogate pair)") from error
    except RecursionError as error:
        raise InvalidJSON(f"nests deeper than {MAX_DEPTH} levels") from error
    except (ArithmeticError, ValueError) as error:
        raise InvalidJSON("contains a number that is too long") from error
    return value


def merge_patch(target: Any, patch: Any) -> Any:
    """Return a JSON value changed by a JSON Merge Patch (RFC 7396, section 2); neither argument changes.

    >>> merge_patch({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": 4}})
    {'b': {'c': 4, 'd': 3}}
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def _explain(error: json.JSONDecodeError) -> str:
    """Say what is wrong and where, in words that do not depend on Python's version."""
    end = len(error.doc.rstrip(_BLANK))
    if end == 0:
        return "is empty"
    words = next((words for start, words in _SYNTAX_ERRORS.items() if error.msg.startswith(start)), "a syntax error")
    if error.pos >= end:
        words += ", because the text ends"
    return f"is not JSON: {words} (line {error.lineno}, column {error.colno})"


def _check_depth(value: Any) -> None:
    """Raise a RecursionError if a value nests deeper than `MAX_DEPTH`."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            item
            for container in level
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, (dict, list))
        ]
        if not level:
            return
    raise RecursionError


def dump_json(value: Any, *, sorts_names: bool = False) -> JSONText:
    """Return `value` as a JSON document: dict, list, str, int, Decimal, bool, None and `JSONText`.

    Args:
        value: the value.
        sorts_names: whether the members of objects are sorted by name, so that their order makes no difference.

    Raises:
        RecursionError: the value nests deeper than `MAX_DEPTH`.
        TypeError: it contains anything else, such as a float.

    >>> dump_json({"price": Decimal("1.10")})
    '{"price":1.10}'
    """
    return JSONText(_dump(value, MAX_DEPTH, sorts_names))


def _dump(value: Any, depth: int, sorts_names: bool) -> str:
    if isinstance(value, JSONText):
        return value
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    if depth == 0:
        raise RecursionError("the value nests too deeply")
    if isinstance(value, dict):
        members = sorted(value.items()) if sorts_names else value.items()
        return (
            "{"
            + ",".join([f"{encode_basestring(name)}:{_dump(item, depth - 1, sorts_names)}" for name, item in members])
            + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ",".join([_dump(item, depth - 1, sorts_names) for item in value]) + "]"
    raise TypeError(f"{type(value).__name__} is not a JSON value")

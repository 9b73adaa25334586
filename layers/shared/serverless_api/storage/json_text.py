"""JSON in which numbers keep every digit.

Python's `json` reads `0.1` as a binary fraction and cannot write a `Decimal`. Here whole numbers are `int`, all others
`Decimal`, and both are written digit by digit. Anything that RFC 8259 does not allow is rejected: NaN, Infinity,
invalid Unicode.
"""

import json
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

MAX_DEPTH = 64
"""How deep arrays and objects may nest."""


class InvalidJSON(ValueError):
    """A text is not a usable JSON document. The message completes a sentence that starts with the document."""


class JSONText(str):
    """A string that already holds a JSON document; `dump_json` copies it."""

    __slots__ = ()


def _refuse_constant(name: str) -> None:
    raise InvalidJSON(f"contains {name}, which is not a JSON value")


def parse_json(text: str) -> Any:
    """Return the value of a JSON document.

    Raises:
        InvalidJSON: the text is not a JSON document, nests deeper than `MAX_DEPTH`, or has a number that is too long
            to read or a string that is not valid Unicode (half of a surrogate pair).

    >>> parse_json('{"price": 1.10}')
    {'price': Decimal('1.10')}
    """
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
        # An escape can produce half of a surrogate pair, which cannot be encoded.
        dump_json(value).encode()
    except InvalidJSON:
        raise
    except json.JSONDecodeError as error:
        raise InvalidJSON(f"is not JSON: {error.msg} at character {error.pos + 1}") from error
    except UnicodeEncodeError as error:
        raise InvalidJSON("contains invalid Unicode (half of a surrogate pair)") from error
    except RecursionError as error:
        raise InvalidJSON(f"nests deeper than {MAX_DEPTH} levels") from error
    except (ArithmeticError, ValueError) as error:
        raise InvalidJSON("contains a number that is too long") from error
    return value


def dump_json(value: Any) -> JSONText:
    """Return `value` as a JSON document: dict, list, str, int, Decimal, bool, None and `JSONText`.

    Raises:
        RecursionError: the value nests deeper than `MAX_DEPTH`.
        TypeError: it contains anything else, such as a float.

    >>> dump_json({"price": Decimal("1.10")})
    '{"price":1.10}'
    """
    return JSONText(_dump(value, MAX_DEPTH))


def _dump(value: Any, depth: int) -> str:
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
        return (
            "{" + ",".join(f"{encode_basestring(name)}:{_dump(item, depth - 1)}" for name, item in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ",".join(_dump(item, depth - 1) for item in value) + "]"
    raise TypeError(f"{type(value).__name__} is not a JSON value")

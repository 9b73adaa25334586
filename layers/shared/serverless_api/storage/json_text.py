"""JSON in which numbers keep every digit.

Python's own `json` reads `0.1` as a binary fraction and cannot write a `Decimal`. Here whole numbers are `int`, all
others `Decimal`, and both are written as they are. What is not JSON by RFC 8259 (NaN, Infinity, text that is no
Unicode) is refused.
"""

import json
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

MAX_DEPTH = 64
"""How many arrays and objects may stand in one another."""


class InvalidJSON(ValueError):
    """A text is no JSON document, or one that cannot be carried further; its message says why, as «it …»."""


class JSONText(str):
    """A string that holds a JSON document already; it is written as it is."""

    __slots__ = ()


def _refuse_constant(name: str) -> None:
    raise InvalidJSON(f"holds {name}, which is not a JSON value")


def parse_json(text: str) -> Any:
    """Return the value of a JSON document.

    Raises:
        InvalidJSON: it is no JSON document, nests deeper than `MAX_DEPTH`, has a number that is too long to read, or
            text that is not Unicode (half of a surrogate pair).

    >>> parse_json('{"price": 1.10}')
    {'price': Decimal('1.10')}
    """
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
        # Escapes can smuggle in half a surrogate pair, which no encoding can carry further.
        dump_json(value).encode()
    except InvalidJSON:
        raise
    except json.JSONDecodeError as error:
        raise InvalidJSON(f"is not JSON: {error.msg} at character {error.pos + 1}") from error
    except UnicodeEncodeError as error:
        raise InvalidJSON("holds text that is not Unicode (half of a surrogate pair)") from error
    except RecursionError as error:
        raise InvalidJSON(f"nests deeper than {MAX_DEPTH} levels") from error
    except (ArithmeticError, ValueError) as error:
        raise InvalidJSON("holds a number that is too long") from error
    return value


def dump_json(value: Any) -> JSONText:
    """Return `value` as a JSON document: dict, list, str, int, Decimal, bool, None and `JSONText`.

    Raises:
        RecursionError: it nests deeper than `MAX_DEPTH`.
        TypeError: it holds something else, a float for one.

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
        return "{" + ",".join(f"{encode_basestring(name)}:{_dump(of, depth - 1)}" for name, of in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_dump(of, depth - 1) for of in value) + "]"
    raise TypeError(f"{type(value).__name__} is not a JSON value")

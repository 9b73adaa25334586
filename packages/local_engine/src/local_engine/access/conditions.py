"""Condition blocks of IAM policies ("IAM JSON policy elements: Condition operators", IAM User Guide)."""

import base64
import binascii
import ipaddress
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

Context = Mapping[str, str | Sequence[str]]
"""Values of condition keys of a request. The names are in lower case."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERALS = {"*": "*", "?": "?", "$": "$"}
# Stand for `*` and `?` that are no wildcards while a pattern is substituted.
_QUOTED = {"*": "\ue000", "?": "\ue001"}


class UnsupportedPolicy(Exception):
    """A policy has a part that cannot be evaluated. The message is a sentence that names it."""


class _NoValue(Exception):
    """The request has no value for a policy variable."""


def meets_conditions(block: Any, context: Context) -> bool:
    """Return whether a request meets all conditions of a block.

    Raises:
        UnsupportedPolicy: an operator is unknown, or the block has a wrong form.
    """
    if block is None:
        return True
    if not isinstance(block, dict) or not all(isinstance(keys, dict) for keys in block.values()):
        raise UnsupportedPolicy("A Condition is not a mapping of operators to mappings of keys.")
    # All are looked at, because an unknown operator must not hide behind a condition that is not met.
    met = [_meets(name, key, values, context) for name, keys in block.items() for key, values in keys.items()]
    return all(met)


def substitute(text: str, context: Context) -> str | None:
    """Return text with its policy variables replaced, or None if the request has no value for one.

    Replaced values contain no wildcards ("IAM policy elements: Variables and tags").
    """

    def replace(match: re.Match[str]) -> str:
        name, separator, default = match[1].partition(",")
        if not separator and name in _LITERALS:
            return _QUOTED.get(name, name)
        value = context.get(name.strip().lower(), default.strip().strip("'") if separator else None)
        if not isinstance(value, str):
            raise _NoValue
        return "".join(_QUOTED.get(character, character) for character in value)

    try:
        return _VARIABLE.sub(replace, text)
    except _NoValue:
        return None


def matches(pattern: str, value: str, *, ignores_case: bool = False) -> bool:
    """Return whether a value matches a pattern with the wildcards `*` and `?`."""
    return _compile(pattern, ignores_case).fullmatch(value) is not None


@lru_cache(maxsize=1024)
def _compile(pattern: str, ignores_case: bool) -> re.Pattern[str]:
    wildcards = {"*": ".*", "?": ".", "\ue000": r"\*", "\ue001": r"\?"}
    parts = (wildcards.get(character, re.escape(character)) for character in pattern)
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if ignores_case else 0))


def matches_arn(pattern: str, value: str) -> bool:
    """Return whether each of an ARN's six parts matches the pattern's part."""
    patterns, parts = pattern.split(":", 5), value.split(":", 5)
    return len(patterns) == len(parts) == 6 and all(map(matches, patterns, parts))


def _meets(name: str, key: str, expected: Any, context: Context) -> bool:
    quantifier, _, rest = name.rpartition(":")
    if_exists = rest.endswith("IfExists")
    kind = rest.removesuffix("IfExists")
    values = [str(value).lower() if isinstance(value, bool) else str(value) for value in _list(expected)]
    found = context.get(key.lower())
    actual = [] if found is None else [found] if isinstance(found, str) else list(found)
    if kind == "Null" and not quantifier:
        return any((value.lower() == "true") == (found is None) for value in values)
    if kind not in _TESTS or quantifier not in ("", "ForAllValues", "ForAnyValue"):
        raise UnsupportedPolicy(f"The condition operator {name} is not supported.")
    is_negated, test = _TESTS[kind]
    if not actual and (if_exists or quantifier == "ForAllValues"):
        return True
    if not actual:
        # A negated operator is met by a missing key.
        return is_negated and quantifier != "ForAnyValue"
    patterns = [pattern for value in values if (pattern := substitute(value, context)) is not None]
    met = [any(_try(test, pattern, value) for pattern in patterns) != is_negated for value in actual]
    return any(met) if quantifier == "ForAnyValue" else all(met)


def _try(test: Callable[[str, str], bool], pattern: str, value: str) -> bool:
    try:
        return test(pattern, value)
    except (ValueError, OverflowError, binascii.Error):
        return False


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _plain(pattern: str) -> str:
    for character, quoted in _QUOTED.items():
        pattern = pattern.replace(quoted, character)
    return pattern


def _equals(pattern: str, value: str) -> bool:
    return _plain(pattern) == value


def _equals_ignoring_case(pattern: str, value: str) -> bool:
    return _plain(pattern).lower() == value.lower()


def _in_network(pattern: str, value: str) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(_plain(pattern), strict=False)


def _equals_bytes(pattern: str, value: str) -> bool:
    return base64.b64decode(_plain(pattern), validate=True) == base64.b64decode(value, validate=True)


def _compare_numbers(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda pattern, value: compare(float(value), float(_plain(pattern)))


def _compare_dates(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda pattern, value: compare(_read_date(value), _read_date(_plain(pattern)))


def _read_date(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_COMPARISONS: dict[str, tuple[bool, Callable[[Any, Any], bool]]] = {
    "Equals": (False, operator.eq),
    "NotEquals": (True, operator.eq),
    "LessThan": (False, operator.lt),
    "LessThanEquals": (False, operator.le),
    "GreaterThan": (False, operator.gt),
    "GreaterThanEquals": (False, operator.ge),
}
# Whether an operator is negated, and whether a value of the policy fits one of the request.
_TESTS: dict[str, tuple[bool, Callable[[str, str], bool]]] = {
    "StringEquals": (False, _equals),
    "StringNotEquals": (True, _equals),
    "StringEqualsIgnoreCase": (False, _equals_ignoring_case),
    "StringNotEqualsIgnoreCase": (True, _equals_ignoring_case),
    "StringLike": (False, matches),
    "StringNotLike": (True, matches),
    "Bool": (False, _equals_ignoring_case),
    "BinaryEquals": (False, _equals_bytes),
    "IpAddress": (False, _in_network),
    "NotIpAddress": (True, _in_network),
    "ArnEquals": (False, matches_arn),
    "ArnLike": (False, matches_arn),
    "ArnNotEquals": (True, matches_arn),
    "ArnNotLike": (True, matches_arn),
    **{f"Numeric{name}": (negated, _compare_numbers(test)) for name, (negated, test) in _COMPARISONS.items()},
    **{f"Date{name}": (negated, _compare_dates(test)) for name, (negated, test) in _COMPARISONS.items()},
}

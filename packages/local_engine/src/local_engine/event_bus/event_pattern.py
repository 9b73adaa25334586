"""Event patterns, as rules, subscriptions' filter policies and event source mappings use them.

Sources: "Event pattern syntax", "Comparison operators for use in event patterns" (Amazon EventBridge User Guide) and
"Amazon SNS subscription filter policies" (Amazon SNS Developer Guide).
"""

import ipaddress
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

type Pattern = Mapping[str, Any]

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


class InvalidPattern(ValueError):
    """A pattern is malformed. The message is a sentence."""


def check_pattern(pattern: Any) -> None:
    """Check a pattern's form.

    Raises:
        InvalidPattern: AWS rejects the pattern.
    """
    if not isinstance(pattern, dict) or not pattern:
        raise InvalidPattern("An event pattern must be an object with at least one key.")
    for name, value in pattern.items():
        if name == "$or":
            if not isinstance(value, list) or len(value) < 2:
                raise InvalidPattern("$or must be an array of at least two patterns.")
            for alternative in value:
                check_pattern(alternative)
        elif isinstance(value, dict):
            check_pattern(value)
        elif not isinstance(value, list) or not value:
            raise InvalidPattern(f"{name!r} must be an object or an array with at least one entry.")
        else:
            for condition in value:
                _check_condition(name, condition)


def matches(pattern: Pattern, event: Any) -> bool:
    """Return whether an event matches a pattern.

    In an array of objects, all conditions must hold for the same object.
    """
    if isinstance(event, list):
        return any(matches(pattern, entry) for entry in event)
    if not isinstance(event, dict):
        event = {}
    for name, expected in pattern.items():
        if name == "$or" and isinstance(expected, list):
            if not any(matches(alternative, event) for alternative in expected):
                return False
        elif isinstance(expected, dict):
            if not matches(expected, event.get(name)):
                return False
        elif not any(_meets(condition, name in event, event.get(name)) for condition in expected):
            return False
    return True


def _check_condition(name: str, condition: Any) -> None:
    if condition is None or isinstance(condition, str | int | float):
        return
    if not isinstance(condition, dict) or len(condition) != 1:
        raise InvalidPattern(f"{name!r} must hold values or objects with one comparison.")
    kind, operand = next(iter(condition.items()))
    if kind not in _CONDITIONS and kind != "exists":
        raise InvalidPattern(f"{name!r} has the comparison {kind!r}, which does not exist.")
    if kind == "exists" and not isinstance(operand, bool):
        raise InvalidPattern(f"exists of {name!r} must be true or false.")
    if kind == "numeric" and not _is_range(operand):
        raise InvalidPattern(f"numeric of {name!r} must be pairs of a comparison and a number.")
    if kind == "cidr":
        try:
            ipaddress.ip_network(str(operand), strict=False)
        except ValueError as error:
            raise InvalidPattern(f"cidr of {name!r}: {error}.") from error


def _is_range(operand: Any) -> bool:
    return (
        isinstance(operand, list)
        and bool(operand)
        and len(operand) % 2 == 0
        and all(isinstance(entry, str) and entry in _COMPARISONS for entry in operand[::2])
        and all(_is_number(entry) for entry in operand[1::2])
    )


def _meets(condition: Any, is_present: bool, value: Any) -> bool:
    if isinstance(condition, dict):
        kind, operand = next(iter(condition.items()))
        if kind == "exists":
            # An object or an empty array is no leaf, so it does not count as present.
            return bool(operand) == (is_present and not isinstance(value, dict) and value != [])
        if not is_present:
            return False
        if kind == "anything-but":
            # None of the entries of an array may be excluded.
            return bool(leaves := list(_leaves(value))) and all(_is_other(operand, leaf) for leaf in leaves)
        return any(_CONDITIONS[kind](operand, leaf) for leaf in _leaves(value))
    return is_present and any(_is_same(condition, leaf) for leaf in _leaves(value))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for entry in value:
            yield from _leaves(entry)
    elif not isinstance(value, dict):
        yield value


def _is_same(expected: Any, value: Any) -> bool:
    # Python takes True for 1.
    return expected == value and isinstance(expected, bool) == isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _alternatives(operand: Any) -> Sequence[Any]:
    return operand if isinstance(operand, list) else [operand]


def _is_other(operand: Any, value: Any) -> bool:
    if isinstance(operand, dict):
        kind, inner = next(iter(operand.items()))
        return not _CONDITIONS[kind](inner, value)
    return not any(_is_same(entry, value) for entry in _alternatives(operand))


def _has_prefix(operand: Any, value: Any) -> bool:
    return _compare_text(operand, value, str.startswith)


def _has_suffix(operand: Any, value: Any) -> bool:
    return _compare_text(operand, value, str.endswith)


def _equals_ignoring_case(operand: Any, value: Any) -> bool:
    return isinstance(value, str) and value.casefold() in [str(entry).casefold() for entry in _alternatives(operand)]


def _compare_text(operand: Any, value: Any, compare: Callable[[str, str], bool]) -> bool:
    if not isinstance(value, str):
        return False
    if isinstance(operand, dict):
        inner = _alternatives(operand.get("equals-ignore-case"))
        return any(compare(value.casefold(), str(entry).casefold()) for entry in inner)
    return any(compare(value, str(entry)) for entry in _alternatives(operand))


def _is_in_range(operand: Any, value: Any) -> bool:
    pairs = zip(operand[::2], operand[1::2], strict=True)
    return _is_number(value) and all(_COMPARISONS[comparison](value, number) for comparison, number in pairs)


def _is_in_network(operand: Any, value: Any) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(operand, strict=False)
    except ValueError:
        return False


def _fits_wildcard(operand: Any, value: Any) -> bool:
    return isinstance(value, str) and any(_wildcard(str(entry)).fullmatch(value) for entry in _alternatives(operand))


def _wildcard(text: str) -> re.Pattern[str]:
    # A backslash escapes an asterisk and itself.
    parts = re.findall(r"\\[*\\]|.", text, re.DOTALL)
    return re.compile("".join(".*" if part == "*" else re.escape(part[-1]) for part in parts), re.DOTALL)


_CONDITIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "anything-but": _is_other,
    "cidr": _is_in_network,
    "equals-ignore-case": _equals_ignoring_case,
    "numeric": _is_in_range,
    "prefix": _has_prefix,
    "suffix": _has_suffix,
    "wildcard": _fits_wildcard,
}

"""Intrinsic functions that need only their argument, which is evaluated.

Source: "Intrinsic function reference" and "Rule functions", CloudFormation Template Reference.
"""

import base64
import ipaddress
import itertools
import json
from collections.abc import Callable
from typing import Any

from local_engine.template.errors import Unresolved

_LARGEST_CIDR_COUNT = 256


def write_text(value: Any) -> str:
    """Return a value as CloudFormation writes it into text or passes it to a parameter."""
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return ",".join(map(write_text, value))
        case _:
            return str(value)


def _encode(text: Any) -> str:
    return base64.b64encode(_read_text(text).encode()).decode()


def _list_cidrs(argument: Any) -> list[str]:
    block, count, *bits = argument
    network = ipaddress.ip_network(_read_text(block), strict=False)
    count = int(count)
    if not 1 <= count <= _LARGEST_CIDR_COUNT:
        raise ValueError
    prefix = network.max_prefixlen - int(bits[0] if bits else (32 if network.version == 4 else 64) - network.prefixlen)
    subnets = [str(subnet) for subnet in itertools.islice(network.subnets(new_prefix=prefix), count)]
    if len(subnets) < count:
        raise ValueError
    return subnets


def _join(argument: Any) -> str:
    separator, entries = argument
    return _read_text(separator).join(map(_read_text, _read_list(entries)))


def _select(argument: Any) -> Any:
    index, entries = argument
    position = int(index)
    if position < 0:
        raise IndexError
    return _read_list(entries)[position]


def _split(argument: Any) -> list[str]:
    separator, text = argument
    return _read_text(text).split(_read_text(separator))


def _equals(argument: Any) -> bool:
    first, second = argument
    return write_text(first) == write_text(second)


def _contains(argument: Any) -> bool:
    texts, text = argument
    return write_text(text) in _list_texts(texts)


def _each_equals(argument: Any) -> bool:
    texts, text = argument
    return set(_list_texts(texts)) <= {write_text(text)}


def _each_in(argument: Any) -> bool:
    texts, allowed = argument
    return set(_list_texts(texts)) <= set(_list_texts(allowed))


def _read_text(value: Any) -> str:
    if not isinstance(value, str | int | float):
        raise TypeError
    return write_text(value)


def _read_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Unresolved(f"{value!r} is not a list.")
    return value


def _list_texts(value: Any) -> list[str]:
    return [write_text(entry) for entry in _read_list(value)]


VALUE_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "Fn::Base64": _encode,
    "Fn::Cidr": _list_cidrs,
    "Fn::Contains": _contains,
    "Fn::EachMemberEquals": _each_equals,
    "Fn::EachMemberIn": _each_in,
    "Fn::Equals": _equals,
    "Fn::Join": _join,
    "Fn::Length": lambda entries: len(_read_list(entries)),
    "Fn::Select": _select,
    "Fn::Split": _split,
    "Fn::ToJsonString": lambda value: json.dumps(value, separators=(",", ":")),
}
"""By name. Misuse raises TypeError, ValueError, IndexError, KeyError or `Unresolved`."""

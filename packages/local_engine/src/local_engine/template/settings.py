"""Numbers, mappings and switches among evaluated properties, where parameters are text."""

import math
from collections.abc import Mapping
from typing import Any

from local_engine.template.errors import TemplateError
from local_engine.template.stack import Throttling


def read_integer(properties: Mapping[str, Any], name: str, default: int, *, least: int = 1, most: int = 10**9) -> int:
    """Return a whole number.

    Raises:
        TemplateError: it is not a number, or it is out of its limits.
    """
    # Parameters and mappings give numbers as text.
    value = properties.get(name)
    if value is None:
        return default
    try:
        number = int(str(value))
    except ValueError:
        number = -1
    if not least <= number <= most:
        limits = f"a whole number from {least}" + (f" to {most}" if most < 10**9 else "")
        raise TemplateError(f"its {name} is {value!r}; it must be {limits}.")
    return number


def read_mapping(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a mapping; an empty one if there is none.

    Raises:
        TemplateError: it is something else.
    """
    value = values.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TemplateError(f"its {name} is {value!r}, which is not a mapping.")
    return value


def is_true(value: Any) -> bool:
    """Return whether a switch is on."""
    return str(value).lower() == "true"


def read_throttling(settings: Mapping[str, Any]) -> Throttling:
    """Return the limits in settings of a stage, a route or a method.

    Raises:
        TemplateError: one of them is not a number.
    """
    rate = settings.get("ThrottlingRateLimit")
    burst = settings.get("ThrottlingBurstLimit")
    try:
        number = None if rate is None else float(str(rate))
    except ValueError:
        number = math.nan
    if number is not None and not 0 <= number < math.inf:
        raise TemplateError(f"its ThrottlingRateLimit is {rate!r}; it must be a number.")
    return Throttling(number, None if burst is None else read_integer(settings, "ThrottlingBurstLimit", 0, least=0))

"""What a rule's target gets of an event: all of it, a part, a constant, or a template's result.

Source: "Amazon EventBridge input transformation" (Amazon EventBridge User Guide).
"""

import json
import re
from collections.abc import Mapping
from typing import Any

_STEP = re.compile(r"\.(?P<name>[\w-]+)|\[(?P<index>\d+)\]|\[(?P<quote>['\"])(?P<quoted>.*?)(?P=quote)\]")
_PLACEHOLDER = re.compile(r"<([\w.-]+)>")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_MISSING = object()


class InvalidInput(ValueError):
    """A target's input cannot be made. The message is a sentence."""


def make_input(target: Mapping[str, Any], event: Mapping[str, Any], variables: Mapping[str, Any]) -> str:
    """Return the input of a rule's target, in JSON.

    Args:
        target: the target as PutTargets takes it.
        event: the event.
        variables: values of the reserved variables, such as `aws.events.rule-arn`.

    Raises:
        InvalidInput: the template's result is not JSON.
    """
    if (constant := target.get("Input")) is not None:
        return str(constant)
    if path := target.get("InputPath"):
        return json.dumps(_or_null(find_value(path, event)))
    if transformer := target.get("InputTransformer"):
        paths: Mapping[str, str] = transformer.get("InputPathsMap") or {}
        found = {name: find_value(path, event) for name, path in paths.items()}
        return fill_template(str(transformer["InputTemplate"]), {**variables, **found})
    return json.dumps(event)


def find_value(path: str, event: Any) -> Any:
    """Return the value at a JSON path, such as `$.detail.items[0]`, or a marker if there is none."""
    place, value = 1, event
    while place < len(path):
        step = _STEP.match(path, place)
        if step is None:
            return _MISSING
        try:
            value = value[int(step["index"])] if step["index"] else value[step["name"] or step["quoted"]]
        except (LookupError, TypeError):
            return _MISSING
        place = step.end()
    return value


def fill_template(template: str, values: Mapping[str, Any]) -> str:
    """Return a template with its placeholders replaced.

    In a JSON string, a placeholder stands for text; elsewhere it stands for a value. A value that the event lacks is
    empty text or null. Lines that are separate strings become one text.

    Raises:
        InvalidInput: the result is not JSON.
    """

    def insert(match: re.Match[str]) -> str:
        value = values.get(match[1], match[0])
        return json.dumps(_or_null(value))

    def insert_text(match: re.Match[str]) -> str:
        value = values.get(match[1], match[0])
        text = "" if value is _MISSING else value if isinstance(value, str) else json.dumps(value)
        return json.dumps(text)[1:-1]

    parts = []
    place = 0
    for string in _STRING.finditer(template):
        parts.append(_PLACEHOLDER.sub(insert, template[place : string.start()]))
        parts.append(_PLACEHOLDER.sub(insert_text, string[0]))
        place = string.end()
    parts.append(_PLACEHOLDER.sub(insert, template[place:]))
    filled = "".join(parts)
    try:
        json.loads(filled)
    except ValueError:
        lines = [line.strip() for line in filled.splitlines() if line.strip()]
        if len(lines) < 2 or not all(_STRING.fullmatch(line) for line in lines):
            raise InvalidInput(f"The result of the input template is not JSON: {filled[:200]}") from None
        return json.dumps("\n".join(json.loads(line) for line in lines))
    return filled


def _or_null(value: Any) -> Any:
    return None if value is _MISSING else value

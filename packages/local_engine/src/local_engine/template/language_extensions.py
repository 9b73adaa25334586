"""Loops and maps with defaults of `AWS::LanguageExtensions`, expanded as text before SAM's transform.

SAM's translator does not know them. The other functions of that transform are evaluated with the rest.
Source: "AWS::LanguageExtensions transform", CloudFormation Template Reference.
"""

import re
from collections.abc import Mapping
from typing import Any

from local_engine.template.errors import TemplateError, Unresolved
from local_engine.template.intrinsics import Evaluator
from local_engine.template.value_functions import write_text

_LOOP = "Fn::ForEach::"
_VARIABLE = re.compile(r"([$&])\{(\w+)\}")


def expand_template(template: Mapping[str, Any], parameters: Mapping[str, Any], notices: list[str]) -> dict[str, Any]:
    """Return a template without loops and without maps that have defaults.

    Args:
        template: the template.
        parameters: a value for each of its parameters.
        notices: gets a sentence for each loop that cannot be expanded, which is left out.
    """
    expanded: dict[str, Any] = _Expansion(Evaluator(template, parameters), notices).expand(template, {})
    return expanded


class _Expansion:
    def __init__(self, evaluator: Evaluator, notices: list[str]) -> None:
        self._evaluator = evaluator
        self._notices = notices

    def expand(self, value: Any, variables: Mapping[str, str]) -> Any:
        """Return a value with its loops expanded and the variables of the loops around it replaced."""
        match value:
            case {"Ref": str(name)} if name in variables:
                return variables[name]
            case {"Fn::FindInMap": [_, _, _, _, *_]}:
                try:
                    return self._evaluator.evaluate(self._expand_entries(value, variables))
                except Unresolved:
                    return value
            case dict():
                return self._expand_entries(value, variables)
            case list():
                return [self.expand(entry, variables) for entry in value]
            case str() if variables:
                return _replace_variables(value, variables)
            case _:
                return value

    def _expand_entries(self, entries: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
        expanded: dict[str, Any] = {}
        for name, entry in entries.items():
            if name.startswith(_LOOP):
                try:
                    expanded |= self._run_loop(entry, variables)
                except TemplateError as error:
                    self._notices.append(f"{name} is not run: {error}")
            else:
                expanded[_replace_variables(name, variables)] = self.expand(entry, variables)
        return expanded

    def _run_loop(self, loop: Any, variables: Mapping[str, str]) -> dict[str, Any]:
        match loop:
            case [str(variable), collection, dict(body)]:
                texts = self._evaluator.evaluate(self.expand(collection, variables))
            case _:
                raise TemplateError("it must have a variable, a list and a mapping.")
        if not isinstance(texts, list):
            raise TemplateError(f"{texts!r} is not a list.")
        expanded: dict[str, Any] = {}
        for text in texts:
            expanded |= self._expand_entries(body, {**variables, variable: write_text(text)})
        return expanded


def _replace_variables(text: str, variables: Mapping[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        kind, name = match.groups()
        if name not in variables:
            return match[0]
        # The second form leaves out what a logical ID cannot have.
        return variables[name] if kind == "$" else re.sub(r"[^0-9A-Za-z]", "", variables[name])

    return _VARIABLE.sub(replace, text)

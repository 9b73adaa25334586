"""Composite alarm rules ("AlarmRule", PutCompositeAlarm, CloudWatch API Reference)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from local_engine.cloudwatch.tokens import BooleanParser

type Condition = Callable[[Mapping[str, str]], bool]


class RuleError(Exception):
    """The rule is invalid; the message is a sentence."""


@dataclass(frozen=True)
class Rule:
    """A parsed rule."""

    text: str
    names: tuple[str, ...]
    """Names or ARNs of the alarms in the rule."""
    condition: Condition

    def holds(self, states: Mapping[str, str]) -> bool:
        """Return whether the rule is true, given alarm states by the names used in the rule."""
        return self.condition(states)

    def describe(self) -> str:
        """Return the rule's text."""
        return self.text


def parse_rule(text: str) -> Rule:
    """Parse a rule, such as `ALARM("errors") AND NOT ALARM("deploying")`.

    Raises:
        RuleError: the rule is invalid.
    """
    parser = _RuleParser(text)
    condition = parser.parse()
    return Rule(" ".join(text.split()), tuple(dict.fromkeys(parser.names)), condition)


class _RuleParser(BooleanParser[Mapping[str, str]]):
    language = "AlarmRule"
    error = RuleError
    token = re.compile(
        r"\s*(?:(?P<state>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:\"(?P<double>[^\"]+)\"|'(?P<single>[^']+)'|(?P<bare>[^\"'()]+?))\s*\)"
        r"|(?P<constant>TRUE|FALSE)\b|(?:AND|OR|NOT)\b|[()])"
    )

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.names: list[str] = []

    def compile_term(self, match: re.Match[str]) -> Condition:
        if match["constant"]:
            is_true = match["constant"] == "TRUE"
            return lambda _: is_true
        name, state = match["double"] or match["single"] or match["bare"], match["state"]
        self.names.append(name)
        return lambda states: states.get(name) == state

"""Rules of composite alarms ("AlarmRule", PutCompositeAlarm, CloudWatch API Reference)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from local_engine.cloudwatch.tokens import UnreadableText, split_tokens

_TOKEN = re.compile(
    r"\s*(?:(?P<state>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:\"(?P<double>[^\"]+)\"|'(?P<single>[^']+)'|(?P<bare>[^\"'()]+?))\s*\)"
    r"|(?P<word>AND|OR|NOT|TRUE|FALSE)\b|(?P<sign>[()]))"
)
_DEEPEST = 50

type Condition = Callable[[Mapping[str, str]], bool]


class RuleError(Exception):
    """A rule that is not valid; the message is a sentence."""


@dataclass(frozen=True)
class Rule:
    """A rule, parsed."""

    text: str
    names: tuple[str, ...]
    """The alarms that it names, by name or ARN."""
    condition: Condition

    def holds(self, states: Mapping[str, str]) -> bool:
        """Whether the rule is true; `states` are by the names as the rule has them."""
        return self.condition(states)

    def describe(self) -> str:
        """Return the rule in words."""
        return self.text


def parse_rule(text: str) -> Rule:
    """Parse a rule, such as `ALARM("errors") AND NOT ALARM("deploying")`.

    Raises:
        RuleError: it is not valid.
    """
    try:
        tokens = list(split_tokens(_TOKEN, text))
    except UnreadableText as error:
        raise RuleError(f"AlarmRule cannot be read from {error.rest[:30]!r} on.") from error
    parser = _Parser(tokens)
    condition = parser.parse()
    return Rule(" ".join(text.split()), tuple(dict.fromkeys(parser.names)), condition)


class _Parser:
    """NOT binds closer than AND, AND closer than OR."""

    def __init__(self, tokens: list[re.Match[str]]) -> None:
        self.names: list[str] = []
        self._tokens = tokens
        self._place = 0
        self._depth = 0

    def parse(self) -> Condition:
        condition = self._alternatives()
        if self._place < len(self._tokens):
            raise RuleError(f"AlarmRule has {self._tokens[self._place][0].strip()!r} where it should end.")
        return condition

    def _take(self, word: str) -> bool:
        is_next = self._place < len(self._tokens) and self._tokens[self._place][0].strip() == word
        self._place += is_next
        return is_next

    def _alternatives(self) -> Condition:
        conditions = [self._together()]
        while self._take("OR"):
            conditions.append(self._together())
        return lambda states: any(condition(states) for condition in conditions)

    def _together(self) -> Condition:
        conditions = [self._single()]
        while self._take("AND"):
            conditions.append(self._single())
        return lambda states: all(condition(states) for condition in conditions)

    def _single(self) -> Condition:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise RuleError("AlarmRule is nested too deeply.")
        try:
            return self._unnested()
        finally:
            self._depth -= 1

    def _unnested(self) -> Condition:
        if self._take("NOT"):
            negated = self._single()
            return lambda states: not negated(states)
        if self._take("("):
            condition = self._alternatives()
            if not self._take(")"):
                raise RuleError("AlarmRule lacks a closing parenthesis.")
            return condition
        if self._take("TRUE"):
            return lambda _: True
        if self._take("FALSE"):
            return lambda _: False
        if self._place >= len(self._tokens) or not self._tokens[self._place]["state"]:
            raise RuleError("AlarmRule lacks an ALARM(…), OK(…) or INSUFFICIENT_DATA(…).")
        match = self._tokens[self._place]
        self._place += 1
        name, state = match["double"] or match["single"] or match["bare"], match["state"]
        self.names.append(name)
        return lambda states: states.get(name) == state

"""Tokenizer and Boolean-expression parser shared by CloudWatch's small languages."""

import re
from collections.abc import Callable, Iterator
from typing import ClassVar

_DEEPEST = 50


class UnreadableText(Exception):
    """The text contains something that is not a token of the language.

    Attributes:
        rest: the text from the first unreadable character on.
    """

    def __init__(self, rest: str) -> None:
        super().__init__(rest)
        self.rest = rest


def split_tokens(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Yield the tokens of a text in order.

    Args:
        pattern: matches one token, including the whitespace before it.
        text: the text to split; trailing whitespace is ignored.

    Raises:
        UnreadableText: the pattern does not match the remaining text.
    """
    text = text.rstrip()
    position = 0
    while position < len(text):
        match = pattern.match(text, position)
        if match is None:
            raise UnreadableText(text[position:].strip())
        yield match
        position = match.end()


class BooleanParser[Subject]:
    """Compiles terms joined by AND, OR, NOT and parentheses into a predicate.

    NOT binds tighter than AND, and AND tighter than OR. A subclass names the language, its tokens and its operators,
    and compiles single terms.
    """

    language: ClassVar[str]
    """Subject of error sentences, such as `The search`."""
    error: ClassVar[type[Exception]]
    """Raised, with a sentence, if the text is invalid."""
    token: ClassVar[re.Pattern[str]]
    """Matches an operator, a parenthesis or a whole term, including the whitespace before it."""
    either, both, negation = "OR", "AND", "NOT"
    is_implicitly_and: ClassVar[bool] = False
    """Whether adjacent terms are joined by AND."""

    def __init__(self, text: str) -> None:
        try:
            self._tokens = list(split_tokens(self.token, text))
        except UnreadableText as error:
            raise self.error(f"{self.language} cannot be read from {error.rest[:30]!r} on.") from error
        self._position = 0
        self._depth = 0

    def parse(self) -> Callable[[Subject], bool]:
        """Return the compiled expression.

        Raises:
            Exception: an instance of `error`; the expression is invalid.
        """
        condition = self._parse_or()
        if self._next is not None:
            raise self.error(f"{self.language} has {self._next!r} where it should end.")
        return condition

    def compile_term(self, match: re.Match[str]) -> Callable[[Subject], bool]:
        """Compile one token that is neither an operator nor a parenthesis."""
        raise NotImplementedError

    @property
    def _next(self) -> str | None:
        return self._tokens[self._position][0].strip() if self._position < len(self._tokens) else None

    def _take(self, word: str) -> bool:
        is_next = self._next == word
        self._position += is_next
        return is_next

    def _parse_or(self) -> Callable[[Subject], bool]:
        conditions = [self._parse_and()]
        while self._take(self.either):
            conditions.append(self._parse_and())
        if len(conditions) == 1:
            return conditions[0]
        return lambda subject: any(condition(subject) for condition in conditions)

    def _parse_and(self) -> Callable[[Subject], bool]:
        conditions = [self._parse_single()]
        while self._take(self.both) or (self.is_implicitly_and and self._next not in (None, self.either, ")")):
            conditions.append(self._parse_single())
        if len(conditions) == 1:
            return conditions[0]
        return lambda subject: all(condition(subject) for condition in conditions)

    def _parse_single(self) -> Callable[[Subject], bool]:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self.error(f"{self.language} is nested too deeply.")
        try:
            return self._parse_nested()
        finally:
            self._depth -= 1

    def _parse_nested(self) -> Callable[[Subject], bool]:
        if self._take(self.negation):
            negated = self._parse_single()
            return lambda subject: not negated(subject)
        if self._take("("):
            condition = self._parse_or()
            if not self._take(")"):
                raise self.error(f"{self.language} lacks a closing parenthesis.")
            return condition
        if self._next in (None, self.either, self.both, ")"):
            raise self.error(f"{self.language} lacks a term.")
        match = self._tokens[self._position]
        self._position += 1
        return self.compile_term(match)

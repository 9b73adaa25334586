"""Finds metrics by a search expression ("CloudWatch search expression syntax", CloudWatch User Guide)."""

import re
from collections.abc import Callable, Iterable

from local_engine.cloudwatch.metrics import Metric
from local_engine.cloudwatch.tokens import UnreadableText, split_tokens

LONGEST_QUERY = 1024
_SCHEMA = re.compile(r"\s*\{([^}]*)\}\s*,?")
_SCHEMA_NAME = re.compile(r'\s*(?:"([^"]*)"|([^,"]*))\s*(?:,|$)')
_TERM = re.compile(
    r'\s*(?:(?P<sign>[()])|(?P<key>:?[\w./-]+|"(?:[^"\\]|\\.)*")(?:\s*=\s*(?P<value>"(?:[^"\\]|\\.)*"|[^\s()"]+))?)'
)
_TOKENS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

type Condition = Callable[[Metric], bool]


class SearchError(Exception):
    """A search that cannot be understood; the message is a sentence."""


def find_metrics(query: str, metrics: Iterable[Metric]) -> list[Metric]:
    """Return the metrics that a query means, in the order of their names and dimensions.

    Args:
        query: such as `{AWS/Lambda,FunctionName} MetricName="Errors"`. The schema's dimensions are exactly those of
            the metrics found. What stands in double quotes must be the whole text; what does not, part of its words.
        metrics: among which to search.

    Raises:
        SearchError: the query is not valid.
    """
    if len(query) > LONGEST_QUERY:
        raise SearchError(f"A search may have {LONGEST_QUERY} characters.")
    conditions: list[Condition] = []
    rest = query
    if match := _SCHEMA.match(query):
        conditions.append(_schema_condition(match[1]))
        rest = query[match.end() :]
    if rest.strip():
        conditions.append(_TermParser(rest).parse())
    if not conditions:
        raise SearchError("A search needs a schema in braces, a term, or both.")
    return sorted(metric for metric in metrics if all(condition(metric) for condition in conditions))


def _schema_condition(text: str) -> Condition:
    names = [quoted or plain.strip() for quoted, plain in _SCHEMA_NAME.findall(text) if quoted or plain.strip()]
    if not names:
        raise SearchError("The braces of a search name a namespace, and the dimensions.")
    namespace, *dimensions = names
    wanted = sorted(dimensions)
    return lambda metric: metric.namespace == namespace and [name for name, _ in metric.dimensions] == wanted


class _TermParser:
    """Terms joined by AND (or nothing), OR and NOT, with parentheses."""

    def __init__(self, text: str) -> None:
        try:
            self._terms = list(split_tokens(_TERM, text))
        except UnreadableText as error:
            raise SearchError(f"The search cannot be read from {error.rest[:20]!r} on.") from error
        self._place = 0

    def parse(self) -> Condition:
        condition = self._alternatives()
        if self._place < len(self._terms):
            raise SearchError("The search has a parenthesis too many.")
        return condition

    def _next(self) -> str | None:
        return self._terms[self._place][0].strip() if self._place < len(self._terms) else None

    def _alternatives(self) -> Condition:
        conditions = [self._together()]
        while self._next() == "OR":
            self._place += 1
            conditions.append(self._together())
        return lambda metric: any(condition(metric) for condition in conditions)

    def _together(self) -> Condition:
        conditions = [self._single()]
        while self._next() not in (None, "OR", ")"):
            if self._next() == "AND":
                self._place += 1
            conditions.append(self._single())
        return lambda metric: all(condition(metric) for condition in conditions)

    def _single(self) -> Condition:
        term = self._next()
        if term is None or term in ("OR", "AND", ")"):
            raise SearchError("The search lacks a term.")
        match = self._terms[self._place]
        self._place += 1
        if term == "NOT":
            condition = self._single()
            return lambda metric: not condition(metric)
        if term == "(":
            condition = self._alternatives()
            if self._next() != ")":
                raise SearchError("The search lacks a closing parenthesis.")
            self._place += 1
            return condition
        return _term_condition(match["key"], match["value"])


def _term_condition(key: str, value: str | None) -> Condition:
    if value is None:
        is_meant = _text_condition(key)
        return lambda metric: any(
            is_meant(text)
            for text in (metric.namespace, metric.name, *(part for pair in metric.dimensions for part in pair))
        )
    is_meant = _text_condition(value)
    match _unquote(key):
        case "MetricName":
            return lambda metric: is_meant(metric.name)
        case "Namespace":
            return lambda metric: is_meant(metric.namespace)
        case dimension:
            return lambda metric: any(name == dimension and is_meant(text) for name, text in metric.dimensions)


def _text_condition(term: str) -> Callable[[str], bool]:
    if term.startswith('"'):
        exact = _unquote(term)
        return lambda text: text == exact
    wanted = _tokens(term)
    length = len(wanted)
    return lambda text: _contains(_tokens(text), wanted, length)


def _contains(tokens: list[str], wanted: list[str], length: int) -> bool:
    return any(tokens[start : start + length] == wanted for start in range(len(tokens) - length + 1))


def _tokens(text: str) -> list[str]:
    return [token.lower() for token in _TOKENS.findall(text)]


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text

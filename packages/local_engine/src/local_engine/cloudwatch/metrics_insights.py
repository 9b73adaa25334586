"""Metrics Insights queries ("Metrics Insights query components and syntax", CloudWatch User Guide)."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from local_engine.cloudwatch.metrics import Metric
from local_engine.cloudwatch.metrics_insights_keywords import RESERVED_KEYWORDS
from local_engine.cloudwatch.tokens import UnreadableText, split_tokens

MOST_SERIES = 500
"""Time series that a query may return."""
MINUTES_QUERIED = 180
"""How far back an alarm's query may look."""
_TOKEN = re.compile(
    r"\s*(?:\"(?P<name>(?:[^\"\\]|\\.)+)\"|'(?P<value>(?:[^'\\]|\\.)*)'|(?P<word>\w+)|(?P<sign>!=|[=(),;]))", re.ASCII
)
_STATISTICS = {"AVG": "Average", "COUNT": "SampleCount", "MAX": "Maximum", "MIN": "Minimum", "SUM": "Sum"}
_SCALARS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "AVG": lambda values: sum(values) / len(values),
    "COUNT": len,
    "MAX": max,
    "MIN": min,
    "SUM": sum,
}


class QueryError(Exception):
    """The query is invalid; the message is a sentence."""


@dataclass(frozen=True)
class InsightsQuery:
    """A parsed query."""

    statistic: str
    """CloudWatch's name of the function, such as `Sum`."""
    metric_name: str
    namespace: str
    schema: tuple[str, ...] | None
    """Exact dimension names, sorted; None if any dimensions match."""
    conditions: tuple[tuple[str, bool, str], ...]
    """Dimension name, whether it must equal (or differ from) the value, and the value."""
    group_by: tuple[str, ...]
    order_by: str | None
    """Function that gives each series the number by which series are sorted."""
    is_descending: bool
    limit: int

    def matches(self, metric: Metric) -> bool:
        """Return whether the query aggregates a metric."""
        if metric.name != self.metric_name or metric.namespace != self.namespace:
            return False
        dimensions = dict(metric.dimensions)
        if self.schema is not None and self.schema != tuple(dimensions):
            return False
        return all(
            name in dimensions and (dimensions[name] == value) is is_equal for name, is_equal, value in self.conditions
        )

    def group_of(self, metric: Metric) -> tuple[str, ...]:
        """Return the values that name a metric's group, in the order of GROUP BY."""
        dimensions = dict(metric.dimensions)
        return tuple(dimensions.get(name, "Other") for name in self.group_by)

    def rank(self, values: Sequence[float]) -> tuple[bool, float]:
        """Return the ORDER BY sort key of a series; a series without data comes last."""
        if self.order_by is None:
            return False, 0.0
        if not values:
            return True, 0.0
        scalar = _SCALARS[self.order_by](values)
        return False, -scalar if self.is_descending else scalar


def is_insights_query(expression: str) -> bool:
    """Return whether an expression is a Metrics Insights query rather than metric math."""
    return re.match(r"\s*SELECT\s", expression, re.IGNORECASE) is not None


def parse_insights_query(text: str) -> InsightsQuery:
    """Parse a query, such as `SELECT SUM("5xx") FROM "AWS/ApiGateway" GROUP BY ApiId ORDER BY SUM() DESC`.

    Raises:
        QueryError: the query is invalid.
    """
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        try:
            self._tokens = list(split_tokens(_TOKEN, text))
        except UnreadableText as error:
            raise QueryError(f"The query cannot be read from {error.rest[:30]!r} on.") from error
        self._position = 0

    def parse(self) -> InsightsQuery:
        self._expect("SELECT")
        statistic = _STATISTICS[self._read_function()]
        self._expect("(")
        metric_name = self._read_name("a metric name")
        self._expect(")")
        self._expect("FROM")
        namespace, schema = self._read_source()
        conditions = self._read_conditions() if self._take("WHERE") else ()
        group_by = self._read_group() if self._take("GROUP") else ()
        order_by, is_descending = self._read_order() if self._take("ORDER") else (None, False)
        limit = self._read_limit() if self._take("LIMIT") else MOST_SERIES
        self._take(";")
        if self._next:
            raise QueryError(f"The query has {self._next!r} where it should end.")
        return InsightsQuery(
            statistic, metric_name, namespace, schema, conditions, group_by, order_by, is_descending, limit
        )

    @property
    def _next(self) -> str:
        return self._tokens[self._position][0].strip() if self._position < len(self._tokens) else ""

    def _take(self, word: str) -> bool:
        is_next = self._next.upper() == word
        self._position += is_next
        return is_next

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._refuse(word)

    def _refuse(self, expected: str) -> QueryError:
        found = repr(self._next) if self._next else "its end"
        return QueryError(f"The query has {found} where {expected} should stand.")

    def _read(self, group: str) -> str | None:
        if not self._next:
            return None
        text = self._tokens[self._position][group]
        if text is None:
            return None
        self._position += 1
        return re.sub(r"\\(.)", r"\1", text)

    def _read_function(self) -> str:
        for function in _STATISTICS:
            if self._take(function):
                return function
        raise self._refuse("AVG, COUNT, MAX, MIN or SUM")

    def _read_name(self, expected: str) -> str:
        quoted = self._read("name")
        if quoted is not None:
            return quoted
        if self._next.upper() in RESERVED_KEYWORDS:
            raise QueryError(f"The query must write {self._next} in double quotation marks: it is a reserved keyword.")
        name = self._read("word")
        if name is None:
            raise self._refuse(expected)
        return name

    def _read_names(self) -> tuple[str, ...]:
        names = [self._read_name("a label key")]
        while self._take(","):
            names.append(self._read_name("a label key"))
        return tuple(names)

    def _read_source(self) -> tuple[str, tuple[str, ...] | None]:
        if not self._take("SCHEMA"):
            return self._read_name("a namespace"), None
        self._expect("(")
        namespace = self._read_name("a namespace")
        keys = self._read_names() if self._take(",") else ()
        self._expect(")")
        return namespace, tuple(sorted(keys))

    def _read_conditions(self) -> tuple[tuple[str, bool, str], ...]:
        conditions = [self._read_condition()]
        while self._take("AND"):
            conditions.append(self._read_condition())
        return tuple(conditions)

    def _read_condition(self) -> tuple[str, bool, str]:
        name = self._read_name("a label key")
        is_equal = self._take("=")
        if not is_equal and not self._take("!="):
            raise self._refuse("= or !=")
        value = self._read("value")
        if value is None:
            raise self._refuse("a label value in single quotation marks")
        return name, is_equal, value

    def _read_group(self) -> tuple[str, ...]:
        self._expect("BY")
        return self._read_names()

    def _read_order(self) -> tuple[str, bool]:
        self._expect("BY")
        function = self._read_function()
        self._expect("(")
        self._expect(")")
        is_descending = self._take("DESC")
        if not is_descending:
            self._take("ASC")
        return function, is_descending

    def _read_limit(self) -> int:
        number = self._read("word")
        if number is None or not number.isdecimal() or not 1 <= int(number) <= MOST_SERIES:
            raise QueryError(f"The query has LIMIT {number}; it must be a number from 1 to {MOST_SERIES}.")
        return int(number)

"""Search expressions ("CloudWatch search expression syntax", CloudWatch User Guide)."""

import re
from collections.abc import Callable, Iterable

from local_engine.cloudwatch.metrics import Metric
from local_engine.cloudwatch.tokens import BooleanParser

LONGEST_QUERY = 1024
_SCHEMA = re.compile(r"\s*\{([^}]*)\}\s*,?")
_SCHEMA_NAME = re.compile(r'\s*(?:"([^"]*)"|([^,"]*))\s*(?:,|$)')
_WORD = re.compile(r"[A-Za-z\d]+")
_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

type Condition = Callable[[Metric], bool]


class SearchError(Exception):
    """The search is invalid; the message is a sentence."""


def find_metrics(query: str, metrics: Iterable[Metric]) -> list[Metric]:
    """Return the metrics that match a query, sorted by namespace, name and dimensions.

    Args:
        query: such as `{AWS/Lambda,FunctionName} MetricName="Errors"`. A schema selects metrics with exactly its
            dimensions. A term in double quotes must equal a whole text; any other term matches its tokens.
        metrics: the metrics to search.

    Raises:
        SearchError: the query is invalid.
    """
    if len(query) > LONGEST_QUERY:
        raise SearchError(f"A search may have at most {LONGEST_QUERY} characters.")
    conditions: list[Condition] = []
    rest = query
    if match := _SCHEMA.match(query):
        conditions.append(_compile_schema(match[1]))
        rest = query[match.end() :]
    if rest.strip():
        conditions.append(_TermParser(rest).parse())
    if not conditions:
        raise SearchError("A search needs a schema in braces, a term, or both.")
    return sorted(metric for metric in metrics if all(condition(metric) for condition in conditions))


def _compile_schema(text: str) -> Condition:
    names = [quoted or plain.strip() for quoted, plain in _SCHEMA_NAME.findall(text) if quoted or plain.strip()]
    if not names:
        raise SearchError("The schema of a search must name a namespace.")
    namespace, *dimensions = names
    wanted = sorted(dimensions)
    return lambda metric: metric.namespace == namespace and [name for name, _ in metric.dimensions] == wanted


class _TermParser(BooleanParser[Metric]):
    language = "The search"
    error = SearchError
    token = re.compile(
        r'\s*(?:[()]|(?P<key>:?[\w./-]+|"(?:[^"\\]|\\.)*")(?:\s*=\s*(?P<value>"(?:[^"\\]|\\.)*"|[^\s()"]+))?)'
    )
    is_implicitly_and = True

    def compile_term(self, match: re.Match[str]) -> Condition:
        key, value = match["key"], match["value"]
        if value is None:
            matches = _compile_text(key)
            return lambda metric: any(
                matches(text)
                for text in (metric.namespace, metric.name, *(part for pair in metric.dimensions for part in pair))
            )
        matches = _compile_text(value)
        match _unquote(key):
            case "MetricName":
                return lambda metric: matches(metric.name)
            case "Namespace":
                return lambda metric: matches(metric.namespace)
            case dimension:
                return lambda metric: any(name == dimension and matches(text) for name, text in metric.dimensions)


def _compile_text(term: str) -> Callable[[str], bool]:
    if term.startswith('"'):
        exact = _unquote(term)
        return lambda text: text == exact
    wanted = [(token, len(word) > 1) for word in _split(term) for token in word]
    if len(wanted) == 1:
        # The letters and digits of a whole name are a token too: `customcount1` of `CustomCount1`.
        single = wanted[0][0].lower()
        return lambda text: single in (*map(str.lower, _tokens(text)), "".join(_WORD.findall(text)).lower())
    return lambda text: _contains(_tokens(text), wanted)


def _contains(tokens: list[str], wanted: list[tuple[str, bool]]) -> bool:
    """Return whether tokens contain consecutive ones, each given with whether its case matters."""
    return any(
        all(
            token == expected if is_exact else token.lower() == expected.lower()
            for token, (expected, is_exact) in zip(tokens[start:], wanted, strict=False)
        )
        for start in range(len(tokens) - len(wanted) + 1)
    )


def _split(text: str) -> list[list[str]]:
    """Split a text into words at other characters than letters and digits, and words into tokens.

    A word of several tokens is a composite token, which a search finds only in the same case: `Count1` finds
    `CustomCount1`, and `count1` does not.
    """
    return [_TOKEN.findall(word) for word in _WORD.findall(text)]


def _tokens(text: str) -> list[str]:
    return [token for word in _split(text) for token in word]


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text

"""Metric math ("Using math expressions with CloudWatch metrics", CloudWatch User Guide).

An expression is tokenized, translated to Python syntax and parsed by Python's own parser. Only the nodes and functions
listed here are evaluated, so an expression cannot do anything but arithmetic.
"""

import ast
import itertools
import math
import operator
import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from local_engine.cloudwatch.metrics import Metric
from local_engine.cloudwatch.tokens import UnreadableText, split_tokens

LONGEST_EXPRESSION = 2048
_TOKEN = re.compile(
    r"\s*(?:(?P<text>\"[^\"]*\"|'[^']*')|(?P<name>[A-Za-z_]\w*)|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<sign>&&|\|\||[=!<>]=|[-+*/^<>(),\[\]]))",
    re.ASCII,
)
_SPELLINGS = {"AND": "and", "&&": "and", "OR": "or", "||": "or", "^": "**"}
# IDs may be Python keywords.
_PREFIX = "id_"


class MathError(Exception):
    """The expression cannot be evaluated; the message is a sentence."""


@dataclass(frozen=True)
class TimeSeries:
    """Values over time."""

    label: str
    period: int
    """Seconds, as in the template."""
    times: Sequence[int]
    """First minute of each period in the range."""
    points: dict[int, float] = field(default_factory=dict)
    """Values by first minute of the period; missing periods are left out."""
    metric: Metric | None = None


type Value = float | str | TimeSeries | list[TimeSeries]


class Environment(Protocol):
    """Resolves the names in an expression."""

    @abstractmethod
    def find(self, identifier: str) -> TimeSeries | list[TimeSeries]:
        """Return the metric or expression with an ID."""

    @abstractmethod
    def metrics(self, part: str) -> list[TimeSeries]:
        """Return the metrics, without expressions, whose ID contains `part`."""

    @abstractmethod
    def search(self, query: str, statistic: str, period: float | None) -> list[TimeSeries]:
        """Return the metrics that match a search; `period` in seconds, None for the graph's period."""


def evaluate(expression: str, environment: Environment) -> TimeSeries | list[TimeSeries]:
    """Evaluate an expression.

    Args:
        expression: such as `100 * FILL(errors, 0) / requests`.
        environment: resolves its names.

    Raises:
        MathError: the expression is invalid, uses an unknown name, or does not return time series.
    """
    if len(expression) > LONGEST_EXPRESSION:
        raise MathError(f"An expression may have at most {LONGEST_EXPRESSION} characters.")
    try:
        tree = ast.parse(_translate(expression), mode="eval")
        value = _Evaluation(environment).visit(tree.body)
    except SyntaxError:
        raise MathError(f"{_shorten(expression)} is not a valid expression.") from None
    except (RecursionError, MemoryError):
        raise MathError("The expression is nested too deeply.") from None
    if isinstance(value, (TimeSeries, list)):
        return value
    raise MathError(f"{_shorten(expression)} returns a single number; a graph or alarm needs a time series.")


def _translate(expression: str) -> str:
    """Translate an expression to Python syntax; names are prefixed to avoid Python keywords."""
    parts: list[str] = []
    try:
        tokens = list(split_tokens(_TOKEN, expression))
    except UnreadableText as error:
        raise MathError(f"{_shorten(expression)} cannot be read from {error.rest[:20]!r} on.") from error
    for match in tokens:
        token = match[0].strip()
        match match.lastgroup:
            case "text":
                parts.append(repr(token[1:-1]))
            case "number":
                parts.append(repr(float(token)))
            case "name":
                parts.append(_SPELLINGS.get(token, _PREFIX + token))
            case _:
                parts.append(_SPELLINGS.get(token, token))
    return " ".join(parts)


def _shorten(expression: str) -> str:
    return repr(expression if len(expression) <= 100 else expression[:99] + "…")


def _divide(left: float, right: float) -> float | None:
    return left / right if right else None


def _raise(left: float, right: float) -> float | None:
    try:
        result = left**right
    except (OverflowError, ZeroDivisionError):
        return None
    return result if isinstance(result, float) else None


type Operation = Callable[[float, float], float | None]
_OPERATIONS: dict[type[ast.AST], Operation] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divide,
    ast.Pow: _raise,
    ast.Eq: lambda left, right: float(left == right),
    ast.NotEq: lambda left, right: float(left != right),
    ast.Lt: lambda left, right: float(left < right),
    ast.LtE: lambda left, right: float(left <= right),
    ast.Gt: lambda left, right: float(left > right),
    ast.GtE: lambda left, right: float(left >= right),
    ast.And: lambda left, right: float(bool(left) and bool(right)),
    ast.Or: lambda left, right: float(bool(left) or bool(right)),
}


class _Evaluation:
    """Evaluates the nodes of one expression."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._functions: dict[str, Callable[..., Value]] = {
            "ABS": lambda value: _map_points(_series_of("ABS", value), abs),
            "AVG": lambda value: _aggregate("AVG", value, lambda numbers, count: math.fsum(numbers) / count),
            "CEIL": lambda value: _map_points(_series_of("CEIL", value), lambda number: float(math.ceil(number))),
            "DATAPOINT_COUNT": lambda value: _aggregate("DATAPOINT_COUNT", value, lambda numbers, _: len(numbers)),
            "DIFF": lambda value: _compare_neighbours("DIFF", value, lambda change, _: change),
            "FILL": _fill,
            "FLOOR": lambda value: _map_points(_series_of("FLOOR", value), lambda number: float(math.floor(number))),
            "IF": _choose,
            "MAX": lambda value: _aggregate("MAX", value, lambda numbers, _: max(numbers)),
            "METRICS": lambda part="": environment.metrics(_text_of("METRICS", part)),
            "METRIC_COUNT": lambda value: float(len(_array_of("METRIC_COUNT", value))),
            "MIN": lambda value: _aggregate("MIN", value, lambda numbers, _: min(numbers)),
            "PERIOD": lambda value: float(_one_of("PERIOD", value).period),
            "RATE": lambda value: _compare_neighbours("RATE", value, operator.truediv),
            "REMOVE_EMPTY": lambda value: [entry for entry in _array_of("REMOVE_EMPTY", value) if entry.points],
            "RUNNING_SUM": lambda value: _each(_series_of("RUNNING_SUM", value), _add_up),
            "SEARCH": self._search,
            "SUM": lambda value: _aggregate("SUM", value, lambda numbers, _: math.fsum(numbers)),
        }

    def visit(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=float() | str() as constant):
                return constant
            case ast.Name(id=name):
                return self._look_up(name.removeprefix(_PREFIX))
            case ast.List(elts=entries):
                return [series for entry in entries for series in _list_of(self.visit(entry))]
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name.removeprefix(_PREFIX), arguments)
            case ast.Compare(ops=[_, _, *_]):
                raise MathError("Comparisons cannot be chained; join them with AND.")
            case _:
                return self._operate(node)

    def _operate(self, node: ast.expr) -> Value:
        operation: ast.AST
        match node:
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                factor = -1.0 if isinstance(sign, ast.USub) else 1.0
                return _combine(operator.mul, factor, self.visit(operand))
            case ast.BinOp(left=left, op=operation, right=right):
                operands = [left, right]
            case ast.Compare(left=left, ops=[operation], comparators=[right]):
                operands = [left, right]
            case ast.BoolOp(op=operation, values=operands):
                pass
            case _:
                raise MathError("The expression uses syntax that metric math does not have.")
        if type(operation) not in _OPERATIONS:
            raise MathError("The expression uses syntax that metric math does not have.")
        value, *others = map(self.visit, operands)
        for other in others:
            value = _combine(_OPERATIONS[type(operation)], value, other)
        return value

    def _look_up(self, name: str) -> Value:
        # The fill modes of FILL are written like names.
        return name if name in ("REPEAT", "LINEAR") else self._environment.find(name)

    def _call(self, name: str, arguments: list[ast.expr]) -> Value:
        function = self._functions.get(name)
        if function is None:
            raise MathError(f"The local engine has no function {name}; it has {', '.join(sorted(self._functions))}.")
        values = [self.visit(argument) for argument in arguments]
        try:
            return function(*values)
        except TypeError:
            raise MathError(f"{name} does not take {len(values)} arguments.") from None

    def _search(self, query: Value, statistic: Value, period: Value = "") -> list[TimeSeries]:
        seconds = period if isinstance(period, float) else None
        return self._environment.search(_text_of("SEARCH", query), _text_of("SEARCH", statistic), seconds)


def _combine(operation: Operation, left: Value, right: Value) -> Value:
    """Apply an operation to each point; a value missing on one side only counts as 0."""
    match left, right:
        case (str(), _) | (_, str()):
            raise MathError("Text is not allowed in arithmetic.")
        case float(), float():
            result = operation(left, right)
            if result is None:
                raise MathError("The expression divides by zero, or its numbers are too large.")
            return result
        case list(), list():
            raise MathError("An operator cannot combine two arrays of time series; use SUM, AVG, MAX or MIN.")
        case list(), _:
            return [_one_of("", _combine(operation, entry, right)) for entry in left]
        case _, list():
            return [_one_of("", _combine(operation, left, entry)) for entry in right]
        case TimeSeries(), float():
            return _map_points(left, lambda number: operation(number, right))
        case float(), TimeSeries():
            return _map_points(right, lambda number: operation(left, number))
        case TimeSeries(), TimeSeries():
            _check_periods([left, right])
            times = [time for time in left.times if time in left.points or time in right.points]
            results = {time: operation(left.points.get(time, 0.0), right.points.get(time, 0.0)) for time in times}
            return replace(left, points=_known(results), metric=None)
    raise MathError("The operands do not fit together.")


def _map_points(series: TimeSeries | list[TimeSeries], change: Callable[[float], float | None]) -> Value:
    def map_one(entry: TimeSeries) -> TimeSeries:
        return replace(entry, points=_known({time: change(value) for time, value in entry.points.items()}))

    return _each(series, map_one)


def _known(points: Mapping[int, float | None]) -> dict[int, float]:
    """Drop points without a finite value, such as divisions by zero."""
    return {time: value for time, value in points.items() if value is not None and math.isfinite(value)}


def _each(series: TimeSeries | list[TimeSeries], change: Callable[[TimeSeries], TimeSeries]) -> Value:
    return [change(entry) for entry in series] if isinstance(series, list) else change(series)


def _aggregate(name: str, value: Value, aggregate: Callable[[list[float], int], float]) -> Value:
    """Aggregate one series to a number, and an array to one series."""
    series = _series_of(name, value)
    if isinstance(series, TimeSeries):
        numbers = list(series.points.values())
        if not numbers and name not in ("SUM", "DATAPOINT_COUNT"):
            return math.nan
        return float(aggregate(numbers, len(numbers)))
    if not series:
        return []
    _check_periods(series)
    points = {}
    for time in series[0].times:
        numbers = [entry.points[time] for entry in series if time in entry.points]
        if numbers:
            points[time] = float(aggregate(numbers, len(series)))
    return TimeSeries(name, series[0].period, series[0].times, points)


def _fill(value: Value, filler: Value) -> Value:
    def fill_one(series: TimeSeries) -> TimeSeries:
        # A metric without any data point stays empty, so an expression has values only where another metric has.
        if not series.points:
            return series
        if filler == "REPEAT":
            return _repeat(series)
        if filler == "LINEAR":
            return _interpolate(series)
        if isinstance(filler, TimeSeries):
            return replace(series, points={**filler.points, **series.points})
        if isinstance(filler, float):
            return replace(series, points={**dict.fromkeys(series.times, filler), **series.points})
        raise MathError("FILL fills with a number, a time series, REPEAT or LINEAR.")

    return _each(_series_of("FILL", value), fill_one)


def _repeat(series: TimeSeries) -> TimeSeries:
    points: dict[int, float] = {}
    last = None
    for time in series.times:
        last = series.points.get(time, last)
        if last is not None:
            points[time] = last
    return replace(series, points=points)


def _interpolate(series: TimeSeries) -> TimeSeries:
    points = dict(series.points)
    known = sorted(points)
    for start, end in itertools.pairwise(known):
        slope = (points[end] - points[start]) / (end - start)
        points |= {time: points[start] + slope * (time - start) for time in series.times if start < time < end}
    return replace(series, points=points)


def _choose(condition: Value, chosen: Value, other: Value = "") -> Value:
    """Evaluate IF for each point of the condition; a missing point of `chosen` is 0, of `other` left out."""
    if isinstance(condition, float):
        if condition:
            return chosen
        if other != "":
            return other
        template = _one_of("IF", chosen)
        return replace(template, points={})
    series = _one_of("IF", condition)
    for branch in (chosen, other):
        if isinstance(branch, TimeSeries):
            _check_periods([series, branch])
        elif isinstance(branch, list) or (isinstance(branch, str) and branch != ""):
            raise MathError("IF chooses between time series or numbers.")
    points = {}
    for time, value in series.points.items():
        branch, missing = (chosen, 0.0) if value else (other, None)
        found = branch.points.get(time, missing) if isinstance(branch, TimeSeries) else branch
        if isinstance(found, float):
            points[time] = found
    return replace(series, points=points, metric=None)


def _compare_neighbours(name: str, value: Value, compare: Callable[[float, float], float]) -> Value:
    def compare_one(series: TimeSeries) -> TimeSeries:
        known = sorted(series.points)
        # Times are in minutes; a rate is per second.
        points = {
            later: compare(series.points[later] - series.points[earlier], (later - earlier) * 60.0)
            for earlier, later in itertools.pairwise(known)
        }
        return replace(series, points=points)

    return _each(_series_of(name, value), compare_one)


def _add_up(series: TimeSeries) -> TimeSeries:
    total = 0.0
    points = {}
    for time in sorted(series.points):
        total += series.points[time]
        points[time] = total
    return replace(series, points=points)


def _series_of(name: str, value: Value) -> TimeSeries | list[TimeSeries]:
    if isinstance(value, (TimeSeries, list)):
        return value
    raise MathError(f"{name} takes a time series or an array of them.")


def _one_of(name: str, value: Value) -> TimeSeries:
    if isinstance(value, TimeSeries):
        return value
    raise MathError(f"{name} takes one time series.")


def _array_of(name: str, value: Value) -> list[TimeSeries]:
    if isinstance(value, list):
        return value
    raise MathError(f"{name} takes an array of time series.")


def _list_of(value: Value) -> list[TimeSeries]:
    if isinstance(value, TimeSeries):
        return [value]
    return _array_of("An array", value)


def _text_of(name: str, value: Value) -> str:
    if isinstance(value, str):
        return value
    raise MathError(f"{name} takes text in quotes.")


def _check_periods(series: Sequence[TimeSeries]) -> None:
    periods = sorted({entry.period for entry in series})
    if len(periods) > 1:
        raise MathError(f"Metrics with different periods ({', '.join(map(str, periods))} s) cannot be combined.")

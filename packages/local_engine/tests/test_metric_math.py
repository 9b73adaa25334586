"""Metric math and searches, with the values that CloudWatch's documentation gives or implies."""

import pytest

from local_engine.cloudwatch.metric_math import MathError
from local_engine.cloudwatch.metric_queries import Queries, Query, Window
from local_engine.cloudwatch.metric_search import find_metrics
from local_engine.cloudwatch.metrics import Metric, MetricStore

START = 1000
# None is a minute without data.
VALUES = {
    "m1": [30, 20, 0, 0, None],
    "m2": [20, None, 20, None, None],
    "c1": [1, 1, 0, 0, None],
    "c2": [30, None, 0, 0, 30],
    "c3": [0, 0, 20, None, 20],
    "requests": [10, 4, None, 40, None],
    "errors": [1, None, None, 4, 2],
    "gap": [None, 2, None, 6, None],
    "never": [None, None, None, None, None],
    "lambda": [1, 2, 3, 4, 5],
}


def _queries(*extra: Query) -> Queries:
    store = MetricStore(60, lambda: (START + 5) * 60.0)
    queries = [*extra]
    for identifier, values in VALUES.items():
        metric = Metric.of("Shop", identifier, {})
        queries.append(Query(identifier, 60, metric, "Sum"))
        for offset, value in enumerate(values):
            if value is not None:
                store.add(metric, [value], at=(START + offset) * 60.0)
    return Queries(queries, store, Window(START + 5, 5), 60)


def evaluate(expression: str, *extra: Query) -> list[list[float | None]]:
    found = _queries(*extra).evaluate(Query("x", 60, expression=expression))
    return [[series.points.get(START + offset) for offset in range(5)] for series in found]


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        # "Comparison and logical operators" of the documentation
        ("m1 < m2", [0, 0, 1, 0, None]),
        ("m1 >= 30", [1, 0, 0, 0, None]),
        ("m1 > 15 AND m2 > 15", [1, 0, 0, 0, None]),
        ("m1 > 15 && m2 > 15", [1, 0, 0, 0, None]),
        ("m1 > 15 OR m2 > 15", [1, 1, 1, 0, None]),
        ("m1 == 20", [0, 1, 0, 0, None]),
        ("m1 != 20 || m2 == 20", [1, 0, 1, 1, None]),
        # "Using IF expressions"
        ("IF(c1, c2, c3)", [30, 0, 20, None, None]),
        ("IF(c1, 5, c3)", [5, 5, 20, None, None]),
        ("IF(c1, c2, 5)", [30, 0, 5, 5, None]),
        ("IF(c1, c2)", [30, 0, None, None, None]),
        ("IF(1, c2, c3)", [30, None, 0, 0, 30]),
        ("IF(0, c2, c3)", [0, 0, 20, None, 20]),
        ("IF(0, c2)", [None] * 5),
        # arithmetic: a value missing on one side is 0, a division by zero is dropped
        ("m1 + m2", [50, 20, 20, 0, None]),
        ("m1 - m2 * 2", [-10, 20, -40, 0, None]),
        ("(m1 - m2) * 2", [20, 40, -40, 0, None]),
        ("m2 / m1", [20 / 30, 0, None, None, None]),
        ("-m1 + 1", [-29, -19, 1, 1, None]),
        ("2 ^ c1", [2, 2, 1, 1, None]),
        ("100 * FILL(errors, 0) / requests", [10, 0, None, 10, None]),
        ("100 * errors / requests", [10, 0, None, 10, None]),
        ("IF(requests >= 20, 100 * errors / requests, 0)", [0, 0, None, 10, None]),
        ("FILL(errors, 0) + FILL(gap, 0)", [1, 2, 0, 10, 2]),
        ("FILL(errors, 0) + FILL(never, 0)", [1, 0, 0, 4, 2]),
        ("FILL(never, 0) + FILL(never, 1)", [None] * 5),
        ("100 * FILL(never, 0) / requests", [0, 0, None, 0, None]),
        ("FILL(gap, REPEAT)", [None, 2, 2, 6, 6]),
        ("FILL(gap, LINEAR)", [None, 2, 4, 6, None]),
        ("FILL(gap, m1)", [30, 2, 0, 6, None]),
        ("FILL(gap, MAX(gap))", [6, 2, 6, 6, 6]),
        # functions aggregate one series to a number, an array to a series
        ("c1 * SUM(gap)", [8, 8, 0, 0, None]),
        ("c1 * AVG(gap)", [4, 4, 0, 0, None]),
        ("c1 + MAX(gap) - MIN(gap)", [5, 5, 4, 4, None]),
        ("c1 + DATAPOINT_COUNT(gap)", [3, 3, 2, 2, None]),
        ("c1 * MAX(never)", [None] * 5),
        ("SUM([m1, m2])", [50, 20, 20, 0, None]),
        ("AVG([m1, m2])", [25, 10, 10, 0, None]),
        ("MAX([m1, m2])", [30, 20, 20, 0, None]),
        ("MIN([m1, m2])", [20, 20, 0, 0, None]),
        ("SUM(100 / [c1, gap])", [100, 150, None, 100 / 6, None]),
        ('SUM(METRICS("m"))', [51, 22, 23, 4, 5]),
        ('SUM([METRICS("m1"), METRICS("m2")])', [50, 20, 20, 0, None]),
        ("m1 / PERIOD(m1)", [0.5, 20 / 60, 0, 0, None]),
        ("m1 / METRIC_COUNT([m1, m2])", [15, 10, 0, 0, None]),
        ("ABS(m2 - m1)", [10, 20, 20, 0, None]),
        ("CEIL(m1 / 7)", [5, 3, 0, 0, None]),
        ("FLOOR(m1 / 7)", [4, 2, 0, 0, None]),
        ("RUNNING_SUM(m1)", [30, 50, 50, 50, None]),
        ("DIFF(gap)", [None, None, None, 4, None]),
        ("RATE(gap)", [None, None, None, 4 / 120, None]),
        # IDs may be Python keywords
        ("lambda * 2", [2, 4, 6, 8, 10]),
    ],
)
def test_expression(expression: str, values: list[float | None]) -> None:
    (found,) = evaluate(expression)
    assert found == pytest.approx(values)


def test_expressions_build_on_each_other() -> None:
    rate = Query("rate", 60, expression="errors / requests")
    assert evaluate("rate * 100", rate) == [[10, 0, None, 10, None]]


def test_array_of_series() -> None:
    assert evaluate("[m1, m2] * 2") == [[60, 40, 0, 0, None], [40, None, 40, None, None]]
    assert evaluate("REMOVE_EMPTY([never, m2])") == [[20, None, 20, None, None]]


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("absent * 2", "no metric or expression with the ID 'absent'"),
        ("m1 +", "not a valid expression"),
        ("(m1", "not a valid expression"),
        ("m1 m2", "not a valid expression"),
        ("SUM(m1)", "returns a single number"),
        ("5", "returns a single number"),
        ("", "not a valid expression"),
        ("m1 < m2 < c1", "cannot be chained"),
        ("[m1, m2] * [m1, m2]", "cannot combine two arrays"),
        ("PERCENTILE(m1, 5)", "no function PERCENTILE"),
        ("FILL(m1)", "does not take 1 arguments"),
        ("FILL(m1, 'zero')", "FILL fills with"),
        ("m1 + 'text'", "Text is not allowed"),
        ("m1 * (1 / 0)", "divides by zero"),
        ("loop", "refers to itself"),
        ("coarse + m1", "different periods"),
        ("(" * 1000 + "m1" + ")" * 1000, "not a valid expression"),
        ("m1 + " * 1000 + "m1", "2048 characters"),
        # nothing but arithmetic
        ("__import__('os')", "no function __import__"),
        ("m1.__class__", "cannot be read from"),
        ("[x for x in m1]", "not a valid expression"),
        ("m1 if m1 else m2", "not a valid expression"),
        ("m1 @ m2", "cannot be read from"),
        ("m1[0]", "metric math does not have"),
        ("SUM(*m1)", "metric math does not have"),
        ("m1 * 9 ^ 9 ^ 9 ^ 9", "too large"),
    ],
)
def test_faulty_expression_is_a_sentence(expression: str, sentence: str) -> None:
    loop = Query("loop", 60, expression="loop + 1")
    coarse = Query("coarse", 300, Metric.of("Shop", "m1", {}), "Sum")
    with pytest.raises(MathError, match=sentence):
        evaluate(expression, loop, coarse)


def _search(query: str) -> list[str]:
    store = MetricStore(60, lambda: START * 60.0)
    for namespace, name, dimensions in (
        ("Shop", "Requests", {"service": "orders", "route": "GET /orders/{id}"}),
        ("Shop", "Requests", {"service": "orders", "route": "POST /orders"}),
        ("Shop", "Requests", {"service": "orders"}),
        ("Shop", "ServerErrors", {"service": "orders", "route": "POST /orders"}),
        ("AWS/Lambda", "Errors", {"FunctionName": "orders"}),
        ("AWS/Lambda", "Errors", {"FunctionName": "project2-trial333"}),
        ("AWS/Lambda", "Duration", {"FunctionName": "orders"}),
        ("Other Shop", "Requests", {"the service": "x"}),
    ):
        store.add(Metric.of(namespace, name, dimensions), [1])
    queries = Queries([], store, Window(START + 1, 5), 60)
    expression = f"SEARCH('{query}', 'Sum', 60)"
    return [series.label for series in queries.evaluate(Query("s", 60, expression=expression))]


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ('{Shop,service,route} MetricName="Requests"', ["GET /orders/{id}", "POST /orders"]),
        ('{Shop, route, service} MetricName="Requests" route="POST /orders"', ["Requests"]),
        ('{Shop,service} MetricName="Requests"', ["Requests"]),
        ('{Shop,route} MetricName="Requests"', []),
        ('{Shop} MetricName="Requests"', []),
        ('{"Other Shop","the service"}', ["Requests"]),
        ('{AWS/Lambda,FunctionName} "orders"', ["Duration", "Errors"]),
        ("{AWS/Lambda,FunctionName} Errors trial", ["Errors"]),
        ('{AWS/Lambda,FunctionName} MetricName="error"', []),
        ("{AWS/Lambda,FunctionName} MetricName=errors", ["orders", "project2-trial333"]),
        ("{AWS/Lambda,FunctionName} errors NOT orders", ["Errors"]),
        ('{AWS/Lambda,FunctionName} MetricName="Duration" OR trial', ["Duration orders", "Errors project2-trial333"]),
        ('MetricName="Errors" AND (orders OR nothing)', ["Errors"]),
        ('Namespace="Shop" MetricName=ServerErrors', ["ServerErrors"]),
        # A quoted name must be the whole name; an unquoted one matches consecutive tokens.
        ('{AWS/Lambda,FunctionName} FunctionName="project2"', []),
        ("{AWS/Lambda,FunctionName} FunctionName=project2-trial", ["Errors"]),
        ("{AWS/Lambda,FunctionName} FunctionName=project2-tri", []),
        ("{AWS/Lambda,FunctionName} FunctionName=trial-project2", []),
    ],
)
def test_search(query: str, labels: list[str]) -> None:
    assert _search(query) == labels


# "Tokenization" and "Partial matches" of the documentation
@pytest.mark.parametrize(
    ("term", "name", "is_match"),
    [
        ("count", "CustomCount1", True),
        ("Count", "CustomCount1", True),
        ("COUNT", "CustomCount1", True),
        ("1", "CustomCount1", True),
        ("couNT", "CustomCount1", False),
        ("CustomCount", "CustomCount1", True),
        ("Count1", "CustomCount1", True),
        ("customcount", "CustomCount1", False),
        ("count1", "CustomCount1", False),
        ("sdb", "SDBFailure", True),
        ("failure", "SDBFailure", True),
        ("sdbfailure", "SDBFailure", True),
        ("trial", "Project2-trial333", True),
        ("333", "Project2-trial333", True),
        ("33", "Project2-trial333", False),
        *((term, "Network-Errors-2", True) for term in ("network/errors", "network-errors", "Network_Errors")),
        *((term, "NetworkErrors2", True) for term in ("network/errors", "network-errors", "Network_Errors")),
        # How a stack's functions are named, and found by the stack's name
        ("serverless-api-dev", "serverless-api-dev-ListOrders-A1b2C3", True),
        ("serverless-api-dev", "serverless-api-development-ListOrders-A1b2C3", False),
        ("serverless-api-dev", "serverless-api-dev2-ListOrders-A1b2C3", True),
        ('"serverless-api-dev"', "serverless-api-dev-ListOrders-A1b2C3", False),
    ],
)
def test_term(term: str, name: str, is_match: bool) -> None:
    metric = Metric.of("AWS/Lambda", "Errors", {"FunctionName": name})
    assert find_metrics(f"{{AWS/Lambda,FunctionName}} FunctionName={term}", [metric]) == [metric] * is_match


@pytest.mark.parametrize("query", ["", "{}", "{Shop} (", "{Shop} a)", "{Shop} OR", "{Shop} ~"])
def test_faulty_search_is_a_sentence(query: str) -> None:
    with pytest.raises(MathError, match="search"):
        _search(query)

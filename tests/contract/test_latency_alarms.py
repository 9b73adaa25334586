"""The alarms on slow answers, by what the gateway or the functions measure in five minutes."""

import pytest

from local_engine.cloudwatch.alarms import AlarmSet
from local_engine.cloudwatch.metrics import Metric, MetricStore
from tests.support.permissions import translate_stack

STACK = translate_stack()
(API,) = [name for name, resource in STACK.resources.items() if resource.type == "AWS::ApiGatewayV2::Api"]
GATEWAY = ("Operations/SlowAnswers", "AWS/ApiGateway", "Count", {"ApiId": API})
FUNCTIONS = ("FunctionsDegraded", "ServerlessApi/local", "Requests", {"service": "api"})
QUICK, SLOW = 20.0, 3500.0


def evaluate(alarm, namespace, count, dimensions, quick, slow):
    """Return the alarm's state after five minutes with as many quick and slow answers each."""
    seconds = [60e6]
    store = MetricStore(60, lambda: seconds[0])
    alarms = AlarmSet(store)
    alarms.declare({alarm: STACK.resources[alarm]})
    for _ in range(5):
        store.add(Metric.of(namespace, "Latency", dimensions), [QUICK] * quick + [SLOW] * slow)
        store.add(Metric.of(namespace, count, dimensions), [1.0] * (quick + slow))
        seconds[0] += 60
        alarms.evaluate(store.minute_at(seconds[0]))
    (evaluated,) = alarms
    return evaluated.state


@pytest.mark.parametrize(
    ("quick", "slow", "state"),
    [
        (4, 1, "OK"),
        (0, 4, "OK"),
        (96, 4, "OK"),
        (600, 5, "OK"),
        (0, 5, "ALARM"),
        (8, 5, "ALARM"),
        (400, 5, "ALARM"),
        (5000, 50, "OK"),
        (5000, 60, "ALARM"),
    ],
)
@pytest.mark.parametrize("alarm", [GATEWAY, FUNCTIONS], ids=["gateway", "functions"])
def test_five_slow_answers_and_one_percent_a_minute_are_too_many(alarm, quick, slow, state):
    assert evaluate(*alarm, quick, slow) == state

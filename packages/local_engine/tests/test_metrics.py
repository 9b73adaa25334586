"""The metric store: statistics, exact sums, bounded memory, short minutes."""

import math
import random
import sys

import pytest

from local_engine.cloudwatch.metrics import (
    LARGEST_STORE,
    MINUTES_KEPT,
    Distribution,
    Metric,
    MetricStore,
    UnknownStatistic,
)

LATENCY = Metric.of("Shop", "Latency", {"route": "read", "service": "orders"})


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000_000 * 60.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    ("statistic", "value"),
    [
        ("Sum", 5050),
        ("SampleCount", 100),
        ("Average", 50.5),
        ("Minimum", 1),
        ("Maximum", 100),
        ("p50", 50),
        ("p90", 90),
        ("p99", 99),
        ("p99.9", 100),
        ("p0", 1),
        ("p100", 100),
        ("PR(:30)", 30),
        ("PR(30:)", 70),
        ("PR(29.5:40)", 11),
        ("PR(100:)", 0),
    ],
)
def test_statistics(clock: Clock, statistic: str, value: float) -> None:
    store = MetricStore(60, clock)
    values = list(range(1, 101))
    random.Random(7).shuffle(values)
    store.add(LATENCY, values, "Milliseconds")
    series = store.find(LATENCY)
    assert series is not None
    assert series.statistic(statistic, store.minute_at(clock.seconds), 1) == value


@pytest.mark.parametrize("name", ["p101", "p", "median", "tm90", "sum", "", "PR(:)", "PR(3%:)"])
def test_unknown_statistic_is_refused_by_name(name: str) -> None:
    distribution = Distribution()
    distribution.add([1])
    with pytest.raises(UnknownStatistic, match="no statistic"):
        distribution.statistic(name)


def test_periods_combine_minutes(clock: Clock) -> None:
    store = MetricStore(60, clock)
    start = store.minute_at(clock.seconds)
    for value in (1, 2, 3, 4, 5, 6):
        store.add(LATENCY, [value])
        clock.seconds += 60
    series = store.find(LATENCY)
    assert series is not None
    assert [series.statistic("Sum", start + offset, 3) for offset in (0, 3, 6)] == [6, 15, None]
    assert series.statistic("p50", start, 5) == 3


def test_late_values_count(clock: Clock) -> None:
    store = MetricStore(60, clock)
    start = store.minute_at(clock.seconds)
    for value in (1, 2):
        store.add(LATENCY, [value])
        clock.seconds += 60
    series = store.find(LATENCY)
    assert series is not None
    assert series.statistic("Sum", start, 1) == 1
    store.add(LATENCY, [10], at=clock.seconds - 120)
    assert series.statistic("Sum", start, 1) == 11


def test_dimensions_identify_a_metric_in_any_order(clock: Clock) -> None:
    store = MetricStore(60, clock)
    store.add(Metric.of("Shop", "Latency", {"service": "orders", "route": "read"}), [1])
    store.add(LATENCY, [2])
    store.add(Metric.of("Shop", "Latency", {"service": "orders"}), [4])
    assert [(series.metric.dimensions, series.total) for series in sorted(store, key=lambda one: one.total)] == [
        (LATENCY.dimensions, 3),
        ((("service", "orders"),), 4),
    ]


def test_many_values_take_little_memory_with_exact_sum_and_close_percentiles() -> None:
    generator = random.Random(11)
    values = [generator.lognormvariate(3, 1.5) for _ in range(100_000)] + [0.0, -2.0]
    distribution = Distribution()
    for value in values:
        distribution.add([value])
    assert distribution.count == len(values)
    assert math.isclose(distribution.total, math.fsum(values), rel_tol=1e-9)
    assert (distribution.minimum, distribution.maximum) == (-2.0, max(values))
    assert sys.getsizeof(distribution.values) + sys.getsizeof(distribution.weights) < 8192
    values.sort()
    for percent in (10, 50, 90, 99):
        lower, upper = (values[math.ceil(len(values) * (percent + error) / 100) - 1] for error in (-0.9, 0.9))
        assert lower <= distribution.statistic(f"p{percent}") <= upper


def test_old_minutes_are_dropped_but_still_in_the_total(clock: Clock) -> None:
    store = MetricStore(60, clock)
    start = store.minute_at(clock.seconds)
    for _ in range(MINUTES_KEPT + 50):
        store.add(LATENCY, [1])
        clock.seconds += 60
    series = store.find(LATENCY)
    assert series is not None
    assert series.statistic("Sum", start, MINUTES_KEPT + 50) == MINUTES_KEPT
    assert series.total == MINUTES_KEPT + 50


@pytest.mark.parametrize("seconds", [-60.0 * MINUTES_KEPT, 7260.0])
def test_values_too_old_or_in_the_future_are_dropped(clock: Clock, seconds: float) -> None:
    store = MetricStore(60, clock)
    store.add(LATENCY, [1], at=clock.seconds + seconds)
    assert list(store) == []


def test_number_of_metrics_is_limited(clock: Clock) -> None:
    store = MetricStore(60, clock)
    for number in range(LARGEST_STORE + 3):
        store.add(Metric.of("Shop", "Requests", {"id": str(number)}), [1])
    assert len(list(store)) == LARGEST_STORE
    assert store.refused == 3


def test_minutes_may_be_short(clock: Clock) -> None:
    store = MetricStore(0.5, clock)
    start = store.minute_at(clock.seconds)
    store.add(LATENCY, [1])
    clock.seconds += 0.5
    store.add(LATENCY, [2])
    series = store.find(LATENCY)
    assert series is not None
    assert [series.statistic("Sum", start + minute, 1) for minute in range(3)] == [1, 2, None]

"""Token buckets: bursts at once, the rate in the long run, and the account's defaults."""

from collections.abc import Callable

import pytest

from local_engine.gateway.throttling import Throttle, TokenBucket
from local_engine.template.stack import Throttling


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time pass."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


def count_taken(take: Callable[[], bool], asked: int = 12_000) -> int:
    return sum(take() for _ in range(asked))


def test_a_bucket_fills_at_its_rate_up_to_its_burst(wait: Callable[[float], None]) -> None:
    bucket = TokenBucket(rate=2, burst=3)
    assert count_taken(bucket.take) == 3
    wait(0.25)
    assert not bucket.take()
    wait(0.25)
    assert count_taken(bucket.take) == 1
    wait(1)
    assert count_taken(bucket.take) == 2
    wait(60)
    assert count_taken(bucket.take) == 3


@pytest.mark.parametrize(
    ("route", "burst", "second"),
    [
        (None, 4, 2),
        (Throttling(rate=None, burst=7), 7, 2),
        (Throttling(rate=3, burst=None), 4, 3),
        (Throttling(rate=1, burst=1), 1, 1),
    ],
)
def test_a_route_has_its_own_bucket_and_the_stages_settings_as_defaults(
    wait: Callable[[float], None], route: Throttling | None, burst: int, second: int
) -> None:
    throttle = Throttle(Throttling(rate=2, burst=4), {"GET /a": route} if route else {})
    assert count_taken(lambda: throttle.admits("GET /a")) == burst
    assert count_taken(lambda: throttle.admits("GET /b")) == 4
    wait(1)
    assert count_taken(lambda: throttle.admits("GET /a")) == second


@pytest.mark.parametrize(
    ("settings", "burst", "second"),
    [(Throttling(rate=1, burst=None), 5_000, 1), (Throttling(rate=None, burst=6_000), 6_000, 6_000)],
)
def test_what_is_not_set_is_the_default_of_an_account(
    wait: Callable[[float], None], settings: Throttling, burst: int, second: int
) -> None:
    throttle = Throttle(settings, {})
    assert count_taken(lambda: throttle.admits("GET /a")) == burst
    wait(1)
    assert count_taken(lambda: throttle.admits("GET /a")) == second


def test_without_settings_everything_passes(wait: Callable[[float], None]) -> None:
    throttle = Throttle(Throttling(rate=None, burst=None), {})
    assert count_taken(lambda: throttle.admits("GET /a")) == 12_000


def test_the_rate_of_an_account_is_ten_thousand_a_second(wait: Callable[[float], None]) -> None:
    throttle = Throttle(Throttling(rate=None, burst=20_000), {})
    assert count_taken(lambda: throttle.admits("GET /a"), 20_001) == 20_000
    wait(0.5)
    assert count_taken(lambda: throttle.admits("GET /a"), 20_001) == 5_000

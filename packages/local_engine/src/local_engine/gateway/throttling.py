"""Throttling ("Throttle requests to your HTTP APIs", API Gateway Developer Guide)."""

import time
from collections.abc import Mapping

from local_engine.template.stack import Throttling


class TokenBucket:
    """Admits `burst` requests at once and `rate` per second in the long run."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._filled_at = time.monotonic()

    def take(self) -> bool:
        """Take a token and return True, or return False if there is none."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Throttle:
    """The buckets of an API. Each route has its own, with the stage's settings as defaults."""

    def __init__(self, default: Throttling, routes: Mapping[str, Throttling]) -> None:
        self._default = default
        self._routes = routes
        self._buckets: dict[str, TokenBucket | None] = {}

    def admits(self, route_key: str) -> bool:
        """Return whether a request for this route may pass now."""
        if route_key not in self._buckets:
            self._buckets[route_key] = self._create_bucket(self._routes.get(route_key))
        bucket = self._buckets[route_key]
        return bucket is None or bucket.take()

    def _create_bucket(self, settings: Throttling | None) -> TokenBucket | None:
        rate, burst = self._default.rate, self._default.burst
        if settings is not None:
            rate = rate if settings.rate is None else settings.rate
            burst = burst if settings.burst is None else settings.burst
        if rate is None and burst is None:
            return None
        # If only one is set, the other is AWS's default for an account.
        return TokenBucket(10000 if rate is None else rate, 5000 if burst is None else burst)

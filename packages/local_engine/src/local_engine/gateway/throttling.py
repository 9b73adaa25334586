"""Limits the rate of requests ("Throttle requests to your HTTP APIs", API Gateway Developer Guide)."""

import time
from collections.abc import Mapping

from local_engine.template.stack import Throttling


class TokenBucket:
    """Let `burst` requests through at once and `rate` a second in the long run."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._filled_at = time.monotonic()

    def take(self) -> bool:
        """Take a token; False where there is none."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Throttle:
    """The buckets of an API: each route has its own, with the stage's settings where it has none itself."""

    def __init__(self, default: Throttling, routes: Mapping[str, Throttling]) -> None:
        self._default = default
        self._routes = routes
        self._buckets: dict[str, TokenBucket | None] = {}

    def admits(self, route_key: str) -> bool:
        """Whether a request for this route may pass now."""
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
        # Where only one is set the other is AWS's default for an account.
        return TokenBucket(10000 if rate is None else rate, 5000 if burst is None else burst)

"""The event bus inside moto's process: replaces moto's own delivery, and answers the engine's questions."""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from local_engine.event_bus.clock import Clock
from local_engine.event_bus.outbox import DELIVERIES_PATH, Outbox

if TYPE_CHECKING:
    from local_engine.event_bus.schedules import ScheduleRunner

CLOCK_PATH = "/_local/clock"
LOCAL_PATHS = (CLOCK_PATH, DELIVERIES_PATH)
_SERVICES = ("events", "s3", "s3bucket_path", "scheduler", "sns")


class EventBus:
    """Rules, schedules, subscriptions and notifications, from the first call of one of their services on."""

    def __init__(
        self, serving: threading.Lock, notify: Callable[[], None], prepare_turn: Callable[[datetime], None]
    ) -> None:
        """Take what schedules need.

        Args:
            serving: held while moto serves a request.
            notify: called after schedules have sent messages.
            prepare_turn: called with the time that the clock is about to show, before schedules run.
        """
        self._prepare_turn = prepare_turn
        self._serving = serving
        self._notify = notify
        self._outbox = Outbox()
        self._clock = Clock()
        self._schedules: ScheduleRunner | None = None
        self._lock = threading.Lock()

    def install(self, service: str) -> None:
        """Replace moto's delivery before the first call of a service."""
        with self._lock:
            if service == "scheduler":
                from local_engine.event_bus.scheduler_requests import install_scheduler_requests  # noqa: PLC0415

                install_scheduler_requests()
            if service not in _SERVICES or self._schedules is not None:
                return
            # A stack without such services does not pay for these imports.
            from local_engine.event_bus.bucket_events import install_bucket_events  # noqa: PLC0415
            from local_engine.event_bus.rules import install_rules  # noqa: PLC0415
            from local_engine.event_bus.schedules import ScheduleRunner  # noqa: PLC0415
            from local_engine.event_bus.subscriptions import install_subscriptions  # noqa: PLC0415
            from local_engine.event_bus.targets import Targets  # noqa: PLC0415

            targets = Targets(self._outbox, self._clock)
            install_rules(targets)
            install_bucket_events(targets)
            install_subscriptions(self._outbox)
            self._schedules = ScheduleRunner(targets, self._serving, self._notify)
            self._schedules.start()

    def now(self) -> datetime:
        """Return the time on the clock."""
        return self._clock.now()

    async def answer(self, scope: Mapping[str, Any], body: bytes) -> tuple[int, bytes]:
        """Answer a request to one of `LOCAL_PATHS`."""
        if scope["path"] == DELIVERIES_PATH:
            return 200, await self._outbox.describe(scope["query_string"].decode("latin-1"))
        if scope["method"] == "GET":
            return 200, self._describe_clock(0)
        try:
            moment = self._read_moment(json.loads(body))
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
            message = 'The clock takes {"seconds": 60} or {"time": "2026-12-24T18:00:00Z"}, and never goes back.'
            return 400, json.dumps({"message": message}).encode()
        # Whatever a schedule invokes finds what has expired gone.
        self._prepare_turn(moment)
        if self._schedules is None:
            self._clock.turn_to(moment)
            return 200, self._describe_clock(0)
        return 200, self._describe_clock(await asyncio.to_thread(self._schedules.turn_clock, moment))

    def _read_moment(self, turn: Mapping[str, Any]) -> datetime:
        now = self._clock.now()
        if "time" in turn:
            moment = datetime.fromisoformat(turn["time"])
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        else:
            moment = now + timedelta(seconds=turn["seconds"])
        if moment < now:
            raise ValueError
        return moment

    def _describe_clock(self, runs: int) -> bytes:
        return json.dumps({"time": self._clock.now().isoformat(timespec="seconds"), "runs": runs}).encode()

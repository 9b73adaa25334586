"""The clock of schedules, which a test can turn forward."""

import threading
from datetime import UTC, datetime, timedelta


class Clock:
    """Real time with an offset."""

    def __init__(self) -> None:
        self._offset = timedelta()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the time on the clock, in UTC."""
        return datetime.now(UTC) + self._offset

    def turn_to(self, moment: datetime) -> None:
        """Turn the clock forward. It never goes back."""
        with self._lock:
            self._offset = max(self._offset, moment - datetime.now(UTC))

"""Outcomes of events and messages at `/_local/deliveries.json`, for tests that wait for them."""

from collections import deque
from typing import Any, override

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local_engine.observer import Observer, TriggerRun

DELIVERIES_PATH = "/_local/deliveries.json"
_KEPT = 1_000


class DeliveryLog(Observer):
    """Keeps the last runs of functions that events started."""

    def __init__(self) -> None:
        self._runs: deque[tuple[int, TriggerRun]] = deque(maxlen=_KEPT)
        self._last = 0

    @override
    def trigger_ran(self, run: TriggerRun) -> None:
        self._last += 1
        self._runs.append((self._last, run))

    async def answer(self, request: Request) -> Response:
        """Answer with the number of the last delivery, and those after the number `after`; without it, with none."""
        text = request.query_params.get("after", str(self._last))
        if not text.isascii() or not text.isdecimal() or len(text) > 15:
            return JSONResponse({"error": f"after is {text!r}; it must be the number of a delivery."}, 400)
        runs = [_describe(run) for number, run in self._runs if number > int(text)]
        return JSONResponse({"last": self._last, "deliveries": runs}, headers={"Cache-Control": "no-store"})


def _describe(run: TriggerRun) -> dict[str, Any]:
    return {
        "source": run.source,
        "function": run.function,
        "records": run.records,
        "outcome": run.outcome,
        "is_error": run.is_error,
        "request_id": run.id,
        "milliseconds": run.milliseconds,
    }

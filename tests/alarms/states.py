"""The alarms of a running stack, each as its own rule has it."""

from collections.abc import Mapping
from typing import Any

from local_engine.testing import poll
from tests.support.stand import Stand


def read_alarms(stand: Stand) -> Mapping[str, Mapping[str, Any]]:
    """Return all alarms by their logical ids."""
    with stand.engine.client() as client:
        return {alarm["logicalId"]: alarm for alarm in client.get("/_local/alarms.json").json()["alarms"]}


def wait_until(stand: Stand, state: str, names: set[str], seconds: float = 120) -> None:
    """Wait until each of the alarms was in a state at some time."""
    left = set(names)

    def is_reached() -> bool:
        alarms = read_alarms(stand)
        left.difference_update(name for name in left.copy() if alarms[name]["state"] == state)
        return not left

    try:
        poll(is_reached, "", seconds)
    except AssertionError:
        alarms = read_alarms(stand)
        shown = "\n".join(f"{name} is {alarms[name]['state']}: {alarms[name]['reason']}" for name in sorted(left))
        raise AssertionError(f"not {state} within {seconds} s:\n{shown}") from None

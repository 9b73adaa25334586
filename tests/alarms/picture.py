"""`python -m tests.alarms.picture FILE`: the stack's dashboard after some traffic, while the table throttles."""

import sys
import time
from pathlib import Path

from tests.alarms.states import wait_until
from tests.alarms.traffic import send_requests
from tests.support.browser import open_browser
from tests.support.fault_proxy import Fault, always
from tests.support.stand import start_stand

MINUTE_SECONDS = 3
QUIET_SECONDS = 60


def take_picture(file: Path) -> None:
    """Write a picture of the page, as PNG."""
    lapse = ("--minute", str(MINUTE_SECONDS))
    with start_stand(*lapse) as stand, open_browser() as browser:
        page = browser.new_page(viewport={"width": 1120, "height": 900})
        with send_requests(stand.url, clients=3):
            time.sleep(QUIET_SECONDS)
            with stand.faults(always(Fault.THROTTLED)):
                wait_until(
                    stand,
                    "ALARM",
                    {f"Operations/{name}" for name in ("ServerErrors", "TableThrottles", "CircuitOpened")},
                )
                page.goto(f"{stand.url}/_local/dashboard")
                page.get_by_role("article", name="Requests by route", exact=True).locator("polyline").first.wait_for()
                page.screenshot(path=file, full_page=True)


if __name__ == "__main__":
    take_picture(Path(sys.argv[1]))

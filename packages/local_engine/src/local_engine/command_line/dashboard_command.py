"""`local-engine dashboard`: opens the dashboard of a running engine, or of one that it starts."""

import http.client
import json
import os
import sys
import threading
import time
import webbrowser
from collections.abc import Sequence

from local_engine.cloudwatch.dashboard_page import DASHBOARD_PATH
from local_engine.command_line.arguments import DEFAULT_PORT, HOST, CommandParser, parse_port
from local_engine.command_line.run_command import run

_ANSWER_SECONDS = 5.0
_START_SECONDS = 120.0

_DESCRIPTION = """Open the dashboard of the engine at a port. If none answers, start it as `run` does. Further arguments
are those of `local-engine run`."""
_EXAMPLES = """example:
  local-engine dashboard --minute 1
      start the engine if necessary, with minutes that last a second"""


def open_dashboard(arguments: Sequence[str]) -> None:
    """Open the page. Further arguments of `local-engine run` are for the engine, if one is started."""
    parser = CommandParser("dashboard", _DESCRIPTION, _EXAMPLES)
    parser.add_argument(
        "--port", type=parse_port, default=DEFAULT_PORT, help=f"of the first API (default: {DEFAULT_PORT})"
    )
    options, _ = parser.parse_known_args(arguments)
    if _answers(options.port):
        _open(options.port)
        return
    threading.Thread(target=_open_when_it_answers, args=(options.port,), daemon=True).start()
    run(arguments)


def _open_when_it_answers(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(port):
        if time.monotonic() > deadline:
            return
        time.sleep(0.2)
    _open(port)


def _answers(port: int) -> bool:
    """Return whether a local engine listens at a port."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/_local/alarms.json")
        response = connection.getresponse()
        return response.status == 200 and "alarms" in json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError, TypeError):
        return False
    finally:
        connection.close()


def _open(port: int) -> None:
    url = f"http://{HOST}:{port}{DASHBOARD_PATH}"
    print(f"Dashboard: {url}", flush=True)
    # Without a screen, Python would choose a browser that takes over the terminal.
    has_screen = sys.platform in ("darwin", "win32") or {"BROWSER", "DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()
    if has_screen:
        webbrowser.open(url)

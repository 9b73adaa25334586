"""`make load`: sends what a profile says to the API, and reports how it was answered."""

import argparse
import os
import signal
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import gevent
from gevent.event import Event

# Locust before all that opens connections: it makes them wait in gevent's loop.
from locust import FastHttpUser  # noqa: F401

from benchmarks.load.caller import Traffic
from benchmarks.load.housekeeping import Housekeeping
from benchmarks.load.memory import find_engine
from benchmarks.load.plot import draw_plot
from benchmarks.load.profile import Profile, load_profile
from benchmarks.load.report import format_report, format_routes
from benchmarks.load.run import Run, run_profile
from benchmarks.load.tokens import find_local_port, find_token
from benchmarks.machine import ROOT, BenchmarkError, describe_system

PROFILES = ROOT / "benchmarks/load/profiles"
DOCUMENTS = ROOT / "docs/operations"


def main() -> int:
    """Run, print and write the report; 1 where too many requests failed, 2 where nothing could be sent."""
    options = _parse()
    stop = Event()
    # Ctrl-C ends the run, with the report so far; another one ends the clean-up as well.
    watchers = [gevent.signal_handler(number, stop.set) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        profile = load_profile(options.profile)
        url = _read_url(options.url)
        conditions = {"Asked": url} | describe_system() | {"Load tool": f"Locust {version('locust')}"}
        return _load(url, profile, conditions, options, stop)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        for watcher in watchers:
            watcher.cancel()


def _load(url: str, profile: Profile, conditions: Mapping[str, str], options: argparse.Namespace, stop: Event) -> int:
    traffic = Traffic(profile.mix, find_token(url, profile.seconds, os.environ))
    housekeeping = Housekeeping(url, traffic)
    housekeeping.check_access()
    port = find_local_port(url)
    engine = None if port is None else find_engine(port)
    print(f"{profile.title}: {profile.seconds:.0f} seconds against {url}. Ctrl-C ends it with the report so far.")
    housekeeping.create_resources(profile.resources)
    try:
        run = run_profile(url, profile, traffic, engine=engine, stop=stop, show=lambda line: print(line, flush=True))
    finally:
        left = housekeeping.delete_resources()
    print(f"\n{format_routes(run)}\n")
    for problem, count in run.measurements.problems.most_common():
        print(f"{count} times {problem}")
    _write(run, conditions, options, port)
    if left:
        print(f"{left} resources named {traffic.mark!r} could not be deleted.", file=sys.stderr)
    if run.has_failed:
        print("More requests failed than the profile allows.", file=sys.stderr)
    return 1 if run.has_failed or left else 0


def _write(run: Run, conditions: Mapping[str, str], options: argparse.Namespace, port: int | None) -> None:
    name = run.profile.name
    command = "make load" if port is not None else f"make load URL={conditions['Asked']}"
    command += f" PROFILE={os.path.relpath(options.profile, ROOT)}"
    if options.write:
        report, plot = DOCUMENTS / "load.md", DOCUMENTS / f"{name}.svg"
        command = "make soak" if name == "soak" else f"{command} ARGS=--write"
    else:
        report, plot = options.output / f"{name}.md", options.output / f"{name}.svg"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(format_report(run, conditions, plot.name, command), encoding="utf-8")
    plot.write_text(draw_plot(run), encoding="utf-8")
    print(f"Written to {report} and, as a plot, {plot.name} beside it.")


def _read_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BenchmarkError(f"URL is {text!r}; it must be one such as http://127.0.0.1:3000 or https://….")
    if parts.scheme == "http" and find_local_port(text) is None:
        raise BenchmarkError(f"{text} is not https: the token would cross the network unencrypted.")
    return text.rstrip("/")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make load", description="Send what a profile says to the API.", allow_abbrev=False
    )
    parser.add_argument("--url", default="http://127.0.0.1:3000", help="of the API, with its stage where it has one")
    parser.add_argument("--profile", type=Path, default=PROFILES / "steady.toml", metavar="FILE")
    parser.add_argument(
        "--output", type=Path, default=ROOT / ".load", metavar="FOLDER", help="for the report (default: .load)"
    )
    parser.add_argument("--write", action="store_true", help="write the report into docs/operations instead")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())

"""`make load`: sends a profile's load to the API and reports the responses."""

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import gevent
from gevent.event import Event

# Locust comes before everything that opens connections, because it patches them to wait in gevent's loop.
from locust import FastHttpUser  # noqa: F401

from tools.arguments import add_target
from tools.benchmarks.load.access import Access, find_access
from tools.benchmarks.load.caller import Traffic
from tools.benchmarks.load.housekeeping import Housekeeping
from tools.benchmarks.load.memory import find_engine
from tools.benchmarks.load.plot import draw_plot
from tools.benchmarks.load.profile import Profile, load_profile
from tools.benchmarks.load.report import format_report, format_routes, format_unmeasured
from tools.benchmarks.load.routes import read_routes
from tools.benchmarks.load.run import Run, run_profile
from tools.benchmarks.machine import ROOT, BenchmarkError, describe_system
from tools.command_parser import CommandParser

PROFILES = ROOT / "tools/benchmarks/load/profiles"
DOCUMENTS = ROOT / "docs/operations"


def main() -> int:
    """Run, print and write the report; return 1 if too many requests failed, 2 if nothing could be sent."""
    options = _parse()
    stop = Event()
    # Ctrl-C ends the stages, not the cleanup after them.
    watchers = [gevent.signal_handler(number, stop.set) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        profile = load_profile(options.profile)
        access = find_access(options, profile.seconds, os.environ)
        conditions = {"Asked": access.url} | describe_system() | {"Load tool": f"Locust {version('locust')}"}
        return _load(access, profile, conditions, options, stop)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        for watcher in watchers:
            watcher.cancel()


def _load(
    access: Access, profile: Profile, conditions: Mapping[str, str], options: argparse.Namespace, stop: Event
) -> int:
    routes = read_routes()
    traffic = Traffic(profile.mix, access.token, routes.reads)
    housekeeping = Housekeeping(access.url, traffic)
    housekeeping.check_access()
    engine = None if access.local_port is None else find_engine(access.local_port)
    print(
        f"{profile.title}: {profile.seconds:.0f} seconds against {access.url}. Ctrl-C ends it with the report so far."
    )
    housekeeping.create_resources(profile.resources)
    try:
        run = run_profile(
            access.url, profile, traffic, engine=engine, stop=stop, show=lambda line: print(line, flush=True)
        )
    finally:
        left = _clean_up(housekeeping, traffic)
    if run.silent_since is not None:
        print(f"From second {run.silent_since:.0f} on, no request got a response.", file=sys.stderr)
    if left:
        print(left, file=sys.stderr)
    if run.has_failed:
        print("More requests failed, or memory grew more, than the profile allows.", file=sys.stderr, flush=True)
    unmeasured = routes.list_unmeasured(run.measurements.routes)
    print(f"\n{format_routes(run)}\n\n{format_unmeasured(unmeasured)}\n")
    for problem, count in run.measurements.problems.most_common():
        print(f"{count} times {problem}")
    _write(run, conditions, unmeasured, options)
    return 1 if run.has_failed or left else 0


def _clean_up(housekeeping: Housekeeping, traffic: Traffic) -> str:
    """Delete what the run created, and return a sentence if something is left. The report is written anyway."""
    try:
        left = housekeeping.delete_resources()
    except BenchmarkError as error:
        return f"Resources named {traffic.mark!r} may be left: {error}"
    return f"{left} resources named {traffic.mark!r} could not be deleted." if left else ""


def _write(run: Run, conditions: Mapping[str, str], unmeasured: Sequence[str], options: argparse.Namespace) -> None:
    name = run.profile.name
    command = f"make load PROFILE={os.path.relpath(options.profile, ROOT)}"
    if options.write:
        report, plot = DOCUMENTS / "load.md", DOCUMENTS / f"{name}.svg"
        command = "make soak" if name == "soak" else f"{command} ARGS=--write"
    else:
        report, plot = options.output / f"{name}.md", options.output / f"{name}.svg"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(format_report(run, conditions, unmeasured, plot.name, command), encoding="utf-8")
    plot.write_text(draw_plot(run), encoding="utf-8")
    print(f"Written to {report} and, as a plot, {plot.name} beside it.")


def _parse() -> argparse.Namespace:
    parser = CommandParser(prog="make load", description="Send a profile's load to the API.", allow_abbrev=False)
    add_target(parser)
    parser.add_argument("--profile", type=Path, default=PROFILES / "steady.toml", metavar="FILE")
    parser.add_argument(
        "--output", type=Path, default=ROOT / ".load", metavar="FOLDER", help="for the report (default: .load)"
    )
    parser.add_argument("--write", action="store_true", help="write the report into docs/operations instead")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())

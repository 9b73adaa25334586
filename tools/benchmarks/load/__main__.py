"""`make load`: sends what a profile says to the API, and reports how it was answered."""

import argparse
import os
import signal
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import gevent
from gevent.event import Event

# Locust before all that opens connections: it makes them wait in gevent's loop.
from locust import FastHttpUser  # noqa: F401

from tools.benchmarks.load.access import Access, find_access
from tools.benchmarks.load.caller import Traffic
from tools.benchmarks.load.housekeeping import Housekeeping
from tools.benchmarks.load.memory import find_engine
from tools.benchmarks.load.plot import draw_plot
from tools.benchmarks.load.profile import Profile, load_profile
from tools.benchmarks.load.report import format_report, format_routes
from tools.benchmarks.load.run import Run, run_profile
from tools.benchmarks.machine import ROOT, BenchmarkError, describe_system

PROFILES = ROOT / "tools/benchmarks/load/profiles"
DOCUMENTS = ROOT / "docs/operations"


def main() -> int:
    """Run, print and write the report; 1 where too many requests failed, 2 where nothing could be sent."""
    options = _parse()
    stop = Event()
    # Nothing is left behind: Ctrl-C ends the stages, and not the clean-up after them.
    watchers = [gevent.signal_handler(number, stop.set) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        profile = load_profile(options.profile)
        access = find_access(options.url, _name_target(options), profile.seconds, os.environ)
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
    traffic = Traffic(profile.mix, access.token)
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
    print(f"\n{format_routes(run)}\n")
    for problem, count in run.measurements.problems.most_common():
        print(f"{count} times {problem}")
    _write(run, conditions, options)
    if left:
        print(left, file=sys.stderr)
    if run.has_failed:
        print("More requests failed, or memory grew more, than the profile allows.", file=sys.stderr)
    return 1 if run.has_failed or left else 0


def _clean_up(housekeeping: Housekeeping, traffic: Traffic) -> str:
    """Delete what the run has made, and return a sentence where something is left: the report is written anyway."""
    try:
        left = housekeeping.delete_resources()
    except BenchmarkError as error:
        return f"Resources named {traffic.mark!r} may be left: {error}"
    return f"{left} resources named {traffic.mark!r} could not be deleted." if left else ""


def _write(run: Run, conditions: Mapping[str, str], options: argparse.Namespace) -> None:
    name = run.profile.name
    command = f"make load PROFILE={os.path.relpath(options.profile, ROOT)}"
    if options.write:
        report, plot = DOCUMENTS / "load.md", DOCUMENTS / f"{name}.svg"
        command = "make soak" if name == "soak" else f"{command} ARGS=--write"
    else:
        report, plot = options.output / f"{name}.md", options.output / f"{name}.svg"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(format_report(run, conditions, plot.name, command), encoding="utf-8")
    plot.write_text(draw_plot(run), encoding="utf-8")
    print(f"Written to {report} and, as a plot, {plot.name} beside it.")


def _name_target(options: argparse.Namespace) -> list[str]:
    """Return the option that says which API is meant, as it was given."""
    given = {"--url": options.url, "--stage": options.stage, "--stack": options.stack}
    return [text for name, value in given.items() if value is not None for text in (name, value)]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make load", description="Send what a profile says to the API.", allow_abbrev=False
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="of an API that `make run` serves, or of any with TOKEN=… in the environment")
    where.add_argument("--stage", help="a profile of samconfig.toml, whose stack is deployed")
    where.add_argument("--stack", help="name of a deployed stack, in the region of the environment")
    parser.add_argument("--profile", type=Path, default=PROFILES / "steady.toml", metavar="FILE")
    parser.add_argument(
        "--output", type=Path, default=ROOT / ".load", metavar="FOLDER", help="for the report (default: .load)"
    )
    parser.add_argument("--write", action="store_true", help="write the report into docs/operations instead")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())

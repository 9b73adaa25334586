"""`make cost`: estimates a month's bill for a traffic profile, and what alternatives would cost."""

import json
import logging
import sys
from pathlib import Path
from string import Template

from tools.benchmarks.cost.comparisons import Calculator
from tools.benchmarks.cost.durations import load_assumptions, load_durations
from tools.benchmarks.cost.internal import estimate_savings
from tools.benchmarks.cost.plot import draw_plot
from tools.benchmarks.cost.prices import load_prices
from tools.benchmarks.cost.records import compare_write_units
from tools.benchmarks.cost.report import (
    Report,
    format_jobs,
    format_prices,
    format_report,
    format_savings,
    format_search,
    format_stages,
    format_write_units,
    make_report,
    to_document,
)
from tools.benchmarks.cost.search import estimate_search
from tools.benchmarks.cost.traffic import HOURS_OF_A_MONTH, load_profile
from tools.benchmarks.machine import ROOT, BenchmarkError
from tools.command_parser import CommandParser

PROFILES = ROOT / "tools/benchmarks/traffic"
SHIPPED = ("internal_tool", "business_hours", "consumer_app")
PAGE = ROOT / "docs/cost.md"
SIZES = (600, 1_060)
"""Bytes of an item that stays below a write unit of 1 KB, and of one that `writer` takes over it."""
PLOT = ROOT / "docs/cost.svg"


def main() -> int:
    """Print the profiles' bills; return 2 if an input is missing or wrong."""
    parser = CommandParser(prog="make cost", description=__doc__)
    parser.add_argument("profiles", nargs="*", type=_find_profile, metavar="PROFILE", help="a name, or a TOML file")
    parser.add_argument("--region", default="us-east-1", help="region of the prices (default: %(default)s)")
    parser.add_argument("--parameters", nargs="*", default=[], metavar="NAME=VALUE", help="parameters of the stack")
    parser.add_argument("--no-free-tier", action="store_true", help="if something else in the account uses it up")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the bills, as SVG")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)} and its plot")
    arguments = parser.parse_args()
    # The translator warns about metrics that are not collected.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    try:
        parameters = dict(_split_parameter(entry) for entry in arguments.parameters)
        prices, durations, assumptions = load_prices(arguments.region), load_durations(), load_assumptions()
        files = arguments.profiles or [_find_profile(name) for name in SHIPPED]
        calculators = [
            Calculator(
                load_profile(file),
                prices,
                durations,
                assumptions,
                parameters,
                free_tier=not arguments.no_free_tier,
            )
            for file in files
        ]
        reports = [make_report(calculator) for calculator in calculators]
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.json:
        documents = [to_document(*pair) for pair in zip(reports, calculators, strict=True)]
        print(json.dumps(documents, indent=1))
    else:
        print(f"Dollars in {prices.region}, prices of {prices.dated}: check them before you rely on them.")
        print(f"Durations: {durations.source}.\n")
        print("\n\n".join(format_report(report) for report in reports))
        print(f"\n{format_stages(calculators[0].compare_stages())}")
        print(f"\n{_format_units(calculators[0])}\n\n{format_jobs(calculators[0].compare_jobs())}")
        print(f"\n{_format_savings(calculators)}\n\n{_format_search(calculators)}")
    if arguments.plot:
        arguments.plot.write_text(draw_plot(reports), encoding="utf-8")
    if arguments.write:
        _write_page(reports, calculators)
    return 0


def _find_profile(name: str) -> Path:
    return Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"


def _split_parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BenchmarkError(f"{text!r} is not a parameter; write NAME=VALUE.")
    return name, value


def _write_page(reports: list[Report], calculators: list[Calculator]) -> None:
    calculator = calculators[0]
    page = Template((Path(__file__).parent / "page.md").read_text(encoding="utf-8"))
    on_demand, arm = (calculator.prices.charge(f"lambda.duration.{entry}", 1) for entry in ("x86_64", "arm64"))
    standing = calculator.prices.charge("lambda.provisioned.arm64", 1)
    content = page.substitute(
        arm=f"{on_demand / arm - 1:.0%}",
        utilization=f"{standing / (arm - calculator.prices.charge('lambda.provisioned_duration.arm64', 1)):.0%}",
        region=calculator.prices.region,
        dated=calculator.prices.dated,
        source=" ".join(calculator.prices.source.split()),
        durations=calculator.durations.source,
        reports="\n\n".join(format_report(report) for report in reports),
        stages=format_stages(calculator.compare_stages()),
        units=_format_units(calculator),
        savings=_format_savings(calculators),
        search=_format_search(calculators),
        jobs=format_jobs(calculator.compare_jobs()),
        job_bytes=f"{calculator.profile.item_bytes:,}",
        writer=calculator.assumptions.writer_attribute,
        prices=format_prices(calculator.prices),
        sources=", ".join(f"[{name}]({address})" for name, address in calculator.prices.sources.items()),
        of_function=calculator.assumptions.metrics_of_function,
        of_gateway=calculator.assumptions.metrics_of_route,
        tokens=f"{_count_tokens(calculator, 15) * calculator.prices.charge('machine_tokens', 1):,.2f}",
        longer=f"{_count_tokens(calculator, 60) * calculator.prices.charge('machine_tokens', 1):,.2f}",
        each=f"{calculator.prices.charge('machine_tokens', 1e6):,.0f}",
    )
    PAGE.write_text(content, encoding="utf-8")
    PLOT.write_text(draw_plot(reports), encoding="utf-8")


def _format_savings(calculators: list[Calculator]) -> str:
    return format_savings({entry.profile.name: estimate_savings(entry) for entry in calculators})


def _format_search(calculators: list[Calculator]) -> str:
    return format_search({entry.profile.name: estimate_search(entry) for entry in calculators})


def _format_units(calculator: Calculator) -> str:
    return format_write_units({size: compare_write_units(size, calculator.assumptions) for size in SIZES})


def _count_tokens(calculator: Calculator, minutes: float) -> float:
    """Return the tokens of a process that runs the whole month, by the life of a token."""
    return HOURS_OF_A_MONTH * 60 / (minutes - calculator.assumptions.renew_before / 60)


if __name__ == "__main__":
    raise SystemExit(main())

"""`make cost`: estimates a month's bill for a traffic profile, and what alternatives would cost."""

import json
import logging
import sys
from pathlib import Path
from string import Template

from tools.benchmarks.cost.comparisons import Calculator
from tools.benchmarks.cost.durations import load_assumptions, load_durations
from tools.benchmarks.cost.plot import draw_plot
from tools.benchmarks.cost.prices import load_prices
from tools.benchmarks.cost.report import Report, format_report, make_report, to_document
from tools.benchmarks.cost.traffic import load_profile
from tools.benchmarks.machine import ROOT, BenchmarkError
from tools.command_parser import CommandParser

PROFILES = ROOT / "tools/benchmarks/traffic"
SHIPPED = ("internal_tool", "business_hours", "consumer_app")
PAGE = ROOT / "docs/cost.md"
PLOT = ROOT / "docs/cost.svg"


def main() -> int:
    """Print the profiles' bills; return 2 if an input is missing or wrong."""
    parser = CommandParser(prog="make cost", description=__doc__)
    parser.add_argument("profiles", nargs="*", type=_find_profile, metavar="PROFILE", help="a name, or a TOML file")
    parser.add_argument("--region", default="us-east-1", help="region of the prices (default: %(default)s)")
    parser.add_argument("--parameters", nargs="*", default=[], metavar="NAME=VALUE", help="parameters of the stack")
    parser.add_argument("--free-tier", action="store_true", help="subtract AWS's free tier")
    parser.add_argument("--transfer", action="store_true", help="include data transfer to the internet")
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
                free_tier=arguments.free_tier,
                transfer=arguments.transfer,
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
    if arguments.plot:
        arguments.plot.write_text(draw_plot(reports), encoding="utf-8")
    if arguments.write:
        _write_page(reports, calculators[0])
    return 0


def _find_profile(name: str) -> Path:
    return Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"


def _split_parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BenchmarkError(f"{text!r} is not a parameter; write NAME=VALUE.")
    return name, value


def _write_page(reports: list[Report], calculator: Calculator) -> None:
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
    )
    PAGE.write_text(content, encoding="utf-8")
    PLOT.write_text(draw_plot(reports), encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())

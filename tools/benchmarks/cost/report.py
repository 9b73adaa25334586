"""A month's bill and its comparisons, as Markdown and as JSON."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tools.benchmarks.cost.comparisons import Alternative, Calculator, Choice, Job, Month, Standing
from tools.benchmarks.cost.internal import InternalSavings, estimate_savings
from tools.benchmarks.cost.prices import Prices
from tools.benchmarks.cost.records import RECORDS, WriteUnits
from tools.benchmarks.cost.search import SearchCost, estimate_search
from tools.benchmarks.cost.traffic import Profile
from tools.benchmarks.cost.usage import REFUSED, STANDING

CENT = 0.005
"""The least that is shown as a cent."""


@dataclass(frozen=True)
class Report:
    """One profile's bill and comparisons."""

    profile: Profile
    month: Month
    choices: Sequence[Choice]
    apis: Sequence[Alternative]
    architectures: Sequence[Alternative]
    refusals: Sequence[Alternative]


def make_report(calculator: Calculator) -> Report:
    return Report(
        profile=calculator.profile,
        month=calculator.count(),
        choices=calculator.compare_choices(),
        apis=calculator.compare_apis(),
        architectures=calculator.compare_architectures(),
        refusals=calculator.compare_refusals(),
    )


def format_report(report: Report, heading: str = "##") -> str:
    """Return a report as Markdown that also reads well in a terminal."""
    profile = report.profile
    served, refused = profile.count_served(), profile.count_refused()
    title = f"{heading} {profile.title} (`{profile.name}`)"
    traffic = f"{served:,.0f} requests a month, and {refused:,.0f} that the gateway refuses."
    if "Cognito" in report.month.bill.sum_by(lambda line: line.service):
        traffic += f" {profile.users:,} users sign in. Machine clients run for {profile.machine_hours:,.0f} hours."
    tables = [
        format_services(report),
        format_routes(report),
        format_choices(report.choices),
        format_alternatives(report),
    ]
    return "\n\n".join([title, traffic, *tables])


def format_services(report: Report) -> str:
    bill = report.month.bill
    million = report.profile.count_served() / 1e6
    items = bill.sum_by(lambda line: f"{line.service}|{line.item}")
    services = bill.sum_by(lambda line: line.service)
    rows = []
    for service, dollars in sort_services(report):
        parts = sorted(
            ((name.partition("|")[2], entry) for name, entry in items.items() if name.startswith(f"{service}|")),
            key=lambda entry: -entry[1],
        )
        told = (
            ", ".join(f"{name} {_dollars(entry)}" for name, entry in parts if entry >= CENT)
            if len(parts) > 1
            else parts[0][0]
        )
        rows.append((service, _dollars(dollars), _dollars(dollars / million), told))
    rows.append(("**together**", f"**{_dollars(bill.total)}**", f"**{_dollars(bill.total / million)}**", ""))
    table = _format_table(("service", "$ a month", "$ a million requests", "of it"), rows, right=(1, 2))
    small = sorted(services.keys() - {row[0] for row in rows})
    return f"{table}\n\nCounted, and less than a cent: {', '.join(small)}." if small else table


def sort_services(report: Report) -> list[tuple[str, float]]:
    """Return the services that cost a cent or more, most expensive first."""
    services = report.month.bill.sum_by(lambda line: line.service)
    return sorted(((name, cost) for name, cost in services.items() if cost >= CENT), key=lambda entry: -entry[1])


def format_routes(report: Report) -> str:
    dollars = report.month.bill.sum_by(lambda line: line.route)
    requests: Mapping[str, float] = report.month.usage.requests | {REFUSED: report.profile.count_refused()}
    rows = [
        (
            f"`{route}`" if route in report.month.usage.requests else route,
            f"{count:,.0f}",
            _dollars(dollars[route]),
            _dollars(dollars[route] / count * 1e6) if count else "",
        )
        for route, count in requests.items()
    ]
    rows += [(line, "", _dollars(dollars[line]), "") for line in (RECORDS, STANDING)]
    return _format_table(("route", "requests", "$ a month", "$ a million requests"), rows, right=(1, 2, 3))


def format_choices(choices: Sequence[Choice]) -> str:
    head = (
        "`ColdStart`",
        "$ a month",
        "than `none`",
        "requests that wait for a start",
        "pays where a better wait is worth, \u00a2",
        "cheaper than `none` from",
    )
    rows = [
        (
            f"`{choice.name}`",
            _dollars(choice.dollars),
            f"{choice.more:+,.2f}",
            f"{choice.cold_starts:,.0f}",
            "" if choice.name == "none" or choice.break_even is None else f"{choice.break_even * 100:,.2f}",
            "" if choice.name == "none" else _name_traffic(choice.pays_from),
        )
        for choice in choices
    ]
    return _format_table(head, rows, right=(1, 2, 3, 4, 5))


def format_alternatives(report: Report) -> str:
    pairs = {
        "API Gateway": report.apis,
        "Lambda, were both as fast": report.architectures,
        "bad requests refused": report.refusals,
    }
    rows = [
        (
            f"{what}: {entry.name}",
            _dollars(entry.dollars),
            _dollars(entry.per_million),
            _relate(entry.dollars, pair[0].dollars),
        )
        for what, pair in pairs.items()
        for entry in pair
    ]
    head = ("set up another way, at list prices", "$ a month", "$ a million of them", "")
    return _format_table(head, rows, right=(1, 2, 3))


def format_stages(standings: Sequence[Standing]) -> str:
    rows = [(f"`{entry.stage}`", f"{entry.retention_days}", _dollars(entry.dollars)) for entry in standings]
    return _format_table(("stage", "days that logs are kept", "$ a month without a caller"), rows, right=(1, 2))


def format_write_units(units: Mapping[int, Mapping[str, WriteUnits]]) -> str:
    """Return the write units of each change, by the bytes of the item."""
    rows = [
        (
            operation,
            f"{size:,}",
            *(str(number) for number in (entry.before, entry.table, entry.index, entry.mark, entry.audit)),
            str(entry.after),
        )
        for size, operations in units.items()
        for operation, entry in operations.items()
    ]
    head = (
        "change",
        "bytes of the item",
        "before",
        "the request",
        "indexes",
        "end of the mark",
        "audit entry",
        "after",
    )
    return _format_table(head, rows, right=(1, 2, 3, 4, 5, 6, 7))


def format_savings(savings: Mapping[str, InternalSavings]) -> str:
    """Return what the internal API's gateway saves, by profile."""
    return _format_profiles(
        savings,
        {
            "bad bodies": lambda entry: f"{entry.invalid:,.0f}",
            "rejecting them saves $": lambda entry: _dollars(entry.rejected),
            "reads that the cache answers": lambda entry: f"{entry.hits:.2%}",
            "saves, less refreshing it, $": lambda entry: _dollars(entry.saved),
            "costs $": lambda entry: _dollars(entry.cache),
            "pays from hits": lambda entry: f"{entry.pays_from / 1e6:,.1f} million",
        },
    )


def format_search(costs: Mapping[str, SearchCost]) -> str:
    """Return what search costs, by profile."""
    return _format_profiles(
        costs,
        {
            "changes a month": lambda entry: f"{entry.changes:,.0f}",
            "embeddings $": lambda entry: _dollars(entry.model),
            "vectors $": lambda entry: _dollars(entry.vectors),
            "whatever the traffic $": lambda entry: _dollars(entry.standing),
            "a million vectors stored $": lambda entry: _dollars(entry.stored),
            "a million searches $": lambda entry: _dollars(entry.searches),
        },
    )


def format_jobs(jobs: Sequence[Job]) -> str:
    return _format_table(("job", "$ at list prices"), [(job.name, _dollars(job.dollars)) for job in jobs], right=(1,))


def format_prices(prices: Prices) -> str:
    """Return every meter with its first price, what is free, and what holds the price."""
    rows = [
        (
            meter.service,
            meter.item + (f" ({name.rpartition('.')[2]})" if "arm64" in name or "x86_64" in name else ""),
            f"{meter.tiers[0].price:.10f}".rstrip("0").rstrip("."),
            f"{meter.per:,.0f} {meter.unit}" if meter.per > 1 else meter.unit,
            f"{meter.free:,.0f}" if meter.free else "",
            "worked example" if meter.example else "price list",
        )
        for name, meter in prices.meters.items()
    ]
    return _format_table(("service", "item", "$", "for", "free a month", "held by"), rows, right=(2, 4))


def to_document(report: Report, calculator: Calculator) -> dict[str, Any]:
    """Return a report in JSON types."""
    bill = report.month.bill
    return {
        "profile": report.profile.name,
        "region": calculator.prices.region,
        "pricesDated": calculator.prices.dated,
        "durations": calculator.durations.source,
        "parameters": dict(calculator.parameters),
        "freeTier": calculator.free_tier,
        "requests": report.profile.count_served(),
        "refused": report.profile.count_refused(),
        "total": bill.total,
        "perMillionRequests": bill.total / report.profile.count_served() * 1e6,
        "services": dict(bill.sum_by(lambda line: line.service)),
        "routes": dict(bill.sum_by(lambda line: line.route)),
        "lines": [asdict(line) for line in bill.lines],
        "coldStarts": report.month.usage.cold_starts,
        "choices": [{**asdict(entry), "breakEven": entry.break_even} for entry in report.choices],
        "apis": [asdict(entry) for entry in report.apis],
        "architectures": [asdict(entry) for entry in report.architectures],
        "refusals": [asdict(entry) for entry in report.refusals],
        "internal": asdict(estimate_savings(calculator)),
        "search": asdict(estimate_search(calculator)),
    }


def _format_profiles[Entry](entries: Mapping[str, Entry], columns: Mapping[str, Callable[[Entry], str]]) -> str:
    """Return a table with a row for each profile, and columns of numbers."""
    rows = [(f"`{name}`", *(show(entry) for show in columns.values())) for name, entry in entries.items()]
    return _format_table(("profile", *columns), rows, right=range(1, len(columns) + 1))


def _format_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Return a Markdown table with aligned columns."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def fill(cells: Sequence[str]) -> str:
        filled = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(filled)} |"

    rule = ["-" * (width - 1) + ":" if column in right else "-" * width for column, width in enumerate(widths)]
    return "\n".join([fill(head), fill(rule), *map(fill, rows)])


def _dollars(value: float) -> str:
    return f"{value:,.2f}"


def _name_traffic(requests: float | None) -> str:
    return "never" if requests is None else f"{requests / 1e6:,.0f} million requests"


def _relate(value: float, first: float) -> str:
    return f"\u00d7 {value / first:.2f}" if first else ""

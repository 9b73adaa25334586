"""AWS's prices in a region, from a dated file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.benchmarks.machine import BenchmarkError

DIRECTORY = Path(__file__).parent / "prices"


@dataclass(frozen=True)
class Tier:
    """A price up to a monthly quantity; the last tier has no limit."""

    price: float
    """Dollars for the meter's `per` units."""
    up_to: float = float("inf")


@dataclass(frozen=True)
class Meter:
    """A metered item.

    Attributes:
        service: AWS service.
        item: name on the bill.
        unit: name of the unit.
        per: units that a price applies to.
        tiers: price tiers in order.
        free: monthly units that AWS's free tier gives without an end.
        example: whether a worked example of AWS's has this price; the others are from price lists alone.
    """

    service: str
    item: str
    unit: str
    per: float
    tiers: tuple[Tier, ...]
    free: float = 0
    example: bool = False

    def charge(self, quantity: float, *, free_tier: bool) -> float:
        """Return the dollars for a month's quantity.

        Args:
            quantity: units.
            free_tier: whether to subtract the free tier.
        """
        left = max(0.0, quantity - self.free) if free_tier else quantity
        dollars, start = 0.0, 0.0
        for tier in self.tiers:
            part = min(left, tier.up_to - start)
            dollars += part / self.per * tier.price
            left -= part
            start = tier.up_to
        return dollars


@dataclass(frozen=True)
class Prices:
    """The prices of one region.

    Attributes:
        region: AWS region.
        dated: date of the prices, ISO 8601.
        source: how the prices were read.
        sources: addresses of AWS's pages by service.
        meters: meters by name.
    """

    region: str
    dated: str
    source: str
    sources: Mapping[str, str]
    meters: Mapping[str, Meter]

    def charge(self, meter: str, quantity: float, *, free_tier: bool = False) -> float:
        """Return the dollars for a month's quantity of a meter."""
        return self.meters[meter].charge(quantity, free_tier=free_tier)


def load_prices(region: str) -> Prices:
    """Read the prices of a region.

    Raises:
        BenchmarkError: there is no price file.
    """
    file = DIRECTORY / f"{region}.toml"
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(sorted(path.stem for path in DIRECTORY.glob("*.toml")))
        raise BenchmarkError(
            f"There are no prices for {region}, only for {known}. Copy one of those files and fill it in."
        ) from error
    meters = {
        name: Meter(**{**entry, "tiers": tuple(Tier(**tier) for tier in entry["tiers"])})
        for name, entry in content["meters"].items()
    }
    return Prices(content["region"], str(content["dated"]), content["source"], content["sources"], meters)

"""What search by meaning adds to a month: embeddings and vectors of each change, what is stored, and searches."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.benchmarks.cost.bill import make_bill
from tools.benchmarks.cost.formulas import count_gigabyte_seconds, count_read_units, count_write_units
from tools.benchmarks.cost.stack import read_stack
from tools.benchmarks.cost.usage import Usage, count_idle

if TYPE_CHECKING:
    from tools.benchmarks.cost.comparisons import Calculator

_GIGABYTE = 1024**3
_BILLED_BYTES = 1024
"""DynamoDB bills a write to a vector index, and a search, for at least 1 KB."""
_FOUND = 10
"""Results of a search, by default."""


@dataclass(frozen=True)
class SearchCost:
    """What `Intelligence=on` costs in a month, at list prices.

    Attributes:
        changes: resources created or updated.
        model: dollars for their embeddings.
        vectors: dollars for their vectors: the function, its messages, the table's writes and the index's.
        standing: dollars whatever the traffic: alarms, and the polls of the queue.
        stored: dollars for a million vectors in the table and in the index.
        searches: dollars for a million searches of users with a thousand resources each.
    """

    changes: float
    model: float
    vectors: float
    standing: float
    stored: float
    searches: float


def estimate_search(calculator: "Calculator") -> SearchCost:
    """Return what search costs with the traffic of a profile."""
    assumptions, prices, profile = calculator.assumptions, calculator.prices, calculator.profile
    memory = next(iter(calculator.stack.functions.values())).memory
    operations = {route: assumptions.operations[route] for route in profile.routes}
    changes = sum(
        profile.routes[route].count_month() * (1 - profile.routes[route].invalid)
        for route, operation in operations.items()
        if operation in ("create", "update")
    )
    vector = assumptions.vector_item + assumptions.item_overhead
    run = count_gigabyte_seconds(1, assumptions.embedding + 2 * assumptions.table_wait, memory)
    units = count_write_units(assumptions.vector_item, transactional=True)
    # The check of the resource is a write of its size.
    units += count_write_units(profile.item_bytes, transactional=True)
    reads = count_read_units(profile.item_bytes, consistent=True) + count_read_units(
        assumptions.vector_item, consistent=True
    )
    each = (
        prices.charge("lambda.duration.arm64", run)
        + prices.charge("sqs.requests", 3)
        + prices.charge("dynamodb.reads", reads)
        + prices.charge("dynamodb.writes", units)
        + prices.charge("dynamodb.vector_writes", max(vector, _BILLED_BYTES) / _GIGABYTE)
    )
    search = (
        prices.charge("bedrock.embeddings", assumptions.query_tokens)
        + prices.charge("dynamodb.vector_searches", 1000 * _BILLED_BYTES / _GIGABYTE)
        + prices.charge("dynamodb.reads", _FOUND * count_read_units(profile.item_bytes, consistent=True))
        + prices.charge("lambda.requests", 1)
        + prices.charge(
            "lambda.duration.arm64",
            count_gigabyte_seconds(1, assumptions.embedding + 2 * assumptions.table_wait, memory),
        )
        + prices.charge("http_api.requests", 1)
    )
    million = 1e6 * vector / _GIGABYTE
    return SearchCost(
        changes=changes,
        model=prices.charge("bedrock.embeddings", changes * assumptions.resource_tokens),
        vectors=changes * each,
        standing=_count_standing(calculator, "on") - _count_standing(calculator, "off"),
        stored=prices.charge("dynamodb.storage", million)
        + prices.charge("dynamodb.recovery", million)
        + prices.charge("dynamodb.vector_storage", million),
        searches=1e6 * search,
    )


def _count_standing(calculator: "Calculator", choice: str) -> float:
    stack = read_stack({**calculator.parameters, "Intelligence": choice})
    usage: Usage = count_idle(stack, calculator.assumptions)
    return make_bill(usage, calculator.prices, free_tier=False).total

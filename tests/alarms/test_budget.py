"""The budget sends its notifications for a month's bill as `make cost` calculates it.

The engine does not emulate billing, so the month is calculated and not simulated.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from local_engine.template import ACCOUNT_ID, REGION
from tests.support.permissions import translate_stack
from tests.support.stack import ROOT
from tools.benchmarks.cost.bill import make_bill
from tools.benchmarks.cost.durations import load_assumptions, load_durations
from tools.benchmarks.cost.prices import load_prices
from tools.benchmarks.cost.stack import read_stack
from tools.benchmarks.cost.traffic import load_profile
from tools.benchmarks.cost.usage import count_usage

PROFILE = ROOT / "tools/benchmarks/traffic/business_hours.toml"


def count_month() -> float:
    usage = count_usage(read_stack({}), load_profile(PROFILE), load_durations(), load_assumptions())
    return make_bill(usage, load_prices("us-east-1")).total


def find_sent(budget: Mapping[str, Any], dollars: float) -> set[str]:
    """Return the types of the notifications sent if so much is spent or forecast («AWS::Budgets::Budget»)."""
    sent = set()
    for entry in budget["NotificationsWithSubscribers"]:
        rule = entry["Notification"]
        assert (rule["ComparisonOperator"], rule["ThresholdType"]) == ("GREATER_THAN", "PERCENTAGE")
        assert entry["Subscribers"] == [
            {"SubscriptionType": "SNS", "Address": f"arn:aws:sns:{REGION}:{ACCOUNT_ID}:AlarmTopic"}
        ]
        if 100 * dollars / float(budget["Budget"]["BudgetLimit"]["Amount"]) > float(rule["Threshold"]):
            sent.add(rule["NotificationType"])
    return sent


@pytest.mark.parametrize(
    ("share", "sent"), [(1.5, set()), (1.1, {"ACTUAL"}), (0.9, {"ACTUAL", "FORECASTED"})], ids=["well", "near", "over"]
)
def test_a_month_over_budget_sends_notifications(share: float, sent: set[str]) -> None:
    month = count_month()
    resources = translate_stack(MonthlyBudget=str(round(month * share, 2))).resources
    assert find_sent(resources["Budget/Budget"].properties, month) == sent


def test_there_is_no_budget_by_default() -> None:
    assert "Budget/Budget" not in translate_stack().resources

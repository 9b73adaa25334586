"""Topics that the alarms notify, and the services that may publish to them."""

import pytest

from local_engine.template import ACCOUNT_ID, REGION
from tests.support.permissions import find_translated

PARAMETERS = {"ColdStart": "warm", "AlarmEmail": "operator@example.com", "MonthlyBudget": "100"}
TOPICS = {
    "AlarmTopic": f"arn:aws:sns:{REGION}:{ACCOUNT_ID}:AlarmTopic",
    "PagingTopic": f"arn:aws:sns:{REGION}:{ACCOUNT_ID}:Operations-PagingTopic",
}


def find(kind: str) -> dict[str, dict]:
    return find_translated(kind, **PARAMETERS)


@pytest.mark.parametrize("name", find("AWS::CloudWatch::Alarm"))
def test_an_alarm_notifies_when_it_goes_off_and_when_it_clears(name):
    alarm = find("AWS::CloudWatch::Alarm")[name]
    assert alarm["AlarmActions"] == alarm["OKActions"] == [TOPICS["AlarmTopic"]]
    assert "InsufficientDataActions" not in alarm
    assert alarm.get("ActionsEnabled", True) is True


def test_what_callers_notice_pages():
    (alarm,) = find("AWS::CloudWatch::CompositeAlarm").values()
    assert alarm["AlarmActions"] == alarm["OKActions"] == list(TOPICS.values())


def test_the_operator_gets_the_alarms_by_mail():
    (mail,) = find("AWS::SNS::Subscription").values()
    assert mail == {"TopicArn": TOPICS["AlarmTopic"], "Protocol": "email", "Endpoint": "operator@example.com"}
    assert not find_translated("AWS::SNS::Subscription")


def test_a_topic_has_a_policy_for_its_publishers():
    # «Each policy must cover only a single topic» («Amazon SNS API permissions», Amazon SNS Developer Guide).
    allowed = {}
    for policy in find("AWS::SNS::TopicPolicy").values():
        (topic,) = policy["Topics"]
        for statement in policy["PolicyDocument"]["Statement"]:
            assert statement["Resource"] == topic
            assert (statement["Effect"], statement["Action"]) == ("Allow", "sns:Publish")
            source = statement["Condition"]["ArnLike"]["aws:SourceArn"]
            assert ACCOUNT_ID in source, "somebody else's alarm or budget could publish"
            allowed.setdefault(topic, set()).add(statement["Principal"]["Service"])
    assert allowed == {
        TOPICS["AlarmTopic"]: {"cloudwatch.amazonaws.com", "budgets.amazonaws.com"},
        TOPICS["PagingTopic"]: {"cloudwatch.amazonaws.com"},
    }

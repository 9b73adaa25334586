"""Whom the alarms tell, and who may tell it."""

import pytest

from local_engine.template.intrinsics import ACCOUNT_ID, REGION
from tests.support.permissions import translate_stack

STACK = translate_stack(ColdStart="warm", AlarmEmail="operator@example.com", MonthlyBudget="100")
TOPICS = {name: f"arn:aws:sns:{REGION}:{ACCOUNT_ID}:{name}" for name in ("AlarmTopic", "PagingTopic")}


def find(kind: str) -> dict[str, dict]:
    return {name: of.properties for name, of in STACK.resources.items() if of.type == kind}


@pytest.mark.parametrize("name", find("AWS::CloudWatch::Alarm"))
def test_an_alarm_is_told_when_it_goes_off_and_when_it_is_over(name):
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
    assert not [of for of in translate_stack().resources.values() if of.type == "AWS::SNS::Subscription"]


def test_a_topic_has_a_policy_of_its_own_for_what_publishes_there():
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

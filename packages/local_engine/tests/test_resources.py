"""Resources of a template exist under the names that Ref, GetAtt and dynamic references give to functions."""

import json
from pathlib import Path

from conftest import STACKS, aws_client, copy_stack

from local_engine.testing import EngineProcess, poll

ACCOUNT = "123456789012"


def test_function_finds_its_resources() -> None:
    with EngineProcess(STACKS / "resources" / "template.yaml") as engine:
        functions = aws_client("lambda", f"{engine.url}/_local/lambda")
        answer = json.load(functions.invoke(FunctionName="Reader")["Payload"])
    variables = answer["variables"]
    expected = {
        "SETTINGS": "/shop/settings",
        "SETTINGS_VALUE": "blue",
        "RESOLVED": "blue",
        "PASSWORD": f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:Password",
        "STORE": "store",
        "STORE_ARN": "arn:aws:s3:::store",
        "STORE_DOMAIN": "store.s3.us-east-1.amazonaws.com",
        "QUEUE_URL": f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/Ordered.fifo",
        "QUEUE_NAME": "Ordered.fifo",
        "RULE_ARN": f"arn:aws:events:us-east-1:{ACCOUNT}:rule/shop/Rule",
        "TOPIC_ARN": f"arn:aws:sns:us-east-1:{ACCOUNT}:Topic",
        "TOPIC_NAME": "Topic",
        "SCHEDULE_ARN": f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/default/Schedule",
    }
    assert {name: variables[name] for name in expected} == expected
    assert answer["secret"] == {"user": "shop", "password": variables["RESOLVED_PASSWORD"]}
    assert len(variables["RESOLVED_PASSWORD"]) == 20
    assert variables["RESOLVED_PASSWORD"].isalnum()
    assert (answer["parameter"], answer["object"], answer["message"]) == ("blue", "kept", "m")
    assert answer["topics"] == [variables["TOPIC_ARN"]]


def test_edits_of_rules_take_effect(tmp_path: Path) -> None:
    template = copy_stack("buses", tmp_path)
    records = tmp_path / "records"
    records.touch()
    with EngineProcess(template, "--parameters", f"Records={records}") as engine:
        text = template.read_text()
        template.write_text(text.replace("Pattern: {source: [shop]}", "Pattern: {source: [store]}"))
        engine.wait_for_line("Reloaded template.yaml")
        events = aws_client("events", engine.services)
        for source in ("shop", "store"):
            events.put_events(Entries=[{"Source": source, "DetailType": "d", "Detail": "{}"}])
        poll(lambda: records.read_text() != "", "the edited rule does not match")
        (run,) = map(json.loads, records.read_text().splitlines())
        assert run["event"]["source"] == "store"

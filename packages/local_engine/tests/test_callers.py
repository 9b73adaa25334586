"""What functions make at run time is performed: schedules, events on a bus, and links for uploads from outside."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from conftest import STACKS, aws_client
from test_event_bus import ACCOUNT, Records, receive, wait_for

from local_engine.testing import EngineProcess

__all__ = ["wait_for"]
TARGET = {
    "Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:local-Reminded",
    "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/x",
}
AT_ONCE = {"FlexibleTimeWindow": {"Mode": "OFF"}, "Target": TARGET}
PAGE = "http://localhost:5173"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("callers") / "records"


@pytest.fixture(scope="module")
def engine(records: Path) -> Iterator[EngineProcess]:
    records.touch()
    with EngineProcess(STACKS / "callers" / "template.yaml", "--parameters", f"Records={records}") as engine:
        yield engine


def call(engine: EngineProcess, name: str, request: Any) -> Any:
    with engine.client() as client:
        return client.post(f"/calls/{name}", json=request).raise_for_status().json()


def soon(engine: EngineProcess, **later: int) -> datetime:
    """A moment after the time on the engine's clock, which an earlier test may have turned."""
    with engine.client() as client:
        now = datetime.fromisoformat(client.get("/_local/clock").json()["time"])
    return now.astimezone(UTC) + timedelta(**later)


def test_one_time_schedules_of_a_function(engine: EngineProcess, wait_for: Records) -> None:
    once = f"at({soon(engine, days=30):%Y-%m-%dT%H:%M:%S})"
    for name, to in (("call", "function"), ("message", "queue")):
        request = {"Name": name, "ScheduleExpression": once, "ActionAfterCompletion": "DELETE", "to": to}
        assert call(engine, "schedule", request) == f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/default/{name}"
    assert engine.turn_clock(seconds=29 * 24 * 3600)["runs"] == 0
    assert engine.turn_clock(seconds=2 * 24 * 3600)["runs"] == 2
    (run,) = wait_for("Reminded", 1)
    assert run["event"] == {"about": "call"}
    assert json.loads(receive(engine, "Reminders")["Body"]) == {"about": "message"}
    assert aws_client("scheduler", engine.services).list_schedules()["Schedules"] == []


def test_repeated_schedules_of_a_function(engine: EngineProcess, wait_for: Records) -> None:
    daily = {"ScheduleExpression": "cron(0 9 * * ? *)", "ScheduleExpressionTimezone": "Asia/Tokyo", "to": "function"}
    call(engine, "schedule", {"Name": "daily", **daily})
    assert engine.turn_clock(seconds=48 * 3600)["runs"] == 2
    schedules = aws_client("scheduler", engine.services)
    schedules.delete_schedule(Name="daily")
    call(engine, "schedule", {"Name": "hourly", "ScheduleExpression": "rate(1 hour)", "to": "function"})
    assert engine.turn_clock(seconds=3 * 3600)["runs"] in (3, 4)
    schedules.delete_schedule(Name="hourly")
    assert engine.turn_clock(seconds=48 * 3600)["runs"] == 0
    assert {run["event"]["about"] for run in wait_for("Reminded", 5)} == {"daily", "hourly"}


def test_replaced_schedule_runs_as_the_new_one(engine: EngineProcess, wait_for: Records) -> None:
    schedules = aws_client("scheduler", engine.services)
    moment = soon(engine, hours=1)
    options = {"Name": "same", "ScheduleExpression": f"at({moment:%Y-%m-%dT%H:%M:%S})"}
    schedules.create_schedule(**options, **AT_ONCE)
    assert engine.turn_clock(seconds=2 * 3600)["runs"] == 1
    # The completed schedule is still there, and gives way to one of the same time, which has passed.
    schedules.delete_schedule(Name="same")
    schedules.create_schedule(
        **options, **{**AT_ONCE, "Target": {**TARGET, "Input": '"again"'}}, ActionAfterCompletion="DELETE"
    )
    assert "again" in [run["event"] for run in wait_for("Reminded", 2)]
    schedules.create_schedule(Name="same", ScheduleExpression="rate(1 day)", State="DISABLED", **AT_ONCE)
    later = f"at({soon(engine, hours=1):%Y-%m-%dT%H:%M:%S})"
    schedules.update_schedule(Name="same", ScheduleExpression=later, **AT_ONCE, ActionAfterCompletion="DELETE")
    assert engine.turn_clock(seconds=2 * 3600)["runs"] == 1
    assert schedules.list_schedules()["Schedules"] == []


def test_a_repeated_request_creates_a_schedule_once(engine: EngineProcess) -> None:
    schedules = aws_client("scheduler", engine.services)
    options = {"Name": "repeated", "ScheduleExpression": "at(2099-01-01T00:00:00)", **AT_ONCE}
    answers = [schedules.create_schedule(ClientToken="one", **options)["ScheduleArn"] for _ in range(2)]
    assert len(set(answers)) == 1
    with pytest.raises(schedules.exceptions.ConflictException) as conflict:
        schedules.create_schedule(ClientToken="two", **options)
    assert conflict.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
    schedules.delete_schedule(Name="repeated")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"ScheduleExpression": "cron(1 2 3)"}, "ValidationException"),
        ({"ScheduleExpression": "at(tomorrow)"}, "ValidationException"),
        ({"ScheduleExpressionTimezone": "Europe/Atlantis"}, "ValidationException"),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "ValidationException"),
        ({"GroupName": "absent"}, "ResourceNotFoundException"),
    ],
)
def test_schedules_are_checked_when_they_are_created(engine: EngineProcess, change: Any, error: str) -> None:
    schedules = aws_client("scheduler", engine.services)
    options = {"Name": "wrong", "ScheduleExpression": "at(2099-01-01T00:00:00)", **AT_ONCE, **change}
    with pytest.raises(ClientError, match=error):
        schedules.create_schedule(**options)


def test_events_of_a_function_reach_functions_and_queues(engine: EngineProcess, wait_for: Records) -> None:
    assert call(engine, "events", ["OrderPlaced", "OrderSent"]) == 0
    assert sorted(run["event"]["detail-type"] for run in wait_for("Heard", 2)) == ["OrderPlaced", "OrderSent"]
    (run,) = wait_for_work = wait_for("Worker", 1)
    (record,) = run["event"]["Records"]
    assert (len(wait_for_work), json.loads(record["body"])["detail"]) == (1, {"id": 0})


def test_outcomes_reach_buses_and_functions(engine: EngineProcess, wait_for: Records) -> None:
    functions = aws_client("lambda", f"{engine.url}/_local/lambda")
    for divisor in (2, 0):
        payload = json.dumps({"divisor": divisor})
        functions.invoke(FunctionName="Judged", InvocationType="Event", Payload=payload)
    record = json.loads(receive(engine, "Reminders")["Body"])
    assert (record["requestContext"]["condition"], record["responsePayload"]) == ("Success", 0.5)
    (run,) = wait_for("Reminded", 1)
    assert run["event"]["requestContext"]["condition"] == "RetriesExhausted"
    assert run["event"]["responsePayload"]["errorType"] == "ZeroDivisionError"


def test_items_expire_by_the_clock(engine: EngineProcess, wait_for: Records) -> None:
    tables = aws_client("dynamodb", engine.services)
    end = int(soon(engine, days=3).timestamp())
    ends: dict[str, Any] = {
        "soon": {"N": str(end)},
        "later": {"N": str(end + 24 * 3600)},
        "text": {"S": str(end)},
        "milliseconds": {"N": str(end * 1000)},
        "long-ago": {"N": "1"},
        "deleted": {"N": str(end)},
    }
    for name, value in ends.items():
        tables.put_item(TableName="sessions", Item={"user": {"S": "ann"}, "id": {"S": name}, "expires": value})
    tables.delete_item(TableName="sessions", Key={"user": {"S": "ann"}, "id": {"S": "deleted"}})
    engine.turn_clock(seconds=2 * 24 * 3600)
    assert tables.scan(TableName="sessions")["Count"] == 5
    engine.turn_clock(seconds=25 * 3600)
    left = {item["id"]["S"] for item in tables.scan(TableName="sessions")["Items"]}
    assert left == {"later", "text", "milliseconds", "long-ago"}
    (run,) = wait_for("SessionEnded", 1)
    (record,) = run["event"]["Records"]
    assert record["eventName"] == "REMOVE"
    assert record["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    assert record["dynamodb"]["OldImage"]["id"] == {"S": "soon"}


def test_link_for_an_upload(engine: EngineProcess, wait_for: Records) -> None:
    link = call(engine, "put", "imports/a b.bin")
    content = bytes(range(256)) * 4
    assert httpx.put(link, content=content).status_code == 200
    assert httpx.put(call(engine, "put", "elsewhere/c"), content=content).status_code == 200
    (run,) = wait_for("Uploaded", 1)
    stored = run["event"]["Records"][0]["s3"]["object"]
    assert (stored["key"], stored["size"]) == ("imports/a+b.bin", len(content))
    buckets = aws_client("s3", engine.services)
    assert buckets.get_object(Bucket="uploads", Key="imports/a b.bin")["Body"].read() == content


def without(name: str) -> Any:
    return lambda link, headers: (link, {key: value for key, value in headers.items() if key != name})


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (without("x-amz-meta-owner"), (403, "SignatureDoesNotMatch")),
        (without("if-none-match"), (403, "SignatureDoesNotMatch")),
        (lambda link, headers: (link, {**headers, "x-amz-meta-owner": "bob"}), (403, "SignatureDoesNotMatch")),
        (lambda link, headers: (link, {**headers, "x-amz-acl": "public-read"}), (403, "AccessDenied")),
        (
            lambda link, headers: (link[:-1] + ("0" if link[-1] != "0" else "1"), headers),
            (403, "SignatureDoesNotMatch"),
        ),
        (lambda link, headers: (link.replace("a//b", "a/b"), headers), (403, "SignatureDoesNotMatch")),
        (lambda link, headers: (link.replace("=300&", "=301&"), headers), (403, "SignatureDoesNotMatch")),
        (lambda link, headers: (link.replace("=ASIA", "=ASIB"), headers), (403, "InvalidAccessKeyId")),
        (lambda link, headers: (link.replace("=AWS4", "=AWS5"), headers), (400, "AuthorizationQueryParametersError")),
        (lambda link, headers: (re.sub(r"Date=\d{4}", "Date=2020", link), headers), (403, "AccessDenied")),
    ],
)
def test_a_link_is_good_for_what_was_signed(engine: EngineProcess, change: Any, refusal: tuple[int, str]) -> None:
    headers = {"x-amz-meta-owner": "ann", "if-none-match": "*"}
    key = "elsewhere/a//b c~(é)"
    link = call(engine, "put_with_headers", key)
    changed, sent = change(link, headers)
    answer = httpx.put(changed, content=b"x", headers=sent)
    assert (answer.status_code, answer.headers["content-type"]) == (refusal[0], "application/xml")
    assert f"<Code>{refusal[1]}</Code>" in answer.text
    buckets = aws_client("s3", engine.services)
    listed = buckets.list_objects_v2(Bucket="uploads", Prefix="elsewhere/a").get("Contents", [])
    assert key not in [entry["Key"] for entry in listed]
    assert httpx.put(link, content=b"x", headers=headers).status_code == 200
    assert buckets.get_object(Bucket="uploads", Key=key)["Metadata"] == {"owner": "ann"}
    buckets.delete_object(Bucket="uploads", Key=key)


@pytest.mark.parametrize("content", [b'{"name": "a=b&c"}\n', b"\xff\x00\xfe=&"])
@pytest.mark.parametrize("media_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_the_body_of_an_upload_is_no_form(engine: EngineProcess, content: bytes, media_type: str) -> None:
    buckets = aws_client("s3", engine.services, signature_version="s3v4")
    link = buckets.generate_presigned_url("put_object", Params={"Bucket": "uploads", "Key": "elsewhere/form"})
    assert httpx.put(link, content=content, headers={"content-type": media_type}).status_code == 200
    stored = buckets.get_object(Bucket="uploads", Key="elsewhere/form")
    assert (stored["Body"].read(), stored["ContentType"]) == (content, media_type)


@pytest.mark.parametrize(("version", "moment"), [("s3", r"Expires=\d+"), ("s3v4", r"X-Amz-Date=\w+")])
def test_expired_link_is_refused(engine: EngineProcess, version: str, moment: str) -> None:
    buckets = aws_client("s3", engine.services, signature_version=version)
    link = buckets.generate_presigned_url("put_object", Params={"Bucket": "uploads", "Key": "late"}, ExpiresIn=60)
    past = "Expires=1600000000" if version == "s3" else "X-Amz-Date=20200101T000000Z"
    answer = httpx.put(re.sub(moment, past, link), content=b"x")
    assert (answer.status_code, "Request has expired" in answer.text) == (403, True)


def test_form_for_an_upload(engine: EngineProcess, wait_for: Records) -> None:
    form = call(engine, "post", "imports/${filename}")

    def send(content: bytes, **changes: str) -> tuple[int, str]:
        files = {"file": ("b.bin", content)}
        answer = httpx.post(form["url"], data={**form["fields"], **changes}, files=files)
        return answer.status_code, answer.text

    status, text = send(b"\xff" * 101)
    assert (status, "<Code>EntityTooLarge</Code>" in text) == (400, True)
    status, text = send(b"")
    assert (status, "<Code>EntityTooSmall</Code>" in text) == (400, True)
    status, text = send(b"1", key="elsewhere")
    assert (status, 'Policy Condition failed: ["starts-with", "$key", "imports/"]' in text) == (403, True)
    damaged = {name: form["fields"][name][::-1] for name in ("policy", "signature")}
    for change in damaged.items():
        status, text = send(b"1", **dict([change]))
        assert (status, "<Code>SignatureDoesNotMatch</Code>" in text) == (403, True)
    status, text = send(b"1", AWSAccessKeyId="ASIAAAAAAAAAAAAAAAAA")
    assert (status, "<Code>InvalidAccessKeyId</Code>" in text) == (403, True)
    status, text = send(b"1", acl="public-read")
    assert (status, "Invalid according to Policy: Extra input fields: acl" in text) == (403, True)
    assert send(b"\xff\xfe")[0] == 204
    (run,) = wait_for("Uploaded", 1)
    record = run["event"]["Records"][0]
    assert (record["eventName"], record["s3"]["object"]["key"]) == ("ObjectCreated:Post", "imports/b.bin")


@pytest.mark.parametrize(
    ("change", "headers"),
    [
        (("Signature=", "Signature=A"), {}),
        (("?", "x?"), {}),
        (("&Expires=", "&Expires=1"), {}),
        (("", ""), {"content-type": "text/plain"}),
        (("", ""), {"x-amz-meta-owner": "bob"}),
    ],
)
def test_an_older_link_is_good_for_what_was_signed(
    engine: EngineProcess, change: tuple[str, str], headers: dict[str, str]
) -> None:
    link = call(engine, "put", "elsewhere/older é")
    answer = httpx.put(link.replace(*change, 1), content=b"x", headers=headers)
    assert (answer.status_code, "<Code>SignatureDoesNotMatch</Code>" in answer.text) == (403, True)
    assert httpx.put(link, content=b"x").status_code == 200


def test_a_form_of_the_current_version(engine: EngineProcess) -> None:
    buckets = aws_client("s3", engine.services, signature_version="s3v4")
    form = buckets.generate_presigned_post("uploads", "elsewhere/form")
    for name, status in (("x-amz-date", 403), ("x-amz-signature", 403), ("", 204)):
        fields = {key: value[::-1] if key == name else value for key, value in form["fields"].items()}
        assert httpx.post(form["url"], data=fields, files={"file": b"x"}).status_code == status


def test_the_developers_key_signs_links(engine: EngineProcess) -> None:
    buckets = aws_client("s3", engine.services, signature_version="s3v4")
    listed = buckets.generate_presigned_url("list_objects_v2", Params={"Bucket": "uploads"})
    assert httpx.get(listed).status_code == 200
    assert httpx.get(f"{listed}0").status_code == 403


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_pages_of_the_buckets_origin_may_upload(engine: EngineProcess, version: str) -> None:
    parameters = {"Bucket": "uploads", "Key": "from-a-page"}
    buckets = aws_client("s3", engine.services, signature_version=version)
    link = buckets.generate_presigned_url("put_object", Params=parameters)
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
    allowed = httpx.options(link, headers={"Origin": PAGE, **asked})
    assert allowed.status_code == 200
    assert allowed.headers["Access-Control-Allow-Origin"] == PAGE
    assert allowed.headers["Access-Control-Allow-Headers"] == "content-type"
    assert httpx.put(link, content=b"1", headers={"Origin": PAGE}).headers["Access-Control-Allow-Origin"] == PAGE
    for refused in ({"Origin": "http://localhost:1"}, {"Access-Control-Request-Method": "DELETE"}):
        assert httpx.options(link, headers={"Origin": PAGE, **asked, **refused}).status_code == 403

"""The local AWS services: declared resources exist, and DynamoDB behaves as functions expect."""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from conftest import aws_client
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.sqs.models import Message

from local_engine.services.aws_services import Services, start_services
from local_engine.services.fair_shares import FairShares
from local_engine.services.moto_models import RECORDS_KEPT
from local_engine.services.services_client import ServicesError
from local_engine.services.stack_resources import create_resources, seed_tables
from local_engine.template import Stack, load_template
from local_engine.testing import child_environment, free_port, is_running, poll

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Items:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions:
        - {AttributeName: pk, AttributeType: S}
        - {AttributeName: sk, AttributeType: S}
      KeySchema:
        - {AttributeName: pk, KeyType: HASH}
        - {AttributeName: sk, KeyType: RANGE}
      GlobalSecondaryIndexes:
        - IndexName: reversed
          KeySchema: [{AttributeName: sk, KeyType: HASH}]
          Projection: {ProjectionType: ALL}
      StreamSpecification: {StreamViewType: NEW_AND_OLD_IMAGES}
      TimeToLiveSpecification: {AttributeName: expiresAt, Enabled: true}
  Named:
    Type: AWS::Serverless::SimpleTable
    Properties: {TableName: a-name-of-its-own}
  Work:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 60
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Failed.Arn, maxReceiveCount: 3}
  Failed: {Type: AWS::SQS::Queue}
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: changes}}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      EventBusName: !Ref Bus
      EventPattern: {source: [things]}
      Targets: [{Id: work, Arn: !GetAtt Work.Arn}]
  Logs: {Type: AWS::Logs::LogGroup}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    template = tmp_path_factory.mktemp("stack") / "template.yaml"
    template.write_text(TEMPLATE)
    return load_template(template, {})


@pytest.fixture(scope="module")
def services(stack: Stack) -> Iterator[Services]:
    services = start_services()
    try:
        create_resources(stack, services.endpoint)
        yield services
    finally:
        services.stop()


@pytest.fixture(scope="module")
def dynamodb(services: Services) -> Any:
    return aws_client("dynamodb", services.endpoint)


def _item(sk: str, **attributes: Any) -> dict[str, Any]:
    return {"pk": {"S": "p"}, "sk": {"S": sk}, **attributes}


def test_tables_are_as_declared(dynamodb: Any) -> None:
    table = dynamodb.describe_table(TableName="Items")["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert [index["IndexName"] for index in table["GlobalSecondaryIndexes"]] == ["reversed"]
    expiry = dynamodb.describe_time_to_live(TableName="Items")["TimeToLiveDescription"]
    assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expiresAt"}
    assert set(dynamodb.list_tables()["TableNames"]) >= {"Items", "a-name-of-its-own"}


def test_a_rule_sends_events_to_its_queue(services: Services) -> None:
    events, queues = aws_client("events", services.endpoint), aws_client("sqs", services.endpoint)
    for source in ("others", "things"):
        events.put_events(
            Entries=[{"Source": source, "DetailType": "changed", "Detail": "{}", "EventBusName": "changes"}]
        )
    url = queues.get_queue_url(QueueName="Work")["QueueUrl"]
    (message,) = queues.receive_message(QueueUrl=url, WaitTimeSeconds=5, MaxNumberOfMessages=10)["Messages"]
    assert json.loads(message["Body"])["source"] == "things"
    attributes = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "60"
    assert json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"].endswith(":Failed")


def test_a_request_that_moto_stumbles_over_is_answered_as_a_fault_of_aws(services: Services) -> None:
    topics, queues = aws_client("sns", services.endpoint), aws_client("sqs", services.endpoint)
    for call in (
        lambda: topics.subscribe(TopicArn="no ARN", Protocol="sqs", Endpoint="x"),
        lambda: queues.create_queue(QueueName="odd", Attributes={"VisibilityTimeout": "x"}),
    ):
        with pytest.raises(ClientError, match=r"\(InternalFailure\).*moto stumbles over the request"):
            call()


def test_a_long_poll_does_not_block_other_requests(services: Services, dynamodb: Any) -> None:
    queues = aws_client("sqs", services.endpoint)
    url = queues.get_queue_url(QueueName="Failed")["QueueUrl"]
    with ThreadPoolExecutor(1) as background:
        waiting = background.submit(queues.receive_message, QueueUrl=url, WaitTimeSeconds=3)
        dynamodb.describe_table(TableName="Items")
        assert not waiting.done()


def test_responses_are_not_kept(services: Services, dynamodb: Any) -> None:
    # What moto's own dashboard shows is all that its models are kept for.
    for number in range(3):
        dynamodb.put_item(TableName="Items", Item=_item(f"kept{number}"))
        dynamodb.get_item(TableName="Items", Key={"pk": {"S": "p"}, "sk": {"S": f"kept{number}"}})
    kept = httpx.get(f"{services.endpoint}/moto-api/data.json", trust_env=False).raise_for_status().json()
    assert kept["dynamodb"]["Item"] == []
    assert kept["dynamodb"]["StreamRecord"] == []


def test_a_rejected_resource_is_left_out_and_named(services: Services, stack: Stack) -> None:
    create_resources(stack, services.endpoint)
    (notice,) = (text for text in stack.notices if text.startswith("Items "))
    assert notice.startswith("Items is not run: the local AWS services reject CreateTable: ")


def test_example_items(services: Services, dynamodb: Any, tmp_path: Path) -> None:
    file = tmp_path / "items.json"
    entries = [{"PutRequest": {"Item": {"id": {"S": str(number)}}}} for number in range(60)]
    file.write_text(json.dumps({"Named": entries}), encoding="utf-8-sig")
    seed_tables(file, services.endpoint, {"Named": "a-name-of-its-own"})
    assert dynamodb.scan(TableName="a-name-of-its-own")["Count"] == 60


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "does not have the form of BatchWriteItem's RequestItems"),
        ('{"Items": 5}', "does not have the form of BatchWriteItem's RequestItems"),
        ('{"Absent": [{}]}', "'Absent', which is not a table of the template"),
        ('{"Items": [{"PutRequest": {"Item": {}}}]}', "reject BatchWriteItem"),
    ],
)
def test_invalid_example_items(services: Services, tmp_path: Path, content: str | None, problem: str) -> None:
    file = tmp_path / "items.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ServicesError, match=problem):
        seed_tables(file, services.endpoint, {"Items": "Items"})


def test_a_taken_port_is_named(services: Services) -> None:
    port = int(services.endpoint.rpartition(":")[2])
    with pytest.raises(ServicesError, match=f"Port {port} cannot be used"):
        start_services(port)


def test_one_of_many_conditional_writers_wins(dynamodb: Any) -> None:
    def write(writer: int) -> bool:
        try:
            dynamodb.put_item(
                TableName="Items",
                Item=_item("contended", writer={"N": str(writer)}),
                ConditionExpression="attribute_not_exists(pk)",
            )
        except dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(16) as writers:
        assert sum(writers.map(write, range(200))) == 1


def test_reading_while_others_write(dynamodb: Any) -> None:
    def work(number: int) -> int:
        dynamodb.put_item(TableName="Items", Item=_item(f"busy{number}"))
        answer = dynamodb.query(
            TableName="Items", KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "p"}}
        )
        return answer["ResponseMetadata"]["HTTPStatusCode"]

    with ThreadPoolExecutor(16) as workers:
        assert set(workers.map(work, range(200))) == {200}


def test_a_page_ends_at_one_megabyte(dynamodb: Any) -> None:
    """Pagination as "Query" in the DynamoDB API Reference promises it."""
    for number in range(4):
        dynamodb.put_item(
            TableName="Items", Item={"pk": {"S": "big"}, "sk": {"S": str(number)}, "text": {"S": "x" * 390_000}}
        )
    query = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "big"}}}
    first = dynamodb.query(TableName="Items", **query)
    rest = dynamodb.query(TableName="Items", ExclusiveStartKey=first["LastEvaluatedKey"], **query)
    assert (first["Count"], rest["Count"]) == (2, 2)


@pytest.mark.parametrize("forward", [True, False])
def test_pages_have_each_item_of_a_prefix_once_and_in_order(dynamodb: Any, forward: bool) -> None:
    for number in range(10):
        for prefix in ("order", "vector"):
            dynamodb.put_item(TableName="Items", Item=_item(f"{prefix}#{number}", pk={"S": "paged"}))
    query = {
        "TableName": "Items",
        "KeyConditionExpression": "pk = :p AND begins_with(sk, :s)",
        "ExpressionAttributeValues": {":p": {"S": "paged"}, ":s": {"S": "order#"}},
        "ScanIndexForward": forward,
        "Limit": 4,
    }
    pages = [dynamodb.query(**query)]
    while "LastEvaluatedKey" in pages[-1]:
        pages.append(dynamodb.query(**query, ExclusiveStartKey=pages[-1]["LastEvaluatedKey"]))
    assert [page["Count"] for page in pages] == [4, 4, 2]
    found = [item["sk"]["S"] for page in pages for item in page["Items"]]
    assert found == sorted((f"order#{number}" for number in range(10)), reverse=not forward)


def test_an_item_over_the_limit_is_rejected(dynamodb: Any) -> None:
    with pytest.raises(dynamodb.exceptions.ClientError, match="Item size has exceeded the maximum allowed size"):
        dynamodb.put_item(TableName="Items", Item=_item("huge", text={"S": "x" * 410_000}))


def test_a_replaced_attribute_does_not_count_towards_the_limit(dynamodb: Any) -> None:
    key = {name: value for name, value in _item("replaced").items() if name in ("pk", "sk")}
    for size in (200_000, 300_000, 409_000, 100):
        dynamodb.update_item(
            TableName="Items",
            Key=key,
            UpdateExpression="SET #text = :text",
            ExpressionAttributeNames={"#text": "text"},
            ExpressionAttributeValues={":text": {"S": "x" * size}},
        )


def test_the_process_ends_with_a_parent_that_is_killed() -> None:
    code = """if True:
        import time
        from local_engine.services.aws_services import start_services
        services = start_services()
        print(services.process.pid, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", code], env=child_environment(), stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.send_signal(signal.SIGKILL)
    poll(lambda: not is_running(child), "moto outlives its parent")


@pytest.fixture(scope="module")
def endpoints(stack: Stack) -> Iterator[list[str]]:
    """Moto's own server and ours."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {**os.environ, "MOTO_DISABLE_GLOBAL_CORS": "true"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as moto:
        try:
            poll(lambda: _answers(f"http://127.0.0.1:{port}/moto-api/"), "moto's own server does not start")
            ours = start_services()
            try:
                endpoints = [f"http://127.0.0.1:{port}", ours.endpoint]
                for endpoint in endpoints:
                    create_resources(stack, endpoint)
                yield endpoints
            finally:
                ours.stop()
        finally:
            moto.kill()


def test_every_operation_answers_as_motos_own_server(endpoints: list[str]) -> None:
    binary = base64.b64encode(bytes(range(256))).decode()
    full = _item(
        "full",
        text={"S": 'é"\\\u2028😀'},
        empty={"S": ""},
        number={"N": "12345678901234567890123456789012345678"},
        binary={"B": binary},
        texts={"SS": ["b", "a"]},
        numbers={"NS": ["2", "1.50"]},
        binaries={"BS": [binary, "YQ=="]},
        nothing={"NULL": True},
        no={"BOOL": False},
        map={"M": {"S": {"S": "named like a type"}, "l": {"L": [{"M": {}}, {"L": []}, {"N": "1"}, {"B": "YQ=="}]}}},
        map_like={"M": {"AttributeValue": {"N": "1"}, "M": {"M": {"L": {"L": []}}}}},
    )
    key = {"pk": full["pk"], "sk": full["sk"]}
    partition = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "p"}}}
    more = [_item(f"more{number}", number={"N": str(number)}) for number in range(5)]
    puts = [{"PutRequest": {"Item": item}} for item in more]
    absent = {"ConditionExpression": "attribute_not_exists(pk)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    update = {"UpdateExpression": "SET #n = #n + :one", "ExpressionAttributeNames": {"#n": "number"}}
    update |= {"ExpressionAttributeValues": {":one": {"N": "1"}}}
    requests: list[tuple[str, dict[str, Any]]] = [
        ("PutItem", {"Item": full, "ReturnConsumedCapacity": "TOTAL"}),
        ("PutItem", {"Item": full, "ReturnValues": "ALL_OLD"}),
        ("PutItem", {"Item": full, **absent}),
        ("PutItem", {"Item": {"pk": {"S": "no sort key"}}}),
        ("PutItem", {"Item": _item("large", text={"S": "x" * 410_000})}),
        ("GetItem", {"Key": key}),
        (
            "GetItem",
            {
                "Key": key,
                "ProjectionExpression": "#m.l[0], #t",
                "ExpressionAttributeNames": {"#m": "map", "#t": "text"},
            },
        ),
        ("GetItem", {"Key": _item("absent")}),
        ("UpdateItem", {"Key": key, "ReturnValues": "ALL_NEW", **update}),
        ("UpdateItem", {"Key": key, "ReturnValues": "UPDATED_OLD", **update}),
        ("Query", partition),
        ("Query", {**partition, "Limit": 2, "ScanIndexForward": False}),
        ("Query", {**partition, "Select": "COUNT"}),
        ("Query", {**partition, "ExclusiveStartKey": _item("more1"), "ReturnConsumedCapacity": "INDEXES"}),
        ("Query", {"KeyConditionExpression": "nonsense"}),
        (
            "Query",
            {
                "IndexName": "reversed",
                "KeyConditionExpression": "sk = :s",
                "ExpressionAttributeValues": {":s": key["sk"]},
            },
        ),
        ("Scan", {"FilterExpression": "attribute_exists(binaries)"}),
        ("DeleteItem", {"Key": more[0], "ReturnValues": "ALL_OLD"}),
        ("DeleteItem", {"Key": {"pk": {"S": "p"}, "sk": {"S": "more0"}}, "ReturnValues": "ALL_OLD"}),
    ]
    whole: list[tuple[str, dict[str, Any]]] = [
        ("BatchWriteItem", {"RequestItems": {"Items": puts}}),
        *((operation, {"TableName": "Items", **request}) for operation, request in requests),
        ("BatchGetItem", {"RequestItems": {"Items": {"Keys": [key]}}}),
        ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "Items", "Key": key}}]}),
        ("TransactWriteItems", {"TransactItems": [{"Put": {"TableName": "Items", "Item": _item("new")}}]}),
        (
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": "Items", "Item": _item("newer")}},
                    {"Put": {"TableName": "Items", "Item": full, **absent}},
                ]
            },
        ),
        ("ExecuteStatement", {"Statement": "SELECT * FROM Items WHERE pk = 'p'"}),
        ("GetItem", {"TableName": "Absent", "Key": key}),
    ]
    for operation, request in whole:
        _assert_same(endpoints, operation, request)


@settings(max_examples=60)
@given(
    attributes=st.dictionaries(
        st.text(min_size=1, max_size=3),
        st.recursive(
            st.text().map(lambda text: {"S": text})
            | st.integers(-(10**37), 10**37).map(lambda number: {"N": str(number)})
            | st.binary(min_size=1).map(lambda content: {"B": base64.b64encode(content).decode()})
            | st.booleans().map(lambda value: {"BOOL": value})
            | st.just({"NULL": True})
            | st.sets(st.text(min_size=1), min_size=1).map(lambda texts: {"SS": sorted(texts)}),
            lambda inner: (
                st.lists(inner, max_size=3).map(lambda values: {"L": values})
                | st.dictionaries(st.text(min_size=1, max_size=3), inner, max_size=3).map(lambda values: {"M": values})
            ),
            max_leaves=6,
        ),
        max_size=4,
    )
)
def test_any_item_is_read_as_from_motos_own_server(endpoints: list[str], attributes: dict[str, Any]) -> None:
    item = {**attributes, **_item("any")}
    _assert_same(endpoints, "PutItem", {"TableName": "Items", "Item": item, "ReturnValues": "ALL_OLD"})
    _assert_same(endpoints, "GetItem", {"TableName": "Items", "Key": _item("any")})


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url, trust_env=False).status_code == 200
    return False


_HTTP = httpx.Client(trust_env=False, timeout=30)


def _assert_same(endpoints: list[str], operation: str, request: dict[str, Any]) -> None:
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        "Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request",
    }
    theirs, ours = (_HTTP.post(endpoint, json=request, headers=headers) for endpoint in endpoints)
    assert ours.content == theirs.content, operation
    assert ours.status_code == theirs.status_code
    for name in ("content-type", "content-length", "x-amz-crc32"):
        assert ours.headers[name] == theirs.headers[name]


def test_a_stream_forgets_its_oldest_records_and_goes_on_counting(services: Services) -> None:
    dynamodb = aws_client("dynamodb", services.endpoint)
    streams = aws_client("dynamodbstreams", services.endpoint)
    arn = dynamodb.describe_table(TableName="Items")["Table"]["LatestStreamArn"]
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    place = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    early = streams.get_shard_iterator(**place)["ShardIterator"]
    for start in range(0, 2 * RECORDS_KEPT + 50, 25):
        items = [{"pk": {"S": "long"}, "sk": {"S": str(number)}} for number in range(start, start + 25)]
        dynamodb.batch_write_item(RequestItems={"Items": [{"PutRequest": {"Item": item}} for item in items]})
    with pytest.raises(ClientError, match="TrimmedDataAccessException"):
        streams.get_records(ShardIterator=early)
    iterator, records = streams.get_shard_iterator(**place)["ShardIterator"], []
    while found := (answer := streams.get_records(ShardIterator=iterator))["Records"]:
        records += [record["dynamodb"] for record in found]
        iterator = answer["NextShardIterator"]
    assert RECORDS_KEPT <= len(records) < 2 * RECORDS_KEPT
    numbers = [int(record["SequenceNumber"]) for record in records]
    assert numbers == list(range(numbers[0], numbers[0] + len(records)))
    assert [int(record["Keys"]["sk"]["S"]) for record in records] == list(range(start + 25 - len(records), start + 25))


def _create_queue(services: Services, name: str, **attributes: str) -> tuple[Any, str]:
    queues = aws_client("sqs", services.endpoint)
    return queues, queues.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def test_a_message_group_keeps_its_order_after_a_batch_failed(services: Services) -> None:
    queues, url = _create_queue(services, "ordered.fifo", FifoQueue="true", VisibilityTimeout="2")

    def receive() -> list[dict[str, Any]]:
        answer = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=2, WaitTimeSeconds=20)
        messages: list[dict[str, Any]] = answer["Messages"]
        return messages

    for number in range(4):
        ids = {"MessageGroupId": "a", "MessageDeduplicationId": str(number)}
        queues.send_message(QueueUrl=url, MessageBody=str(number), **ids)
    # The others of the group wait for the first batch.
    assert [[message["Body"] for message in receive()] for _ in range(2)] == [["0", "1"], ["0", "1"]]
    batch = receive()
    for message in batch:
        queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert [message["Body"] for message in (*batch, *receive())] == ["0", "1", "2", "3"]


def test_messages_of_quiet_groups_come_before_those_of_a_noisy_neighbor(services: Services) -> None:
    queues, url = _create_queue(services, "fair")
    for body in ("b1", "b2", "b3"):
        queues.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="big")

    def receive() -> dict[str, Any]:
        (message,) = queues.receive_message(QueueUrl=url, MessageSystemAttributeNames=["MessageGroupId"])["Messages"]
        return {"Body": message["Body"], **message["Attributes"]}

    assert receive() == {"Body": "b1", "MessageGroupId": "big"}
    queues.send_message(QueueUrl=url, MessageBody="s1", MessageGroupId="small")
    assert [receive()["Body"] for _ in range(3)] == ["s1", "b2", "b3"]


def _make_message(body: str, group: str | None) -> Any:
    message: Any = Message(body, body)
    message.group_id = group
    return message


def test_noisy_neighbors_take_turns_and_are_quiet_again_after_five_minutes() -> None:
    shares, now = FairShares(), 1_000_000.0
    big, small = ([_make_message(f"{group}{number}", group) for number in range(3)] for group in ("big", "small"))
    alone = _make_message("alone", None)

    def order(*messages: Message) -> list[str]:
        return [message.body for message in shares.sort(messages, now)]

    assert order(*big, *small) == ["big0", "big1", "big2", "small0", "small1", "small2"]
    for message, visible_at in ((big[0], now + 60_000), (big[1], now + 1000), (small[0], now + 60_000)):
        shares.begin(message, now)
        message.visible_at = visible_at
    now += 500
    # Both use a third of the consumers or more. The one with fewer messages in flight comes first, after quiet ones.
    assert order(*big, *small, alone)[0:3] == ["alone", "small0", "small1"]
    now += 1000
    # A message that is visible again is no longer in flight, and its time counts.
    assert order(*big, *small)[0:3] == ["big0", "big1", "big2"]
    for message in (big[0], small[0]):
        shares.end(message, now)
    now += 299_000
    assert order(*small, *big)[0] == "small0"
    quiet = _make_message("quiet", "quiet")
    assert order(*big, *small, quiet)[0] == "quiet"
    now += 2000
    assert order(*big, *small, quiet)[0] == "big0"


def test_a_group_with_thirty_messages_in_flight_is_a_noisy_neighbor() -> None:
    shares, now = FairShares(), 1_000_000.0
    few, *many = (_make_message(f"{number}", "many" if number else "few") for number in range(32))
    for message in many[:29]:
        shares.begin(message, now)
        message.visible_at = now + 60_000
    assert shares.sort([*many, few], now)[0] is many[0]
    shares.begin(many[29], now)
    many[29].visible_at = now + 60_000
    assert shares.sort([*many, few], now)[0] is few


def test_a_message_goes_to_the_dead_letter_queue_of_a_fifo_queue_and_lets_the_next_one_pass(services: Services) -> None:
    queues, dead = _create_queue(services, "dead.fifo", FifoQueue="true")
    arn = queues.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    _, url = _create_queue(services, "alive.fifo", FifoQueue="true", RedrivePolicy=policy, VisibilityTimeout="0")
    for body in ("bad", "good"):
        queues.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="a", MessageDeduplicationId=body)
    (first,) = queues.receive_message(QueueUrl=url)["Messages"]
    (second,) = queues.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    (lost,) = queues.receive_message(QueueUrl=dead, WaitTimeSeconds=5)["Messages"]
    assert (first["Body"], second["Body"], lost["Body"]) == ("bad", "good", "bad")


def test_a_dead_letter_names_the_queue_that_it_comes_from(services: Services) -> None:
    queues, dead = _create_queue(services, "dead", VisibilityTimeout="0")
    arn = queues.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    _, url = _create_queue(services, "failing", RedrivePolicy=policy, VisibilityTimeout="0")

    def receive(source: str, **names: list[str]) -> dict[str, str]:
        (message,) = queues.receive_message(QueueUrl=source, WaitTimeSeconds=5, **names)["Messages"]
        attributes: dict[str, str] = message.get("Attributes", {})
        return attributes

    queues.send_message(QueueUrl=url, MessageBody="bad")
    assert "DeadLetterQueueSourceArn" not in receive(url, MessageSystemAttributeNames=["All"])
    assert "Messages" not in queues.receive_message(QueueUrl=url)
    source = {"DeadLetterQueueSourceArn": arn.replace(":dead", ":failing")}
    assert receive(dead, MessageSystemAttributeNames=["DeadLetterQueueSourceArn"]) == source
    assert receive(dead, AttributeNames=["DeadLetterQueueSourceArn"]) == source
    assert source.items() <= receive(dead, MessageSystemAttributeNames=["All"]).items()
    assert receive(dead, MessageSystemAttributeNames=["SentTimestamp"]).keys() == {"SentTimestamp"}
    assert not receive(dead)


def test_many_long_polls_hold_up_nobody(services: Services) -> None:
    queues, url = _create_queue(services, "polled")
    with ThreadPoolExecutor(31) as pool:
        waiting = [pool.submit(queues.receive_message, QueueUrl=url, WaitTimeSeconds=20) for _ in range(30)]
        for number in range(30):
            queues.send_message(QueueUrl=url, MessageBody=str(number))
        bodies = [message["Body"] for future in waiting for message in future.result()["Messages"]]
    assert sorted(bodies, key=int) == [str(number) for number in range(30)]


def test_a_message_that_becomes_visible_ends_a_long_poll(services: Services) -> None:
    queues, url = _create_queue(services, "returning", VisibilityTimeout="1")
    queues.send_message(QueueUrl=url, MessageBody="x", DelaySeconds=1)
    counts = []
    for _ in range(2):
        answer = queues.receive_message(
            QueueUrl=url, WaitTimeSeconds=20, MessageSystemAttributeNames=["ApproximateReceiveCount"]
        )
        counts += [message["Attributes"]["ApproximateReceiveCount"] for message in answer["Messages"]]
    assert counts == ["1", "2"]


def test_a_client_that_hangs_up_receives_nothing(services: Services) -> None:
    queues, url = _create_queue(services, "abandoned")
    headers = {"X-Amz-Target": "AmazonSQS.ReceiveMessage", "Content-Type": "application/x-amz-json-1.0"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            services.endpoint,
            json={"QueueUrl": url, "WaitTimeSeconds": 20},
            headers=headers,
            timeout=0.5,
            trust_env=False,
        )
    queues.send_message(QueueUrl=url, MessageBody="x")
    (message,) = queues.receive_message(
        QueueUrl=url, WaitTimeSeconds=5, MessageSystemAttributeNames=["ApproximateReceiveCount"]
    )["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


def test_no_message_is_lost_while_others_are_deleted(services: Services) -> None:
    queues, url = _create_queue(services, "busy")

    def send(number: int) -> None:
        queues.send_message(QueueUrl=url, MessageBody=str(number))

    def take(_: int) -> list[str]:
        messages = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=5).get("Messages", [])
        for message in messages:
            queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [message["Body"] for message in messages]

    with ThreadPoolExecutor(8) as pool:
        sending = [pool.submit(send, number) for number in range(200)]
        taken = [body for bodies in pool.map(take, range(200)) for body in bodies]
        for future in sending:
            future.result()
    while rest := take(0):
        taken += rest
    assert sorted(taken, key=int) == [str(number) for number in range(200)]


def test_numbers_of_a_table_that_is_created_again_go_on(services: Services) -> None:
    dynamodb = aws_client("dynamodb", services.endpoint)
    streams = aws_client("dynamodbstreams", services.endpoint)
    starts = []
    for _ in range(2):
        dynamodb.create_table(
            TableName="Again",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
        )
        arn = dynamodb.describe_table(TableName="Again")["Table"]["LatestStreamArn"]
        (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        starts.append(int(shard["SequenceNumberRange"]["StartingSequenceNumber"]))
        dynamodb.delete_table(TableName="Again")
    assert starts[0] < starts[1]

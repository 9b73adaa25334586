"""Search finds a caller's resources by meaning: what was written, changed and deleted, and nothing of others."""

import json
from uuid import uuid4

import jsonschema
import pytest

from local_engine.testing import EngineProcess, poll
from tests.intelligence.conftest import SEARCH, WAIT_SECONDS, Clients, Model, Table, User, make_message
from tests.support.permissions import translate_stack
from tests.support.resources import RESOURCES
from tests.support.stack import find_route

FUNCTION = translate_stack(Intelligence="on").functions["Vectors/EmbedResources"]
LEDGER = "Records-Erasure-ErasureLedger"
QUEUE = "Vectors-VectorsQueue"


def test_what_is_written_is_found_best_first_with_scores(user: User) -> None:
    user.write("Invoice of the coffee machine", colour="red")
    user.write("Photos of a sunset at the beach", "B")
    user.wait_until_found("coffee", {"Invoice of the coffee machine", "Photos of a sunset at the beach"})
    answer = user.search("the machine that makes coffee")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    results = answer.document["results"]
    assert answer.document["count"] == 2
    assert results[0]["resource"]["name"] == "Invoice of the coffee machine"
    assert results[0]["resource"] == user.send("GET", f"{RESOURCES}/{results[0]['resource']['id']}").document
    scores = [result["score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert scores[0] > scores[1]
    # What metadata says is found too.
    assert user.find("a red colour")[0] == "Invoice of the coffee machine"


def test_answers_follow_the_model(user: User) -> None:
    user.write("one")
    user.wait_until_found("one", {"one"})
    route = find_route(f"GET {SEARCH}")
    assert route
    assert route.answer_model
    jsonschema.validate(user.search("one").document, route.answer_model, jsonschema.Draft202012Validator)


def test_a_changed_resource_is_found_by_its_new_text_and_a_deleted_one_never(user: User, table: Table) -> None:
    path = user.write("bicycle repair manual")
    other = user.write("apple cake recipe")
    user.wait_until_found("bicycle", {"bicycle repair manual", "apple cake recipe"})
    before = table.list_items(user)
    answer = user.send("PUT", path, {"name": "train timetable", "type": "A"})
    assert answer.status == 200
    # Until it is embedded anew, it is returned as it is.
    assert set(user.find("bicycle")) == {"train timetable", "apple cake recipe"}
    poll(lambda: table.list_items(user) != before, "the resource is embedded anew", WAIT_SECONDS)
    assert user.find("train timetable")[0] == "train timetable"
    assert user.search("train timetable").document["results"][0]["score"] > 0.9
    assert user.send("DELETE", path).status == 204
    # At once, although the vector goes later.
    assert user.find("train timetable") == ["apple cake recipe"]
    poll(lambda: len(table.list_items(user)) == 1, "the vector of the deleted resource goes", WAIT_SECONDS)
    assert list(table.list_items(user)) == [f"vector#resource#{other.rpartition('/')[2]}"]


def test_nothing_of_another_user_is_found(user: User, engine: EngineProcess) -> None:
    others = [User(engine.url, f"{user.subject}{suffix}") for suffix in ("x", "#", "/resource")]
    for other in (user, *others):
        other.write(f"secret plan of {other.subject}")
    for other in (user, *others):
        other.wait_until_found("secret plan", {f"secret plan of {other.subject}"})
    assert User(engine.url, f"stranger-{uuid4()}").find("secret plan") == []


def test_a_type_limits_what_is_found_also_after_a_change(user: User) -> None:
    path = user.write("green tea", "A")
    user.write("black tea", "B")
    user.wait_until_found("tea", {"green tea", "black tea"})
    assert user.find("tea", type="A") == ["green tea"]
    assert user.find("tea", type="B") == ["black tea"]
    assert user.find("tea", type="C") == []
    assert user.send("PUT", path, {"name": "green tea", "type": "C"}).status == 200
    assert user.find("tea", type="A") == []
    user.wait_until_found("tea", {"green tea"}, type="C")


def test_limits_are_those_of_lists(user: User) -> None:
    for number in range(3):
        user.write(f"number {number}")
    user.wait_until_found("number", {"number 0", "number 1", "number 2"})
    assert len(user.find("number", limit=2)) == 2
    assert len(user.find("number", limit=1000)) == 3


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "q"),
        ("?q=", "q"),
        ("?q=%20%09", "q"),
        (f"?q={'x' * 1001}", "q"),
        ("?q=x%FF", "q"),
        ("?q=%E2%80%8B", "q"),
        ("?q=x&type=Z", "type"),
        ("?q=x&type=", "type"),
        ("?q=x&limit=0", "limit"),
        ("?q=x&limit=many", "limit"),
    ],
)
def test_a_faulty_query_is_a_400_that_names_the_parameter(user: User, query: str, field: str) -> None:
    answer = user.send("GET", f"{SEARCH}{query}")
    assert answer.status == 400
    assert [detail["field"] for detail in answer.document["details"]] == [field]


def test_the_longest_text_is_searched(user: User) -> None:
    assert user.search(f" {'ß' * 1000} ").status == 200


def test_a_list_reads_no_vector(user: User, table: Table) -> None:
    user.write("listed")
    user.wait_until_found("listed", {"listed"})
    page = user.send("GET", RESOURCES).document
    assert (page["count"], page["resources"][0]["name"]) == (1, "listed")
    assert len(table.list_items(user)) == 1
    assert len(table.list_items(user, "resource#")) == 1


def test_vectors_are_no_changes(user: User, table: Table) -> None:
    path = user.write("watched")
    user.wait_until_found("watched", {"watched"})
    assert user.send("DELETE", path).status == 204
    poll(lambda: not table.list_items(user, ""), "the resource, its mark and its vector go", WAIT_SECONDS)

    def list_actions() -> list[str]:
        entries = user.send("GET", "/api/v1/audit").document["entries"]
        return [entry["action"] for entry in entries]

    assert list_actions() == ["deleted", "created"]


def test_while_the_model_is_throttled_searches_get_503_and_changes_wait(
    user: User, model: Model, table: Table, aws: Clients
) -> None:
    user.write("first")
    user.wait_until_found("first", {"first"})
    sqs = aws("sqs")
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]

    def count_waiting(name: str) -> int:
        return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"][name])

    with model.limits(requestsPerSecond=0):
        failed = model.count_failed()
        answer = user.search("first")
        assert answer.is_unavailable
        assert model.count_failed() > failed
        user.write("second")
        # It goes back to the queue as a new message that waits, so it never becomes a dead letter.
        poll(lambda: count_waiting("ApproximateNumberOfMessagesDelayed") >= 1, "the message waits", WAIT_SECONDS)
        assert len(table.list_items(user)) == 1
    poll(lambda: user.search("first").status == 200, "the circuit closes", WAIT_SECONDS)
    user.wait_until_found("second", {"first", "second"})


def test_of_a_batch_only_the_message_that_cannot_be_read_fails(aws: Clients, user: User) -> None:
    bodies = {"one": "{}", "two": make_message(user.subject, str(uuid4()))}
    records = [{"messageId": name, "body": body, "eventSource": "aws:sqs"} for name, body in bodies.items()]
    answer = aws("lambda").invoke(FunctionName=FUNCTION.name, Payload=json.dumps({"Records": records}))
    assert json.loads(answer["Payload"].read()) == {"batchItemFailures": [{"itemIdentifier": "one"}]}


def test_a_message_that_cannot_be_read_becomes_a_dead_letter(aws: Clients) -> None:
    sqs, body = aws("sqs"), json.dumps({"unreadable": str(uuid4())})
    url, dead = (sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in (QUEUE, "Records-DeadMessages"))
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
    sqs.send_message(QueueUrl=url, MessageBody=body)

    def is_dead() -> bool:
        letters = sqs.receive_message(QueueUrl=dead, VisibilityTimeout=0, MaxNumberOfMessages=10).get("Messages", [])
        return body in [letter["Body"] for letter in letters]

    poll(is_dead, "the message is a dead letter", WAIT_SECONDS)
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "360"})
    sqs.purge_queue(QueueUrl=dead)


def test_an_erasure_leaves_no_vector_and_counts_them(user: User, table: Table, aws: Clients) -> None:
    for name in ("one", "two"):
        user.write(name)
    user.wait_until_found("one", {"one", "two"})
    answer = user.send("POST", "/api/v1/erasures")
    assert answer.status == 202
    ids = [key.rpartition("#")[2] for key in table.list_items(user, "resource#")]
    poll(lambda: not table.list_items(user, ""), "everything goes", WAIT_SECONDS)
    # An embedding that comes too late writes nothing.
    for item_id in ids:
        record = {"messageId": "one", "body": make_message(user.subject, item_id), "eventSource": "aws:sqs"}
        answer = aws("lambda").invoke(FunctionName=FUNCTION.name, Payload=json.dumps({"Records": [record]}))
        assert json.loads(answer["Payload"].read()) == {"batchItemFailures": []}
    assert table.list_items(user, "") == {}
    assert user.find("one") == []
    poll(lambda: _count_erased(aws, user).get("resource", 0) == 2, "the resources are counted", WAIT_SECONDS)
    # The event of a deletion may take a vector first, which is then not counted.
    assert _count_erased(aws, user).get("vector", 0) <= 2


def _count_erased(aws: Clients, user: User) -> dict[str, int]:
    (receipt,) = [
        item for item in aws("dynamodb").scan(TableName=LEDGER)["Items"] if item["subject"]["S"] == user.subject
    ]
    return {kind: int(count["N"]) for kind, count in receipt["erased"]["M"].items()}

import pytest

from tests.support.dynamodb import Drop, LoseAnswer, Refusal

KEY = {"Idempotency-Key": "5f1c0b0e-first-resource", "X-Correlation-Id": "the-callers-own"}
DAY = 24 * 3600
DOWN = (Drop(),) * 10


def count(api, **options):
    return api.page(query={"limit": "100"}, **options).json()["count"]


def test_a_request_sent_again_gets_the_first_answer_again(api, clock):
    body = {"name": "once", "type": "A", "metadata": {"n": 1}}
    first = api.create(body, headers=KEY)
    assert first.status == 201
    clock.advance(3600)
    assert api.create(body, headers=KEY) == first
    assert api.create(body, headers=KEY) == first
    assert count(api) == 1
    assert api.read(first.json()["id"]).body == first.body


@pytest.mark.parametrize("change", ["update", "delete"])
def test_the_first_answer_is_given_again_after_the_resource_has_changed(api, change):
    first = api.create(headers=KEY)
    assert getattr(api, change)(first.json()["id"]).status in (200, 204)
    assert api.create(headers=KEY) == first


@pytest.mark.example_fields
def test_white_space_does_not_make_another_body(api):
    first = api.create('{"name":"x","type":"A"}', headers=KEY)
    assert api.create('{ "name": "x",\n "type": "A" }', headers=KEY) == first


@pytest.mark.example_fields
@pytest.mark.parametrize(
    "other",
    [
        {"name": "other", "type": "A"},
        {"name": "thing", "type": "B"},
        {"name": "thing", "type": "A", "metadata": {}},
    ],
)
def test_another_body_under_the_same_key_is_refused(api, other):
    first = api.create(headers=KEY)
    answer = api.create(other, headers=KEY)
    assert answer.status == 422
    assert set(answer.json()) == {"error", "requestId"}
    assert count(api) == 1
    assert api.create(headers=KEY) == first


@pytest.mark.example_fields
def test_a_number_with_other_digits_makes_another_body(api):
    body = '{"name": "x", "type": "A", "metadata": {"n": %s}}'
    assert api.create(body % "1.1", headers=KEY).status == 201
    assert api.create(body % "1.10", headers=KEY).status == 422


def test_a_key_is_the_callers_own(api):
    first = api.create(subject="alice", headers=KEY)
    second = api.create(subject="bob", headers=KEY)
    third = api.create({"name": "other", "type": "C"}, subject="carol", headers=KEY)
    assert {answer.status for answer in (first, second, third)} == {201}
    assert len({answer.json()["id"] for answer in (first, second, third)}) == 3


def test_keys_differ_by_every_character(api):
    ids = {api.create(headers={"Idempotency-Key": key}).json()["id"] for key in ("a", "A", "a#", "a/b", "a" * 255)}
    assert len(ids) == 5


def test_a_key_is_forgotten_after_a_day(api, clock):
    first = api.create(headers=KEY)
    clock.advance(DAY - 60)
    assert api.create(headers=KEY) == first
    clock.advance(120)
    later = api.create(headers=KEY)
    assert later.status == 201
    assert later.json()["id"] != first.json()["id"]
    assert api.create(headers=KEY) == later


def test_a_forgotten_key_takes_another_body(api, clock):
    api.create(headers=KEY)
    clock.advance(DAY + 60)
    assert api.create({"name": "other", "type": "C"}, headers=KEY).status == 201


@pytest.mark.example_fields
def test_the_order_of_members_does_not_make_another_body(api):
    first = api.create('{"name":"x","type":"A","metadata":{"a":1,"b":[{"c":1,"d":2}]}}', headers=KEY)
    again = api.create('{"metadata":{"b":[{"d":2,"c":1}],"a":1},"type":"A","name":"x"}', headers=KEY)
    assert (again.status, again.json()) == (201, first.json())
    assert api.create('{"name":"x","type":"A","metadata":{"a":1,"b":[]}}', headers=KEY).status == 422


@pytest.mark.parametrize(
    ("first", "second"),
    [("k", '"k"'), ('"k"', " k\t"), ('" a, b "', '" a, b "'), ("a\\b", '"a\\\\b"'), ("a" * 255, f'"{"a" * 255}"')],
)
def test_a_key_is_the_same_with_and_without_quotes(api, first, second):
    created = api.create(headers={**KEY, "Idempotency-Key": first})
    assert created.status == 201
    assert api.create(headers={**KEY, "Idempotency-Key": second}) == created
    assert count(api) == 1


def test_quoted_keys_differ_by_every_character(api):
    keys = ('"k"', '"k "', '" k"', '"k,"', '"k\\""', '"k\\\\"', '"K"')
    assert len({api.create(headers={"Idempotency-Key": key}).json()["id"] for key in keys}) == len(keys)


@pytest.mark.parametrize(
    "key",
    [
        *("", " ", "a b", "a\tb", "ü", "a" * 256, "\u0000", "a\n"),
        # The gateway joins two header lines with a comma.
        *("a,b", "a, b", '"a","b"', '"a", "a"', ","),
        *('""', '"', '"a', 'a"', '"a"b', '"a\\"', '"\\n"', '"ü"', '"a\nb"', f'"{"a" * 256}"', '"a";b=1'),
    ],
)
def test_a_malformed_key_is_refused(api, key):
    answer = api.create(headers={"Idempotency-Key": key})
    assert (answer.status, set(answer.problems)) == (400, {"Idempotency-Key"})
    assert count(api) == 0


def test_an_invalid_body_uses_no_key_up(api):
    assert api.create({"name": ""}, headers=KEY).status == 400
    assert api.create(headers=KEY).status == 201


def test_a_request_that_is_still_running_is_not_run_twice(remote_api, api, dynamodb, clock):
    # The first request claims the key. Then the table is down, so it can neither write nor release the claim.
    dynamodb.fail("TransactWriteItems", *DOWN)
    dynamodb.fail("DeleteItem", *DOWN)
    assert remote_api.create(headers=KEY).status == 503
    answer = api.create(headers=KEY)
    assert answer.status == 409
    assert int(answer.headers["retry-after"]) >= 1
    assert set(answer.json()) == {"error", "requestId"}
    assert api.create({"name": "other", "type": "B"}, headers=KEY).status == 422
    assert count(api) == 0
    # A claim barely outlives the longest run of a function; the next request then takes it over.
    clock.advance(20)
    assert api.create(headers=KEY).status == 409
    clock.advance(15)
    taken_over = api.create(headers=KEY)
    assert taken_over.status == 201
    assert api.create(headers=KEY) == taken_over
    assert count(api) == 1


def test_a_claim_that_was_taken_over_is_lost_to_its_first_owner(remote_api, api, dynamodb, clock):
    overtaker = []

    def overtake():
        clock.advance(31)
        overtaker.append(api.create(headers=KEY))

    dynamodb.before("TransactWriteItems", overtake)
    first = remote_api.create(headers=KEY)
    assert overtaker[0].status == 201
    assert first == overtaker[0]
    assert count(api) == 1


@pytest.mark.parametrize("operation", ["PutItem", "TransactWriteItems"])
def test_a_lost_answer_makes_no_second_resource(remote_api, dynamodb, operation):
    dynamodb.fail(operation, LoseAnswer())
    first = remote_api.create(headers=KEY)
    assert first.status == 201
    assert remote_api.create(headers=KEY) == first
    assert count(remote_api) == 1


def test_when_the_answer_never_arrives_the_next_request_gets_it(remote_api, api, dynamodb):
    dynamodb.fail("TransactWriteItems", *(LoseAnswer(),) * 10)
    assert remote_api.create(headers=KEY).status == 503
    assert count(api) == 1
    assert api.create(headers=KEY).json() == api.page().json()["resources"][0]
    assert count(api) == 1


def test_a_write_that_fails_gives_its_claim_back(remote_api, api, dynamodb):
    dynamodb.fail("TransactWriteItems", *(Refusal("ThrottlingException"),) * 10)
    assert remote_api.create(headers=KEY).status == 503
    assert api.create({"name": "smaller", "type": "B"}, headers=KEY).status == 201


@pytest.mark.parametrize(
    ("reason", "status"),
    [("TransactionConflict", 409), ("ThrottlingError", 503), ("ProvisionedThroughputExceeded", 503), ("Other", 500)],
)
def test_a_cancelled_transaction_is_told_by_its_reason(remote_api, dynamodb, reason, status):
    reasons = (("CancellationReasons", [{"Code": "None"}, {"Code": reason}]),)
    dynamodb.fail("TransactWriteItems", *(Refusal("TransactionCanceledException", more=reasons),) * 10)
    answer = remote_api.create(headers=KEY)
    assert answer.status == status
    assert ("retry-after" in answer.headers) == (status in (409, 503))


def test_a_transaction_over_400_kb_is_too_large(remote_api, dynamodb):
    message = "Item size has exceeded the maximum allowed size"
    reasons = (("CancellationReasons", [{"Code": "None"}, {"Code": "ValidationError", "Message": message}]),)
    dynamodb.fail("TransactWriteItems", Refusal("TransactionCanceledException", more=reasons))
    assert remote_api.create(headers=KEY).status == 413
    assert remote_api.create({"name": "smaller", "type": "A"}, headers=KEY).status == 201


def test_writers_that_meet_are_told_to_come_back(remote_api, dynamodb):
    dynamodb.fail("TransactWriteItems", *(Refusal("TransactionConflictException"),) * 10)
    answer = remote_api.create(headers=KEY)
    assert (answer.status, answer.headers["retry-after"]) == (409, "1")

"""A real fault triggers each alarm, and the alarm clears when the fault ends."""

import json
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from local_engine.services import create_resources
from local_engine.testing import poll
from tests.alarms.conftest import CACHE, MINUTE_SECONDS, TIME_LAPSE
from tests.alarms.states import read_alarms, wait_until
from tests.alarms.traffic import send_requests
from tests.support.api_client import ApiClient
from tests.support.fault_proxy import Fault, always
from tests.support.internal import EVERYTHING, InternalClient, list_internal_routes, make_principal
from tests.support.metric_references import list_references
from tests.support.permissions import list_functions, translate_stack
from tests.support.resources import RESOURCES
from tests.support.stack import ROOT, find_fixture, find_route, list_routes
from tests.support.stand import Stand, start_stand
from tests.support.templates import write_variant

KINDS = {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"}
ROUTED = {route.function for route in list_routes()}
BACKGROUND = {
    "VerifyVersions": "Operations/VerificationFailed",
    "Identity/RotateClientSecret": "Identity/RotationFailed",
    "Readiness/WarmFunctions": "Readiness/WarmingFailed",
    "Records/RecordChanges": "Records/RecordsFailed",
    "Records/PublishChanges": "Records/RecordsFailed",
    "Records/MeasureEvents": "Records/RecordsFailed",
    "Records/Imports/SplitImport": "Records/RecordsFailed",
    "Records/Imports/ImportResources": "Records/RecordsFailed",
    "Records/Erasure/EraseUser": "Records/RecordsFailed",
    "Records/Erasure/VerifyErasure": "Records/Erasure/ErasureNotVerified",
    "Vectors/EmbedResources": "Vectors/EmbeddingFailed",
    "Internal/Cache/RefreshCache": "Internal/Cache/RefreshFailed",
    "Internal/Cache/RejectRefreshes": "Internal/Cache/RefreshFailed",
}
"""The alarm of each function that serves no route."""
INTERNAL = {route.function for route in list_internal_routes()}
STREAMING = {"Streaming/AnswerQuestion", "Streaming/AuthorizeToken", "Streaming/ExportData"}
REST_APIS_FAILED = {"Streaming/StreamingFailed", "Internal/InternalFailed"}


def operations(*names: str) -> set[str]:
    return {f"Operations/{name}" for name in names}


# The silent table first: a request is slow only while its environment has not used up its retries.
FAULTS = {
    Fault.SILENT: operations("SlowAnswers", "CallersAffected", "TableErrors", "ConcurrencyNearLimit", "RouteFailures")
    | {"FunctionsDegraded"},
    Fault.RESET_BEFORE: operations("ServerErrors", "CallersAffected", "TableErrors", "CircuitOpened", "RouteFailures")
    | {"FunctionsDegraded"},
    Fault.THROTTLED: operations("ServerErrors", "CallersAffected", "TableThrottles", "CircuitOpened", "RouteFailures")
    | {"FunctionsDegraded"},
}
"""Faults of the table, and the alarms that each must trigger."""
LOST_BUS = {"Records/FailedEntries", "Records/RecordsLate"}
LOST_MESSAGE = {"Records/MessagesLate", "Records/RecordsDeadLetters"}
MAY_FOLLOW = LOST_BUS | operations("ConcurrencyNearLimit", "CircuitOpened", "SlowAnswers", "ServerErrors")
MAY_FOLLOW |= {"Records/RecordsFailed", "Records/MessagesLate", "Vectors/EmbeddingFailed"}
"""Any of them can trigger these: requests pile up, slow ones end with a 503, and no service answers the functions."""
DEAD_LETTERS = "Operations/DeadLettersWaiting"
VECTORS_LATE = "Vectors/VectorsLate"
SPENDING_HIGH = "Streaming/SpendingHigh"
WHOLE = {"ColdStart": "warm", "Intelligence": "on", **CACHE}
"""With these values, every function and alarm is in the stack."""
WARMER = translate_stack(ColdStart="warm").functions["Readiness/WarmFunctions"].name
DEFECTS = {"FunctionsDegraded", "Operations/RouteFailures"}
"""Alarms on a function that fails or answers 500."""


def test_each_alarm_is_exercised_here() -> None:
    declared = translate_stack(**WHOLE).resources
    alarms = {name for name, resource in declared.items() if resource.type in KINDS}
    unusual = {DEAD_LETTERS, SPENDING_HIGH, VECTORS_LATE, *REST_APIS_FAILED}
    assert alarms == set().union(*FAULTS.values(), LOST_BUS, LOST_MESSAGE, unusual, BACKGROUND.values())
    assert set(list_functions()) == ROUTED | STREAMING | INTERNAL | BACKGROUND.keys()


def test_no_alarm_is_triggered_without_a_fault(stand: Stand) -> None:
    with send_requests(stand.url, clients=1):
        wait_until(stand, "OK", set(read_alarms(stand)))
        # The longest evaluation period of any alarm.
        time.sleep(5 * MINUTE_SECONDS)
        assert {alarm["state"] for alarm in read_alarms(stand).values()} == {"OK"}
    assert not [line for line in stand.engine.lines if re.match(r"[0-9:]{8} ALARM ", line)]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_table_triggers_its_alarms(stand: Stand, fault: Fault) -> None:
    wait_until(stand, "OK", set(read_alarms(stand)))
    with stand.faults(always(fault)), send_requests(stand.url):
        wait_until(stand, "ALARM", FAULTS[fault])
        triggered = {name for name, alarm in read_alarms(stand).items() if alarm["state"] == "ALARM"}
        assert triggered - FAULTS[fault] <= MAY_FOLLOW
    wait_until(stand, "OK", set(read_alarms(stand)))


def test_a_defect_triggers_the_alarms_of_every_route(stand: Stand) -> None:
    wait_until(stand, "OK", set(read_alarms(stand)))
    with lost_tables(stand), send_requests(stand.url, clients=5):
        wait_until(stand, "ALARM", DEFECTS)
        wait_for_contributors(stand, {route.key for route in list_routes()})
    wait_until(stand, "OK", set(read_alarms(stand)))


def wait_for_contributors(stand: Stand, routes: set[str]) -> None:
    """Wait until the alarm on failing routes has named each of the routes."""
    left = set(routes)

    def is_reached() -> bool:
        left.difference_update(route for route in left.copy() if is_contributor(stand, route))
        return not left

    try:
        poll(is_reached, "")
    except AssertionError:
        raise AssertionError(f"no contributors: {', '.join(sorted(left))}") from None


def is_contributor(stand: Stand, route: str) -> bool:
    """Return whether the alarm on failing routes names a route in its reason."""
    method, path = route.split(" ")
    reason = read_alarms(stand)["Operations/RouteFailures"]["reason"]
    return bool(re.search(rf"{method}\W+{re.escape(path)}(?![\w/{{])", reason))


def test_a_table_that_gives_no_answers_triggers_the_alarms_of_the_rest_apis(stand: Stand) -> None:
    wait_until(stand, "OK", REST_APIS_FAILED)
    internal = InternalClient(stand.engine, make_principal("internal-alarms", EVERYTHING))
    read = partial(internal.send, "GET", "/users/ann/resources")
    with stand.faults(always(Fault.RESET_BEFORE)), send_repeatedly(partial(export, stand)), send_repeatedly(read):
        wait_until(stand, "ALARM", REST_APIS_FAILED)
    wait_until(stand, "OK", REST_APIS_FAILED)


def test_a_function_that_crashes_at_import_triggers_the_alarms_of_its_route() -> None:
    """It writes no metric and no log line: the alarm that rolls it back uses the gateway's access log."""
    route = find_route("GET /api/v1/resources")
    assert route
    with write_variant() as template:
        functions = template.with_name("functions")
        functions.unlink()
        shutil.copytree(ROOT / "functions", functions)
        handler = functions / route.folder.name / "app.py"
        handler.write_text(f"import there_is_no_such_module\n{handler.read_text()}")
        with start_stand(*TIME_LAPSE, template=template) as stand:
            user = ApiClient(stand.url, "user")
            with send_repeatedly(lambda: user.send("GET", RESOURCES)):
                wait_until(stand, "ALARM", DEFECTS)
                assert is_contributor(stand, route.key)
            assert user.send("GET", RESOURCES).status == 500


def test_a_background_function_whose_processes_end_triggers_its_alarm(whole_stack: Stand) -> None:
    wait_until(whole_stack, "OK", set(read_alarms(whole_stack)))
    # The services that they call do not answer, so the functions are killed in the middle of their work.
    with whole_stack.faults(always(Fault.SILENT)), kill_processes(whole_stack), invoke_functions(whole_stack):
        wait_until(whole_stack, "ALARM", set(BACKGROUND.values()))
    wait_until(whole_stack, "OK", set(BACKGROUND.values()))


def test_an_event_that_no_function_takes_triggers_the_alarm_of_its_queue(stand: Stand) -> None:
    wait_until(stand, "OK", {DEAD_LETTERS})
    with make_client(stand, "lambda") as functions, kill_processes(stand, "warm_functions"):

        def is_waiting() -> bool:
            functions.invoke(FunctionName=WARMER, InvocationType="Event", Payload=b"{}")
            return read_alarms(stand)[DEAD_LETTERS]["state"] == "ALARM"

        poll(is_waiting, "no event was killed, or none arrived in the queue", seconds=60)
    with make_client(stand, "sqs") as sqs:
        queue = sqs.get_queue_url(QueueName="DeadLetters")["QueueUrl"]
        message, *_ = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0)["Messages"]
        assert json.loads(message["Body"])["requestContext"]["condition"] == "RetriesExhausted"

    def is_over() -> bool:
        # The last attempts of other events end meanwhile.
        delete_messages(stand, "DeadLetters")
        return read_alarms(stand)[DEAD_LETTERS]["state"] == "OK"

    poll(is_over, "the alarm does not clear", seconds=120)


def test_a_bus_that_takes_no_events_triggers_its_alarms(stand: Stand) -> None:
    wait_until(stand, "OK", LOST_BUS)
    with stand.faults(always(Fault.ERROR), "AWSEvents."), send_requests(stand.url, clients=3):
        wait_until(stand, "ALARM", LOST_BUS, seconds=120)
    wait_until(stand, "OK", LOST_BUS, seconds=120)


def test_a_message_that_no_consumer_takes_triggers_the_alarms_of_its_queues(stand: Stand) -> None:
    wait_until(stand, "OK", LOST_MESSAGE)
    with make_client(stand, "sqs") as sqs:
        queue = sqs.get_queue_url(QueueName="Records-EventQueue")["QueueUrl"]
        sqs.send_message(QueueUrl=queue, MessageBody="no event")
        wait_until(stand, "ALARM", LOST_MESSAGE, seconds=180)
    delete_messages(stand, "Records-DeadMessages")
    wait_until(stand, "OK", LOST_MESSAGE)


def test_a_change_that_search_learns_of_too_late_triggers_its_alarm(stand: Stand) -> None:
    wait_until(stand, "OK", {VECTORS_LATE})
    # The fixture says that it happened long ago.
    event = json.loads(find_fixture("Vectors/EmbedResources").read_text(encoding="utf-8"))
    with make_client(stand, "sqs") as sqs:
        queue = sqs.get_queue_url(QueueName="Vectors-VectorsQueue")["QueueUrl"]
        send = partial(sqs.send_message, QueueUrl=queue, MessageBody=event["Records"][0]["body"])
        with send_repeatedly(send):
            wait_until(stand, "ALARM", {VECTORS_LATE})
    wait_until(stand, "OK", {VECTORS_LATE})


def test_answers_that_cost_more_than_the_limit_trigger_the_alarm(stand: Stand) -> None:
    wait_until(stand, "OK", {SPENDING_HIGH})
    assert ApiClient(stand.url, "asker").send("POST", RESOURCES, {"name": "blue boat", "type": "A"}).status == 201
    with send_repeatedly(partial(ask, stand)):
        wait_until(stand, "ALARM", {SPENDING_HIGH}, seconds=240)
    wait_until(stand, "OK", {SPENDING_HIGH})


def test_each_metric_on_the_dashboard_is_written_in_a_run_with_faults(stand: Stand) -> None:
    wait_until(stand, "OK", set(read_alarms(stand)))
    with send_requests(stand.url):
        for fault in (Fault.RESET_BEFORE, Fault.THROTTLED):
            with stand.faults(always(fault)):
                wait_until(stand, "ALARM", operations("CircuitOpened"))
            wait_until(stand, "OK", operations("CircuitOpened"))
    user = ApiClient(stand.url, "user")
    assert user.send("POST", RESOURCES, {}).status == 400
    with lost_tables(stand):
        assert user.send("GET", RESOURCES).status == 500
        assert export(stand) == 500
    with stand.engine.client() as client:
        metrics = client.get("/_local/metrics.json").json()["metrics"]
    written = [(metric["namespace"], metric["name"], set(metric["dimensions"])) for metric in metrics]
    left = {
        f"{reference.namespace} {reference.name}"
        for reference in list_references(translate_stack(ColdStart="warm"))
        if not any(
            namespace == reference.namespace
            and fnmatchcase(name, reference.name)
            and dimensions == set(reference.dimensions)
            for namespace, name, dimensions in written
        )
    }
    # No enrichment service is configured here (see tests/unit/resilience), no model fails (see tests/intelligence), and
    # DynamoDB itself throttles only in AWS.
    assert {name for name in left if not re.search("Enrichment| Answer| Model|VectorsPostponed", name)} == {
        "AWS/DynamoDB ReadThrottleEvents",
        "AWS/DynamoDB WriteThrottleEvents",
    }


def ask(stand: Stand) -> None:
    """Ask a question, which costs nothing until search finds something."""
    headers = {"Authorization": f"Bearer {stand.engine.mint_token('read:resources', subject='asker')}"}
    url = f"http://127.0.0.1:{stand.engine.port + 1}/live/api/v1/answers"
    httpx.post(url, json={"question": "Where is the boat?"}, headers=headers, timeout=60, trust_env=False)


def export(stand: Stand) -> int:
    """Return the status of an export."""
    headers = {"Authorization": f"Bearer {stand.engine.mint_token('read:resources')}"}
    url = f"http://127.0.0.1:{stand.engine.port + 1}/live/api/v1/export"
    return httpx.get(url, headers=headers, timeout=60, trust_env=False).status_code


@contextmanager
def make_client(stand: Stand, service: str) -> Iterator[Any]:
    """Yield a boto3 client for the stack's functions, or for the services that they use."""
    client = boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=f"{stand.url}/_local/lambda" if service == "lambda" else stand.services.endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield client
    client.close()


def delete_messages(stand: Stand, name: str) -> None:
    """Empty a queue message by message, because SQS allows one purge a minute."""
    with make_client(stand, "sqs") as sqs:
        queue = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


@contextmanager
def lost_tables(stand: Stand) -> Iterator[None]:
    """Delete the tables, which no code expects, and create new ones after the block."""
    stack = translate_stack(Intelligence="on")
    tables = {name: item for name, item in stack.resources.items() if item.type == "AWS::DynamoDB::Table"}
    with make_client(stand, "dynamodb") as dynamodb:
        for name, table in tables.items():
            dynamodb.delete_table(TableName=table.properties.get("TableName", name))
    try:
        yield
    finally:
        create_resources(replace(stack, resources=tables), stand.services.endpoint)
        # What was on its way to a table.
        delete_messages(stand, "Records-DeadMessages")


@contextmanager
def invoke_functions(stand: Stand) -> Iterator[None]:
    """Invoke every background function of the stack repeatedly, with its event."""
    with ExitStack() as running:
        for logical_id in BACKGROUND:
            event = find_fixture(logical_id).read_bytes()
            client = running.enter_context(make_client(stand, "lambda"))
            name = translate_stack(**WHOLE).functions[logical_id].name
            running.enter_context(send_repeatedly(partial(client.invoke, FunctionName=name, Payload=event)))
        yield


@contextmanager
def send_repeatedly(send: Callable[[], object]) -> Iterator[None]:
    """Call `send` repeatedly in a thread during the block."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(0.05):
            send()

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(repeat)
        try:
            yield
        finally:
            stop.set()
    running.result()


@contextmanager
def kill_processes(stand: Stand, folder: str = "functions/") -> Iterator[None]:
    """Kill the processes of functions twice a second, as soon as they have started."""
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(0.5):
            for process in stand.find_function_processes(folder):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()

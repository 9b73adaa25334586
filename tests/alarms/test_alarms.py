"""Each alarm goes off by a fault, by its own rule, and is over when the fault is."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local_engine.services import create_resources
from tests.alarms.conftest import MINUTE_SECONDS
from tests.alarms.states import read_alarms, wait_until
from tests.alarms.traffic import send_requests
from tests.contract.test_dashboard import REFERENCES
from tests.support.api_client import RESOURCES, ApiClient
from tests.support.engine_process import poll
from tests.support.fault_proxy import Fault, always
from tests.support.permissions import list_functions, translate_stack
from tests.support.stack import ROOT, list_routes
from tests.support.stand import Stand

ALARMS = {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"}
OF_FUNCTIONS = {f"{name}Failures" for name in list_functions()}
OF_ROUTES = {f"{route.function}Failures" for route in list_routes()}

# The silent table first: a request is slow only while its environment has not used up its retries.
FAULTS = {
    Fault.SILENT: {
        *("SlowAnswers", "FunctionsDegraded", "CallersAffected"),
        *("TableErrors", "ConcurrencyNearLimit", "GetResourceFailures"),
    },
    Fault.RESET_BEFORE: {"ServerErrors", "FunctionsDegraded", "CallersAffected", "TableErrors", "CircuitOpened"},
    Fault.THROTTLED: {"ServerErrors", "FunctionsDegraded", "CallersAffected", "TableThrottles", "CircuitOpened"},
}
"""What the table does, and the alarms that it must set off."""
MAY_FOLLOW = {"ConcurrencyNearLimit", "GetResourceFailures", "CircuitOpened", "SlowAnswers", "ServerErrors"}
"""Set off by any of them, as it goes: requests pile up, one environment is reserved, what is slow ends with a 503."""
ELSEWHERE = {"DeadLettersWaiting"}
"""Set off by tests of their own, as those of functions are."""


def test_each_alarm_is_exercised_here() -> None:
    declared = translate_stack(ColdStart="warm").resources
    alarms = {name for name, of in declared.items() if of.type in ALARMS}
    assert alarms == set().union(*FAULTS.values(), ELSEWHERE, OF_FUNCTIONS)


def test_no_alarm_goes_off_while_all_is_well(stand: Stand) -> None:
    with send_requests(stand.url, clients=1):
        wait_until(stand, "OK", set(read_alarms(stand)))
        # As long as the longest rule looks back.
        time.sleep(5 * MINUTE_SECONDS)
        assert {alarm["state"] for alarm in read_alarms(stand).values()} == {"OK"}
    assert not [line for line in stand.engine.lines if re.match(r"[0-9:]{8} ALARM ", line)]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_table_sets_off_its_alarms(stand: Stand, fault: Fault) -> None:
    wait_until(stand, "OK", set(read_alarms(stand)))
    with stand.faults(always(fault)), send_requests(stand.url):
        wait_until(stand, "ALARM", FAULTS[fault])
        gone_off = {name for name, alarm in read_alarms(stand).items() if alarm["state"] == "ALARM"}
        assert gone_off - FAULTS[fault] <= MAY_FOLLOW
    wait_until(stand, "OK", set(read_alarms(stand)))


def test_a_defect_sets_off_the_alarm_of_each_routes_function(stand: Stand) -> None:
    wait_until(stand, "OK", set(read_alarms(stand)))
    with lost_table(stand), send_requests(stand.url, clients=5):
        wait_until(stand, "ALARM", OF_ROUTES)
    wait_until(stand, "OK", set(read_alarms(stand)))


def test_a_function_whose_processes_end_sets_off_its_alarm(whole_stack: Stand) -> None:
    wait_until(whole_stack, "OK", set(read_alarms(whole_stack)))
    # What they call says nothing, so that they are killed in the middle of their work.
    with whole_stack.faults(always(Fault.SILENT)), kill_processes(whole_stack), invoke_functions(whole_stack):
        wait_until(whole_stack, "ALARM", OF_FUNCTIONS)
    wait_until(whole_stack, "OK", OF_FUNCTIONS)


def test_an_event_that_no_function_takes_sets_off_the_alarm_of_its_queue(stand: Stand) -> None:
    wait_until(stand, "OK", {"DeadLettersWaiting"})
    with make_client(stand, "lambda") as functions, kill_processes(stand, "warm_functions"):

        def is_waiting() -> bool:
            functions.invoke(FunctionName="WarmFunctions", InvocationType="Event", Payload=b"{}")
            return read_alarms(stand)["DeadLettersWaiting"]["state"] == "ALARM"

        poll(is_waiting, "no event was killed, or none arrived in the queue", seconds=60)
    with make_client(stand, "sqs") as sqs:
        queue = sqs.get_queue_url(QueueName="DeadLetters")["QueueUrl"]
        message, *_ = sqs.receive_message(QueueUrl=queue)["Messages"]
        assert json.loads(message["Body"])["requestContext"]["condition"] == "RetriesExhausted"
        sqs.purge_queue(QueueUrl=queue)
    wait_until(stand, "OK", {"DeadLettersWaiting"})


def test_each_metric_on_the_dashboard_is_written_in_a_run_with_faults(stand: Stand) -> None:
    wait_until(stand, "OK", set(read_alarms(stand)))
    with send_requests(stand.url):
        for fault in (Fault.RESET_BEFORE, Fault.THROTTLED):
            with stand.faults(always(fault)):
                wait_until(stand, "ALARM", {"CircuitOpened"})
            wait_until(stand, "OK", {"CircuitOpened"})
    user = ApiClient(stand.url, "user")
    assert user.send("POST", RESOURCES, {}).status == 400
    with lost_table(stand):
        assert user.send("GET", RESOURCES).status == 500
    with stand.engine.client() as client:
        metrics = client.get("/_local/metrics.json").json()["metrics"]
    written = {(of["namespace"], of["name"], frozenset(of["dimensions"])) for of in metrics}
    left = {
        f"{of.namespace} {of.name}"
        for of in REFERENCES
        if (of.namespace, of.name, frozenset(of.dimensions)) not in written
    }
    # Nobody enriches here (tests/unit/resilience), and DynamoDB itself throttles only in AWS.
    assert {name for name in left if "Enrichment" not in name} == {
        "AWS/DynamoDB ReadThrottleEvents",
        "AWS/DynamoDB WriteThrottleEvents",
    }


@contextmanager
def make_client(stand: Stand, service: str) -> Iterator[Any]:
    """A client of boto3 for the functions of the stack, or for the services that they use."""
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


@contextmanager
def lost_table(stand: Stand) -> Iterator[None]:
    """The table gone for the block, which no code expects; a new one comes after it."""
    with make_client(stand, "dynamodb") as dynamodb:
        dynamodb.delete_table(TableName="Table")
    yield
    tables = {name: of for name, of in translate_stack().resources.items() if of.type == "AWS::DynamoDB::Table"}
    create_resources(replace(translate_stack(), resources=tables), stand.services.endpoint)


@contextmanager
def invoke_functions(stand: Stand) -> Iterator[None]:
    """Invoke every function of the stack again and again, with an event of its own."""
    stop = threading.Event()

    def invoke(name: str) -> None:
        folder = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
        event = (ROOT / "events" / f"{folder}.json").read_bytes()
        with make_client(stand, "lambda") as client:
            while not stop.wait(0.05):
                client.invoke(FunctionName=name, Payload=event)

    with ThreadPoolExecutor(len(list_functions())) as threads:
        running = [threads.submit(invoke, name) for name in list_functions()]
        try:
            yield
        finally:
            stop.set()
    for of in running:
        of.result()


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

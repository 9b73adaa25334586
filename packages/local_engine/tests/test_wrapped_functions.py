"""Functions with AWS_LAMBDA_EXEC_WRAPPER: scripts that set variables, and custom runtimes on the Runtime API."""

import os
import signal
from collections.abc import Iterator

import httpx
import pytest
from conftest import STACKS

from local_engine.testing import EngineProcess, is_running, poll

ERROR = (500, {"message": "Internal Server Error"})


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    with EngineProcess(STACKS / "wrapped" / "template.yaml", "--verbose") as engine:
        yield engine


@pytest.fixture
def client(engine: EngineProcess) -> Iterator[httpx.Client]:
    with engine.client() as client:
        yield client


def test_a_wrapper_of_a_layer_sets_variables_and_interpreter_options(client: httpx.Client) -> None:
    seen = client.get("/plain/look").json()
    assert (seen["greeting"], seen["is_dev"]) == ("hello, wrapped", True)
    assert seen["arn"].endswith(":function:local-Plain")
    assert 0 < seen["remaining"] <= 20_000
    assert seen["trace"].startswith("Root=1-")


def test_a_wrapped_function_sees_its_layers_and_lambdas_packages_and_none_of_the_engines(client: httpx.Client) -> None:
    seen = client.get("/plain/look").json()
    assert (seen["parts"], seen["boto3"], seen["engine"]) == (["one ", "two ", "three"], True, [])


def test_a_wrapped_process_is_used_again(client: httpx.Client) -> None:
    assert client.get("/plain/look").json()["pid"] == client.get("/plain/look").json()["pid"]


def test_an_error_in_a_wrapped_function_names_file_and_line(engine: EngineProcess, client: httpx.Client) -> None:
    response = client.get("/plain/raise")
    assert (response.status_code, response.json()) == ERROR
    engine.wait_for_line(r"Plain \| The function raised an error at .*plain/app.py, line \d+: LookupError: the deed")
    assert client.get("/plain/look").status_code == 200


def test_the_end_of_a_wrapped_process_is_500_and_the_next_request_works(
    engine: EngineProcess, client: httpx.Client
) -> None:
    response = client.get("/plain/exit")
    assert (response.status_code, response.json()) == ERROR
    engine.wait_for_line(r"Plain \| The process exited with status 3")
    assert client.get("/plain/look").status_code == 200


def test_a_runtime_of_its_own_answers(client: httpx.Client) -> None:
    response = client.get("/loop/whole")
    assert (response.status_code, response.text) == (201, "whole")


def test_a_stream_to_a_route_without_streaming_is_no_response(engine: EngineProcess, client: httpx.Client) -> None:
    response = client.get("/loop/count")
    assert (response.status_code, response.json()) == ERROR
    engine.wait_for_line(r"Loop \| The function's response is not valid")


def test_an_error_in_the_trailers_of_a_stream_is_reported(engine: EngineProcess, client: httpx.Client) -> None:
    response = client.get("/loop/raise")
    assert (response.status_code, response.json()) == ERROR
    engine.wait_for_line(r"Loop \| The function failed within its response: LookupError: within the response")


def test_a_runtime_of_its_own_that_hangs_is_ended(engine: EngineProcess, client: httpx.Client) -> None:
    response = client.get("/loop/hang")
    assert (response.status_code, response.json()) == ERROR
    engine.wait_for_line(r"Loop \| Task timed out after 5.00 seconds")
    assert client.get("/loop/whole").status_code == 201


def test_a_missing_wrapper_is_said_in_a_sentence(engine: EngineProcess, client: httpx.Client) -> None:
    response = client.get("/missing")
    assert (response.status_code, response.json()) == ERROR
    engine.wait_for_line(r"Missing \| Its AWS_LAMBDA_EXEC_WRAPPER is /opt/nowhere, which is neither in its layers")


def test_wrapped_processes_end_with_a_killed_engine() -> None:
    with EngineProcess(STACKS / "wrapped" / "template.yaml") as engine, engine.client() as client:
        pid = client.get("/plain/look").json()["pid"]
        os.kill(engine.process.pid, signal.SIGKILL)
        poll(lambda: not is_running(pid), "the function's process is still there")

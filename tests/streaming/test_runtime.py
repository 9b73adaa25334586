"""The runtime that streams, on a strict stand-in of the Runtime API and on AWS's own emulator."""

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from local_engine.testing import free_port, poll, processes_below
from tests.streaming.runtime_stand_in import ARN, FUNCTIONS, LAYER, TRACE, StreamingFunction, make_environment

CONTENT_TYPE = "application/vnd.awslambda.http-integration-response"


@pytest.fixture(scope="module")
def raw() -> Iterator[StreamingFunction]:
    with StreamingFunction("raw.handler") as function:
        yield function


def test_chunks_arrive_as_they_are_made_after_status_and_headers(raw: StreamingFunction) -> None:
    report = raw.api.invoke({"deed": "count"})
    assert report.headers["content-type"] == CONTENT_TYPE
    assert report.headers["lambda-runtime-function-response-mode"] == "streaming"
    assert report.headers["transfer-encoding"] == "chunked"
    assert (report.metadata["statusCode"], report.payload) == (203, b"first\nlast\n")
    assert (report.is_whole, report.trailers) == (True, {})


def test_a_handler_gets_the_invocations_context_and_trace(raw: StreamingFunction) -> None:
    report = raw.api.invoke({"deed": "describe"})
    request_id = report.target.split("/")[1]
    assert report.payload.decode() == repr((TRACE, True, request_id, ARN, "under-test"))


def test_a_response_may_be_empty(raw: StreamingFunction) -> None:
    report = raw.api.invoke({"deed": "nothing"})
    assert (report.is_whole, report.body) == (True, b"")


@pytest.mark.parametrize(("deed", "error"), [("early", "LookupError"), ("text", "TypeError")])
def test_an_error_before_the_first_byte_fails_the_invocation(raw: StreamingFunction, deed: str, error: str) -> None:
    report = raw.api.invoke({"deed": deed})
    assert report.target.endswith("/error")
    assert report.headers["lambda-runtime-function-error-type"] == error
    assert json.loads(report.body)["errorType"] == error
    fault = json.loads(report.headers["lambda-runtime-function-xray-error-cause"])
    assert fault["exceptions"][0]["type"] == error
    assert fault["working_directory"] == str(FUNCTIONS)
    assert deed == "text" or fault["exceptions"][0]["stack"][-1]["path"] == str(FUNCTIONS / "raw.py")
    assert raw.api.invoke({"deed": "count"}).is_whole


def test_an_error_within_the_response_ends_it_with_trailers(raw: StreamingFunction) -> None:
    report = raw.api.invoke({"deed": "late"})
    assert (report.is_whole, report.payload) == (True, b"first\n")
    assert report.trailers["lambda-runtime-function-error-type"] == "LookupError"
    assert report.error["errorMessage"].startswith("within the response: é\nxxx")
    assert len(report.trailers["lambda-runtime-function-error-body"]) < 8_000
    assert "raw.py" in report.error["stackTrace"][-1]
    assert raw.api.invoke({"deed": "count"}).is_whole


def test_the_end_of_the_process_cuts_the_response() -> None:
    with StreamingFunction("raw.handler") as function:
        report = function.api.invoke({"deed": "exit"})
        assert (report.is_whole, report.metadata["statusCode"]) == (False, 203)
        assert function.process.wait(60) == 3


@pytest.mark.parametrize(
    ("handler", "variables", "error"),
    [
        ("missing.handler", {}, "ModuleNotFoundError"),
        ("raw.missing", {}, "AttributeError"),
        ("raw.handler", {"FAILS_AT_IMPORT": "yes"}, "NameError"),
    ],
)
def test_a_function_that_cannot_start_says_why(handler: str, variables: dict[str, str], error: str) -> None:
    with StreamingFunction(handler, variables) as function:
        report = function.api.reports.get(timeout=60)
        assert report.target == "POST init/error"
        assert report.headers["lambda-runtime-function-error-type"] == error
        assert function.process.wait(60) == 1
        assert [line["errorType"] for line in function.read_log()] == [error]


def test_what_is_no_stream_fails_the_invocation() -> None:
    with StreamingFunction("raw.wrong") as function:
        assert json.loads(function.api.invoke({}).body)["errorType"] == "TypeError"


@pytest.mark.skipif(platform.system() != "Linux", reason="AWS's runtime interface emulator runs on Linux")
def test_awss_emulator_takes_what_the_runtime_sends(tmp_path: Path) -> None:
    # It buffers a stream and drops its trailers.
    emulator = tmp_path / "emulator"
    shutil.copyfile(
        Path(find_spec("samcli").origin).parent / f"local/rapid/aws-lambda-rie-{platform.machine()}", emulator
    )
    emulator.chmod(0o755)
    port, api_port = free_port(), free_port()
    command = [emulator, "--log-level", "error", "--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    command += ["--runtime-api-address", f"127.0.0.1:{api_port}", LAYER / "stream", sys.executable, "-", "raw.handler"]
    url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
    with subprocess.Popen(
        command, cwd=FUNCTIONS, env=make_environment("raw.handler"), start_new_session=True
    ) as process:
        try:
            poll(lambda: is_open(port), "the emulator does not start", 60)
            whole = httpx.post(url, json={"deed": "count"}, timeout=60, trust_env=False)
            late = httpx.post(url, json={"deed": "late"}, timeout=60, trust_env=False)
            early = httpx.post(url, json={"deed": "early"}, timeout=60, trust_env=False)
        finally:
            # The function has its own process group.
            for pid in (*processes_below(process.pid), process.pid):
                os.kill(pid, signal.SIGKILL)
    assert whole.content == b'{"statusCode":203,"headers":{}}' + bytes(8) + b"first\nlast\n"
    assert late.content.endswith(bytes(8) + b"first\n")
    assert early.json()["errorType"] == "LookupError"


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

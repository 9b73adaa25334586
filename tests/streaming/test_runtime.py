"""The runtime that streams, on a strict stand-in of the Runtime API."""

import json
from collections.abc import Iterator

import pytest

from tests.streaming.runtime_stand_in import ARN, FUNCTIONS, TRACE, StreamingFunction

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

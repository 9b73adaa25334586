"""REST methods whose responses are streamed."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import STACKS, aws_client

from local_engine.functions.invocation import Result
from local_engine.gateway.response_stream import Late, ResponseStream
from local_engine.testing import EngineProcess, poll

FAILURE = (502, {"message": "Internal server error"})
LATE = (504, {"message": "Endpoint request timed out"})


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    with EngineProcess(STACKS / "rest_streams" / "template.yaml") as engine:
        yield engine


@pytest.fixture(scope="module")
def client(engine: EngineProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{engine.url}/Prod", timeout=60, trust_env=False) as client:
        yield client


def test_a_stream_has_status_headers_and_cookies_of_its_metadata(client: httpx.Client) -> None:
    answer = client.get("/count")
    assert (answer.status_code, answer.text) == (203, "first\nlast\n")
    assert (answer.headers["x-kind"], answer.headers["content-type"]) == ("count", "text/plain")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "x-amzn-requestid" in answer.headers


def test_first_bytes_arrive_before_the_function_ends(client: httpx.Client, tmp_path: Path) -> None:
    with client.stream("POST", "/wait", params={"folder": str(tmp_path)}, content=b"{}") as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == b"first\n"
        assert not (tmp_path / "finished").exists()
        (tmp_path / "go").touch()
        assert b"".join(chunks) == b"last\n"


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/early", "LookupError: before the first byte"),
        ("/whole", "does not start with metadata in JSON and eight zero bytes"),
        ("/buffered", "does not start with metadata in JSON and eight zero bytes"),
    ],
)
def test_a_failure_before_the_payload_is_502(
    engine: EngineProcess, client: httpx.Client, path: str, fault: str
) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == FAILURE
    engine.wait_for_line(fault)


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/raise", "LookupError: within the response"),
        ("/exit", "exited with status 3"),
        ("/short/hang", "No end of the response within the gateway's 1.5 s"),
        ("/hang", "Task timed out after 8.00 seconds"),
    ],
)
def test_a_failure_within_the_response_cuts_the_connection(
    engine: EngineProcess, client: httpx.Client, path: str, fault: str
) -> None:
    with client.stream("GET", path) as answer:
        assert answer.status_code == 203
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            answer.read()
    engine.wait_for_line(rf"Stream \| .*{fault}")
    assert client.get("/count").status_code == 203


def test_no_payload_within_the_methods_timeout_is_504(client: httpx.Client) -> None:
    answer = client.get("/short/silent")
    assert (answer.status_code, answer.json()) == LATE


def test_a_client_that_leaves_does_not_stop_the_function(client: httpx.Client, tmp_path: Path) -> None:
    with client.stream("GET", "/wait", params={"folder": str(tmp_path)}) as answer:
        assert next(answer.iter_raw()) == b"first\n"
    (tmp_path / "go").touch()
    poll((tmp_path / "finished").exists, "the function did not go on")


def test_a_function_that_sends_nothing_for_too_long_is_late() -> None:
    async def run() -> None:
        async def send_nothing() -> AsyncIterator[bytes]:
            yield b"first"
            await asyncio.Event().wait()

        @contextlib.asynccontextmanager
        async def invoke() -> AsyncIterator[Result]:
            yield Result("", send_nothing(), cold=False)

        async def receive() -> dict[str, str]:
            await asyncio.Event().wait()
            return {}

        sent: list[str] = []

        async def send(message: Mapping[str, Any]) -> None:
            sent.append(message["type"])

        async with ResponseStream(invoke(), receive, seconds=60, idle_seconds=0.05) as stream:
            await stream.open()
            with pytest.raises(Late, match="No part of the response within"):
                await stream.send(200, [], {"state": {"cut": lambda: sent.append("cut")}}, send)
        assert sent == ["http.response.start", "http.response.body", "http.response.body", "cut"]

    asyncio.run(run())


def test_results_are_streamed_by_the_invoke_api(engine: EngineProcess) -> None:
    functions = aws_client("lambda", f"{engine.url}/_local/lambda")

    def invoke(name: str, deed: str) -> list[dict[str, Any]]:
        event = {"path": f"/{deed}", "queryStringParameters": None}
        answer = functions.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event))
        assert answer["StatusCode"] == 200
        return list(answer["EventStream"])

    *chunks, end = invoke("Stream", "count")
    content = b"".join(chunk["PayloadChunk"]["Payload"] for chunk in chunks)
    assert content.endswith(b"first\nlast\n")
    assert end == {"InvokeComplete": {}}
    (chunk, end) = invoke("Buffered", "any")
    assert json.loads(chunk["PayloadChunk"]["Payload"])
    *_, end = invoke("Stream", "early")
    assert end["InvokeComplete"]["ErrorCode"] == "LookupError"

"""Function URLs: events, responses, CORS, permissions, and responses that are streamed."""

import http.client
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from conftest import STACKS

from local_engine.access.credentials import issue_user_credentials
from local_engine.testing import EngineProcess, is_running, poll, processes_below

MEGABYTE = 1024 * 1024

type Client = Callable[[str], httpx.Client]


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    with EngineProcess(STACKS / "function_urls" / "template.yaml") as engine:
        yield engine


@pytest.fixture(scope="module")
def client(engine: EngineProcess) -> Iterator[Client]:
    """Returns the client of a function URL by its logical ID."""
    clients = {}
    for name in ("Echo", "Stream", "Buffered", "Private", "Signed"):
        line = engine.wait_for_line(f"^{name}Url is served at")
        clients[name] = httpx.Client(base_url=re.findall(r"http://[\d.:]+", line)[0], timeout=60, trust_env=False)
    yield clients.__getitem__
    for entry in clients.values():
        entry.close()


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    return psutil.Process(pid).memory_info().rss


def test_event_has_the_form_of_lambdas(client: Client) -> None:
    url = client("Echo")
    answer = url.post("/a%20b/c?x=1&x=2&y=", content=b"text", headers={"Content-Type": "text/plain", "Cookie": "k=v"})
    event = answer.json()["event"]
    context = event["requestContext"]
    host = url.base_url.netloc.decode()
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/a b/c")
    assert event["queryStringParameters"] == {"x": "1,2", "y": ""}
    assert (event["rawQueryString"], event["cookies"], event["body"]) == ("x=1&x=2&y=", ["k=v"], "text")
    assert (context["accountId"], context["stage"], context["domainName"]) == ("anonymous", "$default", host)
    assert re.fullmatch("[0-9a-f]{32}", context["apiId"])
    assert "authorizer" not in context
    assert context["requestId"] == answer.json()["id"] == answer.headers["x-amzn-requestid"]
    assert answer.json()["arn"].endswith(":function:local-Echo:live")


def test_response_with_cookies(client: Client) -> None:
    answer = client("Echo").get("/response")
    assert (answer.status_code, answer.text, answer.headers["x-one"]) == (201, "made", "1")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


def test_a_failing_function_is_502(engine: EngineProcess, client: Client) -> None:
    answer = client("Echo").get("/raise")
    assert (answer.status_code, answer.text) == (502, "Internal Server Error")
    engine.wait_for_line(r"Echo \| The function raised an error .*LookupError: the deed")


def test_a_request_over_6_mb_is_413(client: Client) -> None:
    assert client("Echo").post("/", content=bytes(6 * MEGABYTE + 1)).status_code == 413


def test_preflight_is_answered_without_the_function(client: Client) -> None:
    preflight = {"Origin": "http://localhost:5173", "Access-Control-Request-Method": "POST"}
    answer = client("Echo").options("/raise", headers=preflight)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert answer.headers["access-control-allow-methods"] == "GET,POST"
    assert answer.headers["access-control-max-age"] == "60"


@pytest.mark.parametrize(("origin", "allowed"), [("http://localhost:5173", True), ("http://other.example", False)])
def test_cors_settings_replace_the_functions_headers(client: Client, origin: str, allowed: bool) -> None:
    answer = client("Echo").get("/response", headers={"Origin": origin})
    assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)


def test_get_att_gives_the_local_address(client: Client) -> None:
    url = client("Stream").base_url
    assert client("Echo").get("/address").json() == {"url": f"{url}/", "host": url.netloc.decode()}


def test_a_url_without_both_permissions_is_403(engine: EngineProcess, client: Client) -> None:
    answer = client("Private").get("/")
    assert answer.status_code == 403
    assert answer.json()["Message"].startswith("Forbidden. For troubleshooting Function URL authorization issues")
    assert answer.headers["x-amzn-errortype"] == "AccessDeniedException"
    engine.wait_for_line(r"PrivateUrl is served at .*\(nobody, because")


def sign(url: str, user: str, body: bytes = b"", *, service: str = "lambda") -> dict[str, str]:
    """Headers of a POST that a user signs with botocore."""
    issued = issue_user_credentials(STACKS / "function_urls", user)
    request = AWSRequest("POST", url, data=body)
    keys = Credentials(issued.access_key_id, issued.secret_access_key, issued.session_token)
    SigV4Auth(keys, service, "us-east-1").add_auth(request)
    return dict(request.headers)


def test_a_signed_request_reaches_the_function_with_its_callers_identity(client: Client) -> None:
    url = str(client("Signed").base_url) + "/orders?x=1"
    answer = httpx.post(url, content=b"{}", headers=sign(url, "caller", b"{}"))
    iam = answer.json()["event"]["requestContext"]["authorizer"]["iam"]
    assert iam["userArn"] == "arn:aws:iam::123456789012:user/caller"
    assert set(iam) == {
        "accessKey", "accountId", "callerId", "cognitoIdentity", "principalOrgId", "userArn", "userId"
    }  # fmt: skip
    assert answer.json()["event"]["requestContext"]["accountId"] == "123456789012"


def test_a_request_that_is_not_signed_as_it_must_be_is_403(client: Client) -> None:
    url = str(client("Signed").base_url) + "/"
    forbidden = "Forbidden. For troubleshooting Function URL authorization issues"
    for headers in ({}, sign(url, "half-caller"), sign(url, "nobody")):
        answer = httpx.post(url, headers=headers)
        assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
        assert answer.json()["Message"].startswith(forbidden)
    for headers, content in ((sign(url, "caller"), b"changed"), (sign(url, "caller", service="execute-api"), b"")):
        answer = httpx.post(url, headers=headers, content=content)
        assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (403, "InvalidSignatureException")


def test_a_stream_has_status_headers_and_cookies_of_its_metadata(client: Client) -> None:
    answer = client("Stream").get("/count")
    assert (answer.status_code, answer.text) == (203, "first\nlast\n")
    assert (answer.headers["x-kind"], answer.headers["content-type"]) == ("count", "text/plain")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert answer.headers["transfer-encoding"] == "chunked"


def test_first_bytes_arrive_before_the_function_ends(client: Client, tmp_path: Path) -> None:
    with client("Stream").stream("GET", "/wait", params={"folder": str(tmp_path)}) as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == b"first\n"
        assert not (tmp_path / "finished").exists()
        (tmp_path / "go").touch()
        assert b"".join(chunks) == b"last\n"


def test_a_failure_before_the_first_byte_is_502(engine: EngineProcess, client: Client) -> None:
    answer = client("Stream").get("/early")
    assert (answer.status_code, answer.text) == (502, "Internal Server Error")
    engine.wait_for_line(r"Stream \| The function failed within its response: LookupError: before the first byte")


@pytest.mark.parametrize(
    ("deed", "fault"),
    [("raise", "LookupError: within the response"), ("exit", "exited with status 3"), ("hang", "Task timed out")],
)
def test_a_failure_within_the_response_cuts_the_connection(
    engine: EngineProcess, client: Client, deed: str, fault: str
) -> None:
    with client("Stream").stream("GET", f"/{deed}") as answer:
        assert answer.status_code == 203
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
            answer.read()
    engine.wait_for_line(rf"Stream \| .*{fault}")
    assert client("Stream").get("/count").status_code == 203


def test_a_client_of_http_1_0_notices_a_cut_connection(client: Client) -> None:
    url = client("Stream").base_url
    connection = http.client.HTTPConnection(url.host, url.port)
    connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"  # type: ignore[attr-defined]
    connection.request("GET", "/raise")
    with pytest.raises(ConnectionResetError):
        connection.getresponse().read()


def test_a_killed_function_is_noticed_in_the_middle(engine: EngineProcess, client: Client, tmp_path: Path) -> None:
    with client("Stream").stream("GET", "/wait", params={"folder": str(tmp_path)}) as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == b"first\n"
        pid = int((tmp_path / "pid").read_text())
        assert pid in processes_below(engine.process.pid)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(httpx.RemoteProtocolError):
            b"".join(chunks)
    engine.wait_for_line(r"Stream \| The process was ended by signal SIGKILL")
    poll(lambda: not is_running(pid), "the killed process is still there")


def test_a_client_that_leaves_does_not_stop_the_function(client: Client, tmp_path: Path) -> None:
    with client("Stream").stream("GET", "/wait", params={"folder": str(tmp_path)}) as answer:
        assert next(answer.iter_raw()) == b"first\n"
    (tmp_path / "go").touch()
    poll((tmp_path / "finished").exists, "the function did not go on")


def test_a_slow_client_makes_the_function_wait(client: Client, tmp_path: Path) -> None:
    def written() -> int:
        return int((tmp_path / "written").read_text()) if (tmp_path / "written").exists() else 0

    with client("Stream").stream("GET", "/endless", params={"folder": str(tmp_path)}) as answer:
        chunks = answer.iter_raw()
        next(chunks)
        poll(lambda: written() > 0, "the function did not write")
        before = -1
        while written() != before:
            before = written()
            time.sleep(0.3)
        # What sockets and the engine hold, and far less than the function would have written.
        assert before * 65_536 < 40 * MEGABYTE


def test_memory_stays_flat_while_100_mb_pass(engine: EngineProcess, client: Client) -> None:
    client("Stream").get("/large", params={"blocks": 16})
    before = memory(engine.process.pid)
    largest = received = 0
    with client("Stream").stream("GET", "/large", params={"blocks": 1600}) as answer:
        for number, chunk in enumerate(answer.iter_raw()):
            received += len(chunk)
            if number % 100 == 0:
                largest = max(largest, memory(engine.process.pid))
    assert received == 1600 * 65_536 + len(b"first\nlast\n")
    assert largest - before < 20 * MEGABYTE


def test_more_than_200_mb_end_the_response(engine: EngineProcess, client: Client) -> None:
    with client("Stream").stream("GET", "/large", params={"blocks": 3300}) as answer:
        received = 0

        def read() -> None:
            nonlocal received
            for chunk in answer.iter_raw():
                received += len(chunk)

        with pytest.raises(httpx.RemoteProtocolError):
            read()
    assert 190 * MEGABYTE < received <= 200 * MEGABYTE
    engine.wait_for_line(r"Stream \| The function's result is larger than 209715200 bytes")


def test_a_function_that_does_not_stream_sends_its_result_as_it_is(client: Client) -> None:
    answer = client("Buffered").get("/response")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert json.loads(answer.text)["statusCode"] == 201
    assert client("Buffered").get("/raise").status_code == 502

"""The response cache of a REST API's stage."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from conftest import STACKS, aws_client

from local_engine.access.credentials import issue_user_credentials
from local_engine.gateway.events import Response
from local_engine.rest_api.response_cache import MAX_BYTES, MAX_ENTRIES, MAX_RESPONSE, ResponseCache
from local_engine.testing import EngineProcess, poll

REFRESH = {"Cache-Control": "max-age=0"}

type Call = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    with EngineProcess(STACKS / "rest_cache" / "template.yaml") as engine:
        yield engine


@pytest.fixture
def client(engine: EngineProcess) -> Iterator[httpx.Client]:
    """A client of an API whose cache is empty."""
    with httpx.Client(base_url=f"{engine.url}/Prod", timeout=60, trust_env=False) as client:
        assert client.post("/flush").status_code == 204
        yield client


def test_a_kept_response_answers_without_the_function(engine: EngineProcess, client: httpx.Client) -> None:
    first, second = client.get("/plain"), client.get("/plain")
    assert (second.status_code, second.text) == (first.status_code, first.text)
    assert second.headers["x-number"] == first.headers["x-number"]
    assert second.headers["x-amzn-requestid"] != first.headers["x-amzn-requestid"]


def test_a_parameter_that_is_not_in_the_key_does_not_matter(client: httpx.Client) -> None:
    assert client.get("/plain", params={"a": "1"}).text == client.get("/plain", params={"a": "2"}).text


def test_each_value_of_the_keys_parameters_has_its_own_response(client: httpx.Client) -> None:
    def get(path: str, language: str | None = None) -> str:
        return client.get(path, headers={"X-Language": language} if language is not None else {}).text

    asked = [
        ("/items/a", None),
        ("/items/b", None),
        ("/items/a%2Fb", None),
        ("/items/a?q=", None),
        ("/items/a?q=1", None),
        ("/items/a?q=1&q=2", None),
        ("/items/a?q=2", None),
        ("/items/a?q=1%2C2", None),
        ("/items/a", ""),
        ("/items/a", "de"),
        ("/items/a", "de, en"),
        ("/items/a?q=de", None),
    ]
    answers = [get(*one) for one in asked]
    assert len(set(answers)) == len(asked)
    assert [get(*one) for one in reversed(asked)] == answers[::-1]


def test_no_answer_crosses_a_key_under_load(client: httpx.Client) -> None:
    seen: dict[str, set[str]] = {}
    lock = threading.Lock()

    def get(number: int) -> None:
        name = f"n{number % 7}"
        text = client.get(f"/items/{name}").text
        with lock:
            seen.setdefault(name, set()).add(text)

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(get, range(200)))
    values = [value for texts in seen.values() for value in texts]
    assert len(values) == len(set(values))


def test_only_get_is_kept_unless_a_method_is_named(client: httpx.Client) -> None:
    assert client.post("/plain").text != client.post("/plain").text
    assert client.post("/any").text != client.post("/any").text
    assert client.get("/any").text == client.get("/any").text
    assert client.post("/search").text == client.post("/search").text


def test_an_entry_expires(client: httpx.Client) -> None:
    first = client.get("/short").text
    poll(lambda: client.get("/short").text != first, "the entry did not expire")


def test_a_ttl_of_zero_keeps_nothing(client: httpx.Client) -> None:
    assert client.get("/never").text != client.get("/never").text


def test_a_response_of_any_status_is_kept(client: httpx.Client) -> None:
    first, second = client.get("/plain?status=404"), client.get("/plain")
    assert (second.status_code, second.text) == (404, first.text)


def test_a_failure_of_the_function_is_not_kept(client: httpx.Client) -> None:
    assert client.get("/plain?status=none").status_code == 502
    assert client.get("/plain").status_code == 200


def test_a_response_over_the_limit_is_not_kept(client: httpx.Client) -> None:
    sizes = {MAX_RESPONSE: True, MAX_RESPONSE + 1: False}
    for size, is_kept in sizes.items():
        client.post("/flush")
        texts = {client.get("/plain", params={"size": str(size)}).text for _ in range(2)}
        assert (len(texts) == 1) is is_kept


def test_a_refresh_takes_a_permission(client: httpx.Client) -> None:
    first = client.get("/plain")
    second = client.get("/plain", headers=REFRESH)
    assert second.text == first.text
    assert "execute-api:InvalidateCache" in second.headers["warning"]
    assert "warning" not in client.get("/plain").headers
    client.get("/silent")
    assert "warning" not in client.get("/silent", headers=REFRESH).headers


def test_a_stage_can_reject_a_refresh_without_the_permission(client: httpx.Client) -> None:
    answer = client.get("/strict", headers=REFRESH)
    assert answer.status_code == 403
    assert "is not authorized to perform: execute-api:InvalidateCache" in answer.json()["message"]


def test_a_refresh_replaces_the_entry_alone(client: httpx.Client) -> None:
    plain, first = client.get("/plain").text, client.get("/free").text
    second = client.get("/free", headers={"Cache-Control": "no-transform, max-age=0"}).text
    assert second != first
    assert (client.get("/free").text, client.get("/plain").text) == (second, plain)
    assert client.get("/free", headers={"Cache-Control": "max-age=01"}).text == second


def test_a_signed_request_refreshes_if_the_policy_of_its_user_says_so(
    engine: EngineProcess, client: httpx.Client
) -> None:
    def get(user: str, **headers: str) -> httpx.Response:
        issued = issue_user_credentials(STACKS / "rest_cache", user)
        request = AWSRequest("GET", f"{engine.url}/Prod/signed", headers=headers)
        keys = Credentials(issued.access_key_id, issued.secret_access_key, issued.session_token)
        SigV4Auth(keys, "execute-api", "us-east-1").add_auth(request)
        return client.get("/signed", headers=dict(request.headers))

    first = get("reader")
    assert first.status_code == 200
    # The caller is not in the key.
    assert get("editor").text == first.text
    ignored = get("reader", **REFRESH)
    assert (ignored.text, "warning" in ignored.headers) == (first.text, True)
    refreshed = get("editor", **REFRESH)
    assert refreshed.text != first.text
    assert get("reader").text == refreshed.text
    assert client.get("/signed").status_code == 403


def test_flush_empties_the_stage_alone(engine: EngineProcess, client: httpx.Client) -> None:
    first = client.get("/plain").text, client.get("/items/a").text
    assert client.post("/flush").status_code == 204
    assert client.get("/plain").text != first[0]
    assert client.get("/items/a").text != first[1]
    with pytest.raises(ClientError, match="NotFoundException"):
        aws_client("apigateway", f"{engine.url}/_local/apigateway").flush_stage_cache(restApiId="x", stageName="Prod")


def test_a_stage_that_is_changed_rejects_a_refresh_without_the_permission(
    engine: EngineProcess, client: httpx.Client
) -> None:
    management = aws_client("apigateway", f"{engine.url}/_local/apigateway")

    def set_strategy(value: str, path: str = "/~1plain/GET/caching/unauthorizedCacheControlHeaderStrategy") -> None:
        operation = {"op": "replace", "path": path, "value": value}
        management.update_stage(restApiId="Api", stageName="Prod", patchOperations=[operation])

    set_strategy("FAIL_WITH_403")
    assert client.get("/plain", headers=REFRESH).status_code == 403
    set_strategy("SUCCEED_WITH_RESPONSE_HEADER")
    assert client.get("/plain", headers=REFRESH).status_code == 200
    for wrong in (("FAIL",), ("true", "/~1plain/GET/caching/enabled")):
        with pytest.raises(ClientError, match="BadRequestException"):
            set_strategy(*wrong)
    with pytest.raises(ClientError, match="NotFoundException"):
        management.update_stage(restApiId="x", stageName="Prod", patchOperations=[])


def test_a_web_page_cannot_flush_or_change_a_stage(engine: EngineProcess) -> None:
    url = f"{engine.url}/_local/apigateway/restapis/Api/stages/Prod"
    for headers in ({}, {"Authorization": "AWS4-HMAC-SHA256 x", "Origin": engine.url}):
        assert httpx.delete(f"{url}/cache/data", headers=headers).status_code == 403
        assert httpx.patch(url, headers=headers, json={"patchOperations": []}).status_code == 403


def test_entries_are_bounded_in_count_and_bytes() -> None:
    cache = ResponseCache()
    for number in range(MAX_ENTRIES + 1):
        cache.keep(number, Response(200, [], b""), 60)
    assert (cache.find(0), cache.find(1)) == (None, Response(200, [], b""))
    for number in range(MAX_BYTES // MAX_RESPONSE + 1):
        cache.keep(f"large {number}", Response(200, [], bytes(MAX_RESPONSE)), 60)
    kept = sum(cache.find(f"large {number}") is not None for number in range(MAX_BYTES // MAX_RESPONSE + 1))
    assert kept == MAX_BYTES // MAX_RESPONSE
    assert cache.find(MAX_ENTRIES) is None

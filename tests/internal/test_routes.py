"""The routes of the internal API: the same resources, and who has changed them."""

from uuid import uuid4

import pytest

from local_engine.template import ACCOUNT_ID
from local_engine.testing import EngineProcess, poll
from tests.support.internal import BODY, InternalClient
from tests.support.resources import make_body


@pytest.fixture
def subject() -> str:
    return f"user-{uuid4()}"


def test_a_users_resources_are_those_of_the_other_api(
    local_engine: EngineProcess, caller: InternalClient, subject: str
) -> None:
    token = local_engine.mint_token("read:resources", "write:resources", subject=subject)
    with local_engine.client("Api", headers={"Authorization": f"Bearer {token}"}) as user:
        item = user.post("/api/v1/resources", json=BODY).json()
        path = f"/users/{subject}/resources/{item['id']}"
        assert caller.send("GET", path).json() == item
        changed = caller.send("PUT", path, make_body(1))
        assert user.get(f"/api/v1/resources/{item['id']}").json() == changed.json()
        assert caller.send("DELETE", path).status_code == 204
        assert user.get(f"/api/v1/resources/{item['id']}").status_code == 404


def test_a_location_leads_to_the_new_resource(caller: InternalClient, subject: str) -> None:
    answer = caller.send("POST", f"/users/{subject}/resources", BODY)
    location = answer.url.join(answer.headers["location"])
    found = caller.send("GET", location.raw_path.decode().removeprefix("/v1"))
    assert (found.json(), found.headers["etag"]) == (answer.json(), answer.headers["etag"])


def test_pages_follow_one_another(caller: InternalClient, subject: str) -> None:
    made = [caller.create(subject).rpartition("/")[2] for _ in range(3)]
    first = caller.send("GET", f"/users/{subject}/resources?limit=2").json()
    second = caller.send("GET", f"/users/{subject}/resources?limit=2&nextToken={first['nextToken']}").json()
    assert [item["id"] for item in (*first["resources"], *second["resources"])] == made[::-1]


def test_the_same_key_creates_once(caller: InternalClient, subject: str) -> None:
    path, key = f"/users/{subject}/resources", {"Idempotency-Key": str(uuid4())}
    first, again = (caller.send("POST", path, BODY, key) for _ in range(2))
    assert (again.status_code, again.json()) == (201, first.json())


def test_a_write_holds_its_preconditions(caller: InternalClient, subject: str) -> None:
    path = caller.create(subject)
    other = {"If-Match": '"0"'}
    assert caller.send("PUT", path, BODY, other).status_code == 412
    assert caller.send("DELETE", path, headers=other).status_code == 412


def test_the_audit_trail_names_the_principal(local_engine: EngineProcess, caller: InternalClient, subject: str) -> None:
    path = caller.create(subject)
    deleted = caller.send("DELETE", path)
    token = local_engine.mint_token("read:audit", subject=subject)
    with local_engine.client("Api", headers={"Authorization": f"Bearer {token}"}) as user:
        poll(lambda: user.get("/api/v1/audit").json()["count"] == 2, "no entries", 60)
        entry, _ = user.get("/api/v1/audit").json()["entries"]
    assert (entry["actor"], entry["door"]) == (f"arn:aws:iam::{ACCOUNT_ID}:user/internal-tests", "internal")
    assert (entry["action"], entry["requestId"]) == ("deleted", deleted.headers["x-amzn-requestid"])


def test_a_read_has_no_header_of_its_own_request(caller: InternalClient, subject: str) -> None:
    """The gateway may give the response to other requests."""
    path, headers = caller.create(subject), {"X-Correlation-Id": "one-of-mine"}
    for read in (path, path.rpartition("/")[0], f"{path}x"):
        assert "one-of-mine" not in str(caller.send("GET", read, headers=headers).headers)
    assert caller.send("DELETE", path, headers=headers).headers["x-correlation-id"] == "one-of-mine"

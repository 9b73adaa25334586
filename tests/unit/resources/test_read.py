import pytest

UNKNOWN = "019ab0c1-7a3e-7c55-9d1f-3f2b8c6d4e10"


@pytest.mark.parametrize(
    "resource_id",
    [
        UNKNOWN,
        "019ab0c1-7a3e-4c55-9d1f-3f2b8c6d4e10",
        "1",
        "",
        " ",
        "..",
        "%2e%2e",
        UNKNOWN + "\n",
        UNKNOWN.replace("-", ""),
        "x" * 3000,
        "ünïcode",
    ],
)
@pytest.mark.parametrize("method", ["read", "update", "delete"])
def test_what_is_not_there_is_not_found(api, method, resource_id):
    answer = getattr(api, method)(resource_id)
    assert answer.status == 404
    assert set(answer.json()) == {"error", "requestId"}


@pytest.mark.parametrize("change", [str.upper, str.title])
def test_an_id_may_have_either_case(api, change):
    created = api.create()
    resource_id = change(created.json()["id"])
    assert resource_id != created.json()["id"]
    assert api.read(resource_id).body == created.body
    updated = api.update(resource_id)
    assert (updated.status, updated.json()["id"]) == (200, created.json()["id"])
    assert api.read(resource_id, subject="bob").status == 404
    assert api.delete(resource_id).status == 204
    assert api.page().json()["count"] == 0


@pytest.mark.parametrize("method", ["read", "update", "delete"])
def test_another_callers_resource_is_not_found(api, method):
    created = api.create(subject="alice")
    resource_id = created.json()["id"]
    stranger = getattr(api, method)(resource_id, subject="bob")
    unknown = getattr(api, method)(UNKNOWN, subject="bob")
    assert stranger.status == 404
    # Nothing reveals that the ID exists.
    assert stranger.json()["error"] == unknown.json()["error"]
    assert api.read(resource_id, subject="alice").body == created.body


@pytest.mark.parametrize("subject", ["alice#resource", "alice\u0000", "user#alice", "ALICE", "alice "])
def test_a_subject_that_looks_alike_is_another_caller(api, subject):
    resource_id = api.create(subject="alice").json()["id"]
    assert api.read(resource_id, subject=subject).status == 404
    assert api.page(subject=subject).json()["count"] == 0


@pytest.mark.parametrize(
    "form", ["{tag}", "W/{tag}", '"other", {tag}', "{tag},W/{tag}", 'W/"other" ,  {tag}  ', "*", " * ", '"", {tag}']
)
def test_a_known_version_is_not_sent_again(api, form):
    created = api.create()
    tag = created.headers["etag"]
    answer = api.read(created.json()["id"], headers={"If-None-Match": form.replace("{tag}", tag)})
    assert (answer.status, answer.body) == (304, "")
    assert answer.headers["etag"] == tag
    assert answer.headers["cache-control"] == "private, no-cache"
    assert "content-type" not in answer.headers


@pytest.mark.parametrize("form", ['"other"', '"*"', '"{bare}x"', 'W/"x{bare}"', '"x", ,W/"y",', '"a,b"', '"é"'])
def test_another_version_is_sent(api, form):
    created = api.create()
    bare = created.headers["etag"].strip('"')
    answer = api.read(created.json()["id"], headers={"If-None-Match": form.replace("{bare}", bare)})
    assert (answer.status, answer.body) == (200, created.body)
    assert answer.headers["etag"] == created.headers["etag"]
    assert answer.headers["cache-control"] == "private, no-cache"


def test_an_old_version_is_sent_anew(api):
    created = api.create()
    updated = api.update(created.json()["id"])
    answer = api.read(created.json()["id"], headers={"If-None-Match": created.headers["etag"]})
    assert (answer.status, answer.json()) == (200, updated.json())

"""Every page is exact, whatever is written between two of them."""

import itertools
import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.slow

subjects = itertools.count()
writes = st.lists(st.sampled_from(["create", "create once"]) | st.integers(0, 30), max_size=3)
# Each example has its own caller with an empty partition.
one_table = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@one_table
@given(st.integers(0, 12), st.integers(1, 5), st.lists(writes, max_size=8))
def test_every_page_is_exact_while_others_write(api, total, limit, interludes):
    caller = {"subject": f"caller-{next(subjects)}"}
    existing: list[str] = []

    def create(**headers):
        answer = api.create(headers=headers, **caller)
        assert answer.status == 201
        existing.append(answer.json()["id"])

    for _ in range(total):
        create()
    throughout = set(existing)
    seen: list[str] = []
    query = {"limit": str(limit)}
    interludes = iter(interludes)
    while True:
        page = api.page(query=query, **caller).json()
        shown = [resource["id"] for resource in page["resources"]]
        # Everything that exists now and is older than the last item seen, newest first, up to the limit.
        due = [each for each in reversed(existing) if not seen or each < seen[-1]]
        assert shown == due[:limit]
        assert ("nextToken" in page) == (len(due) > limit)
        seen += shown
        if "nextToken" not in page:
            break
        query["nextToken"] = page["nextToken"]
        for write in next(interludes, ()):
            if write == "create":
                create()
            elif write == "create once":
                create(**{"Idempotency-Key": f"key-{len(existing)}"})
            elif existing:
                deleted = existing.pop(write % len(existing))
                assert api.delete(deleted, **caller).status == 204
                throughout.discard(deleted)
    assert seen == sorted(set(seen), reverse=True)
    assert throughout <= set(seen)


numbers = st.integers() | st.decimals(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8"), max_size=10)
metadata = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | numbers | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


def write(value):
    """JSON with every digit of a Decimal."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {write(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(write, value)) + "]"
    return json.dumps(value)


def exact(value):
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, int | Decimal):
        return Decimal(value).as_tuple()
    if isinstance(value, dict):
        return {name: exact(each) for name, each in value.items()}
    return [exact(each) for each in value] if isinstance(value, list) else value


@one_table
@given(metadata)
def test_metadata_comes_back_as_it_was_sent(api, value):
    caller = {"subject": f"caller-{next(subjects)}"}
    body = '{"name": "x", "type": "A", "metadata": ' + write(value) + "}"
    created = api.create(body, **caller)
    resource_id = created.json()["id"]
    updated = api.update(resource_id, body, **caller)
    read = api.read(resource_id, **caller)
    listed = api.page(**caller).json()["resources"][0]
    for document in (created.json(), updated.json(), read.json(), listed):
        assert exact(document["metadata"]) == exact(value)

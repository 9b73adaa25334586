"""Identity sources of authorizers, where a request has them and in the forms of both kinds of APIs."""

from types import SimpleNamespace
from typing import Any

import pytest

from local_engine.gateway.identity_sources import IdentitySources
from local_engine.template.errors import TemplateError

CONTEXT = {"identity": {"sourceIp": "203.0.113.10"}, "stage": "live"}


def read(written: Any, query: str = "", headers: Any = (), **stage_variables: str) -> list[str] | None:
    request: Any = SimpleNamespace(headers=list(headers), query=query)
    return IdentitySources("Tokens", written, stage_variables).read(request, CONTEXT)


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("$request.header.X-Token", ["a,b"]),
        ("method.request.header.x-token", ["a,b"]),
        (["$request.querystring.key", "$context.stage"], ["first", "live"]),
        ("method.request.querystring.key, context.identity.sourceIp", ["first", "203.0.113.10"]),
        ("stageVariables.tenant", ["acme"]),
    ],
)
def test_a_source_is_found_where_it_says(written: Any, values: list[str]) -> None:
    headers = [(b"x-token", b"a"), (b"other", b"c"), (b"x-token", b"b")]
    assert read(written, "other=1&key=first&key=second", headers, tenant="acme") == values


@pytest.mark.parametrize(
    "written",
    [
        "$request.header.Missing",
        ["$context.stage", "$request.querystring.missing"],
        ["$request.querystring.empty"],
        "stageVariables.missing",
        "$context.identity.missing",
        "$context.stage.more",
    ],
)
def test_a_request_without_one_of_the_sources_has_no_identity(written: Any) -> None:
    assert read(written, "empty=") is None


@pytest.mark.parametrize("written", ["Authorization", "$request.body.token", ["$context.stage", 5], [""]])
def test_another_source_is_refused_by_name(written: Any) -> None:
    with pytest.raises(TemplateError, match="The identity source of authorizer Tokens is"):
        read(written)


def test_an_authorizer_may_have_no_source() -> None:
    assert not IdentitySources("Tokens", None, {})
    assert read(None) == []
    assert IdentitySources("Tokens", "$context.stage", {})

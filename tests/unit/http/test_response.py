"""What a response says about caches, whatever its handler says."""

import pytest

from tests.support.gateway import import_functions


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, {"cache-control": "no-store", "vary": "Authorization, Origin"}),
        ({"Cache-Control": "private, max-age=60"}, {"cache-control": "private, max-age=60"}),
        (
            {"cache-control": "private", "vary": "Accept-Language"},
            {"cache-control": "private", "vary": "Authorization, Origin, Accept-Language"},
        ),
        ({"Vary": "*", "ETag": '"a"'}, {"vary": "Authorization, Origin, *", "etag": '"a"'}),
    ],
)
@pytest.mark.parametrize("status", [200, 204, 304])
def test_a_response_is_for_one_caller(headers, expected, status):
    with import_functions():
        from serverless_api import Response

        sent = Response(status, None if status != 200 else {}, headers).to_event()["headers"]
    names = [name.lower() for name in sent]
    assert len(names) == len(set(names))
    given = {name.lower(): value for name, value in sent.items()}
    assert given | {"cache-control": "no-store", "vary": "Authorization, Origin"} | expected == given


def test_an_error_is_not_stored():
    with import_functions():
        from serverless_api import NotFound
        from serverless_api.http.response import make_error_response

        sent = make_error_response(NotFound("x"), "request-1").to_event()["headers"]
    assert (sent["Cache-Control"], sent["Vary"]) == ("no-store", "Authorization, Origin")

"""A handler of a route, which does what its query says."""

import time

from serverless_api import BadRequest, HTTPCall, StreamedResponse, current_deadline, streaming_endpoint
from serverless_api.storage.table import TableUnavailable


def make_lines(deed):
    if deed == "refuse":
        raise BadRequest("No such deed")
    if deed == "fail":
        raise TableUnavailable(7)
    if deed == "hang":
        time.sleep(60)
    yield b"first\n"
    if deed == "call":
        with HTTPCall("GET", "https", "example.com"):
            pass
    if deed == "fail late":
        raise TableUnavailable(7)
    if deed == "hang late":
        time.sleep(60)
    while deed == "flood":
        yield b"x" * 65_536
    yield f"{current_deadline().remaining > 0}\n".encode()


@streaming_endpoint(scope="read:widgets")
def handler(request):
    return StreamedResponse(200, make_lines(request.read_query_parameter("deed")), {"Content-Type": "text/plain"})

"""Everything that the caller has in one buffered answer, to compare the export with."""

from resources import resources
from serverless_api import Request, Response, endpoint


@endpoint(scope="read:resources")
def handler(request: Request) -> Response:
    documents, token = [], None
    while True:
        page = resources.list(request.caller, limit=1000, after=token)
        documents += [item.to_document() for item in page.items]
        token = page.next_token
        if token is None:
            return Response(200, {"resources": documents})

"""POST /api/v1/answers: an answer to a question about the caller's own resources, as server-sent events."""

from answers import MODEL, answer
from intelligence.search import find_text_problems
from serverless_api import EVENT_STREAM, BadRequest, NotFound, Request, StreamedResponse, streaming_endpoint

DEFAULT_LIMIT = 5


@streaming_endpoint(scope="read:resources")
def handler(request: Request) -> StreamedResponse:
    if not MODEL:
        raise NotFound("Answers are not part of this deployment")
    body = request.read_body("streaming/QuestionInput")
    question = body["question"].strip()
    if problems := find_text_problems(question, "question"):
        raise BadRequest("The request is not valid", problems)
    events = answer(request.caller, question, int(body.get("limit", DEFAULT_LIMIT)))
    return StreamedResponse(200, events, {"Content-Type": EVENT_STREAM})

"""The decorator that makes a function the handler of a route.

It turns the gateway's event into a `Request` of a known caller, checks the scope, and turns what the function returns
or raises into a response. Every request leaves one summary line in the log and its metrics, whatever happens.
"""

import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

from serverless_api.environment import settings
from serverless_api.http.errors import APIError, BadRequest, ContentTooLarge, ServiceUnavailable
from serverless_api.http.gateway_event import is_gateway_event
from serverless_api.http.identity import identify_caller
from serverless_api.http.request import Request, read_correlation_id
from serverless_api.http.response import Response, make_error_response
from serverless_api.http.warm_up import answer_warm_up, is_warm_up
from serverless_api.resilience.deadline import DeadlineExceeded, invocation_deadline
from serverless_api.storage.table import ItemTooLarge, NumberNotStorable, TableUnavailable
from serverless_api.telemetry.observability import is_cold_start, logger, name_caller, report_request, start_request

if settings.STARTS_FROM_SNAPSHOT:
    from serverless_api.http import snapshot  # noqa: F401 - registers Lambda's snapshot hooks

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

type Handler = Callable[[Mapping[str, Any], "LambdaContext"], dict[str, Any]]


def endpoint(scope: str) -> Callable[[Callable[[Request], Response]], Handler]:
    """Make a function the handler of one route.

    Args:
        scope: the scope that the caller's token needs, as `<action>:<noun>`.

    Example:
        >>> @endpoint(scope="read:widgets")
        ... def handler(request: Request) -> Response:
        ...     return Response(200, {"hello": request.caller.subject})
    """

    def decorate(function: Callable[[Request], Response]) -> Handler:
        @wraps(function)
        def handler(event: Mapping[str, Any], context: "LambdaContext") -> dict[str, Any]:
            if is_warm_up(event):
                is_cold_start()
                return answer_warm_up()
            started = time.perf_counter_ns()
            is_known_form = is_gateway_event(event)
            gateway = (event.get("requestContext") or {}) if is_known_form else {}
            request_id = gateway.get("requestId") or context.aws_request_id
            route = (event.get("routeKey") or "") if is_known_form else ""
            correlation_id = (read_correlation_id(event) if is_known_form else None) or request_id
            start_request(
                request_id=request_id,
                function_request_id=context.aws_request_id,
                correlation_id=correlation_id,
                route=route,
            )
            try:
                with invocation_deadline(context):
                    if not is_known_form:
                        raise BadRequest("The event is not an HTTP request of API Gateway")
                    caller = identify_caller(event)
                    name_caller(caller.subject)
                    caller.require_scope(scope)
                    response = function(Request(event, request_id, caller))
                    if not isinstance(response, Response):
                        raise _wrong_return(function, response)
            except (Exception, DeadlineExceeded) as error:
                if _comes_from_debugger(error):
                    raise
                response = make_error_response(_to_api_error(error), request_id)
            report_request(response.status, (time.perf_counter_ns() - started) / 1e6, route)
            return response.to_event({"X-Correlation-Id": correlation_id})

        return handler

    return decorate


def _to_api_error(error: BaseException) -> APIError:
    """Return the error that the caller is told about, and log an error that is not the caller's fault."""
    match error:
        case APIError():
            if error.status >= 500:
                logger.exception(error.message)
            return error
        case ItemTooLarge():
            return ContentTooLarge("The content is larger than the 400 KB that can be stored")
        case NumberNotStorable():
            return BadRequest("A number has more than 38 digits, or is too large or too small to be stored")
        case TableUnavailable():
            unavailable = ServiceUnavailable(retry_after=error.retry_after)
            logger.exception(unavailable.message)
            return unavailable
        case DeadlineExceeded():
            logger.exception("The request ran out of time")
            return ServiceUnavailable()
        case _:
            logger.exception("The request failed unexpectedly")
            return APIError("Something unexpected went wrong")


def _wrong_return(function: Callable[..., Any], returned: object) -> TypeError:
    code = function.__code__
    return TypeError(
        f"{function.__qualname__} ({code.co_filename}, line {code.co_firstlineno})"
        f" returned {type(returned).__name__}, not Response"
    )


def _comes_from_debugger(error: BaseException) -> bool:
    """Return whether a debugger raised the error, because its user quit."""
    traceback = error.__traceback__
    while traceback and traceback.tb_frame.f_globals.get("__name__") != "bdb":
        traceback = traceback.tb_next
    return traceback is not None

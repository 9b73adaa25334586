"""What every function of the API wears: `@endpoint`.

It turns a gateway event into a `Request` of a known caller, checks the scope, and turns what the function returns or
raises into the gateway's answer. It logs one line and writes the metrics of each request, whatever happens.
"""

import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

from serverless_api.environment import settings
from serverless_api.http.errors import APIError, BadRequest, ServiceUnavailable
from serverless_api.http.gateway_event import is_gateway_event
from serverless_api.http.identity import identify_caller
from serverless_api.http.request import Request, read_correlation_id
from serverless_api.http.response import Response, make_error_response
from serverless_api.http.warm_up import answer_warm_up, is_warm_up
from serverless_api.resilience.deadline import DeadlineExceeded, invocation_deadline
from serverless_api.telemetry.observability import logger, name_caller, report_request, start_request, take_cold_start

if settings.STARTS_FROM_SNAPSHOT:
    from serverless_api.http import snapshot  # noqa: F401 - it registers what Lambda calls

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

type Handler = Callable[[Mapping[str, Any], "LambdaContext"], dict[str, Any]]


def endpoint(scope: str) -> Callable[[Callable[[Request], Response]], Handler]:
    """Make a function the handler of one route.

    Args:
        scope: what the caller's token must allow, as `<action>:<noun>`.

    Example:
        >>> @endpoint(scope="read:resources")
        ... def handler(request: Request) -> Response:
        ...     return Response(200, {"hello": request.caller.subject})
    """

    def decorate(function: Callable[[Request], Response]) -> Handler:
        @wraps(function)
        def handler(event: Mapping[str, Any], context: "LambdaContext") -> dict[str, Any]:
            if is_warm_up(event):
                take_cold_start()
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
            except APIError as error:
                if error.status >= 500:
                    logger.exception(error.message)
                response = make_error_response(error, request_id)
            except DeadlineExceeded:
                logger.exception("The request ran out of time")
                response = make_error_response(ServiceUnavailable(), request_id)
            except Exception:
                logger.exception("The request failed unexpectedly")
                response = make_error_response(APIError("Something unexpected went wrong"), request_id)
            report_request(response.status, (time.perf_counter_ns() - started) / 1e6, route)
            return response.to_event({"X-Correlation-Id": correlation_id})

        return handler

    return decorate

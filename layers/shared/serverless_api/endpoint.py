"""What every function of the API wears: `@endpoint`.

It turns a gateway event into a `Request` of a known caller, checks the scope, and turns what the function returns or
raises into the gateway's answer. It logs one line and writes the metrics of each request, whatever happens.
"""

import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

from serverless_api import settings
from serverless_api.errors import APIError, BadRequest, ServiceUnavailable
from serverless_api.gateway_event import is_gateway_event
from serverless_api.identity import identify_caller
from serverless_api.observability import MetricUnit, logger, metrics
from serverless_api.requests import Request
from serverless_api.resilience.deadline import DeadlineExceeded, invocation_deadline
from serverless_api.responses import Response, make_error_response
from serverless_api.warm_up import answer_warm_up, is_warm_up

if settings.STARTS_FROM_SNAPSHOT:
    from serverless_api import snapshot  # noqa: F401 - it registers what Lambda calls

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
                return answer_warm_up()
            started = time.perf_counter_ns()
            is_known_form = is_gateway_event(event)
            gateway = (event.get("requestContext") or {}) if is_known_form else {}
            request_id = gateway.get("requestId") or context.aws_request_id
            route = (event.get("routeKey") or "") if is_known_form else ""
            logger.append_keys(request_id=request_id, function_request_id=context.aws_request_id, route=route)
            try:
                with invocation_deadline(context):
                    if not is_known_form:
                        raise BadRequest("The event is not an HTTP request of API Gateway")
                    caller = identify_caller(event)
                    logger.append_keys(caller=caller.subject)
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
            _report(response.status, (time.perf_counter_ns() - started) / 1e6, route)
            return response.to_event()

        return handler

    return decorate


def _report(status: int, milliseconds: float, route: str) -> None:
    """Log and count one request, and leave nothing behind for the next one.

    Args:
        status: of the answer.
        milliseconds: how long it took.
        route: as the gateway names it, a dimension with a handful of values.
    """
    metrics.add_dimension("route", route or "unknown")
    metrics.add_metric("Requests", MetricUnit.Count, 1)
    metrics.add_metric("Latency", MetricUnit.Milliseconds, milliseconds)
    metrics.add_metric("ClientErrors", MetricUnit.Count, int(400 <= status < 500))
    metrics.add_metric("ServerErrors", MetricUnit.Count, int(status >= 500))
    metrics.flush_metrics()
    logger.info("Request answered", status=status, duration_ms=round(milliseconds, 2))
    logger.remove_keys(["request_id", "function_request_id", "route", "caller"])

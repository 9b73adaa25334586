"""The decorator that makes a function the handler of a route.

It turns the gateway's event into a `Request` of a known caller, checks the scope, and turns what the function returns
or raises into a response. Every request leaves one summary line in the log and its metrics, whatever happens.
"""

import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

from serverless_api.environment import settings
from serverless_api.http.errors import APIError, BadRequest, ContentTooLarge, Problem, ServiceUnavailable
from serverless_api.http.gateway_event import is_gateway_event, to_http_api_event
from serverless_api.http.identity import Caller, identify_caller
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
    return lambda function: make_handler(function, lambda exchange: exchange.admit(scope))


def make_handler(function: Callable[[Request], Response], admit: "Callable[[Exchange], Request]") -> Handler:
    """Return the handler of a route.

    Args:
        function: answers the requests that are admitted.
        admit: returns the request of an exchange, or raises what its caller is told.
    """

    @wraps(function)
    def handler(event: Mapping[str, Any], context: "LambdaContext") -> dict[str, Any]:
        if is_warm_up(event):
            is_cold_start()
            return answer_warm_up()
        exchange = Exchange(event, context)
        try:
            with invocation_deadline(context):
                response = function(admit(exchange))
                if not isinstance(response, Response):
                    raise wrong_return(function, response, Response)
        except (Exception, DeadlineExceeded) as error:
            response = exchange.explain(error)
        exchange.report(response.status)
        return response.to_event(exchange.headers)

    return handler


class Exchange:
    """One request, from the gateway's event to its line in the log.

    Attributes:
        headers: what every response to the request carries.
    """

    def __init__(self, event: Mapping[str, Any], context: "LambdaContext") -> None:
        self._started = time.perf_counter_ns()
        self._is_known_form = is_gateway_event(event)
        self._event = to_http_api_event(event) if self._is_known_form else {}
        gateway = self._event.get("requestContext") or {}
        self.request_id = gateway.get("requestId") or context.aws_request_id
        self._route = self._event.get("routeKey") or ""
        correlation_id = read_correlation_id(self._event) or self.request_id
        self.headers = {"X-Correlation-Id": correlation_id}
        start_request(
            request_id=self.request_id,
            function_request_id=context.aws_request_id,
            correlation_id=correlation_id,
            route=self._route,
        )

    def admit(self, scope: str) -> Request:
        """Return the request, if its caller may have what it asks for.

        Raises:
            BadRequest: the event is not an HTTP request.
            Unauthorized: nobody has verified who the caller is.
            Forbidden: the caller's token does not have the scope.
        """
        caller = identify_caller(self.read_event())
        request = self.make_request(caller)
        caller.require_scope(scope)
        return request

    def read_event(self) -> Mapping[str, Any]:
        """Return the event in the form of an HTTP API.

        Raises:
            BadRequest: it is not an HTTP request.
        """
        if not self._is_known_form:
            raise BadRequest("The event is not an HTTP request of API Gateway")
        return self._event

    def make_request(self, caller: Caller) -> Request:
        """Return the request of a caller, whom the log names from now on."""
        name_caller(caller.subject)
        return Request(self._event, self.request_id, caller)

    def explain(self, error: BaseException) -> Response:
        """Return the response for an error, or raise it if a debugger's user has quit."""
        if _comes_from_debugger(error):
            raise error
        return make_error_response(_to_api_error(error), self.request_id)

    @property
    def is_read(self) -> bool:
        """Whether the request's method is GET."""
        return self._route.startswith("GET ")

    def report(self, status: int) -> None:
        """Write the request's metrics and its summary."""
        report_request(status, (time.perf_counter_ns() - self._started) / 1e6, self._route)


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
            problem = "has a number with more than 38 digits, or one that is too large or too small to be stored"
            return BadRequest("The request is not valid", [Problem("body", problem)])
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


def wrong_return(function: Callable[..., Any], returned: object, wanted: type) -> TypeError:
    """Return the error of a function that has returned something else than a `wanted`."""
    code = function.__code__
    return TypeError(
        f"{function.__qualname__} ({code.co_filename}, line {code.co_firstlineno})"
        f" returned {type(returned).__name__}, not {wanted.__name__}"
    )


def _comes_from_debugger(error: BaseException) -> bool:
    """Return whether a debugger raised the error, because its user quit."""
    traceback = error.__traceback__
    while traceback and traceback.tb_frame.f_globals.get("__name__") != "bdb":
        traceback = traceback.tb_next
    return traceback is not None

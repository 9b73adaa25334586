"""Circuit breaker whose state all environments share: Powertools' `circuit_breaker` on the functions' table.

Importing it loads boto3, because Powertools' store does. No boto3 client is created: that would take longer, resolve
names without a time limit and keep the credentials that it finds.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from aws_lambda_powertools.utilities.circuit_breaker import CircuitBreakerConfig, CircuitTransition, circuit_breaker
from aws_lambda_powertools.utilities.circuit_breaker.persistence import (
    CircuitBreakerDynamoDBPersistence,
    CircuitStateRecord,
)
from aws_lambda_powertools.utilities.circuit_breaker.persistence.base import CircuitBreakerExistingLockError

from serverless_api.environment import settings
from serverless_api.resilience.circuit_breaker import CircuitOpen, is_failure
from serverless_api.storage import table


class SharedCircuit:
    """Stops calls to a dependency that keeps failing, in all environments. Which outcomes count: see `is_failure`.

    Args:
        name: the circuit's name.
        threshold: how many failures in a row, in one environment, open the circuit.
        reset: seconds after which one environment sends a probe.
        on_transition: called with the state before and after each change that this environment makes.

    Example:
        >>> circuit = SharedCircuit("weather", threshold=5, reset=30)
        >>> circuit.call(fetch_weather)
    """

    def __init__(
        self,
        name: str,
        threshold: int,
        reset: int,
        on_transition: Callable[[str, str], None] = lambda _before, _after: None,
    ) -> None:
        def report(transition: CircuitTransition) -> None:
            on_transition(str(transition.from_state), str(transition.to_state))

        state_client: Any = _StateClient()
        self._reset_seconds = reset
        self._record = circuit_breaker(
            name=name,
            config=CircuitBreakerConfig(
                failure_threshold=threshold,
                recovery_timeout=reset,
                success_threshold=1,
                handled_exceptions=_Failed,
            ),
            persistence_store=_Store(
                table_name=settings.TABLE_NAME,
                key_attr="pk",
                sort_key_attr="sk",
                static_pk_value="circuit",
                expiry_attr="expiresAt",
                boto3_client=state_client,
            ),
            on_transition=report,
        )(_observe)

    def call[Result](self, function: Callable[[], Result]) -> Result:
        """Return the result of `function`, unless the circuit is open.

        If the state cannot be read, the circuit counts as closed.

        Raises:
            CircuitOpen: the circuit is open and `function` was not called.
        """
        try:
            outcome: _Outcome = self._record(function)
        except _Failed as failure:
            raise failure.error from None
        except Exception as error:
            # Open, or this environment could not be elected to send the probe because the table does not answer.
            raise CircuitOpen(self._reset_seconds) from error
        if outcome.error is not None:
            raise outcome.error
        result: Result = outcome.result
        return result


class _Outcome(NamedTuple):
    result: Any
    error: BaseException | None


class _Failed(Exception):
    """Tells Powertools that a call has failed; it takes everything that is returned for a success."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


def _observe(function: Callable[[], Any]) -> _Outcome:
    # Powertools records an outcome only if a call returns, or raises what counts as a failure. After any other
    # exception it would leave a probe undecided, and the circuit half-open until the probe's lease ends.
    try:
        return _Outcome(function(), None)
    except BaseException as error:
        if is_failure(error):
            raise _Failed(error) from error
        return _Outcome(None, error)


class _Store(CircuitBreakerDynamoDBPersistence):
    """Powertools' store, which tells from a failed condition that another environment sends the probe."""

    def _put_record(
        self, record: CircuitStateRecord, condition: str | None = None, expected_opened_at: int | None = None
    ) -> None:
        try:
            super()._put_record(record, condition, expected_opened_at)
        except table.ConditionFailed as failure:
            raise CircuitBreakerExistingLockError from failure


class _StateClient:
    """The three operations of boto3's client that the store uses."""

    def get_item(self, **request: Any) -> Mapping[str, Any]:
        return table.call_once("GetItem", request)

    def put_item(self, **request: Any) -> Mapping[str, Any]:
        return table.call_once("PutItem", request)

    def update_item(self, **request: Any) -> Mapping[str, Any]:
        return table.call_once("UpdateItem", request)

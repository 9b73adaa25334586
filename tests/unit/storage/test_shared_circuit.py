"""The circuit that all environments share counts as the local one does, and never fails a call by itself."""

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.dynamodb import Drop, DynamoDB, Fault, Refusal
from tests.support.gateway import ENVIRONMENT, Context, import_functions

pytestmark = pytest.mark.slow

RESET_SECONDS = 30
OPERATIONS = ("GetItem", "PutItem", "UpdateItem")


@dataclass
class Stand:
    """A shared circuit that the first failure opens, with a clock that a test sets ahead."""

    client: Any
    ahead: int = 0
    calls: int = 0
    transitions: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.circuits: Any = importlib.import_module("serverless_api.resilience.circuit_breaker")
        self.house: Any = importlib.import_module("serverless_api")
        shared: Any = importlib.import_module("serverless_api.storage.shared_circuit")
        powertools: Any = importlib.import_module("aws_lambda_powertools.utilities.circuit_breaker.base")
        powertools.CircuitBreakerHandler._now = staticmethod(lambda: int(time.time()) + self.ahead)
        self.circuit = shared.SharedCircuit(
            "service", 1, RESET_SECONDS, lambda before, after: self.transitions.append((before, after))
        )
        self.local = self.circuits.CircuitBreaker(
            threshold=1, reset=RESET_SECONDS, clock=lambda: time.monotonic() + self.ahead
        )

    def make_outcome(self, name: str) -> Callable[[], Any]:
        def function() -> Any:
            self.calls += 1
            match name:
                case "a result":
                    return "a result"
                case "a refusal":
                    raise LookupError(name)
                case "a conflict":
                    raise self.house.RetryableError(name)
                case "down":
                    raise self.house.DependencyUnavailable(name)
                case _:
                    raise self.house.DeadlineExceeded(name)

        return function

    def call(self, circuit: Any, name: str) -> str:
        """Return the result, or the message of the exception, which passes through unchanged."""
        try:
            return str(circuit.call(self.make_outcome(name)))
        except BaseException as error:
            return str(error)

    def read_state(self) -> str:
        """The state that the other environments read."""
        key = {"pk": {"S": "circuit"}, "sk": {"S": "service"}}
        found = self.client.get_item(TableName=ENVIRONMENT["TABLE_NAME"], Key=key, ConsistentRead=True).get("Item")
        return found["state"]["S"].lower() if found else "closed"


@pytest.fixture
def stand(dynamodb: DynamoDB, table: Any) -> Iterator[Stand]:
    # Powertools keeps failures and states in its modules.
    for name in [name for name in sys.modules if name.startswith("aws_lambda_powertools.utilities.circuit_breaker")]:
        del sys.modules[name]
    with import_functions({"AWS_ENDPOINT_URL": dynamodb.url}):
        store: Any = importlib.import_module("serverless_api.storage.table")
        # Of a state that a busy machine reads too late, the circuit would know nothing.
        store.ATTEMPT_SECONDS = Context().get_remaining_time_in_millis() / 1000
        yield Stand(table)


OUTCOMES = {"a result": "closed", "a refusal": "closed", "a conflict": "closed", "down": "open", "out of time": "open"}


@pytest.mark.parametrize(("outcome", "state"), OUTCOMES.items())
def test_both_circuits_agree_on_what_proves_a_dependency_alive(stand: Stand, outcome: str, state: str) -> None:
    assert stand.call(stand.circuit, outcome) == stand.call(stand.local, outcome) == outcome
    assert stand.read_state() == stand.local.state == state


@pytest.mark.parametrize(("outcome", "state"), OUTCOMES.items())
def test_both_circuits_agree_on_what_a_probe_shows(stand: Stand, outcome: str, state: str) -> None:
    for circuit in (stand.circuit, stand.local):
        stand.call(circuit, "down")
        assert stand.call(circuit, "a result") == "the circuit is open"
    stand.ahead = RESET_SECONDS + 1
    assert stand.call(stand.circuit, outcome) == stand.call(stand.local, outcome) == outcome
    assert stand.read_state() == stand.local.state == state
    assert stand.transitions == [("CLOSED", "OPEN"), ("OPEN", "HALF_OPEN"), ("HALF_OPEN", state.upper())]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fault", [Refusal("AccessDeniedException"), Refusal("ThrottlingException"), Drop()])
def test_a_table_that_fails_never_fails_a_call(stand: Stand, dynamodb: DynamoDB, operation: str, fault: Fault) -> None:
    dynamodb.fail(operation, *(fault,) * 10)
    for outcome in ("down", "a result", "a refusal"):
        assert stand.call(stand.circuit, outcome) in (outcome, "the circuit is open")
        stand.ahead += RESET_SECONDS + 1


def test_a_probe_whose_election_is_not_stored_is_not_sent(stand: Stand, dynamodb: DynamoDB) -> None:
    stand.call(stand.circuit, "down")
    stand.ahead = RESET_SECONDS + 1
    dynamodb.fail("PutItem", Refusal("AccessDeniedException"))
    calls = stand.calls
    assert stand.call(stand.circuit, "a result") == "the circuit is open"
    assert stand.calls == calls
    assert stand.call(stand.circuit, "a result") == "a result"


def test_another_environments_probe_is_waited_for(stand: Stand, dynamodb: DynamoDB) -> None:
    stand.call(stand.circuit, "down")
    stand.ahead = RESET_SECONDS + 1
    key = {"pk": {"S": "circuit"}, "sk": {"S": "service"}}

    def elect_another() -> None:
        stand.client.update_item(
            TableName=ENVIRONMENT["TABLE_NAME"],
            Key=key,
            UpdateExpression="SET half_open_owner = :other",
            ExpressionAttributeValues={":other": {"S": "another environment"}},
        )

    dynamodb.before("PutItem", elect_another)
    calls = stand.calls
    assert stand.call(stand.circuit, "a result") == "the circuit is open"
    assert stand.calls == calls

"""Routes of the template, for those that a profile does not name one by one."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tools.benchmarks.load.profile import OPERATIONS
from tools.benchmarks.machine import BenchmarkError
from tools.profiles import OperationError
from tools.smoke import find_path, read_checks


@dataclass(frozen=True)
class Read:
    """A request that changes nothing and is about no item.

    Attributes:
        route: such as `GET /api/v1/audit`.
        path: with the query string of the route's event fixture.
        status: of a successful response.
    """

    route: str
    path: str
    status: int


@dataclass(frozen=True)
class Routes:
    """The API's routes.

    Attributes:
        all: every route.
        reads: requests to the routes that only read, have no path parameter, are part of every deployment, and are
            not in `OPERATIONS`.
    """

    all: Sequence[str]
    reads: Sequence[Read]

    def list_unmeasured(self, measured: Collection[str]) -> list[str]:
        """Return the routes to which a run sent nothing."""
        return [route for route in self.all if route not in measured]


def read_routes() -> Routes:
    """Return the routes of the template's main API.

    Raises:
        BenchmarkError: the template cannot be read, or a route has no event fixture.
    """
    try:
        checks = read_checks()
    except OperationError as error:
        raise BenchmarkError(str(error)) from error
    reads = [
        Read(check.route, find_path(check.event), check.status or 200)
        for check in checks
        if check.method == "GET"
        and not (check.parameters or check.route in OPERATIONS.values() or check.event.get("optional"))
    ]
    return Routes([check.route for check in checks], reads)

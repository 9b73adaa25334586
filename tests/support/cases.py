"""Test cases from routes: each test ID starts with the route's key, so that a report shows what covers a route."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from tests.support.stack import Route, list_routes, select_routes


def each(predicate: Callable[[Route], object]) -> pytest.MarkDecorator:
    """The test runs for each route that a predicate holds for, which is its argument `route`."""
    return pytest.mark.parametrize("route", select_routes(predicate), ids=lambda route: route.key)


def takes(name: str) -> pytest.MarkDecorator:
    """The test runs for each route with a parameter of this name."""
    return each(lambda route: route.takes(name))


def combine(routes: Iterable[Route], attacks: Mapping[str, Any]) -> list[Any]:
    """Each route with each attack.

    Args:
        routes: those attacked.
        attacks: by name, a tuple of what the test takes, with the expected answer at its end; an expected answer alone
            comes with the attack's name.
    """
    cases = []
    for route, (name, attack) in itertools.product(routes, attacks.items()):
        values = attack if isinstance(attack, tuple) else (name, attack)
        cases.append(pytest.param(route, *values, id=f"{route.key}-{name}-{values[-1]}"))
    return cases


ROUTES = pytest.mark.parametrize("route", list_routes(), ids=lambda route: route.key)
"""The test runs for each route."""

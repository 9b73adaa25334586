"""Creates what a route's path names, and reads what is there, through any way of sending requests."""

from collections.abc import Callable
from typing import Any

from local_engine.testing import poll
from tests.support.stack import Route, find_route, list_creators

type Send = Callable[..., Any]
"""Sends a request of one user: method, path, and by name `query`, `headers` and `body`; returns an answer with
`status`, `headers` and `json()`."""


def find_path(route: Route, send: Send, make_body: Callable[[Route], Any] = lambda creator: creator.body) -> str:
    """The route's path, about an item that is created for it; with the fixture's parameters if no route creates one."""
    creator = route.creator
    if creator is None:
        return route.fill()
    answer = send("POST", find_path(creator, send, make_body), body=make_body(creator))
    assert answer.status == creator.success, answer
    return route.fill(answer.headers["location"])


def create(creator: Route, send: Send) -> Any:
    """The answer to a creation with the fixture's body."""
    answer = call(creator, send)
    assert answer.status == creator.success, answer
    return answer


def call(route: Route, send: Send, path: str | None = None, **options: Any) -> Any:
    """The answer to a request with the fixture's body, by default about a new item."""
    return send(route.method, path or find_path(route, send), **{"body": route.body, **options})


def find_source(route: Route) -> Route:
    """The route that fills a collection: the one that creates its items, or one whose changes it lists."""
    return find_route(f"POST {route.path}") or next(creator for creator in list_creators() if creator.page)


def wait_for_items(send: Send, path: str, count: int) -> None:
    """Wait until a page has this many items: a list of changes follows the changes."""
    poll(lambda: len(read_items(send("GET", path).json())) == count, f"{path} does not list {count} items")


def read_items(page: Any) -> list[Any]:
    """The items of a page: the one list in it."""
    (items,) = [value for value in page.values() if isinstance(value, list)]
    return items


def read_state(route: Route, send: Send, path: str) -> list[Any]:
    """The newest items of the user, of the kind that a route is about; empty for a noun without a page.

    Args:
        route: of the noun.
        send: sends the user's requests.
        path: the route's, filled.
    """
    if route.page is None:
        return []
    depth = route.page.path.count("/") + 1
    answer = send("GET", "/".join(path.split("/")[:depth]))
    assert answer.status == 200, answer
    return read_items(answer.json())

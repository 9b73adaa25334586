"""Requests of one user at the same time."""

import threading
from concurrent.futures import ThreadPoolExecutor

from tests.api.conftest import User
from tests.support.bodies import list_places, make_other_body
from tests.support.cases import each, takes
from tests.support.items import create, find_path, read_items
from tests.support.stack import Route, find_route, list_creators, select_routes


@takes("Idempotency-Key")
def test_many_requests_with_one_key_create_one_item(user: User, route: Route) -> None:
    path, together = find_path(route, user.send), threading.Barrier(16)

    def send(_):
        together.wait(30)
        return user.send("POST", path, headers={"Idempotency-Key": "one"}, body=route.body)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(16)))
    created = [answer for answer in answers if answer.status == route.success]
    assert created
    assert {answer.status for answer in answers} <= {route.success, 409}
    assert all(answer.headers["retry-after"] for answer in answers if answer.status == 409)
    assert len({(answer.body, answer.headers.get("etag"), answer.headers["location"]) for answer in created}) == 1
    if route.page:
        assert read_items(user.send("GET", path).json()) == [created[0].json()]
    again = user.send("POST", path, headers={"Idempotency-Key": "one"}, body=route.body)
    assert (again.status, again.body) == (route.success, created[0].body)


@each(lambda route: route.takes("If-Match") and route.model)
def test_one_of_many_writers_with_the_same_version_wins(user: User, route: Route) -> None:
    created = create(route.creator, user.send)
    path, headers = route.fill(created.headers["location"]), {"If-Match": created.headers["etag"]}

    def update(number):
        return user.send(route.method, path, body=make_other_body(route, number), headers=headers)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(update, range(8)))
    assert sorted(answer.status for answer in answers) == [route.success] + [412] * 7
    (winner,) = [answer for answer in answers if answer.status == route.success]
    assert user.send("GET", path).body == winner.body


@each(lambda route: route.method == "PATCH" and any(place.is_free_object for place in list_places(route)))
def test_no_patch_of_several_at_the_same_time_is_lost(user: User, route: Route) -> None:
    path = find_path(route, user.send)
    place = next(place for place in list_places(route) if place.is_free_object)

    def patch(number):
        body = {f"member{number}": number}
        for part in reversed(place.path):
            body = {part: body}
        return user.send("PATCH", path, body=body)

    with ThreadPoolExecutor(8) as pool:
        assert {answer.status for answer in pool.map(patch, range(8))} == {route.success}
    found = user.send("GET", path).json()
    for part in place.path:
        found = found[part]
    assert found.items() >= {f"member{number}": number for number in range(8)}.items()


@each(lambda route: route.takes("nextToken") and find_route(f"POST {route.path}") in list_creators())
def test_pages_are_exact_while_others_write(user: User, route: Route) -> None:
    creator = find_route(f"POST {route.path}")
    deletion = next(
        (other for other in select_routes(lambda other: other.method == "DELETE" and other.creator == creator)), None
    )
    path = find_path(creator, user.send)
    throughout = [user.send("POST", path, body=creator.body).json()["id"] for _ in range(25)]
    read_all = threading.Event()

    def write():
        """Create, and delete if a route does, until every page has been read."""
        own = []
        while not read_all.is_set():
            own.append(user.send("POST", path, body=creator.body).headers["location"])
            if deletion and len(own) % 3 == 0:
                user.send("DELETE", deletion.fill(own.pop(0)))
        return own

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write) for _ in range(2)]
        try:
            seen, query = [], {"limit": 4}
            while query:
                page = user.send("GET", path, query=query).json()
                seen += [item["id"] for item in read_items(page)]
                query = {"limit": 4, "nextToken": page["nextToken"]} if "nextToken" in page else None
        finally:
            read_all.set()
    assert all(writer.result() is not None for writer in writers)
    assert seen == sorted(set(seen), reverse=True)
    assert [each for each in seen if each in throughout] == throughout[::-1]

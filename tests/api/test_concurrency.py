"""What several callers do at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

RESOURCES = "/api/v1/resources"
BODY = {"name": "x", "type": "A"}


def test_many_requests_with_one_key_make_one_resource(server):
    with server.connect("concurrent-keys") as client:
        together = threading.Barrier(16)

        def create(_):
            together.wait(30)
            return client.post(RESOURCES, json=BODY, headers={"Idempotency-Key": "one"})

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(create, range(16)))
        created = [answer for answer in answers if answer.status_code == 201]
        assert created
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 409)
        assert len({(answer.text, answer.headers["etag"], answer.headers["location"]) for answer in created}) == 1
        assert client.get(RESOURCES).json() == {"resources": [created[0].json()], "count": 1}
        again = client.post(RESOURCES, json=BODY, headers={"Idempotency-Key": "one"})
        assert (again.status_code, again.text) == (201, created[0].text)


def test_of_many_writers_with_the_same_version_one_wins(server):
    with server.connect("concurrent-writers") as client:
        created = client.post(RESOURCES, json=BODY)
        headers = {"If-Match": created.headers["etag"]}

        def update(number):
            return client.put(created.headers["location"], json={**BODY, "name": f"{number}"}, headers=headers)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(update, range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
        (winner,) = [answer for answer in answers if answer.status_code == 200]
        assert client.get(created.headers["location"]).text == winner.text


def test_pages_are_exact_while_others_write(server):
    with server.connect("concurrent-pages") as client:
        throughout = [client.post(RESOURCES, json=BODY).json()["id"] for _ in range(25)]
        read_all = threading.Event()

        def write():
            """Create and delete until every page has been read."""
            own = []
            while not read_all.is_set():
                own.append(client.post(RESOURCES, json=BODY).json()["id"])
                if len(own) % 3 == 0:
                    client.delete(f"{RESOURCES}/{own.pop(0)}")
            return own

        with ThreadPoolExecutor(2) as pool:
            writers = [pool.submit(write) for _ in range(2)]
            try:
                seen, query = [], {"limit": 4}
                while query:
                    page = client.get(RESOURCES, params=query).json()
                    seen += [resource["id"] for resource in page["resources"]]
                    query = {"limit": 4, "nextToken": page["nextToken"]} if "nextToken" in page else None
            finally:
                read_all.set()
        assert all(writer.result() is not None for writer in writers)
    assert seen == sorted(set(seen), reverse=True)
    assert [each for each in seen if each in throughout] == throughout[::-1]

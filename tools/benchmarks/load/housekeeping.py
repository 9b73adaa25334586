"""Creates resources before a run and deletes all of them after it."""

from collections.abc import Iterator
from http import HTTPStatus

import requests
from gevent.pool import Pool

from tools.benchmarks.load.caller import ANSWER_SECONDS, RESOURCES, Traffic
from tools.benchmarks.machine import BenchmarkError
from tools.targets import describe_silence

_AT_ONCE = 8


class Housekeeping:
    """Creates and deletes a run's resources with requests that are not counted."""

    def __init__(self, url: str, traffic: Traffic) -> None:
        self._url = f"{url}{RESOURCES}"
        self._traffic = traffic
        self._session = requests.Session()
        # Ignores the environment's proxy and netrc.
        self._session.trust_env = False
        self._session.headers.update(traffic.headers)
        self._oldest = ""
        self._is_silent = False

    def check_access(self) -> None:
        """Request a page.

        Raises:
            BenchmarkError: nothing answers, or the token is rejected.
        """
        answer = self._send("GET", self._url, params={"limit": "1"})
        if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise BenchmarkError(
                f"{self._url} refuses the token with {answer.status_code}: it must be valid there, with the scopes to"
                " read and to write."
            )
        if answer.status_code != HTTPStatus.OK:
            raise BenchmarkError(f"{self._url} answers {answer.status_code}, so it is not this API or not well.")

    def create_resources(self, count: int) -> None:
        """Create the resources that a run starts with.

        Raises:
            BenchmarkError: a resource cannot be created; the others are deleted.
        """
        try:
            for created in Pool(_AT_ONCE).imap_unordered(self._create, range(count)):
                if isinstance(created, BenchmarkError):
                    raise created
                self._traffic.resources.append(created["id"])
                self._oldest = min(self._oldest or created["createdAt"], created["createdAt"])
        except BaseException:
            self.delete_resources()
            raise

    def delete_resources(self) -> int:
        """Delete every resource of this run, including those with lost responses, and return how many remain.

        Raises:
            BenchmarkError: the API stops answering.
        """
        Pool(_AT_ONCE).map(self._delete, list(self._traffic.resources))
        remaining = list(self._find_resources())
        self._traffic.resources.clear()
        return Pool(_AT_ONCE).map(self._delete, remaining).count(False)

    def _find_resources(self) -> Iterator[str]:
        """Return the IDs of remaining resources. Pages are newest first, so the search ends at the run's start."""
        parameters = {"limit": "100"}
        while True:
            answer = self._send("GET", self._url, params=parameters)
            if answer.status_code != HTTPStatus.OK:
                raise BenchmarkError(f"{self._url} answers {answer.status_code}.")
            page = answer.json()
            for resource in page["resources"]:
                if resource["createdAt"] < self._oldest:
                    return
                if resource["name"] == self._traffic.mark:
                    yield resource["id"]
            if not page.get("nextToken"):
                return
            parameters["nextToken"] = page["nextToken"]

    # Gevent prints a traceback for each exception that leaves a pool's function, so these return what failed.

    def _create(self, _number: int) -> dict[str, str] | BenchmarkError:
        try:
            answer = self._send("POST", self._url, json=self._traffic.describe_resource())
        except BenchmarkError as error:
            return error
        if answer.status_code != HTTPStatus.CREATED:
            return BenchmarkError(f"A resource cannot be made before the run: {answer.status_code} {answer.text[:200]}")
        created: dict[str, str] = answer.json()
        return created

    def _delete(self, resource: str) -> bool:
        if self._is_silent:
            return False
        try:
            answer = self._send("DELETE", f"{self._url}/{resource}")
        except BenchmarkError:
            self._is_silent = True
            return False
        return answer.status_code in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND)

    def _send(self, method: str, url: str, **options: object) -> requests.Response:
        try:
            return self._session.request(
                method,
                url,
                timeout=ANSWER_SECONDS,
                allow_redirects=False,
                **options,  # type: ignore[arg-type]
            )
        except requests.ConnectionError as error:
            raise BenchmarkError(describe_silence(self._url.removesuffix(RESOURCES))) from error
        except requests.RequestException as error:
            raise BenchmarkError(f"{self._url} does not answer: {error}") from error

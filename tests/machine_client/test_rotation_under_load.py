"""Programs that call the API without pause while the secret rotates and its function dies wherever it can."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from examples.machine_client.machine_client import MachineClient
from local_engine.testing import poll
from tests.support.cognito import CLIENT_ID
from tests.support.programs import prepare_engine
from tests.support.secret_rotation_aws import AWS, GRACE_DAYS, STEPS, Fault, Function


@pytest.fixture
def api(issuer: str) -> Iterator[str]:
    """The stack's API with the emulated user pool as its issuer."""
    with prepare_engine(Issuer=issuer, Audience=CLIENT_ID) as engine:
        yield f"{engine.url}/api/v1/resources"


class Caller:
    """A program's loop in a thread, with a new token for each request."""

    def __init__(self, client: MachineClient, url: str) -> None:
        self._client, self._url = client, url
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._call)
        self.statuses: list[int] = []
        self.failure: Exception | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            self._thread.join()

    def wait_for_another_answer(self) -> None:
        seen = len(self.statuses)
        poll(lambda: self.failure is not None or len(self.statuses) > seen, "the program gets no answer any more")

    def _call(self) -> None:
        try:
            while not self._is_over.is_set():
                self.statuses.append(self._client.request("GET", self._url).status_code)
        except Exception as failure:
            self.failure = failure


def test_program_sees_no_failure_through_three_rotations(
    aws: AWS, function: Function, client: MachineClient, api: str
) -> None:
    function.rotate()
    # So short that no token is used twice: each request stands or falls with the secret.
    aws.cognito.token_seconds = 30
    caller = Caller(client, api)
    secrets = {aws.read()["clientSecret"]}
    killed = 0
    with caller.running():
        caller.wait_for_another_answer()
        for _ in range(3):
            version = aws.begin_rotation()
            for step in STEPS:
                # Killed once after each of its calls, until no call is left.
                for call in itertools.count():
                    status = function.run(step, version, Fault(call, "killed"))
                    caller.wait_for_another_answer()
                    if status == 0:
                        break
                    killed += 1
            assert aws.find_version("AWSCURRENT") == version
            secrets.add(aws.read()["clientSecret"])
            # The daily retirement, killed as well, once the program has had time to read the new secret.
            aws.pass_days(GRACE_DAYS + 1)
            for call in itertools.count():
                status = function.retire(Fault(call, "killed"))
                caller.wait_for_another_answer()
                if status == 0:
                    break
                killed += 1
            assert len(aws.cognito.secrets) == 1
    assert caller.failure is None
    assert set(caller.statuses) == {200}
    assert len(secrets) == 4
    assert killed >= 3 * len(STEPS)
    # The program has held a secret that was deleted under it, at most once a rotation, and has fetched the one that
    # took its place.
    assert 0 < aws.cognito.refused_tokens <= len(secrets) - 1

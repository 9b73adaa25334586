"""Items of the tables, kept in `.local` between runs of the engine."""

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_engine.services.service_calls import READ_STREAM, call_service
from local_engine.services.services_client import ServicesClient, ServicesError
from local_engine.services.stack_resources import SeedError, seed_tables
from local_engine.state import StateError, read_or_create, replace_file, state_directory

_NAME = "tables.json"
_SECONDS = 3.0
_BUSY_SHARE = 10
"""A save that takes long is followed by a pause so many times as long."""


class KeptTables:
    """The items of a stack's tables in a file, in the form of `--seed`.

    Args:
        project: the folder of the template.
        endpoint: URL of the services.
        names: the tables' names by their logical IDs.
    """

    def __init__(self, project: Path, endpoint: str, names: Mapping[str, str]) -> None:
        self._project = project
        self._endpoint = endpoint
        self._names = names
        self._saved = b""

    async def load(self) -> bool:
        """Write what an earlier run has kept into the tables, and return whether there is anything.

        The tables' streams have no records of it: they had them in the earlier run.

        Raises:
            SeedError: the file is damaged, or does not fit the template's tables any more.
            ServicesError: the services do not answer.
        """
        path = state_directory(self._project) / _NAME
        if not path.exists():
            return False
        try:
            await asyncio.to_thread(seed_tables, path, self._endpoint, self._names)
        except SeedError as error:
            raise SeedError(
                f"{error} It holds the data of an earlier run. Delete it, or start without --keep."
            ) from error
        for name in self._names.values():
            await call_service(self._endpoint, "dynamodb", READ_STREAM, {"TableName": name, "Forget": True})
        return True

    def save(self) -> None:
        """Keep the items as they are now, if they have changed.

        Raises:
            ServicesError: the services have ended.
            StateError: the file cannot be written.
        """
        content = json.dumps(self._read_tables(), ensure_ascii=False).encode()
        if content == self._saved:
            return
        read_or_create(self._project, _NAME, lambda: content)
        replace_file(self._project, _NAME, content)
        self._saved = content

    async def run(self) -> None:
        """Save every few seconds, so that an engine that is killed loses little."""
        while True:
            started = time.monotonic()
            with contextlib.suppress(ServicesError, StateError):
                await asyncio.to_thread(self.save)
            await asyncio.sleep(max(_SECONDS, _BUSY_SHARE * (time.monotonic() - started)))

    def _read_tables(self) -> dict[str, list[Any]]:
        with ServicesClient(self._endpoint) as client:
            return {logical_id: _scan(client, name) for logical_id, name in self._names.items()}


def _scan(client: ServicesClient, table: str) -> list[Any]:
    found: list[Any] = []
    request: dict[str, Any] = {"TableName": table}
    while True:
        answer = client.call("dynamodb", "Scan", request)
        found += [{"PutRequest": {"Item": item}} for item in answer["Items"]]
        if "LastEvaluatedKey" not in answer:
            return found
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

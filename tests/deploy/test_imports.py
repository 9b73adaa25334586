"""In the emulator, which enforces IAM: the lines of an import become resources."""

import json
from typing import Any

from local_engine.testing import poll
from tests.deploy.deployment import Deployment, load_event

_LINE = {"name": "Imported", "type": "A"}


def test_a_file_is_split_and_its_lines_become_resources(deployment: Deployment) -> None:
    def call(function: str, **changes: Any) -> dict[str, Any]:
        answer = deployment.invoke(function, load_event(function, "imports") | changes)
        assert answer["statusCode"] < 300, answer
        return json.loads(answer["body"])

    started = call("StartImport", body=f"{json.dumps(_LINE)}\n")
    path = {"pathParameters": {"id": started["id"]}}
    poll(lambda: call("GetImport", **path)["state"] == "completed", "the import does not end", seconds=120)
    ended = call("GetImport", **path)
    assert (ended["created"], ended["faulty"]) == (1, 0), ended
    (resource,) = call("ListResources")["resources"]
    assert resource == resource | _LINE

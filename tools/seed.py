"""`python -m tools.seed`: creates items through the API, from a file of request bodies by path.

    {"/api/v1/resources": [{"name": "First resource", "type": "A"}]}

Each body has an `Idempotency-Key` of its path and content, so the same file creates nothing twice within a day. The
environment's `TOKEN` says for whom.
"""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tools.arguments import add_target, find_target, report_failure
from tools.command_parser import CommandParser
from tools.profiles import OperationError
from tools.targets import is_local

_ANSWER_SECONDS = 35


def read_bodies(file: Path) -> dict[str, list[Any]]:
    """Return the bodies in a file, by path.

    Raises:
        OperationError: the file cannot be read or has another form.
    """
    try:
        # Editors may write a BOM.
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise OperationError(f"{file} cannot be read: {error}") from error
    if not isinstance(content, dict) or not all(
        path.startswith("/") and isinstance(bodies, list) for path, bodies in content.items()
    ):
        raise OperationError(f'{file} must hold lists of request bodies by path, such as {{"/api/v1/things": [{{}}]}}.')
    return content


def create_items(url: str, token: str, bodies: dict[str, list[Any]]) -> int:
    """Create the items and return how many there are.

    Raises:
        OperationError: the API does not answer, or refuses one.
    """
    created = 0
    with httpx.Client(base_url=url, timeout=_ANSWER_SECONDS, trust_env=not is_local(url)) as session:
        session.headers["Authorization"] = f"Bearer {token}"
        for path, items in bodies.items():
            for number, body in enumerate(items):
                content = json.dumps(body, ensure_ascii=False)
                key = hashlib.sha256(f"{path} {number} {content}".encode()).hexdigest()
                headers = {"Content-Type": "application/json", "Idempotency-Key": key}
                try:
                    answer = session.post(path, content=content.encode(), headers=headers)
                except httpx.HTTPError as error:
                    raise OperationError(f"{url} does not answer: {error}") from error
                if answer.status_code != httpx.codes.CREATED:
                    raise OperationError(f"POST {path}, item {number + 1}: {answer.status_code} {answer.text[:300]}")
                created += 1
    return created


def main(arguments: Sequence[str]) -> int:
    """Create the items and return the exit status: 2 after a sentence if not all were created."""
    parser = CommandParser(prog="make seed", usage="make seed FILE=examples/seed.json [STAGE=dev]", allow_abbrev=False)
    parser.add_argument("file", type=Path)
    add_target(parser)
    options = parser.parse_args(arguments)

    def seed() -> int:
        bodies = read_bodies(options.file)
        print(f"Created {create_items(find_target(options).url, os.environ['TOKEN'], bodies)} items.")
        return 0

    return report_failure(seed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

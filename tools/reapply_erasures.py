"""`make reapply-erasures`: erases again, in a restored copy of the table, everyone whom the ledger names."""

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from records.partitions import Partition
from serverless_api.telemetry.pseudonyms import make_pseudonym
from tools.arguments import add_target, find_stack, report_failure
from tools.command_parser import CommandParser
from tools.profiles import OperationError


def reapply_erasures(client: Any, ledger: str, table: str, key: str) -> tuple[int, Counter[str]]:
    """Delete from a table what each erased user had written before the last erasure.

    The ledger names users by pseudonyms, so each user of the copy is looked up by theirs. It is safe to repeat.

    Args:
        client: a boto3 client of DynamoDB.
        ledger: the table of the erasures.
        table: the restored copy.
        key: the stack's key of pseudonyms.

    Returns:
        The number of users of whom the copy had something, and of deleted items by kind.
    """
    erased = _read_ledger(client, ledger)
    users, deleted = 0, Counter[str]()
    for subject in _find_subjects(client, table):
        before = erased.get(make_pseudonym(key, subject))
        if before is None:
            continue
        pages = Partition(client, table, subject, before)
        found = sum((pages.delete(items) for items in pages.find_pages()), Counter[str]())
        users += bool(found)
        deleted += found
    return users, deleted


def _read_ledger(client: Any, ledger: str) -> Mapping[str, int]:
    """Return the time of each user's last erasure, by pseudonym."""
    erased: dict[str, int] = {}
    for item in _scan(client, ledger, "pk, requestedAt"):
        user = item["pk"]["S"]
        erased[user] = max(erased.get(user, 0), int(item["requestedAt"]["N"]))
    return erased


def _find_subjects(client: Any, table: str) -> Iterator[str]:
    """Yield each user of a table once: a scan returns a partition's items one after the other."""
    last = ""
    for item in _scan(client, table, "pk"):
        partition = item["pk"]["S"]
        if partition != last and partition.startswith("user#"):
            yield partition.removeprefix("user#")
        last = partition


def _scan(client: Any, table: str, attributes: str) -> Iterator[Mapping[str, Any]]:
    pages = client.get_paginator("scan").paginate(TableName=table, ProjectionExpression=attributes, ConsistentRead=True)
    for page in pages:
        yield from page["Items"]


def main() -> int:
    """Run the tool and return the exit status: 0, or 2 after an error message."""
    parser = CommandParser(prog="make reapply-erasures", description=__doc__, allow_abbrev=False)
    add_target(parser, takes_url=False)
    parser.add_argument("--table", required=True, help="the restored copy of the table")
    options = parser.parse_args()
    return report_failure(lambda: _reapply(options))


def _reapply(options: argparse.Namespace) -> int:
    if not options.table:
        raise OperationError("Set TABLE= to the restored copy of the table.")
    stack = find_stack(options)
    outputs = stack.require_outputs("ErasureLedgerName", "PseudonymKeyArn")
    key = stack.read_secret(outputs["PseudonymKeyArn"])
    users, deleted = reapply_erasures(stack.make_client("dynamodb"), outputs["ErasureLedgerName"], options.table, key)
    print(f"{options.table}: {deleted.total()} items of {users} erased users are deleted.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

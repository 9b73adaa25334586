"""`make audit-check`: looks for gaps in the audit trail, of one resource, of a user or of everybody.

Entries of a resource form a chain: it begins with the creation, each entry follows the version that the one before it
made, and it ends with the resource's version in the table or with the deletion.
"""

import argparse
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, NamedTuple

from boto3.dynamodb.types import TypeDeserializer

from serverless_api.telemetry.pseudonyms import make_pseudonym
from tools.arguments import add_services, add_target, find_stack, read_services, report_failure
from tools.command_parser import CommandParser
from tools.stack import connect_local

_PAUSE_SECONDS = 5.0
_READ = frozenset({"pk", "sk", "version", "updatedAt", "deletedAt", "before", "after", "expiresAt"})
# Of an item that does not say when it was written, as one that another program made, any entry is missed.
_UNKNOWN_TIME = "9999"
_SORT_KEY = re.compile(r"([a-z][a-z ]*)#([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21})")


class Name(NamedTuple):
    """A resource: the owner's pseudonym, the noun and the ID."""

    owner: str
    noun: str
    id: str


class Link(NamedTuple):
    """What an entry says of its resource's chain: the versions before and after, None for nothing."""

    before: str | None
    after: str | None


class Version(NamedTuple):
    """A resource's version in the table, and when it was written, RFC 3339."""

    version: str
    written: str


def find_gaps(name: Name, links: Sequence[Link], current: Version | None, complete_since: str) -> Iterator[str]:
    """Yield what is wrong with a resource's chain.

    Args:
        name: the resource.
        links: its entries, in any order.
        current: its version in the table, or None if it is not there.
        complete_since: the trail has every change since this time, RFC 3339. Entries before it may have expired.
    """
    # An update whose answer was lost is repeated, and then makes its version again, which is followed again.
    made, followed = Counter(link.after for link in links), Counter(link.before for link in links)
    for version, count in followed.items():
        if count > max(made[version], 1):
            yield f"{count} entries follow {_call(version)}"
    starts = [version for version in followed if version is None or version not in made]
    is_old = _read_creation(name.id) < complete_since
    if len(starts) > 1 or (starts != [None] and not is_old):
        yield from (f"{_call(version)} has no entry" for version in starts if version is not None)
    if current is None:
        if links and None not in made:
            yield "the resource is gone, and no entry says so"
    elif current.version not in made and (links or current.written >= complete_since):
        yield f"{_call(current.version)}, which is in the table, has no entry"


def _call(version: str | None) -> str:
    return f"version {version}" if version else "the creation"


def _read_creation(resource_id: str) -> str:
    """Return the time in an ID (RFC 9562, section 5.7) as RFC 3339."""
    milliseconds = int(resource_id.replace("-", "")[:12], 16)
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()


class AuditCheck:
    """Compares the trail with the table that it is about."""

    def __init__(self, client: Any, trail: str, table: str, key: str) -> None:
        """Take a boto3 client of DynamoDB, the names of both tables and the stack's key of pseudonyms."""
        self._client, self._trail, self._table, self._key = client, trail, table, key
        self._since = client.describe_table(TableName=trail)["Table"]["CreationDateTime"].astimezone(UTC).isoformat()
        self.entries = 0
        """How many entries the last reading found."""

    def run(
        self, subject: str | None = None, resource_id: str | None = None, patience: float = 0
    ) -> dict[Name, list[str]]:
        """Return what is wrong, by resource.

        Args:
            subject: the only user to check.
            resource_id: the only resource to check.
            patience: seconds for which entries of recent changes may still arrive.
        """
        found: dict[Name, list[str]] = {}
        for attempt in range(1 + ceil(patience / _PAUSE_SECONDS)):
            if attempt:
                time.sleep(_PAUSE_SECONDS)
            # The table comes first, so that what is in it has its entry, or gets it while this waits.
            versions = dict(self._read_versions(subject))
            chains = self._read_chains(subject)
            names = {name for name in versions.keys() | chains.keys() if resource_id in {None, name.id}}
            problems = {
                name: list(find_gaps(name, chains.get(name, ()), versions.get(name), self._since)) for name in names
            }
            # Of resources that change all the time, only what is wrong each time is a gap.
            found = {
                name: [text for text in texts if not attempt or text in found.get(name, ())]
                for name, texts in problems.items()
            }
            found = {name: texts for name, texts in found.items() if texts}
            if not found:
                break
        return found

    def _read_versions(self, subject: str | None) -> Iterator[tuple[Name, Version]]:
        for item in self._read(self._table, subject and f"user#{subject}"):
            match = _SORT_KEY.fullmatch(item["sk"])
            if match and item["pk"].startswith("user#") and "version" in item and "deletedAt" not in item:
                owner = make_pseudonym(self._key, item["pk"].removeprefix("user#"))
                yield Name(owner, *match.groups()), Version(item["version"], item.get("updatedAt", _UNKNOWN_TIME))

    def _read_chains(self, subject: str | None) -> Mapping[Name, Sequence[Link]]:
        chains: dict[Name, list[Link]] = defaultdict(list)
        self.entries = 0
        for item in self._read(self._trail, subject and make_pseudonym(self._key, subject)):
            written, noun, resource_id, *_ = item["sk"].removeprefix("entry#").split("#")
            chains[Name(item["pk"], noun, resource_id)].append(Link(item["before"], item["after"]))
            self.entries += 1
            kept = timedelta(seconds=int(item["expiresAt"]) - int(datetime.fromisoformat(written).timestamp()))
            self._since = max(self._since, (datetime.now(UTC) - kept).isoformat())
        return chains

    def _read(self, table: str, partition: str | None) -> Iterator[Mapping[str, Any]]:
        """Yield the items of a table, or of one partition."""
        arguments: dict[str, Any] = {"TableName": table, "ConsistentRead": True}
        if partition:
            arguments |= {
                "KeyConditionExpression": "pk = :pk",
                "ExpressionAttributeValues": {":pk": {"S": partition}},
            }
        pages = self._client.get_paginator("query" if partition else "scan").paginate(**arguments)
        read = TypeDeserializer().deserialize
        for page in pages:
            for item in page["Items"]:
                yield {name: read(value) for name, value in item.items() if name in _READ}


def main() -> int:
    """Check the trail; return 1 if it has gaps, and 2 if nothing could be checked."""
    parser = CommandParser(prog="make audit-check", description=__doc__)
    add_target(parser)
    add_services(parser)
    parser.add_argument("--sub", help="the only user to check, by the tokens' sub")
    parser.add_argument("--id", help="the only resource to check")
    parser.add_argument("--patience", type=float, default=30, help="seconds for which entries may still arrive")
    options = parser.parse_args()
    return report_failure(lambda: _check(options))


def _check(options: argparse.Namespace) -> int:
    check = _connect(options)
    gaps = check.run(options.sub, options.id, options.patience)
    for name, problems in sorted(gaps.items()):
        for problem in problems:
            print(f"{name.noun} {name.id} of {name.owner}: {problem}")
    print(f"{check.entries} entries, {len(gaps)} resources with gaps")
    return 1 if gaps else 0


def _connect(options: argparse.Namespace) -> AuditCheck:
    if not options.url:
        stack = find_stack(options)
        outputs = stack.require_outputs("AuditTableName", "TableName", "PseudonymKeyArn")
        key = stack.read_secret(outputs["PseudonymKeyArn"])
        return AuditCheck(stack.make_client("dynamodb"), outputs["AuditTableName"], outputs["TableName"], key)
    return check_local(read_services(options))


def check_local(services: str) -> AuditCheck:
    """Return the check of the stack that `make run` serves, by the URL of its AWS services."""
    secrets = connect_local("secretsmanager", services)
    key = secrets.get_secret_value(SecretId="PseudonymKey")["SecretString"]
    return AuditCheck(connect_local("dynamodb", services), "Records-AuditTable", "Table", key)


if __name__ == "__main__":
    raise SystemExit(main())

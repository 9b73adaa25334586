"""The steps of an erasure: two rounds over the user's partition, the account in between, and the receipt.

A step works until its time is up, and says where the next one continues. Each may run twice or be killed anywhere:
deletions and their counts are one transaction, and everything else is noted on the receipt before it goes. The ledger
says which step is the current one, so a step that is sent twice begins once.
"""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import batched
from secrets import token_hex
from typing import Self

from records import accounts, erasures, import_files
from records.clients import make_client
from records.erasures import Erasure, ErasureMovedOn, format_moment
from records.events import make_erasure_event, publish_events
from records.partitions import Partition, Receipt, ReceiptClosed
from serverless_api import current_deadline, logger, read_count, read_setting, settings

LATE_SECONDS = 45
"""When the second round begins: an earlier request may run for 29 s, in a function that took 10 s to start."""

STEP_SECONDS = 20.0
"""The time that must be left to start another page, of which every call may be repeated."""

ROUNDS = 2


class EventNotTaken(Exception):
    """The bus took no event; the step is repeated."""


_dynamodb = make_client("dynamodb", read_seconds=5)
_s3 = make_client("s3", read_seconds=5)
_sqs = make_client("sqs", read_seconds=5)
_cognito = make_client("cognito-idp", read_seconds=5)
_scheduler = make_client("scheduler", read_seconds=5)


@dataclass(frozen=True, slots=True)
class Step:
    """What is next: a message of the queue, which names nobody.

    Attributes:
        user: the user's pseudonym.
        erasure: the erasure's ID.
        before: the time up to which the erasure goes, in milliseconds since 1970.
        number: its place in the chain of steps.
        token: names this message. Another message with the same step has another one.
        round: 1, or 2 for what was committed late.
        after: the sort key after which to continue.
    """

    user: str
    erasure: str
    before: int
    number: int
    token: str
    round: int = 1
    after: str = ""

    @classmethod
    def first(cls, erasure: Erasure) -> Self:
        """Return the message of an erasure's first step."""
        return cls(erasure.user, erasure.id, erasure.requested_at, number=1, token=token_hex())

    def follow(self) -> Self:
        """Return the message of the step after this one."""
        return replace(self, number=self.number + 1, token=token_hex())


def send_step(step: Step, delay: int = 0) -> None:
    """Put a step into the queue.

    Args:
        step: the step.
        delay: seconds until it runs.
    """
    _sqs.send_message(QueueUrl=read_setting("ERASURE_QUEUE"), MessageBody=json.dumps(asdict(step)), DelaySeconds=delay)


def run_step(step: Step) -> Step | None:
    """Run a step and return the next one; None after the last one."""
    try:
        erasure = erasures.begin_step(step.user, step.erasure, step.before, step.number, step.token)
        if erasure.state == "running":
            following = _erase(erasure, step)
            if following is not None:
                return following.follow()
            erasure = erasures.finish_erasure(erasure, read_count("RECOVERY_DAYS", default=7))
            logger.info("A user is erased", erased=erasure.erased)
    except (ReceiptClosed, ErasureMovedOn):
        # Another chain of steps erases up to a later time, or this one has gone on.
        return None
    if erasure.state == "erased":
        _schedule_verification(erasure)
        _publish(erasure)
    return None


def _erase(erasure: Erasure, step: Step) -> Step | None:
    """Delete page by page while there is time; return None after the last round."""
    partition = Partition(_dynamodb, settings.TABLE_NAME, erasure.subject, erasure.requested_at)
    receipt = Receipt(read_setting("ERASURE_LEDGER"), erasure.user, erasures.PREFIX + erasure.id)
    while current_deadline().remaining > STEP_SECONDS:
        items, after = partition.find_items(step.after)
        partition.delete(items, receipt)
        step = replace(step, after=after)
        if not after:
            _erase_files(erasure, step.round)
            _erase_account(erasure)
            return replace(step, round=step.round + 1) if step.round < ROUNDS else None
    return step


def _erase_files(erasure: Erasure, erasure_round: int) -> None:
    bucket = read_setting("IMPORT_BUCKET")
    for keys in batched(
        import_files.find_files(_s3, bucket, erasure.subject, erasure.requested_at), 1000, strict=False
    ):
        # Named in their order, so a step that was killed after this does not count them again.
        marks = [f"{erasure_round}#{key}" for key in keys]
        erasure = erasures.count_files(erasure, marks)
        import_files.delete_files(_s3, bucket, keys)


def _erase_account(erasure: Erasure) -> None:
    pool = os.environ.get("USER_POOL", "")
    if name := accounts.find_account(_cognito, pool, erasure.subject):
        erasures.count_account(erasure)
        accounts.delete_account(_cognito, pool, name)


def _publish(erasure: Erasure) -> None:
    """Tell others, such as the issuer that has the user's account. A step that runs twice tells them twice."""
    if publish_events([make_erasure_event(erasure.subject, erasure.id, format_moment(erasure.erased_at))]):
        raise EventNotTaken(f"The bus did not take the event of erasure {erasure.id}")


def _schedule_verification(erasure: Erasure) -> None:
    """Have `verify_erasure` called a minute after the backups have expired."""
    moment = datetime.fromtimestamp(erasure.backups_expire_at // 1000 + 60, UTC)
    # A step that was killed here has made the schedule of this name.
    with suppress(_scheduler.exceptions.ConflictException):
        _scheduler.create_schedule(
            Name=erasure.id,
            GroupName=read_setting("VERIFICATIONS"),
            ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:%S})",
            FlexibleTimeWindow={"Mode": "OFF"},
            ActionAfterCompletion="DELETE",
            Target={
                "Arn": read_setting("VERIFY_ERASURE"),
                "RoleArn": read_setting("VERIFICATION_ROLE"),
                "Input": json.dumps({"user": erasure.user, "erasure": erasure.id}),
            },
        )

"""Runs when the backups of an erased user have expired: looks for anything left, and closes the receipt."""

import os
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from records import accounts, erasures, import_files
from records.clients import make_client
from records.partitions import Partition
from serverless_api import logger, read_setting, settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_dynamodb = make_client("dynamodb", read_seconds=5)
_s3 = make_client("s3", read_seconds=5)
_cognito = make_client("cognito-idp", read_seconds=5)


class NotErased(Exception):
    """Something is left of an erased user."""


def handler(event: Mapping[str, str], context: "LambdaContext") -> None:
    logger.append_keys(function_request_id=context.aws_request_id, erasure=event["erasure"])
    erasure = erasures.read_erasure(event["user"], event["erasure"])
    if erasure is None or erasure.state != "erased":
        logger.info("There is nothing to verify")
        return
    left: Counter[str] = Counter()
    for items in Partition(_dynamodb, settings.TABLE_NAME, erasure.subject, erasure.requested_at).find_pages():
        left.update(items.values())
    for _ in import_files.find_files(_s3, read_setting("IMPORT_BUCKET"), erasure.subject, erasure.requested_at):
        left["file"] += 1
    if accounts.find_account(_cognito, os.environ.get("USER_POOL", ""), erasure.subject):
        left["account"] += 1
    if left:
        raise NotErased(f"After erasure {erasure.id} there is something left: {dict(left)}")
    erasures.close_receipt(erasure)
    logger.info("The erasure is verified")

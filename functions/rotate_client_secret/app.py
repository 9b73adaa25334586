"""Rotates the machine client's secret in the four steps of Secrets Manager, and retires the previous one."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from rotation import MachineClient, Rotation, retire_secrets
from serverless_api import logger, read_count, read_setting

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

RETIREMENT = "retireSecrets"
"""The step of the daily schedule, beside the four of Secrets Manager."""

_client = MachineClient(
    user_pool_id=read_setting("USER_POOL_ID"),
    client_id=read_setting("CLIENT_ID"),
    scope=read_setting("CLIENT_SCOPE"),
    token_endpoint=read_setting("TOKEN_ENDPOINT"),
)
_grace = timedelta(days=read_count("SECRET_GRACE_DAYS", default=7))


def handler(event: Mapping[str, str], context: "LambdaContext") -> None:
    step, version = event["Step"], event.get("ClientRequestToken")
    logger.append_keys(function_request_id=context.aws_request_id, step=step, version=version)
    try:
        if step == RETIREMENT:
            retired = retire_secrets(_client, event["SecretId"], _grace)
            logger.info("Previous secrets are deleted", secrets=retired)
        else:
            Rotation(_client, event["SecretId"], event["ClientRequestToken"]).run(step)
    except Exception:
        logger.exception("The step failed; it is retried, or runs again in the next rotation or on the next day")
        raise
    logger.info("The step is done")

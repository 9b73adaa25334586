"""Rotates the machine client's secret for Secrets Manager, one of four steps in each call."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rotation import MachineClient, Rotation
from serverless_api import logger, read_setting

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_client = MachineClient(
    user_pool_id=read_setting("USER_POOL_ID"),
    client_id=read_setting("CLIENT_ID"),
    scope=read_setting("CLIENT_SCOPE"),
    token_endpoint=read_setting("TOKEN_ENDPOINT"),
)


def handler(event: Mapping[str, str], context: "LambdaContext") -> None:
    step, version = event["Step"], event["ClientRequestToken"]
    logger.append_keys(function_request_id=context.aws_request_id, step=step, version=version)
    try:
        Rotation(_client, event["SecretId"], version).run(step)
    except Exception:
        logger.exception("The step failed; Secrets Manager retries it or starts another rotation")
        raise
    logger.info("The step is done")

"""Runs every five minutes and keeps environments of the routed functions warm."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from serverless_api import logger, read_count, read_setting
from warming import warm_functions

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_functions = read_setting("WARM_FUNCTIONS").split()
_environments = read_count("WARM_ENVIRONMENTS", default=2)


def handler(_event: Mapping[str, Any], context: "LambdaContext") -> dict[str, int]:
    warm = warm_functions(_functions, _environments)
    logger.info("Environments kept warm", function_request_id=context.aws_request_id, environments=warm)
    return warm

"""CodeDeploy's hook before it shifts requests to new versions: all of them tried with the event fixtures."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from functions.verify_versions.verification import read_versions, report_result, verify_versions
from serverless_api.environment.settings import read_setting
from serverless_api.telemetry.observability import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_EVENTS = Path(__file__).with_name("events")


def handler(event: Mapping[str, str], context: "LambdaContext") -> None:
    deployment, execution = event["DeploymentId"], event["LifecycleEventHookExecutionId"]
    logger.append_keys(function_request_id=context.aws_request_id, deployment=deployment)
    try:
        versions = read_versions(read_setting("VERSIONS"))
        succeeded = verify_versions(versions, _EVENTS, context.get_remaining_time_in_millis)
    except Exception:
        logger.exception("The versions could not be tried")
        succeeded = False
    report_result(deployment, execution, succeeded=succeeded)
    logger.info("CodeDeploy knows whether the new versions may serve", succeeded=succeeded)

"""CodeDeploy's hook before it shifts traffic to a function's new version: tries the version with the event fixtures."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from serverless_api import logger, read_setting
from verification import find_target, report_result, verify_version

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_FOLDER = Path(__file__).parent
# The build puts the fixtures beside this file; in the project they are at its root.
_EVENTS = next(path for path in (_FOLDER / "events", _FOLDER.parents[1] / "events") if path.is_dir())


def handler(event: Mapping[str, str], context: "LambdaContext") -> None:
    deployment, execution = event["DeploymentId"], event["LifecycleEventHookExecutionId"]
    logger.append_keys(function_request_id=context.aws_request_id, deployment=deployment)
    try:
        version = find_target(deployment)
        logger.append_keys(tried_function=version.function, tried_version=version.number)
        succeeded = verify_version(version, read_setting("STACK_ID"), _EVENTS, context.get_remaining_time_in_millis)
    except Exception:
        logger.exception("The version could not be tried")
        succeeded = False
    report_result(deployment, execution, succeeded=succeeded)
    logger.info("CodeDeploy knows whether the version may serve", succeeded=succeeded)

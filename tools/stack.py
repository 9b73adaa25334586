"""A deployed stack, as its outputs describe it."""

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.profiles import OperationError


class DeployedStack:
    """A stack of CloudFormation in the account and region of the caller's credentials."""

    def __init__(self, name: str, region: str | None = None) -> None:
        """Take a stack by its name; nothing is asked yet."""
        self.name = name
        self._session = boto3.Session(region_name=region)

    def check_credentials(self) -> None:
        """Ask AWS who calls.

        Raises:
            OperationError: no region is set, or AWS does not accept the credentials.
        """
        if not self._session.region_name:
            raise OperationError(
                "No AWS region is set: set AWS_DEFAULT_REGION, or region in the stage's profile in samconfig.toml."
            )
        self._call("sts", "get_caller_identity")

    def read_outputs(self) -> Mapping[str, str]:
        """Return the stack's outputs and, where an output has not the same name, its parameters.

        Raises:
            OperationError: there is no such stack, or AWS does not answer.
        """
        (stack,) = self._call("cloudformation", "describe_stacks", StackName=self.name)["Stacks"]
        parameters = {entry["ParameterKey"]: entry.get("ParameterValue", "") for entry in stack.get("Parameters", [])}
        return parameters | {entry["OutputKey"]: entry["OutputValue"] for entry in stack.get("Outputs", [])}

    def read_secret(self, arn: str) -> str:
        """Return the text of a secret of Secrets Manager.

        Raises:
            OperationError: it cannot be read.
        """
        text: str = self._call("secretsmanager", "get_secret_value", SecretId=arn)["SecretString"]
        return text

    def protect(self) -> None:
        """Have CloudFormation refuse to delete the stack, until somebody switches that off.

        Raises:
            OperationError: there is no such stack, or AWS does not answer.
        """
        self._call(
            "cloudformation", "update_termination_protection", StackName=self.name, EnableTerminationProtection=True
        )

    def _call(self, service: str, method: str, **parameters: Any) -> Any:
        try:
            client: Any = self._session.client(service)  # type: ignore[call-overload]
            return getattr(client, method)(**parameters)
        except (BotoCoreError, ClientError) as error:
            raise OperationError(f"AWS does not do what it is asked ({service}, {method}): {error}") from error

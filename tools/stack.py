"""A deployed CloudFormation stack, and clients of the services that `make run` emulates."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tools.profiles import OperationError


def connect_local(service: str, endpoint: str) -> Any:
    """Return a boto3 client of a service that `make run` emulates at a URL."""
    import boto3  # noqa: PLC0415 - half a second, which the tools for a local server need not wait

    session = boto3.Session("local", "local", region_name="us-east-1")
    return session.client(service, endpoint_url=endpoint)  # type: ignore[call-overload]


class DeployedStack:
    """A stack in the account of the caller's credentials."""

    def __init__(self, name: str, region: str | None = None) -> None:
        """Name a stack without calling AWS."""
        self.name = name
        import boto3  # noqa: PLC0415 - as above

        self._session = boto3.Session(region_name=region)

    def check_credentials(self) -> None:
        """Check the caller's credentials with AWS.

        Raises:
            OperationError: no region is set, or AWS rejects the credentials.
        """
        if not self._session.region_name:
            raise OperationError(
                "No AWS region is set: set AWS_DEFAULT_REGION, or `region` in the stage's profile in samconfig.toml."
            )
        self._call("sts", "get_caller_identity")

    def read_outputs(self) -> Mapping[str, str]:
        """Return the stack's outputs, and its parameters under names that no output has.

        Raises:
            OperationError: the stack does not exist, or AWS does not answer.
        """
        (stack,) = self._call("cloudformation", "describe_stacks", StackName=self.name)["Stacks"]
        parameters = {entry["ParameterKey"]: entry.get("ParameterValue", "") for entry in stack.get("Parameters", [])}
        return parameters | {entry["OutputKey"]: entry["OutputValue"] for entry in stack.get("Outputs", [])}

    def require_outputs(self, *names: str) -> Mapping[str, str]:
        """Return what `read_outputs` does.

        Raises:
            OperationError: a name has no output, the stack does not exist, or AWS does not answer.
        """
        outputs = self.read_outputs()
        if missing := set(names) - outputs.keys():
            raise OperationError(
                f"The stack {self.name} has no output {min(missing)}; was it deployed from this template?"
            )
        return outputs

    def make_client(self, service: str) -> Any:
        """Return a boto3 client of a service in the stack's region."""
        return self._session.client(service)  # type: ignore[call-overload]

    def read_secret(self, arn: str) -> str:
        """Return the text of a secret in Secrets Manager.

        Raises:
            OperationError: the secret cannot be read.
        """
        text: str = self._call("secretsmanager", "get_secret_value", SecretId=arn)["SecretString"]
        return text

    def protect(self) -> None:
        """Turn on the stack's termination protection.

        Raises:
            OperationError: the stack does not exist, or AWS does not answer.
        """
        self._call(
            "cloudformation", "update_termination_protection", StackName=self.name, EnableTerminationProtection=True
        )

    def _call(self, service: str, method: str, **parameters: Any) -> Any:
        try:
            return getattr(self.make_client(service), method)(**parameters)
        except (BotoCoreError, ClientError) as error:
            raise OperationError(f"AWS failed ({service}, {method}): {error}") from error

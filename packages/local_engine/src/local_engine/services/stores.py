"""Secrets, parameters and log groups of a template."""

from local_engine.services.services_client import ServicesClient
from local_engine.template.stack import Resource


def create_secret(client: ServicesClient, name: str, resource: Resource) -> None:
    """Create a secret."""
    client.call("secretsmanager", "CreateSecret", {"Name": name, **resource.pick("Description", "SecretString")})


def create_parameter(client: ServicesClient, name: str, resource: Resource) -> None:
    """Create a parameter."""
    request = {"Name": name, "Overwrite": True, **resource.pick("Description", "Type", "Value")}
    client.call("ssm", "PutParameter", {**request, "Value": str(request["Value"])})


def create_log_group(client: ServicesClient, name: str, resource: Resource) -> None:  # noqa: ARG001
    """Create a log group."""
    client.call("logs", "CreateLogGroup", {"logGroupName": name})

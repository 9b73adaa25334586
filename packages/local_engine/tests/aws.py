"""Clients of the local AWS services, for tests."""

from typing import Any

import boto3
from botocore.config import Config


def aws_client(name: str, endpoint: str) -> Any:
    options = Config(retries={"total_max_attempts": 1}, max_pool_connections=32)
    secrets = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return boto3.client(name, endpoint_url=endpoint, region_name="us-east-1", config=options, **secrets)
